/*
 * What Codex prints, as canonical events. Runs in the session worker on hostile
 * input: every line is parsed strictly and looked at by name. News of a known
 * family that tell a session nothing are passed over; what is of no known
 * family is logged as it came (agent.unparsed) rather than guessed.
 */
#include "session/agents/codex.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agents/messages.h"
#include <inttypes.h>
#include <string.h>

#define LOCATION "codex"
#define DETAIL_MAX (256u << 10)

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

void
codex_unparsed(
    struct codex *c, const char *why, const char *line, size_t len, bool json)
{
	uni_unparsed(c->a.out, LOCATION, why, json ? line : NULL, line, len);
}

/* News of another thread than ours: one of an agent that ours has started. */
static bool
is_foreign(const struct codex *c, const struct json *params)
{
	const char *id = json_str(params, "threadId", NULL);

	return id != NULL && c->thread != NULL && !is(id, c->thread);
}

/* --- turns ---------------------------------------------------------------- */

static void
on_turn_started(struct codex *c, const struct json *params)
{
	const char *id = json_str(json_get(params, "turn"), "id", NULL);

	codex_expect_turn(c);
	c->started = true;
	c->fresh = false;
	if (id != NULL && strlen(id) < CODEX_ID_MAX) {
		free(c->turn);
		c->turn = xstrdup(id);
	}
	if (c->interrupt && c->turn != NULL && c->thread != NULL)
		(void)codex_interrupt(c, NULL); /* the ladder follows */
}

/* The error's kind as a word, and the status of HTTP in it or 0. */
static const char *
error_kind(const struct json *error, int64_t *status_out)
{
	const struct json *info = json_get(error, "codexErrorInfo");
	const struct json *inner = NULL;

	*status_out = 0;
	if (info != NULL && info->type == JSON_STRING)
		return json_str(error, "codexErrorInfo", "other");
	if (info != NULL && info->type == JSON_OBJECT)
		inner = info->child;
	if (inner == NULL)
		return "other";
	*status_out = json_int(inner, "httpStatusCode", 0);
	return inner->key;
}

/* Providers say it in words of their own. */
static bool
is_model_refused(const char *message)
{
	return strstr(message, "odel") != NULL &&
	       (strstr(message, "not supported") != NULL ||
		   strstr(message, "not found") != NULL ||
		   strstr(message, "does not exist") != NULL ||
		   strstr(message, "not available") != NULL);
}

static void
tell_error(struct codex *c, const struct json *error)
{
	const char *message = json_str(error, "message", "unknown error");
	const char *more = json_str(error, "additionalDetails", NULL);
	const char *model =
	    c->a.conf->model != NULL ? c->a.conf->model : c->model;
	int64_t status;
	const char *kind = error_kind(error, &status);
	struct buf b;
	struct jw w;

	c->failed = true;
	if (model != NULL && is_model_refused(message))
		uni_status(c->a.out, "codex.model.unavailable", model);
	buf_init(&b, DETAIL_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kbool(&w, "retrying", false);
	jw_kstr(&w, "kind", kind);
	if (status != 0)
		jw_kint(&w, "status", status);
	if (more != NULL)
		jw_kstr(&w, "additionalDetails", more);
	jw_object_end(&w);
	uni_error(c->a.out, FROM_AGENT, "api_error", message,
	    b.failed ? NULL : b.data);
	buf_free(&b);
}

/* A retry is no error yet: readers of a turn stop at an `error` event. */
static void
on_error(struct codex *c, const struct json *params)
{
	const struct json *error = json_get(params, "error");
	const char *more = json_str(error, "additionalDetails", NULL);
	autofree char *say = NULL;

	if (!c->working)
		return;
	if (!json_bool(params, "willRetry", false)) {
		if (!agent_cancelling(&c->a))
			tell_error(c, error);
		return;
	}
	say = xasprintf("%.512s%s%.1024s", json_str(error, "message", "?"),
	    more != NULL ? ": " : "", more != NULL ? more : "");
	uni_status(c->a.out, "api_retry", say);
}

static void
on_turn_completed(struct codex *c, const struct json *params)
{
	const struct json *turn = json_get(params, "turn");
	const struct json *error = json_get(turn, "error");
	const char *status = json_str(turn, "status", "completed");
	const char *reason = "end_turn";

	if (!c->working)
		return;
	if (is(status, "interrupted")) {
		reason = "cancelled";
		codex_clean(c);
	} else if (is(status, "failed")) {
		reason = strstr(json_str(error, "message", ""),
			     "max_output_tokens") != NULL
			     ? "max_tokens"
			     : "error";
		if (!c->failed && !agent_cancelling(&c->a))
			tell_error(c, error);
	}
	codex_turn_over(c, reason, turn);
}

/* --- items ----------------------------------------------------------------
 * Only within a turn: a command that goes on in the background may end after
 * it, when its item is closed already. */

static void
on_item_started(struct codex *c, const struct json *params)
{
	if (c->working)
		codex_item(c, json_get(params, "item"), false);
}

static void
on_item_completed(struct codex *c, const struct json *params)
{
	if (c->working)
		codex_item(c, json_get(params, "item"), true);
}

static void
on_delta(struct codex *c, const struct json *params)
{
	const char *id = json_str(params, "itemId", NULL);
	const struct json *text = json_get(params, "delta");

	if (text == NULL)
		text = json_get(params, "stdin");
	if (c->working && id != NULL && text != NULL &&
	    text->type == JSON_STRING && text->len > 0)
		uni_item_delta(c->a.out, id, text->str, text->len);
}

/* A second part of a summary is a paragraph of its own. */
static void
on_summary_part(struct codex *c, const struct json *params)
{
	const char *id = json_str(params, "itemId", NULL);

	if (c->working && id != NULL && json_int(params, "summaryIndex", 0) > 0)
		uni_item_delta(c->a.out, id, "\n\n", 2);
}

static void
on_mcp_progress(struct codex *c, const struct json *params)
{
	if (c->working)
		uni_status(c->a.out, "mcp.progress",
		    json_str(params, "message", NULL));
}

/* --- news ----------------------------------------------------------------- */

static void
on_plan(struct codex *c, const struct json *params)
{
	static const struct {
		const char *theirs, *ours;
	} words[] = { { "pending", "pending" }, { "inProgress", "in_progress" },
		{ "in_progress", "in_progress" },
		{ "completed", "completed" } };
	struct buf b;
	struct jw w;
	size_t i;

	if (!c->working)
		return;
	buf_init(&b, DETAIL_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	json_foreach (it, json_get(params, "plan")) {
		const char *status = json_str(it, "status", "pending");

		for (i = 0; i < countof(words) - 1; i++)
			if (is(words[i].theirs, status))
				break;
		jw_object(&w);
		jw_kstr(&w, "content", json_str(it, "step", ""));
		jw_kstr(&w, "status",
		    is(words[i].theirs, status) ? words[i].ours : "pending");
		jw_object_end(&w);
	}
	jw_array_end(&w);
	if (!b.failed)
		uni_plan(c->a.out, "turn.plan.updated", b.data);
	buf_free(&b);
}

static void
read_tokens(struct codex_tokens *t, const struct json *j)
{
	t->input = json_int(j, "inputTokens", 0);
	t->output = json_int(j, "outputTokens", 0);
	t->cached = json_int(j, "cachedInputTokens", 0);
	t->reasoning = json_int(j, "reasoningOutputTokens", 0);
	t->total = json_int(j, "totalTokens", 0);
}

static void
add_tokens(struct codex_tokens *t, const struct codex_tokens *now,
    const struct codex_tokens *before)
{
	t->input += now->input - before->input;
	t->output += now->output - before->output;
	t->cached += now->cached - before->cached;
	t->reasoning += now->reasoning - before->reasoning;
	t->total += now->total - before->total;
}

/* Codex counts for the whole thread; of a resumed one only the last call is
 * certainly of this turn. */
static void
on_tokens(struct codex *c, const struct json *params)
{
	const struct json *usage = json_get(params, "tokenUsage");
	static const struct codex_tokens none = { 0, 0, 0, 0, 0 };
	struct codex_tokens total, last;

	read_tokens(&total, json_get(usage, "total"));
	read_tokens(&last, json_get(usage, "last"));
	if (c->resuming && c->seen.total == 0)
		add_tokens(&c->used, &last, &none);
	else
		add_tokens(&c->used, &total, &c->seen);
	c->seen = total;
	agent_usage(
	    &c->a, last.total, json_int(usage, "modelContextWindow", 0));
}

static void
on_warning(struct codex *c, const struct json *params)
{
	const char *say =
	    json_str(params, "message", json_str(params, "summary", NULL));

	if (agent_turn_open(&c->a))
		uni_status(c->a.out, "warning", say);
}

static void
on_mcp_startup(struct codex *c, const struct json *params)
{
	autofree char *say = NULL;

	if (!is(json_str(params, "status", ""), "failed") ||
	    !agent_turn_open(&c->a))
		return;
	say = xasprintf("%.128s: %.1024s", json_str(params, "name", "?"),
	    json_str(params, "error", "it did not start"));
	uni_status(c->a.out, "mcp.startup.failed", say);
}

static void
on_resolved(struct codex *c, const struct json *params)
{
	codex_request_resolved(c, params);
}

/* It has put the thread away: the next turn takes it up again. */
static void
on_thread_closed(struct codex *c, const struct json *params)
{
	(void)params;
	if (!c->working && c->stage == CODEX_READY)
		c->stage = CODEX_KNOWN;
}

static void
on_compacted(struct codex *c, const struct json *params)
{
	(void)params;
	if (agent_turn_open(&c->a))
		uni_status(c->a.out, "thread.compacted", NULL);
}

/* The whole difference of the turn: each change has come by itself. */
static void
pass_over(struct codex *c, const struct json *params)
{
	(void)c, (void)params;
}

/* --- lines ---------------------------------------------------------------- */

static const struct {
	const char *method;
	void (*handle)(struct codex *, const struct json *);
	bool of_others; /* also when it is of another thread */
} news[] = {
	{ "item/agentMessage/delta", on_delta, false },
	{ "item/reasoning/summaryTextDelta", on_delta, false },
	{ "item/commandExecution/outputDelta", on_delta, false },
	{ "item/started", on_item_started, false },
	{ "item/completed", on_item_completed, false },
	{ "item/reasoning/textDelta", on_delta, false },
	{ "item/reasoning/summaryPartAdded", on_summary_part, false },
	{ "item/plan/delta", on_delta, false },
	{ "item/fileChange/outputDelta", on_delta, false },
	{ "item/commandExecution/terminalInteraction", on_delta, false },
	{ "item/mcpToolCall/progress", on_mcp_progress, false },
	{ "turn/started", on_turn_started, false },
	{ "turn/completed", on_turn_completed, false },
	{ "turn/plan/updated", on_plan, false },
	{ "thread/tokenUsage/updated", on_tokens, false },
	{ "thread/compacted", on_compacted, false },
	{ "thread/closed", on_thread_closed, false },
	{ "error", on_error, false },
	{ "serverRequest/resolved", on_resolved, true },
	{ "mcpServer/startupStatus/updated", on_mcp_startup, false },
	{ "warning", on_warning, false },
	{ "configWarning", on_warning, true },
	{ "guardianWarning", on_warning, false },
	{ "deprecationNotice", pass_over, true },
};

/* Families whose other members tell a session nothing. */
static bool
is_passed_over(const char *method)
{
	static const char *const families[] = { "thread/", "turn/", "item/",
		"account/", "mcpServer/", "remoteControl/", "model/",
		"modelProvider/", "skills/", "hook/", "app/", "fs/", "project/",
		"process/", "command/", "rawResponse", "autoApprovalReview/",
		"externalAgentConfig/", "fuzzyFileSearch/", "windows" };
	size_t i;

	for (i = 0; i < countof(families); i++)
		if (str_starts(method, families[i]))
			return true;
	return false;
}

static void
on_notice(struct codex *c, const char *method, const struct json *m,
    const char *line, size_t len)
{
	const struct json *params = json_get(m, "params");
	size_t i;

	for (i = 0; i < countof(news); i++)
		if (is(news[i].method, method)) {
			if (news[i].of_others || !is_foreign(c, params))
				news[i].handle(c, params);
			return;
		}
	if (!is_passed_over(method))
		codex_unparsed(c, "unknown notification", line, len, true);
}

static void
dispatch(struct codex *c, const struct json *m, const char *line, size_t len)
{
	const char *method = json_str(m, "method", NULL);
	bool has_id = json_get(m, "id") != NULL;

	if (method != NULL && has_id)
		codex_request(c, m, line, len);
	else if (method != NULL)
		on_notice(c, method, m, line, len);
	else if (has_id)
		codex_response(c, m);
	else
		codex_unparsed(
		    c, "no message of a known shape", line, len, true);
}

void
codex_read(struct codex *c, const char *line, size_t len, size_t total)
{
	struct json *m = NULL;
	struct err e;

	if (total > len) {
		autofree char *why =
		    xasprintf("line of %zu bytes is too long, cut", total);

		codex_unparsed(c, why, line, len, false);
		return;
	}
	if (strspn(line, " \t\r") == len)
		return;
	if (json_parse(line, len, JSON_DEPTH_AGENT, &m, &e) == -1) {
		codex_unparsed(c, e.text, line, len, false);
		return;
	}
	uni_raw(c->a.out, line, len);
	dispatch(c, m, line, len);
	uni_raw(c->a.out, NULL, 0);
	json_free(m);
}
