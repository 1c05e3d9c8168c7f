/*
 * What Amp prints, as canonical events. Runs in the session worker on hostile
 * input: every line is parsed strictly, looked at by name, and whatever is not
 * understood is logged as it came (agent.unparsed) rather than guessed.
 *
 * Amp prints lines like Claude's, with whole messages; older ones printed a set
 * of their own (message, tool_call, tool_result, error, done).
 */
#include "session/agents/amp.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <stdio.h>
#include <string.h>

#define LOCATION "amp"

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static void
unparsed(
    struct amp *m, const char *why, const char *line, size_t len, bool json)
{
	uni_unparsed(m->a.out, LOCATION, why, json ? line : NULL, line, len);
}

static void
log_error(struct amp *m, const char *code, const char *text)
{
	if (m->error != NULL && is(m->error, text))
		return; /* said already */
	uni_error(m->a.out, FROM_AGENT, code, text, "{\"retrying\":false}");
	free(m->error);
	m->error = xstrdup(text);
}

/* --- lines like Claude's -------------------------------------------------- */

static void
on_assistant(struct amp *m, const struct json *line)
{
	const struct json *message = json_get(line, "message");
	bool own = json_str(line, "parent_tool_use_id", NULL) == NULL;
	char id[AMP_ID_MAX];

	json_foreach (block, json_get(message, "content")) {
		const char *type = json_str(block, "type", "");

		if (str_format(id, sizeof(id), "%.64s:%u",
			json_str(message, "id", ""), ++m->blocks) == -1)
			abort(); /* 64 bytes and a number */
		if (is(type, "text")) {
			m->said |= own;
			message_text(
			    &m->a, id, line, block, false, ITEM_COMPLETED);
		} else if (is(type, "thinking")) {
			message_text(
			    &m->a, id, line, block, true, ITEM_COMPLETED);
		} else if (json_get(block, "input") != NULL) {
			message_tool_use(&m->a, line, block);
		} else if (!is(type, "redacted_thinking")) {
			message_other_block(&m->a, line, block);
		}
	}
	if (own && json_get(message, "usage") != NULL)
		m->context = message_context_tokens(json_get(message, "usage"));
}

static void
on_user(struct amp *m, const struct json *line)
{
	const struct json *content = json_path(line, "message.content");

	if (content == NULL || content->type != JSON_ARRAY)
		return; /* our own words */
	json_foreach (block, content)
		if (is(json_str(block, "type", ""), "tool_result"))
			message_tool_result(
			    &m->a, line, block, content->len == 1);
}

static void
on_result(struct amp *m, const struct json *line)
{
	const char *reason = message_stop_reason(&m->a, line);
	const char *text = json_str(line, "result", NULL);
	autofree char *more = message_result_metadata(line);
	const char *subtype = json_str(line, "subtype", "");
	const struct part p = PART(PART_TEXT, text != NULL ? text : "");
	const struct item it = { .kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	if (text == NULL || *text == '\0')
		text = json_str(line, "error", subtype);
	if (json_bool(line, "is_error", false)) {
		if (!agent_cancelling(&m->a))
			log_error(m,
			    is(subtype, "success") || *subtype == '\0'
				? "api_error"
				: subtype,
			    *text != '\0' ? text : "amp failed");
	} else if (!m->said && p.len > 0) {
		uni_item_completed(m->a.out, &it, ITEM_COMPLETED);
	}
	amp_turn_over(m, reason, more);
}

/* --- the old set ---------------------------------------------------------- */

static void
on_old_message(struct amp *m, const struct json *line)
{
	const struct json *text = json_get(line, "content");
	struct part p = { .type = PART_TEXT };
	const struct item it = { .native_id = json_str(line, "id", NULL),
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	if (text == NULL || text->type != JSON_STRING)
		return;
	p.text = text->str;
	p.len = text->len;
	m->said = true;
	uni_item_completed(m->a.out, &it, ITEM_COMPLETED);
}

static void
on_old_call(struct amp *m, const struct json *line)
{
	const struct json *call = json_get(line, "tool_call");
	const struct json *args = json_get(call, "arguments");
	const char *id = json_str(call, "id", NULL);
	autofree char *text = args != NULL && args->type == JSON_STRING
				  ? xstrdup(args->str)
				  : agent_json(args);
	const struct part p = { .type = PART_TOOL_CALL,
		.name = json_str(call, "name", "unknown"),
		.text = text != NULL ? text : "{}",
		.len = text != NULL ? strlen(text) : 2,
		.word = id };
	const struct item it = { .native_id = id,
		.kind = ITEM_TOOL_CALL,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	uni_item_completed(m->a.out, &it, ITEM_COMPLETED);
}

static void
on_old_result(struct amp *m, const struct json *line)
{
	const struct json *content = json_get(line, "content");
	const char *id = json_str(line, "id", NULL);
	autofree char *text = content != NULL && content->type == JSON_STRING
				  ? xstrdup(content->str)
				  : agent_json(content);
	const struct part p = { .type = PART_TOOL_RESULT,
		.text = text != NULL ? text : "",
		.len = text != NULL ? strlen(text) : 0,
		.word = id };
	const struct item it = { .native_id = id,
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = &p,
		.nparts = 1 };

	uni_item_completed(m->a.out, &it, ITEM_COMPLETED);
}

static void
on_old_error(struct amp *m, const struct json *line)
{
	const struct json *error = json_get(line, "error");

	log_error(m, "amp",
	    json_str(line, "error", json_str(error, "message", "amp error")));
}

/* --- lines ---------------------------------------------------------------- */

static void
learn_native_id(struct amp *m, const struct json *line)
{
	const char *id = json_str(line, "session_id", NULL);

	if (id == NULL)
		id = json_str(line, "thread_id", NULL);
	if (id != NULL && strlen(id) < AMP_ID_MAX && agent_word_ok(id))
		agent_native_id(&m->a, id);
}

static void
dispatch(struct amp *m, const struct json *j, const char *line, size_t len)
{
	const char *type = json_str(j, "type", NULL);

	if (type == NULL)
		unparsed(m, "no message of a known shape", line, len, true);
	else if (is(type, "assistant"))
		on_assistant(m, j);
	else if (is(type, "user"))
		on_user(m, j);
	else if (is(type, "result"))
		on_result(m, j);
	else if (is(type, "message"))
		on_old_message(m, j);
	else if (is(type, "tool_call"))
		on_old_call(m, j);
	else if (is(type, "tool_result"))
		on_old_result(m, j);
	else if (is(type, "error"))
		on_old_error(m, j);
	else if (is(type, "done"))
		amp_turn_over(m, m->error != NULL ? "error" : "end_turn", NULL);
	else if (!is(type, "system"))
		unparsed(m, "unknown message type", line, len, true);
}

/* Without a key amp opens a browser and waits for what a person pastes. What it
 * prints then holds a secret: none of it is logged. */
static bool
is_login(const char *line)
{
	return strstr(line, "login flow") != NULL ||
	       strstr(line, "cli-login") != NULL ||
	       strstr(line, "paste your code") != NULL;
}

void
amp_read(struct amp *m, const char *line, size_t len, size_t total)
{
	struct json *j = NULL;
	struct err e;

	if (total > len) {
		autofree char *why =
		    xasprintf("line of %zu bytes is too long, cut", total);

		unparsed(m, why, line, len, false);
		return;
	}
	if (strspn(line, " \t\r") == len)
		return;
	if (json_parse(line, len, JSON_DEPTH_AGENT, &j, &e) == -1) {
		if (!m->spoke && is_login(line))
			amp_wants_login(m);
		else
			unparsed(m, e.text, line, len, false);
		return;
	}
	m->spoke = true;
	ev_timer_stop(m->a.loop, &m->first);
	uni_raw(m->a.out, line, len);
	learn_native_id(m, j);
	dispatch(m, j, line, len);
	uni_raw(m->a.out, NULL, 0);
	json_free(j);
}
