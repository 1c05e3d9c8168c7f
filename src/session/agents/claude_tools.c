/*
 * MCP servers for Claude Code, in its own form. Runs in the session worker.
 * What servers are told (tokens in headers and environments) goes to claude in
 * a memory file, not in its arguments, which any process may read.
 */
#include "session/agents/claude.h"

#include "lib/fdio.h"
#include "session/tools.h"
#include <string.h>

#define CONFIG_MAX (4u << 20)

static void
write_server(struct agent *a, const struct mcp_server *s, void *ctx)
{
	struct jw *w = ctx;
	char **arg = s->argv;

	(void)a;
	jw_key(w, s->name);
	jw_object(w);
	if (arg != NULL) {
		jw_kstr(w, "type", "stdio");
		jw_kstr(w, "command", *arg++);
		jw_key(w, "args");
		jw_array(w);
		for (; *arg != NULL; arg++)
			jw_str(w, *arg);
		jw_array_end(w);
		if (s->env != NULL)
			jw_kvalue(w, "env", s->env);
	} else {
		jw_kstr(w, "type", s->sse ? "sse" : "http");
		jw_kstr(w, "url", s->url);
		if (s->headers != NULL)
			jw_kvalue(w, "headers", s->headers);
	}
	if (s->timeout_ms > 0)
		jw_kint(w, "timeout", s->timeout_ms);
	jw_object_end(w);
}

int
claude_tools(struct claude *c)
{
	struct buf b;
	struct err e;
	struct jw w;
	int fd = -1;

	buf_init(&b, CONFIG_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "mcpServers");
	jw_object(&w);
	tools_mcp(&c->a, MCP_CWD_WRAPPED, write_server, &w);
	if (b.len == strlen("{\"mcpServers\":{")) {
		buf_free(&b);
		return -1; /* there is none */
	}
	jw_object_end(&w);
	jw_object_end(&w);
	if (b.failed)
		uni_error(c->a.out, FROM_DAEMON, "invalid_config",
		    "the MCP servers' configuration is too long", NULL);
	else if (fd_sealed("mcp.json", b.data, b.len, &fd, &e) == -1)
		uni_error(
		    c->a.out, FROM_DAEMON, "invalid_config", e.text, NULL);
	buf_free(&b);
	return fd;
}
