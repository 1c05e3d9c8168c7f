/*
 * Skills: which are configured, where they lie, and the links to them; see
 * skills.h. Runs in the session worker, as the sandbox's user, so that nothing
 * is read or linked that the agent could not read or link itself. A source
 * that is broken is told in the log and never ends the session.
 */
#include "session/skills.h"

#include "lib/buf.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/skills_fetch.h"
#include "session/skills_source.h"
#include "session/tools.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCES_MAX 64
#define SKILLS_MAX 256 /* of one source */
#define LOOKS_MAX 4096 /* names of one directory */
#define SOURCE_BYTES_MAX (64u << 10)

struct skills {
	struct agent *a;
	const char *const *places;
	skills_done *done;
	struct json *sources[SOURCES_MAX]; /* owned */
	char *texts[SOURCES_MAX];	   /* owned: the same as text */
	size_t nsources, at;
	struct fetch *fetch; /* owned: of sources[at] */
	bool inside;	     /* skills_prepare: it calls nobody back */
};

static void
complain(struct agent *a, const char *text)
{
	uni_error(a->out, FROM_DAEMON, "skill_failed", text, NULL);
}

/* --- links ---------------------------------------------------------------- */

struct look {
	struct skills *s;
	const struct json *only; /* names, or NULL */
	size_t found;
};

static bool
wanted(const struct look *l, const char *name)
{
	if (l->only == NULL)
		return true;
	json_foreach (it, l->only)
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

/* Like mkdir -p. */
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
link_into(struct agent *a, const char *place, const char *dir, const char *name)
{
	autofree char *full = xasprintf("%s/%s", a->conf->directory, place);
	autofree char *at = xasprintf("%s/%s", full, name), *say = NULL;
	char there[PATH_MAX];
	ssize_t n;

	if (make_place(full) == -1) {
		say = xasprintf("skills: make %s: %s", full, strerror(errno));
		complain(a, say);
		return;
	}
	if (symlink(dir, at) == 0)
		return;
	n = errno == EEXIST ? readlink(at, there, sizeof(there)) : -1;
	if (n > 0 && (size_t)n == strlen(dir) &&
	    memcmp(there, dir, (size_t)n) == 0)
		return; /* as we have left it */
	say = xasprintf("skill %s cannot be linked to %s: %s", dir, at,
	    errno == EINVAL || n > 0 ? "something else is there"
				     : strerror(errno));
	complain(a, say);
}

/* DIR itself, if it is a skill. */
static void
try_one(struct look *l, const char *dir)
{
	const char *slash = strrchr(dir, '/');
	const char *name = slash != NULL ? slash + 1 : dir;
	const char *const *place;

	if (*name == '\0' || !wanted(l, name) || !is_skill(dir))
		return;
	l->found++;
	for (place = l->s->places; *place != NULL; place++)
		link_into(l->s->a, *place, dir, name);
}

static void
try_children(struct look *l, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *de;
	size_t looks = 0;

	if (d == NULL)
		return;
	while (looks++ < LOOKS_MAX && l->found < SKILLS_MAX &&
	       (de = readdir(d)) != NULL) {
		autofree char *child = NULL;

		if (de->d_name[0] == '.')
			continue;
		child = xasprintf("%s/%s", dir, de->d_name);
		try_one(l, child);
	}
	(void)closedir(d); /* only read */
}

/* The skills of SOURCE, which lies in ROOT. */
static void
link_source(struct skills *s, const struct json *source, const char *root)
{
	const char *subpath = json_str(source, "subpath", NULL);
	autofree char *joined = xasprintf("%s%s%s", root,
	    subpath != NULL ? "/" : "", subpath != NULL ? subpath : "");
	autofree char *dir = realpath(joined, NULL), *below = NULL, *say = NULL;
	struct look l = { s, json_get(source, "skills"), 0 };
	struct stat st;

	if (dir == NULL || stat(dir, &st) == -1 || !S_ISDIR(st.st_mode)) {
		say = xasprintf("skills: %s is not a directory", joined);
		complain(s->a, say);
		return;
	}
	below = xasprintf("%s/skills", dir);
	try_one(&l, dir);
	try_children(&l, below);
	try_children(&l, dir);
	if (l.found == 0) {
		say = xasprintf("skills: there is none in %s%s", dir,
		    l.only != NULL ? " by these names" : "");
		complain(s->a, say);
	}
}

static void
link_local(struct skills *s, const struct json *source)
{
	const char *from = json_str(source, "source", "");
	autofree char *root =
	    xasprintf("%s%s%s", from[0] == '/' ? "" : s->a->conf->directory,
		from[0] == '/' ? "" : "/", from);

	link_source(s, source, root);
}

/* --- one source after the other ------------------------------------------- */

static void next(struct skills *s);

static void
failed(struct skills *s, const struct err *e)
{
	autofree char *shown = source_shown(s->sources[s->at]);
	autofree char *say =
	    xasprintf("skills of %.300s are left out: %.600s", shown, e->text);

	complain(s->a, say);
}

static void
on_fetched(const char *dir, const struct err *e, void *ctx)
{
	struct skills *s = ctx;

	if (dir != NULL)
		link_source(s, s->sources[s->at], dir);
	else
		failed(s, e);
	fetch_free(STEAL(s->fetch));
	s->at++;
	next(s);
}

/* True when it is done with. */
static bool
begin(struct skills *s, const struct json *source)
{
	const char *type = json_str(source, "type", "");
	autofree char *dir = NULL, *say = NULL, *shown = NULL;
	struct err e;

	if (strcmp(type, "local") == 0) {
		link_local(s, source);
		return true;
	}
	if (!source_is_fetched(type)) {
		say = xasprintf(
		    "skills: a source of unknown type %.64s is left out", type);
		complain(s->a, say);
		return true;
	}
	switch (fetch_start(s->a, source, on_fetched, s, &s->fetch, &dir, &e)) {
	case 1:
		link_source(s, source, dir);
		return true;
	case 0:
		shown = source_shown(source);
		uni_status(s->a->out, "skills.fetching", shown);
		return false;
	default:
		failed(s, &e);
		return true;
	}
}

static void
next(struct skills *s)
{
	while (s->at < s->nsources) {
		if (!begin(s, s->sources[s->at]))
			return;
		s->at++;
	}
	if (!s->inside)
		s->done(s->a); /* may free S */
}

static void
collect(struct agent *a, const char *name, const struct json *entry, void *ctx)
{
	struct skills *s = ctx;

	(void)a;
	(void)name;
	json_foreach (it, json_get(entry, "sources")) {
		struct json *copy = NULL;
		size_t i;
		struct buf b;
		struct jw w;

		buf_init(&b, SOURCE_BYTES_MAX);
		jw_init(&w, &b);
		jw_value(&w, it);
		for (i = 0; !b.failed && i < s->nsources; i++)
			if (strcmp(s->texts[i], b.data) == 0)
				break; /* named twice */
		if (s->nsources < SOURCES_MAX && !b.failed &&
		    i == s->nsources &&
		    json_parse(
			b.data, b.len, JSON_DEPTH_CONTROL, &copy, NULL) == 0) {
			s->texts[s->nsources] = buf_steal(&b);
			s->sources[s->nsources++] = copy;
		}
		buf_free(&b);
	}
}

struct skills *
skills_prepare(struct agent *a, const char *const *places, skills_done *done)
{
	struct skills *s = xcalloc(1, sizeof(*s));

	s->a = a;
	s->places = places;
	s->done = done;
	tools_read(a, TOOLCONF_SKILLS, collect, s);
	s->inside = true;
	next(s);
	s->inside = false;
	if (s->at < s->nsources)
		return s;
	skills_free(s);
	return NULL;
}

void
skills_free(struct skills *s)
{
	size_t i;

	if (s == NULL)
		return;
	fetch_free(s->fetch);
	for (i = 0; i < s->nsources; i++) {
		json_free(s->sources[i]);
		free(s->texts[i]);
	}
	free(s);
}
