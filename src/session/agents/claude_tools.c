/*
 * MCP servers and skills for Claude Code, in its own form. Runs in the session
 * worker. What servers are told (tokens in headers and environments) goes to
 * claude in a memory file, not in its arguments, which any process may read.
 */
#include "session/agents/claude.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/tools.h"
#include <stdio.h>
#include <string.h>

#define CONFIG_MAX (4u << 20)

char *
claude_json(const struct json *v)
{
	struct buf b;
	struct jw w;

	if (v == NULL)
		return NULL;
	buf_init(&b, 2 * LINE_BYTES_MAX);
	jw_init(&w, &b);
	jw_value(&w, v);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

static void
complain(struct agent *a, const char *name, const char *what, const char *more)
{
	autofree char *say =
	    xasprintf("MCP server %.64s: %s%.200s", name, what, more);

	uni_error(a->out, FROM_DAEMON, "invalid_config", say, NULL);
}

/* A working directory is not among the things that claude lets one say. */
static void
write_cwd(struct jw *w, const char *cwd)
{
	jw_kstr(w, "command", "/bin/sh");
	jw_key(w, "args");
	jw_array(w);
	jw_str(w, "-c");
	jw_str(w, "cd -- \"$1\" && shift && exec \"$@\"");
	jw_str(w, "sh");
	jw_str(w, cwd);
}

static void
write_local(
    struct agent *a, struct jw *w, const char *name, const struct json *entry)
{
	const struct json *command = json_get(entry, "command"), *more = NULL;
	const char *cwd = json_str(entry, "cwd", NULL);

	if (command->type == JSON_ARRAY) {
		command = command->child;
		more = command != NULL ? command->next : NULL;
	}
	if (command == NULL || command->len == 0) {
		complain(a, name, "its command is empty", "");
		return;
	}
	jw_key(w, name);
	jw_object(w);
	jw_kstr(w, "type", "stdio");
	if (cwd != NULL) {
		write_cwd(w, cwd);
		jw_value(w, command);
	} else {
		jw_kvalue(w, "command", command);
		jw_key(w, "args");
		jw_array(w);
	}
	for (; more != NULL; more = more->next)
		jw_value(w, more);
	json_foreach (it, json_get(entry, "args"))
		jw_value(w, it);
	jw_array_end(w);
	if (json_get(entry, "env") != NULL)
		jw_kvalue(w, "env", json_get(entry, "env"));
	if (json_get(entry, "timeoutMs") != NULL)
		jw_kvalue(w, "timeout", json_get(entry, "timeoutMs"));
	jw_object_end(w);
}

/* A header whose value is in the session's environment. */
static void
write_env_header(struct agent *a, struct jw *w, const char *server,
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

static void
write_headers(
    struct agent *a, struct jw *w, const char *name, const struct json *entry)
{
	const struct json *plain = json_get(entry, "headers");
	const struct json *env = json_get(entry, "envHeaders");
	const char *bearer = json_str(entry, "bearerTokenEnvVar", NULL);

	if (plain == NULL && env == NULL && bearer == NULL)
		return;
	jw_key(w, "headers");
	jw_object(w);
	json_foreach (it, plain) {
		if (json_get(env, it->key) == NULL &&
		    (bearer == NULL || strcmp(it->key, "Authorization") != 0))
			jw_kvalue(w, it->key, it);
	}
	json_foreach (it, env) {
		if (bearer == NULL || strcmp(it->key, "Authorization") != 0)
			write_env_header(a, w, name, it->key, "", it->str);
	}
	if (bearer != NULL)
		write_env_header(
		    a, w, name, "Authorization", "Bearer ", bearer);
	jw_object_end(w);
}

static void
write_server(
    struct agent *a, const char *name, const struct json *entry, void *ctx)
{
	struct jw *w = ctx;

	if (!json_bool(entry, "enabled", true))
		return;
	if (strcmp(json_str(entry, "type", ""), "local") == 0) {
		write_local(a, w, name, entry);
		return;
	}
	jw_key(w, name);
	jw_object(w);
	jw_kstr(w, "type", json_str(entry, "transport", "http"));
	jw_kstr(w, "url", json_str(entry, "url", ""));
	write_headers(a, w, name, entry);
	if (json_get(entry, "timeoutMs") != NULL)
		jw_kvalue(w, "timeout", json_get(entry, "timeoutMs"));
	jw_object_end(w);
}

static void
link_skills(
    struct agent *a, const char *name, const struct json *entry, void *ctx)
{
	(void)name;
	(void)ctx;
	json_foreach (it, json_get(entry, "sources"))
		tools_skill_link(a, it, ".claude/skills");
}

int
claude_tools(struct claude *c)
{
	struct buf b;
	struct err e;
	struct jw w;
	int fd = -1;

	tools_read(&c->a, TOOLCONF_SKILLS, link_skills, NULL);
	buf_init(&b, CONFIG_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "mcpServers");
	jw_object(&w);
	tools_read(&c->a, TOOLCONF_MCP, write_server, &w);
	if (b.len == strlen("{\"mcpServers\":{")) {
		buf_free(&b);
		return -1; /* there is none */
	}
	jw_object_end(&w);
	jw_object_end(&w);
	if (b.failed)
		complain(&c->a, "configuration", "it is too long", "");
	else if (fd_sealed("mcp.json", b.data, b.len, &fd, &e) == -1)
		complain(&c->a, "configuration", e.text, "");
	buf_free(&b);
	return fd;
}
