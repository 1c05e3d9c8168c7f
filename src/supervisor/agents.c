/*
 * The set of agents' definitions. Runs in the supervisor, which reads the files
 * of one directory that only root, or whoever runs us, may write; each is
 * bounded in size and checked before anything of it counts, and a set with a
 * mistake in it is refused as a whole.
 */
#include "supervisor/agents.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct load {
	const char *dir;
	struct agents *as;
	struct buf *mistakes;
	bool bad;
};

struct agent_def *
agent_hold(struct agent_def *a)
{
	a->refs++;
	return a;
}

void
agent_drop(struct agent_def *a)
{
	if (a != NULL && --a->refs == 0)
		agent_def_free(a);
}

static void
add(struct agents *as, struct agent_def *a)
{
	as->v = xreallocarray(as->v, as->n + 1, sizeof(*as->v));
	as->v[as->n++] = agent_hold(a);
}

static struct agent_def *
find(const struct agents *as, const char *id)
{
	for (size_t i = 0; i < as->n; i++) {
		if (strcmp(as->v[i]->id, id) == 0)
			return as->v[i];
	}
	return NULL;
}

struct agent_def *
agent_find(const struct super *s, const char *id)
{
	return find(s->agents, id);
}

/* --- files --------------------------------------------------------------- */

static void
refuse(struct load *l, const char *file, const char *why)
{
	(void)buf_addf(l->mistakes, "%s:1: %s\n", file, why);
	l->bad = true;
}

/* Whoever can write here chooses what root starts in sandboxes, and which of
 * its variables go there. */
static int
check_owner(const struct stat *st, struct err *e)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(e, ERR_DENIED,
		    "belongs to uid %lu, neither root nor us",
		    (unsigned long)st->st_uid);
	if ((st->st_mode & 022) != 0)
		return err_set(e, ERR_DENIED,
		    "others than its owner may write it (mode %04o)",
		    (unsigned)st->st_mode & 07777);
	return 0;
}

static int
slurp(int dir_fd, const char *name, char **text_out, size_t *len_out,
    struct err *e)
{
	autofd int fd =
	    openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "cannot be opened");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_BAD_REQUEST, "not a regular file");
	if (check_owner(&st, e) == -1)
		return -1;
	if (st.st_size > (off_t)AGENT_FILE_MAX)
		return err_set(
		    e, ERR_TOO_LARGE, "longer than %u bytes", AGENT_FILE_MAX);
	return fd_slurp(fd, AGENT_FILE_MAX, text_out, len_out, e);
}

static void
load_one(struct load *l, int dir_fd, const char *name)
{
	autofree char *file = xasprintf("%s/%s", l->dir, name);
	autofree char *id = xstrndup(name, strlen(name) - strlen(".json"));
	autofree char *text = NULL;
	struct agent_text t = { .file = file, .id = id };
	struct agent_def *a;
	size_t len = 0;
	struct err e;

	if (slurp(dir_fd, name, &text, &len, &e) == -1) {
		refuse(l, file, e.text);
		return;
	}
	t.text = text;
	t.len = len;
	a = agent_def_parse(&t, l->mistakes);
	if (a == NULL)
		l->bad = true;
	else
		add(l->as, a);
}

static int
is_definition(const struct dirent *de)
{
	size_t n = strlen(de->d_name);

	return de->d_name[0] != '.' && n > 5 &&
	       strcmp(de->d_name + n - 5, ".json") == 0;
}

static void
load_dir(struct load *l, int dir_fd)
{
	struct dirent **names = NULL;
	int n = scandirat(dir_fd, ".", &names, is_definition, alphasort);

	if (n == -1) {
		refuse(l, l->dir, strerror(errno));
		return;
	}
	if (n > AGENT_FILES_MAX)
		refuse(l, l->dir, "too many files");
	for (int i = 0; i < n; i++) {
		if (n <= AGENT_FILES_MAX)
			load_one(l, dir_fd, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

/* --- sets ---------------------------------------------------------------- */

static int
by_rank(const void *a, const void *b)
{
	const struct agent_def *x = *(struct agent_def *const *)a;
	const struct agent_def *y = *(struct agent_def *const *)b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return strcmp(x->id, y->id);
}

struct agents *
agents_load(const char *dir, struct buf *mistakes)
{
	autofd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct load l = { .dir = dir,
		.as = xcalloc(1, sizeof(*l.as)),
		.mistakes = mistakes };
	struct stat st;
	struct err e;

	if (fd == -1 && errno == ENOENT)
		l.as->missing = true;
	else if (fd == -1 || fstat(fd, &st) == -1)
		refuse(&l, dir, strerror(errno));
	else if (check_owner(&st, &e) == -1)
		refuse(&l, dir, e.text);
	else
		load_dir(&l, fd);
	if (l.bad) {
		agents_free(l.as);
		return NULL;
	}
	if (find(l.as, "mock") == NULL)
		add(l.as, agent_def_mock());
	qsort(l.as->v, l.as->n, sizeof(struct agent_def *), by_rank);
	return l.as;
}

void
agents_free(struct agents *as)
{
	if (as == NULL)
		return;
	while (as->n > 0)
		agent_drop(as->v[--as->n]);
	free(as->v);
	free(as);
}

void
agents_replace(struct super *s, struct agents *fresh)
{
	agents_free(s->agents);
	s->agents = fresh;
	if (fresh->missing)
		log_warn("agents", "no definitions: only the mock is here",
		    LOG_STR("directory", s->conf.agent_directory));
}

int
agents_reload(struct super *s, struct buf *mistakes)
{
	struct agents *fresh = agents_load(s->conf.agent_directory, mistakes);

	if (fresh == NULL)
		return -1;
	agents_replace(s, fresh);
	return 0;
}
