/*
 * Configured tools; see tools.h. Runs in the session worker, as the sandbox's
 * user: the files it reads here any process of the sandbox may have written,
 * and it may read no more than those could themselves. What is wrong with
 * them is told in the session's log and never ends the session.
 */
#include "session/tools.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRIES_MAX 256

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
