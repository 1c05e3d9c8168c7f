/*
 * `sandboxctl api sessions …`. Runs as the caller.
 */
#include "ctl/http/api.h"
#include <string.h>

#define S "/v1/sessions"

/* --- bodies -------------------------------------------------------------- */

static int
body_create(struct api *a, struct jw *w, struct err *e)
{
	size_t pos = 0;
	const char *v;

	if (!args_has(&a->args, "agent"))
		return err_set(e, ERR_BAD_REQUEST, "create needs --agent");
	api_kstr(a, w, "agent", "agent");
	api_kstr(a, w, "agent-mode", "agentMode");
	api_kstr(a, w, "permission-mode", "permissionMode");
	api_kstr(a, w, "model", "model");
	api_kstr(a, w, "variant", "variant");
	api_kstr(a, w, "agent-version", "agentVersion");
	api_kstr(a, w, "directory", "directory");
	api_kstr(a, w, "title", "title");
	if (api_kfile(a, w, "mcp-config", "mcp", e) == -1)
		return -1;
	if (!args_has(&a->args, "skill"))
		return 0;
	jw_key(w, "skills");
	jw_object(w);
	jw_key(w, "sources");
	jw_array(w);
	while ((v = args_next(&a->args, "skill", &pos)) != NULL) {
		jw_object(w);
		jw_kstr(w, "type", "local");
		jw_kstr(w, "source", v);
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
	return 0;
}

static int
body_message(struct api *a, struct jw *w, struct err *e)
{
	size_t pos = 0;
	const char *v;

	if (!args_has(&a->args, "message"))
		return err_set(
		    e, ERR_BAD_REQUEST, "%s needs --message", a->action->name);
	api_kstr(a, w, "message", "message");
	if (!args_has(&a->args, "attach"))
		return 0;
	jw_key(w, "attachments");
	jw_array(w);
	while ((v = args_next(&a->args, "attach", &pos)) != NULL) {
		jw_object(w);
		jw_kstr(w, "path", v);
		jw_object_end(w);
	}
	jw_array_end(w);
	return 0;
}

static int
body_answers(struct api *a, struct jw *w, struct err *e)
{
	const char *text = args_str(&a->args, "answers", NULL);

	if (text == NULL)
		return err_set(
		    e, ERR_BAD_REQUEST, "reply-question needs --answers");
	return api_ktext(w, text, "answers", e);
}

static int
body_permission(struct api *a, struct jw *w, struct err *e)
{
	const char *reply = args_str(&a->args, "reply", "");

	if (strcmp(reply, "once") != 0 && strcmp(reply, "always") != 0 &&
	    strcmp(reply, "reject") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "--reply is once, always or reject, not '%s'", reply);
	jw_kstr(w, "reply", reply);
	return 0;
}

/* --- flags --------------------------------------------------------------- */

static const struct opt_def create_opts[] = {
	{ "agent", 'a', "AGENT", "claude, mock, …" },
	{ "agent-mode", 'g', "MODE", "build or plan." },
	{ "permission-mode", 'p', "MODE",
	    "default, acceptEdits, plan or bypass." },
	{ "model", 'm', "MODEL", "The model." },
	{ "variant", 'v', "NAME", "The model's variant." },
	{ "agent-version", 'A', "VERSION", "Which one to install." },
	{ "directory", '\0', "DIR", "Working directory inside." },
	{ "title", '\0', "TEXT", "A line of your own." },
	{ "mcp-config", '\0', "FILE", "JSON: the MCP servers by name." },
	{ "skill", '\0', "PATH", "A directory with a skill; repeatable." },
	{ "idempotency-key", '\0', "KEY", "Do it once, however often asked." },
};
static const struct opt_def message_opts[] = {
	{ "message", 'm', "TEXT", "The message." },
	{ "attach", '\0', "PATH", "A file of the sandbox; repeatable." },
	{ "idempotency-key", '\0', "KEY", "Do it once, however often asked." },
	{ "include-raw", '\0', NULL, "With the agent's native messages." },
};
static const struct opt_def events_opts[] = {
	{ "offset", 'o', "N", "Only events after sequence N." },
	{ "limit", 'l', "N", "At most N events." },
	{ "include-raw", '\0', NULL, "With the agent's native messages." },
};
static const struct opt_def sse_opts[] = {
	{ "offset", 'o', "N", "Only events after sequence N." },
	{ "last-event-id", '\0', "ID", "The same, as browsers say it." },
	{ "include-raw", '\0', NULL, "With the agent's native messages." },
};
static const struct opt_def answers_opts[] = {
	{ "answers", 'a', "JSON",
	    "A list of words per question: "
	    "[[\"Red\"]]." },
};
static const struct opt_def reply_opts[] = {
	{ "reply", 'r', "WORD", "once, always or reject." },
};

static const struct api_query raw_query[] = { { "include-raw", "include_raw" },
	{ NULL, NULL } };
static const struct api_query events_query[] = { { "offset", "offset" },
	{ "limit", "limit" }, { "include-raw", "include_raw" },
	{ NULL, NULL } };

#define OPTS(t) .opts = (t), .nopts = countof(t)
#define EVENTS(word)                                                         \
	{                                                                    \
		.group = "sessions", .name = (word), .method = "GET",        \
		.path = S "/{}/events", .operands = "SESSION",               \
		.help = "Its events, from --offset.", .min = 1, .max = 1,    \
		OPTS(events_opts), .query = events_query, .in_sandbox = true \
	}

const struct api_action api_sessions[] = {
	{ .group = "sessions",
	    .name = "list",
	    .method = "GET",
	    .path = S,
	    .operands = "",
	    .help = "Every session, newest first.",
	    .in_sandbox = true },
	{ .group = "sessions",
	    .name = "get",
	    .method = "GET",
	    .path = S "/{}",
	    .operands = "SESSION",
	    .help = "One of them.",
	    .min = 1,
	    .max = 1,
	    .in_sandbox = true },
	{ .group = "sessions",
	    .name = "create",
	    .method = "POST",
	    .path = S "/{}",
	    .operands = "SESSION",
	    .help = "Start a session with an agent.",
	    .min = 1,
	    .max = 1,
	    OPTS(create_opts),
	    .body = body_create,
	    .in_sandbox = true },
	{ .group = "sessions",
	    .name = "send-message",
	    .method = "POST",
	    .path = S "/{}/messages",
	    .operands = "SESSION",
	    .help = "Send a message; its work shows as events.",
	    .min = 1,
	    .max = 1,
	    OPTS(message_opts),
	    .body = body_message,
	    .in_sandbox = true },
	{ .group = "sessions",
	    .name = "send-message-stream",
	    .method = "POST",
	    .path = S "/{}/messages/stream",
	    .operands = "SESSION",
	    .help = "The same, and stream the turn.",
	    .min = 1,
	    .max = 1,
	    OPTS(message_opts),
	    .query = raw_query,
	    .body = body_message,
	    .out = API_STREAM,
	    .in_sandbox = true },
	EVENTS("events"),
	EVENTS("get-messages"),
	{ .group = "sessions",
	    .name = "events-sse",
	    .method = "GET",
	    .path = S "/{}/events/sse",
	    .operands = "SESSION",
	    .help = "Stream its events as they are stored.",
	    .min = 1,
	    .max = 1,
	    OPTS(sse_opts),
	    .query = events_query,
	    .out = API_STREAM,
	    .in_sandbox = true },
	{ .group = "sessions",
	    .name = "reply-question",
	    .method = "POST",
	    .path = S "/{}/questions/{}/reply",
	    .operands = "SESSION QUESTION",
	    .help = "Answer a question.",
	    .min = 2,
	    .max = 2,
	    OPTS(answers_opts),
	    .body = body_answers,
	    .in_sandbox = true },
	{ .group = "sessions",
	    .name = "reject-question",
	    .method = "POST",
	    .path = S "/{}/questions/{}/reject",
	    .operands = "SESSION QUESTION",
	    .help = "Decline it.",
	    .min = 2,
	    .max = 2,
	    .in_sandbox = true },
	{ .group = "sessions",
	    .name = "reply-permission",
	    .method = "POST",
	    .path = S "/{}/permissions/{}/reply",
	    .operands = "SESSION PERMISSION",
	    .help = "Answer a permission request.",
	    .min = 2,
	    .max = 2,
	    OPTS(reply_opts),
	    .body = body_permission,
	    .in_sandbox = true },
	{ .group = "sessions",
	    .name = "cancel",
	    .method = "POST",
	    .path = S "/{}/cancel",
	    .operands = "SESSION",
	    .help = "Stop the running turn.",
	    .min = 1,
	    .max = 1,
	    .in_sandbox = true },
	{ .group = "sessions",
	    .name = "terminate",
	    .method = "POST",
	    .path = S "/{}/terminate",
	    .operands = "SESSION",
	    .help = "End it for good; its events stay.",
	    .min = 1,
	    .max = 1,
	    .in_sandbox = true },
};
const size_t api_nsessions = countof(api_sessions);
