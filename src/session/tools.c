/*
 * Configured tools; see tools.h. Runs in the session worker, as the sandbox's
 * user: the files it reads here any process of the sandbox may have written,
 * and it may read and link no more than those could themselves. What is wrong
 * with them is told in the session's log and never ends the session.
 */
#include "session/tools.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRIES_MAX 256
#define SKILLS_MAX 256 /* of one source */
#define LOOKS_MAX 4096 /* names of one directory */

static void
complain(struct agent *a, const char *code, const char *text)
{
	uni_error(a->out, FROM_DAEMON, code, text, NULL);
}

/* --- reading -------------------------------------------------------------- */

/* The directory's file. False: there is none, or it was complained of. */
static bool
read_file(struct agent *a, enum toolconf kind, struct json **j_out)
{
	autofree char *path = xasprintf("%s/%s/%s.json", a->conf->directory,
	    TOOLCONF_DIR, toolconf_name(kind));
	/* Nothing that is opened here may make us wait. */
	autofd int fd =
	    open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	autofree char *text = NULL, *say = NULL;
	struct stat st;
	size_t len = 0;
	struct err e;

	if (fd == -1 && (errno == ENOENT || errno == ENOTDIR))
		return false;
	if (fd == -1 || fstat(fd, &st) == -1)
		(void)err_sys(&e, "open");
	else if (!S_ISREG(st.st_mode))
		(void)err_set(&e, ERR_BAD_REQUEST, "not a regular file");
	else if (fd_slurp(fd, TOOLCONF_FILE_MAX, &text, &len, &e) == 0 &&
		 toolconf_parse(kind, text, len, j_out, &e) == 0)
		return true;
	say = xasprintf("%s is left out: %s", path, e.text);
	complain(a, "invalid_config", say);
	return false;
}

struct given {
	struct agent *a;
	enum toolconf kind;
	tools_each *each;
	void *ctx;
};

/* One entry, brought to its normal form. */
static void
give(const struct given *g, const char *name, const struct json *entry)
{
	struct json *normal = NULL;
	struct buf b;
	struct err e;
	struct jw w;

	buf_init(&b, TOOLCONF_FILE_MAX);
	jw_init(&w, &b);
	if (toolconf_normal(g->kind, entry, &w, &e) == 0 && !b.failed &&
	    json_parse(b.data, b.len, JSON_DEPTH_AGENT, &normal, &e) == 0) {
		g->each(g->a, name, normal, g->ctx);
		json_free(normal);
	} else {
		autofree char *say = xasprintf("%s %.64s is left out: %s",
		    toolconf_name(g->kind), name,
		    b.failed ? "it is too long" : e.text);

		complain(g->a, "invalid_config", say);
	}
	buf_free(&b);
}

void
tools_read(struct agent *a, enum toolconf kind, tools_each *each, void *ctx)
{
	const char *text =
	    kind == TOOLCONF_MCP ? a->conf->mcp : a->conf->skills;
	const struct given g = { a, kind, each, ctx };
	struct json *own = NULL, *file = NULL;
	size_t n = 0;

	/* Our own were checked when the session was made. */
	if (text != NULL &&
	    json_parse(text, strlen(text), JSON_DEPTH_AGENT, &own, NULL) == -1)
		own = NULL;
	if (own != NULL && kind == TOOLCONF_SKILLS)
		give(&g, "", own);
	else
		json_foreach (it, own)
			if (n++ < ENTRIES_MAX)
				give(&g, it->key, it);
	if (read_file(a, kind, &file)) {
		json_foreach (it, file)
			if ((kind == TOOLCONF_SKILLS ||
				json_get(own, it->key) == NULL) &&
			    n++ < ENTRIES_MAX)
				give(&g, it->key, it);
	}
	json_free(own);
	json_free(file);
}

const char *
tools_env(const struct agent *a, const char *name)
{
	size_t n = strlen(name);
	char *const *v;

	for (v = a->conf->env; v != NULL && *v != NULL; v++)
		if (strncmp(*v, name, n) == 0 && (*v)[n] == '=')
			return *v + n + 1;
	return NULL;
}

/* --- skills --------------------------------------------------------------- */

struct skills {
	struct agent *a;
	const struct json *only; /* names, or NULL */
	const char *place;	 /* where they are linked to */
	size_t found;
};

static bool
wanted(const struct skills *s, const char *name)
{
	if (s->only == NULL)
		return true;
	json_foreach (it, s->only)
		if (strcmp(it->str, name) == 0)
			return true;
	return false;
}

static bool
is_skill(const char *dir)
{
	autofree char *file = xasprintf("%s/SKILL.md", dir);
	struct stat st;

	return stat(file, &st) == 0 && S_ISREG(st.st_mode);
}

static void
link_one(struct skills *s, const char *dir, const char *name)
{
	autofree char *at = xasprintf("%s/%s", s->place, name), *say = NULL;
	char there[PATH_MAX];
	ssize_t n;

	s->found++;
	if (symlink(dir, at) == 0)
		return;
	n = errno == EEXIST ? readlink(at, there, sizeof(there)) : -1;
	if (n > 0 && (size_t)n == strlen(dir) &&
	    memcmp(there, dir, (size_t)n) == 0)
		return; /* as we have left it */
	say = xasprintf("skill %s cannot be linked to %s: %s", dir, at,
	    errno == EINVAL || n > 0 ? "something else is there"
				     : strerror(errno));
	complain(s->a, "skill_failed", say);
}

/* DIR itself, if it is a skill. */
static void
try_one(struct skills *s, const char *dir)
{
	const char *slash = strrchr(dir, '/');
	const char *name = slash != NULL ? slash + 1 : dir;

	if (*name != '\0' && wanted(s, name) && is_skill(dir))
		link_one(s, dir, name);
}

static void
try_children(struct skills *s, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	size_t looks = 0;

	if (d == NULL)
		return;
	while (looks++ < LOOKS_MAX && s->found < SKILLS_MAX &&
	       (de = readdir(d)) != NULL) {
		autofree char *child = NULL;

		if (de->d_name[0] == '.')
			continue;
		child = xasprintf("%s/%s", dir, de->d_name);
		try_one(s, child);
	}
	(void)closedir(d); /* only read */
}

/* Like mkdir -p, below DIRECTORY. */
static int
make_place(const char *place)
{
	autofree char *copy = xstrdup(place);
	char *p;

	for (p = copy + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return mkdir(copy, 0755) == -1 && errno != EEXIST ? -1 : 0;
}

static void
link_local(struct skills *s, const char *source, const char *subpath)
{
	autofree char *joined = xasprintf("%s%s%s%s%s",
	    source[0] == '/' ? "" : s->a->conf->directory,
	    source[0] == '/' ? "" : "/", source, subpath != NULL ? "/" : "",
	    subpath != NULL ? subpath : "");
	autofree char *dir = realpath(joined, NULL), *below = NULL, *say = NULL;
	struct stat st;

	if (dir == NULL || stat(dir, &st) == -1 || !S_ISDIR(st.st_mode)) {
		say = xasprintf("skills: %s is not a directory", joined);
		complain(s->a, "skill_failed", say);
		return;
	}
	if (make_place(s->place) == -1) {
		say =
		    xasprintf("skills: make %s: %s", s->place, strerror(errno));
		complain(s->a, "skill_failed", say);
		return;
	}
	below = xasprintf("%s/skills", dir);
	try_one(s, dir);
	try_children(s, below);
	try_children(s, dir);
	if (s->found == 0) {
		say = xasprintf("skills: there is none in %s%s", dir,
		    s->only != NULL ? " by these names" : "");
		complain(s->a, "skill_failed", say);
	}
}

void
tools_skill_link(struct agent *a, const struct json *source, const char *place)
{
	autofree char *full = xasprintf("%s/%s", a->conf->directory, place);
	struct skills s = { a, json_get(source, "skills"), full, 0 };
	const char *type = json_str(source, "type", "");
	const char *from = json_str(source, "source", "");
	autofree char *say = NULL;

	if (strcmp(type, "local") == 0) {
		link_local(&s, from, json_str(source, "subpath", NULL));
		return;
	}
	if (strcmp(type, "github") == 0 || strcmp(type, "git") == 0)
		say = xasprintf("skills of %.200s are left out: sources of "
				"type %s are not fetched; put them into the "
				"sandbox and name them as local",
		    from, type);
	else
		say = xasprintf(
		    "skills: a source of unknown type %.64s is left out", type);
	complain(a, "skill_failed", say);
}
