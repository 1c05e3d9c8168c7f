/*
 * What is configured for the agent besides its prompts: MCP servers and
 * sources of skills. Read from the files of its directory, and from what the
 * session was created with, which goes before.
 */
#ifndef SESSION_TOOLS_H
#define SESSION_TOOLS_H

#include "lib/toolconf.h"
#include "session/agent.h"

/* Call EACH for every entry, in its normal form; NAME is "" for skills of the
 * session itself. What is broken becomes an error event and is left out. */
typedef void tools_each(
    struct agent *a, const char *name, const struct json *entry, void *ctx);
void
tools_read(struct agent *a, enum toolconf kind, tools_each *each, void *ctx);

/* The value of NAME in the agent's environment, or NULL. */
const char *tools_env(const struct agent *a, const char *name);

/* An MCP server that is enabled, with what stands in the session's environment
 * filled in. All of it is borrowed for the time of the call. */
struct mcp_server {
	const char *name;
	/* One that is started: its command; NULL for a remote one. */
	char **argv;
	const struct json *env; /* {NAME: value}, or NULL */
	const char *cwd;	/* or NULL */
	/* One that is called. */
	const char *url;
	bool sse; /* its transport; else streamable HTTP */
	/* {name: value} with nothing left to be looked up, or NULL. */
	const struct json *headers;
	int64_t timeout_ms; /* 0: not said */
};
enum mcp_cwd {
	MCP_CWD_KEPT,
	MCP_CWD_WRAPPED /* argv enters the directory itself; cwd is NULL */
};
typedef void
mcp_each(struct agent *a, const struct mcp_server *server, void *ctx);
void tools_mcp(struct agent *a, enum mcp_cwd how, mcp_each *each, void *ctx);

#endif
