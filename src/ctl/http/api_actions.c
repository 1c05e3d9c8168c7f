/*
 * `sandboxctl api …` but for sessions: agents, processes, files, sandboxes,
 * configuration, ports, and requests that a person spells out. Runs as the
 * caller.
 */
#include "ctl/http/api.h"
#include "ctl/spec.h"
#include "lib/strutil.h"
#include <string.h>

#define OPTS(t) .opts = (t), .nopts = countof(t)
#define P "/v1/processes"

/* --- bodies -------------------------------------------------------------- */

/* Operands from FROM on: the program and its arguments. */
static int
body_command(struct api *a, struct jw *w, struct err *e)
{
	size_t i;

	jw_kstr(w, "command", a->args.operands[0]);
	jw_key(w, "args");
	jw_array(w);
	for (i = 1; i < a->args.noperands; i++)
		jw_strn(w, a->args.operands[i], strlen(a->args.operands[i]));
	jw_array_end(w);
	api_kstr(a, w, "cwd", "cwd");
	api_kbool(a, w, "tty", "tty");
	api_kbool(a, w, "interactive", "interactive");
	if (spec_map(w, &a->args, "env", "env", spec_env, e) == -1 ||
	    api_kint(a, w, "timeout-ms", "timeoutMs", e) == -1 ||
	    api_kint(a, w, "max-output-bytes", "maxOutputBytes", e) == -1)
		return -1;
	return 0;
}

static int
body_input(struct api *a, struct jw *w, struct err *e)
{
	if (!args_has(&a->args, "data"))
		return err_set(e, ERR_BAD_REQUEST, "input needs --data");
	api_kstr(a, w, "data", "data");
	jw_kstr(w, "encoding", args_str(&a->args, "encoding", "utf8"));
	return 0;
}

static int
body_size(struct api *a, struct jw *w, struct err *e)
{
	if (!args_has(&a->args, "cols") || !args_has(&a->args, "rows"))
		return err_set(
		    e, ERR_BAD_REQUEST, "resize needs --cols and --rows");
	return api_kint(a, w, "cols", "cols", e) == -1 ||
		       api_kint(a, w, "rows", "rows", e) == -1
		   ? -1
		   : 0;
}

static int
body_move(struct api *a, struct jw *w, struct err *e)
{
	(void)e;
	jw_kstr(w, "from", a->args.operands[0]);
	jw_kstr(w, "to", a->args.operands[1]);
	api_kbool(a, w, "overwrite", "overwrite");
	return 0;
}

/* The members of the object that --json or --file holds. */
static int
body_given(struct api *a, struct jw *w, struct err *e)
{
	const char *text = args_str(&a->args, "json", NULL);
	const char *file = args_str(&a->args, "file", NULL);
	struct json *j;

	if ((text == NULL) == (file == NULL))
		return err_set(e, ERR_BAD_REQUEST, "%s needs --json or --file",
		    a->action->name);
	if (api_parse(text, file, &j, e) == -1)
		return -1;
	json_foreach (m, j)
		jw_kvalue(w, m->key, m);
	json_free(j);
	return 0;
}

static int
body_expose(struct api *a, struct jw *w, struct err *e)
{
	int64_t port;

	if (str_to_int(a->args.operands[0], 1, 65535, &port) == -1)
		return err_set(
		    e, ERR_BAD_REQUEST, "'%s' is no port", a->args.operands[0]);
	jw_kint(w, "port", port);
	api_kstr(a, w, "listen", "listen");
	api_kbool(a, w, "public", "public");
	return 0;
}

static int
body_reinstall(struct api *a, struct jw *w, struct err *e)
{
	(void)e;
	api_kbool(a, w, "reinstall", "reinstall");
	api_kstr(a, w, "agent-version", "agentVersion");
	api_kstr(a, w, "agent-process-version", "agentProcessVersion");
	return 0;
}

static int
body_renew(struct api *a, struct jw *w, struct err *e)
{
	(void)e;
	jw_kstr(w, "expiresAt", a->args.operands[1]);
	return 0;
}

/* --- flags and queries --------------------------------------------------- */

static const struct opt_def install_opts[] = {
	{ "reinstall", 'r', NULL, "Also when it is there already." },
	{ "agent-version", '\0', "VERSION", "This version." },
	{ "agent-process-version", '\0', "VERSION",
	    "Of the program that speaks ACP for it." },
};
static const struct opt_def run_opts[] = {
	{ "cwd", 'w', "DIR", "Working directory inside." },
	{ "env", '\0', "NAME[=VALUE]", "Added to the environment." },
	{ "timeout-ms", '\0', "N", "Killed after this time." },
	{ "max-output-bytes", '\0', "N", "What is kept of each stream." },
};
static const struct opt_def start_opts[] = {
	{ "cwd", 'w', "DIR", "Working directory inside." },
	{ "env", '\0', "NAME[=VALUE]", "Added to the environment." },
	{ "tty", '\0', NULL, "On a terminal of its own." },
	{ "interactive", 'i', NULL, "It will be given input." },
};
static const struct opt_def owner_opts[] = {
	{ "owner", '\0', "WHO", "Only those of user, desktop or system." },
};
static const struct opt_def wait_opts[] = {
	{ "wait-ms", '\0', "N", "How long to wait for its end." },
};
static const struct opt_def logs_opts[] = {
	{ "stream", '\0', "WHICH", "stdout, stderr, combined or pty." },
	{ "tail", '\0', "N", "Only the last N entries." },
	{ "since", '\0', "N", "Only entries after sequence N." },
};
static const struct opt_def input_opts[] = {
	{ "data", 'd', "TEXT", "What to write." },
	{ "encoding", '\0', "WHICH", "utf8 (the default) or base64." },
};
static const struct opt_def size_opts[] = {
	{ "cols", '\0', "N", "Columns." },
	{ "rows", '\0', "N", "Rows." },
};
static const struct opt_def given_opts[] = {
	{ "json", '\0', "TEXT", "The body." },
	{ "file", 'f', "FILE",
	    "The body is in this file; - is standard input." },
};
static const struct opt_def delete_opts[] = {
	{ "recursive", 'r', NULL, "With all that is below it." },
};
static const struct opt_def move_opts[] = {
	{ "overwrite", 'f', NULL, "Replace what is there." },
};
static const struct opt_def search_opts[] = {
	{ "glob", 'g', "PATTERN", "Only paths like this: **.c" },
	{ "content", 'c', "TEXT", "Only files with such a line." },
	{ "regex", '\0', NULL, "The text is a regular expression." },
	{ "ignore-case", 'i', NULL, "In either case." },
	{ "limit", 'l', "N", "At most N results." },
};
static const struct opt_def expose_opts[] = {
	{ "listen", 'L', "ADDRESS:PORT", "Also on this socket of the host." },
	{ "public", '\0', NULL, "Its URL needs no token." },
};
static const struct opt_def list_opts[] = {
	{ "state", '\0', "STATE", "Only in this state; repeatable." },
	{ "metadata", '\0', "PAIRS", "Only with these: a=b&c=d." },
	{ "page", '\0', "N", "From 1." },
	{ "page-size", '\0', "N", "1 to 200." },
};
static const struct opt_def dir_opts[] = {
	{ "directory", 'd', "DIR", "Where it is configured." },
};
static const struct opt_def dir_given_opts[] = {
	{ "directory", 'd', "DIR", "Where it is configured." },
	{ "json", '\0', "TEXT", "The entry." },
	{ "file", 'f', "FILE", "The entry is in this file." },
};
static const struct opt_def request_opts[] = {
	{ "json", '\0', "TEXT", "The body." },
	{ "file", 'f', "FILE",
	    "The body is in this file; - is standard input." },
	{ "content-type", '\0', "TYPE", "Of the body; application/json." },
	{ "stream", '\0', NULL, "Copy the answer as it comes." },
};

static const struct api_query owner_query[] = { { "owner", "owner" },
	{ NULL, NULL } };
static const struct api_query wait_query[] = { { "wait-ms", "waitMs" },
	{ NULL, NULL } };
static const struct api_query logs_query[] = { { "stream", "stream" },
	{ "tail", "tail" }, { "since", "since" }, { NULL, NULL } };
static const struct api_query delete_query[] = { { "recursive", "recursive" },
	{ NULL, NULL } };
static const struct api_query list_query[] = { { "state", "state" },
	{ "metadata", "metadata" }, { "page", "page" },
	{ "page-size", "pageSize" }, { NULL, NULL } };
static const struct api_query search_query[] = { { "glob", "glob" },
	{ "content", "content" }, { "regex", "regex" },
	{ "ignore-case", "ignoreCase" }, { "limit", "limit" }, { NULL, NULL } };
static const struct api_query dir_query[] = { { "directory", "directory" },
	{ NULL, NULL } };

/* --- the table ----------------------------------------------------------- */

#define GET0(g, n, p, h)                                                 \
	{                                                                \
		.group = (g), .name = (n), .method = "GET", .path = (p), \
		.operands = "", .help = (h), .in_sandbox = true          \
	}
#define ONE(g, n, m, p, o, h)                                  \
	.group = (g), .name = (n), .method = (m), .path = (p), \
	.operands = (o), .help = (h), .min = 1, .max = 1, .in_sandbox = true
#define TWO(g, n, m, p, o, h)                                  \
	.group = (g), .name = (n), .method = (m), .path = (p), \
	.operands = (o), .help = (h), .min = 2, .max = 2, .in_sandbox = true
#define BOX(n, m, p, h)                                                     \
	.group = "sandboxes", .name = (n), .method = (m),                   \
	.path = "/v1/sandboxes" p, .operands = "ID", .help = (h), .min = 1, \
	.max = 1
#define CONFIG(kind, param)                                                   \
	{ ONE(kind, "get", "GET", "/v1/config/" kind "?" param "={}", "NAME", \
	      "An entry of a directory."),                                    \
		OPTS(dir_opts), .query = dir_query },                         \
	    { ONE(kind, "set", "PUT", "/v1/config/" kind "?" param "={}",     \
		  "NAME", "Set it."),                                         \
		    OPTS(dir_given_opts), .query = dir_query,                 \
		    .body = body_given },                                     \
	{                                                                     \
		ONE(kind, "delete", "DELETE",                                 \
		    "/v1/config/" kind "?" param "={}", "NAME", "Drop it."),  \
		    OPTS(dir_opts), .query = dir_query                        \
	}

const struct api_action api_others[] = {
	GET0("agents", "list", "/v1/agents", "Every agent and what it can do."),
	{ ONE(
	    "agents", "get", "GET", "/v1/agents/{}", "AGENT", "One of them.") },
	{ .group = "agents",
	    .name = "report",
	    .operands = "",
	    .help = "Their models, modes and thought levels, in short.",
	    .in_sandbox = true,
	    .run = api_report },
	{ ONE("agents", "modes", "GET", "/v1/agents/{}/modes", "AGENT",
	    "Its modes.") },
	{ ONE("agents", "models", "GET", "/v1/agents/{}/models", "AGENT",
	    "Its models.") },
	{ ONE("agents", "install", "POST", "/v1/agents/{}/install", "AGENT",
	      "Install it."),
	    OPTS(install_opts), .body = body_reinstall },

	{ .group = "processes",
	    .name = "run",
	    .method = "POST",
	    .path = P "/run",
	    .operands = "COMMAND [ARGUMENT...]",
	    .help = "Run it to its end.",
	    .min = 1,
	    .max = -1,
	    OPTS(run_opts),
	    .body = body_command,
	    .in_sandbox = true },
	{ .group = "processes",
	    .name = "exec",
	    .method = "POST",
	    .path = P "/exec",
	    .operands = "COMMAND [ARGUMENT...]",
	    .help = "Run it and stream its output.",
	    .min = 1,
	    .max = -1,
	    OPTS(run_opts),
	    .body = body_command,
	    .out = API_STREAM,
	    .in_sandbox = true },
	{ .group = "processes",
	    .name = "create",
	    .method = "POST",
	    .path = P,
	    .operands = "COMMAND [ARGUMENT...]",
	    .help = "Start it; prints what it is.",
	    .min = 1,
	    .max = -1,
	    OPTS(start_opts),
	    .body = body_command,
	    .in_sandbox = true },
	{ .group = "processes",
	    .name = "list",
	    .method = "GET",
	    .path = P,
	    .operands = "",
	    .help = "Those that were started.",
	    OPTS(owner_opts),
	    .query = owner_query,
	    .in_sandbox = true },
	{ ONE("processes", "get", "GET", P "/{}", "PROCESS", "One of them.") },
	{ ONE("processes", "stop", "POST", P "/{}/stop", "PROCESS",
	      "Ask it to end."),
	    OPTS(wait_opts), .query = wait_query },
	{ ONE("processes", "kill", "POST", P "/{}/kill", "PROCESS", "End it."),
	    OPTS(wait_opts), .query = wait_query },
	{ ONE("processes", "delete", "DELETE", P "/{}", "PROCESS",
	    "Forget one that has ended.") },
	{ ONE("processes", "logs", "GET", P "/{}/logs", "PROCESS",
	      "What it wrote."),
	    OPTS(logs_opts), .query = logs_query },
	{ ONE("processes", "follow", "GET", P "/{}/logs?follow=true", "PROCESS",
	      "Stream what it writes."),
	    OPTS(logs_opts), .query = logs_query, .out = API_STREAM },
	{ ONE("processes", "input", "POST", P "/{}/input", "PROCESS",
	      "Write to it."),
	    OPTS(input_opts), .body = body_input },
	{ ONE("processes", "resize", "POST", P "/{}/terminal/resize", "PROCESS",
	      "Set its terminal's size."),
	    OPTS(size_opts), .body = body_size },
	GET0("processes", "get-config", P "/config", "Limits of processes."),
	{ .group = "processes",
	    .name = "set-config",
	    .method = "POST",
	    .path = P "/config",
	    .operands = "",
	    .help = "Set them.",
	    OPTS(given_opts),
	    .body = body_given,
	    .in_sandbox = true },

	{ ONE("fs", "list", "GET", "/v1/fs/entries?path={}", "PATH",
	    "What a directory holds.") },
	{ ONE("fs", "stat", "GET", "/v1/fs/stat?path={}", "PATH",
	    "What is there.") },
	{ ONE("fs", "get", "GET", "/v1/fs/file?path={}", "PATH",
	      "A file, to standard output."),
	    .out = API_STREAM },
	{ .group = "fs",
	    .name = "put",
	    .method = "PUT",
	    .path = "/v1/fs/file?path={}",
	    .operands = "PATH [FILE]",
	    .help = "Write a file, from FILE or standard input.",
	    .min = 1,
	    .max = 2,
	    .upload = "application/octet-stream",
	    .in_sandbox = true },
	{ ONE("fs", "delete", "DELETE", "/v1/fs/entry?path={}", "PATH",
	      "Remove a file or directory."),
	    OPTS(delete_opts), .query = delete_query },
	{ ONE("fs", "mkdir", "POST", "/v1/fs/mkdir?path={}", "PATH",
	    "Make a directory and those above it.") },
	{ TWO("fs", "move", "POST", "/v1/fs/move", "FROM TO",
	      "Rename, or move."),
	    OPTS(move_opts), .body = body_move },
	{ .group = "fs",
	    .name = "upload-batch",
	    .method = "POST",
	    .path = "/v1/fs/upload-batch?path={}",
	    .operands = "PATH [FILE]",
	    .help = "Unpack a tar archive there.",
	    .min = 1,
	    .max = 2,
	    .upload = "application/x-tar",
	    .in_sandbox = true },

	{ ONE("fs", "search", "GET", "/v1/fs/search?path={}", "PATH",
	      "Find files by name and content."),
	    OPTS(search_opts), .query = search_query },
	{ ONE("fs", "watch", "GET", "/v1/fs/watch?path={}&recursive=true",
	      "PATH", "Stream what changes."),
	    .out = API_STREAM },

	{ .group = "sandboxes",
	    .name = "list",
	    .method = "GET",
	    .path = "/v1/sandboxes",
	    .operands = "",
	    .help = "Sandboxes, newest first.",
	    OPTS(list_opts),
	    .query = list_query },
	{ .group = "sandboxes",
	    .name = "create",
	    .method = "POST",
	    .path = "/v1/sandboxes",
	    .operands = "",
	    .help = "Make one, as --json says.",
	    OPTS(given_opts),
	    .body = body_given },
	{ BOX("get", "GET", "/{}", "One of them.") },
	{ BOX("delete", "DELETE", "/{}", "End it and remove its files.") },
	{ BOX("pause", "POST", "/{}/pause", "Hold all its processes.") },
	{ BOX("resume", "POST", "/{}/resume", "Let them go on.") },
	{ BOX(
	    "stop", "POST", "/{}/stop", "End its processes, keep its files.") },
	{ BOX("start", "POST", "/{}/start", "Start it on its files.") },
	{ BOX("metadata", "PATCH", "/{}/metadata", "Change its labels."),
	    OPTS(given_opts), .body = body_given },
	{ .group = "sandboxes",
	    .name = "renew",
	    .method = "POST",
	    .path = "/v1/sandboxes/{}/renew-expiration",
	    .operands = "ID TIME",
	    .help = "Set when it ends: RFC 3339.",
	    .min = 2,
	    .max = 2,
	    .body = body_renew },
	{ .group = "sandboxes",
	    .name = "endpoint",
	    .method = "GET",
	    .path = "/v1/sandboxes/{}/endpoints/{}",
	    .operands = "ID PORT",
	    .help = "Where a port of it is reached.",
	    .min = 2,
	    .max = 2 },

	{ BOX("stats", "GET", "/{}/stats", "What it uses.") },
	{ BOX("events", "GET", "/{}/events", "What has become of it.") },
	{ BOX("isolation", "GET", "/{}/isolation", "Which isolation holds.") },
	{ BOX("limits", "GET", "/{}/limits", "Its limits.") },
	{ BOX("set-limits", "PATCH", "/{}/limits", "Change them."),
	    OPTS(given_opts), .body = body_given },

	GET0("ports", "list", "/v1/ports", "Ports that something listens on."),
	{ ONE("ports", "expose", "POST", "/v1/ports", "PORT",
	      "Let others reach it."),
	    OPTS(expose_opts), .body = body_expose },
	{ ONE("ports", "unexpose", "DELETE", "/v1/ports/{}", "PORT",
	    "Undo that.") },

	CONFIG("mcp", "mcpName"),
	CONFIG("skills", "skillName"),

	GET0("", "health", "/v1/health", "Does it answer?"),
	{ .group = "",
	    .name = "ready",
	    .method = "GET",
	    .path = "/v1/ready",
	    .operands = "",
	    .help = "Does all of it work?" },
	{ .group = "",
	    .name = "metrics",
	    .method = "GET",
	    .path = "/metrics",
	    .operands = "",
	    .help = "Its figures." },
	{ .group = "",
	    .name = "openapi",
	    .method = "GET",
	    .path = "/openapi.json",
	    .operands = "",
	    .help = "The interface, described." },
	{ .group = "",
	    .name = "request",
	    .method = "",
	    .path = "",
	    .operands = "METHOD PATH",
	    .help = "Any request.",
	    .min = 2,
	    .max = 2,
	    OPTS(request_opts),
	    .run = api_request },
};
const size_t api_nothers = countof(api_others);
