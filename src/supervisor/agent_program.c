/*
 * Where agents' programs are. Runs in the supervisor; looks at the host's file
 * system: below our own state directory, where the configuration says, and
 * along our own PATH, which is trusted as our environment is. Nothing is run
 * here.
 */
#include "supervisor/agents.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_DEFAULT \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The directory of installed agents as sandboxes see it: a path that tells
 * nothing of the host, in the one place that no image and no mount of the
 * sandbox's root has to make room for. */
#define INSIDE "/run/sandboxd/agents"

/* --- programs ------------------------------------------------------------ */

static char *
executable(const char *path)
{
	struct stat st;
	char *real;

	/* One look at each place of PATH; the rest only where it is. */
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == -1)
		return NULL;
	real = realpath(path, NULL);

	if (real != NULL && stat(real, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 0111) != 0)
		return real;
	free(real);
	return NULL;
}

/* Below ID/current/bin. The path goes through `current`, so that the
 * next worker starts what is installed by then. */
static char *
installed(const struct super *s, const char *id, const char *program)
{
	autofree char *real = NULL;
	char *path;

	if (program[0] == '/')
		return NULL;
	path = xasprintf("%s/%s/current/bin/%s", s->agents_dir, id, program);
	real = executable(path);
	if (real == NULL) {
		free(path);
		return NULL;
	}
	return path;
}

static char *
on_path(const char *program)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];
	char *found;

	if (path == NULL)
		path = PATH_DEFAULT;
	for (;;) {
		size_t n = strcspn(path, ":");

		if (n > 0 && path[0] == '/' &&
		    str_format(file, sizeof(file), "%.*s/%s", (int)n, path,
			program) == 0) {
			found = executable(file);
			if (found != NULL)
				return found;
		}
		if (path[n] == '\0')
			return NULL;
		path += n + 1;
	}
}

static char *
find(const struct super *s, const char *id, const char *program)
{
	char *found = installed(s, id, program);

	if (found != NULL)
		return found;
	if (program[0] == '/')
		return executable(program);
	if (strcmp(program, "claude") == 0 && s->conf.claude[0] != '\0')
		return executable(s->conf.claude);
	return on_path(program);
}

char *
agent_program(const struct super *s, const struct agent_def *a)
{
	return a->program != NULL ? find(s, a->id, a->program) : NULL;
}

char *
agent_acp_program(const struct super *s, const struct agent_def *a)
{
	return a->acp_program != NULL ? find(s, a->id, a->acp_program) : NULL;
}

char *
agent_program_inside(const struct super *s, char *program)
{
	size_t n = strlen(s->agents_dir);
	char *inside;

	if (program == NULL || !str_starts(program, s->agents_dir) ||
	    program[n] != '/')
		return program;
	inside = xasprintf(INSIDE "%s", program + n);
	free(program);
	return inside;
}

bool
agent_installed(const struct super *s, const struct agent_def *a)
{
	autofree char *program = agent_program(s, a);

	return !a->unknown && (a->program == NULL || program != NULL);
}

/* --- versions ------------------------------------------------------------ */

char *
agent_version(const struct super *s, const char *id)
{
	autofree char *link = xasprintf("%s/%s/current", s->agents_dir, id);
	char target[256];
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	const char *base;

	if (n <= 0)
		return NULL;
	target[n] = '\0';
	target[strcspn(target, "~")] = '\0'; /* installed once more */
	base = strrchr(target, '/');
	return xstrdup(base != NULL ? base + 1 : target);
}

/* Directories, but for those that are being made. */
static int
is_version(const struct dirent *de)
{
	return de->d_name[0] != '.' && de->d_type == DT_DIR &&
	       strchr(de->d_name, '~') == NULL &&
	       utf8_valid_prefix(de->d_name, strlen(de->d_name)) ==
		   strlen(de->d_name);
}

void
agent_versions_write(const struct super *s, const char *id, struct jw *w)
{
	autofree char *dir = xasprintf("%s/%s", s->agents_dir, id);
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_version, versionsort);

	for (int i = 0; i < n; i++) {
		jw_str(w, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

/* --- mounts -------------------------------------------------------------- */

char *
agent_program_dir(const char *program)
{
	static const char modules[] = "/node_modules/";
	const char *at = strstr(program, modules);
	const char *slash;

	if (at != NULL)
		return xstrndup(
		    program, (size_t)(at - program) + sizeof(modules) - 2);
	slash = strrchr(program, '/');
	return xstrndup(
	    program, slash == program ? 1 : (size_t)(slash - program));
}

/* Has SP a mount of its own at or above the place of installed agents, or
 * below it? Then they are not shown: making room for them could write to the
 * host. */
static bool
inside_is_taken(const struct sandbox_spec *sp)
{
	static const char inside[] = INSIDE "/";

	for (size_t i = 0; i < sp->nmounts; i++) {
		const char *target = sp->mounts[i].target;
		size_t n = strlen(target);

		if (str_starts(target, INSIDE "/") ||
		    (strncmp(inside, target, n) == 0 && inside[n] == '/'))
			return true;
	}
	return false;
}

/* Does a sandbox with SP's image show host path PATH at the same place? */
static bool
agent_path_shown(const struct sandbox_spec *sp, const char *path)
{
	/* Of the host's root these are shown, and hide.h takes away only what
	 * others may not read. */
	static const char *const shown[] = { "/usr/", "/bin/", "/sbin/", "/lib",
		"/opt/" };

	for (size_t i = 0; i < sp->nmounts; i++) {
		size_t n = strlen(sp->mounts[i].target);

		if (strcmp(sp->mounts[i].source, sp->mounts[i].target) == 0 &&
		    strncmp(path, sp->mounts[i].target, n) == 0 &&
		    (path[n] == '/' || path[n] == '\0'))
			return true;
	}
	if (strcmp(sp->image, "host") != 0)
		return false;
	for (size_t i = 0; i < countof(shown); i++) {
		if (str_starts(path, shown[i]))
			return true;
	}
	return false;
}

/* Directories to show besides SP's mounts. */
struct more {
	const struct super *s;
	const struct sandbox_spec *sp;
	char **v; /* owned, as what is in it */
	size_t n;
};

static bool
more_shows(const struct more *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++) {
		if (str_starts(path, m->v[i]) && path[strlen(m->v[i])] == '/')
			return true;
	}
	return false;
}

static void
more_add(struct more *m, char *dir)
{
	struct stat st;

	if (dir == NULL || strcmp(dir, "/") == 0 || stat(dir, &st) == -1) {
		free(dir);
		return;
	}
	m->v = xreallocarray(m->v, m->n + 1, sizeof(*m->v));
	m->v[m->n++] = dir;
}

static void
more_add_program(struct more *m, char *program)
{
	size_t n = strlen(m->s->agents_dir);

	/* What is installed is shown as a whole, or not at all. */
	if (program != NULL &&
	    !(str_starts(program, m->s->agents_dir) && program[n] == '/') &&
	    !agent_path_shown(m->sp, program) && !more_shows(m, program))
		more_add(m, agent_program_dir(program));
	free(program);
}

/* One block, strings behind the array: whoever frees the array frees them. */
static struct plan_mount *
join(const struct more *m)
{
	const struct sandbox_spec *sp = m->sp;
	size_t n = sp->nmounts + m->n, bytes = 0;
	struct plan_mount *v;
	char *at;

	for (size_t i = 0; i < m->n; i++)
		bytes += strlen(m->v[i]) + 1;
	v = xcalloc(1, n * sizeof(*v) + bytes);
	at = (char *)(v + n);
	if (sp->nmounts > 0)
		memcpy(v, sp->mounts, sp->nmounts * sizeof(*v));
	for (size_t i = 0; i < m->n; i++) {
		struct plan_mount *pm = &v[sp->nmounts + i];
		size_t len = strlen(m->v[i]) + 1;

		pm->source = pm->target = memcpy(at, m->v[i], len);
		if (strcmp(pm->source, m->s->agents_dir) == 0)
			pm->target = INSIDE;
		pm->mode = MOUNT_RO;
		at += len;
	}
	return v;
}

struct plan_mount *
agents_mounts(
    const struct super *s, const struct sandbox_spec *sp, size_t *n_out)
{
	const struct agents *as = s->agents;
	struct more m = { .s = s, .sp = sp };
	struct plan_mount *v;

	/* The whole, so that what is installed later is there at once. */
	if (!inside_is_taken(sp))
		more_add(&m, xstrdup(s->agents_dir));
	for (size_t i = 0; i < as->n; i++) {
		more_add_program(&m, agent_program(s, as->v[i]));
		more_add_program(&m, agent_acp_program(s, as->v[i]));
	}
	v = join(&m);
	*n_out = sp->nmounts + m.n;
	while (m.n > 0)
		free(m.v[--m.n]);
	free(m.v);
	return v;
}
