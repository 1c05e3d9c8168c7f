/*
 * MCP servers as agents are told of them; see tools.h. Runs in the session
 * worker. What servers are told themselves (tokens in headers and
 * environments) is put together here and must not reach the log: complaints
 * name variables, never their values.
 */
#include "session/tools.h"

#include "lib/buf.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX (256u << 10)
#define ARGS_MAX 1024

struct pass {
	mcp_each *each;
	enum mcp_cwd how;
	void *ctx;
};

static void
complain(struct agent *a, const char *name, const char *what, const char *more)
{
	autofree char *say =
	    xasprintf("MCP server %.64s: %s%.200s", name, what, more);

	uni_error(a->out, FROM_DAEMON, "invalid_config", say, NULL);
}

/* Strings of the entry's tree, in a vector of ours. */
static char **
command_line(const struct json *entry, const char *cwd)
{
	/* A working directory is not among the things that every agent lets
	 * one say. */
	static const char *const wrap[] = { "/bin/sh", "-c",
		"cd -- \"$1\" && shift && exec \"$@\"", "sh" };
	const struct json *command = json_get(entry, "command"), *more = NULL;
	const struct json *args = json_get(entry, "args");
	const char **v = xcalloc(ARGS_MAX + 16, sizeof(*v));
	size_t n = 0, i;

	if (command != NULL && command->type == JSON_ARRAY) {
		command = command->child;
		more = command != NULL ? command->next : NULL;
	}
	if (command == NULL || command->len == 0) {
		free(v);
		return NULL;
	}
	for (i = 0; cwd != NULL && i < countof(wrap); i++)
		v[n++] = wrap[i];
	if (cwd != NULL)
		v[n++] = cwd;
	v[n++] = command->str;
	for (; more != NULL && n < ARGS_MAX; more = more->next)
		v[n++] = more->str;
	json_foreach (it, args)
		if (n < ARGS_MAX)
			v[n++] = it->str;
	/* The strings are not written to; argv's type is older than const. */
	return (char **)(uintptr_t)v;
}

static void
local_server(struct agent *a, const char *name, const struct json *entry,
    const struct pass *p)
{
	struct mcp_server s = { .name = name,
		.env = json_get(entry, "env"),
		.cwd = json_str(entry, "cwd", NULL),
		.timeout_ms = json_int(entry, "timeoutMs", 0) };
	bool wrap = p->how == MCP_CWD_WRAPPED && s.cwd != NULL;

	s.argv = command_line(entry, wrap ? s.cwd : NULL);
	if (wrap)
		s.cwd = NULL;
	if (s.argv == NULL)
		complain(a, name, "its command is empty", "");
	else
		p->each(a, &s, p->ctx);
	free((void *)(uintptr_t)s.argv);
}

/* A header whose value is in the session's environment. */
static void
env_header(struct agent *a, struct jw *w, const char *server,
    const char *header, const char *prefix, const char *variable)
{
	const char *value = tools_env(a, variable);
	autofree char *text = NULL;

	if (value == NULL) {
		complain(a, server,
		    "left without a header; the session's environment lacks ",
		    variable);
		return;
	}
	text = xasprintf("%s%s", prefix, value);
	jw_key(w, header);
	jw_strn(w, text, strlen(text));
}

static struct json *
headers(struct agent *a, const char *name, const struct json *entry)
{
	const struct json *plain = json_get(entry, "headers");
	const struct json *env = json_get(entry, "envHeaders");
	const char *bearer = json_str(entry, "bearerTokenEnvVar", NULL);
	struct json *map = NULL;
	struct buf b;
	struct jw w;

	if (plain == NULL && env == NULL && bearer == NULL)
		return NULL;
	buf_init(&b, HEADERS_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	json_foreach (it, plain)
		if (json_get(env, it->key) == NULL &&
		    (bearer == NULL || strcmp(it->key, "Authorization") != 0))
			jw_kvalue(&w, it->key, it);
	json_foreach (it, env)
		if (bearer == NULL || strcmp(it->key, "Authorization") != 0)
			env_header(a, &w, name, it->key, "", it->str);
	if (bearer != NULL)
		env_header(a, &w, name, "Authorization", "Bearer ", bearer);
	jw_object_end(&w);
	if (b.failed ||
	    json_parse(b.data, b.len, JSON_DEPTH_CONTROL, &map, NULL) == -1) {
		complain(a, name, "its headers are too long", "");
		map = NULL;
	}
	buf_free(&b);
	return map;
}

static void
one_server(
    struct agent *a, const char *name, const struct json *entry, void *ctx)
{
	const struct pass *p = ctx;
	struct json *map;

	if (!json_bool(entry, "enabled", true))
		return;
	if (strcmp(json_str(entry, "type", ""), "local") == 0) {
		local_server(a, name, entry, p);
		return;
	}
	map = headers(a, name, entry);
	const struct mcp_server s = { .name = name,
		.url = json_str(entry, "url", ""),
		.sse = strcmp(json_str(entry, "transport", ""), "sse") == 0,
		.headers = map,
		.timeout_ms = json_int(entry, "timeoutMs", 0) };

	p->each(a, &s, p->ctx);
	json_free(map);
}

void
tools_mcp(struct agent *a, enum mcp_cwd how, mcp_each *each, void *ctx)
{
	struct pass p = { each, how, ctx };

	tools_read(a, TOOLCONF_MCP, one_server, &p);
}
