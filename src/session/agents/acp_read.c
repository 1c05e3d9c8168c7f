/*
 * What an ACP agent says, as canonical events. Runs in the session worker on
 * hostile input: every line is parsed strictly and looked at by name. What is
 * well formed but unknown is told as news or left out, as the protocol wishes
 * it to be extended; what cannot be understood at all is logged as it came
 * (agent.unparsed).
 *
 * Texts stream as one item for as long as nothing else comes between.
 */
#include "session/agents/acp.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <inttypes.h>
#include <string.h>

#define LOCATION "acp"

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static void
unparsed(
    struct acp *p, const char *why, const char *line, size_t len, bool json)
{
	uni_unparsed(p->a.out, LOCATION, why, json ? line : NULL, line, len);
}

/* --- texts ---------------------------------------------------------------- */

void
acp_chunk_close(struct acp *p, enum item_status status)
{
	if (p->chunk != NULL)
		(void)uni_item_close(p->a.out, p->chunk, status);
	free(STEAL(p->chunk));
	free(STEAL(p->chunk_message));
}

static void
chunk_start(struct acp *p, const char *message, bool reasoning)
{
	struct part part = PART(PART_TEXT, "");
	struct item it = { .kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &part,
		.nparts = 1 };

	/* A message may hold thoughts and words, or go on behind a call. */
	p->chunk = xasprintf(
	    "%s:%u", message != NULL ? message : "message", ++p->chunks);
	p->chunk_message = message != NULL ? xstrdup(message) : NULL;
	p->chunk_reasoning = reasoning;
	if (reasoning) {
		part.type = PART_REASONING;
		part.word = "public";
	}
	it.native_id = p->chunk;
	uni_item_started(p->a.out, &it);
}

/* What is no text is an item of its own. */
static void
other_content(struct acp *p, const struct json *content)
{
	const char *type = json_str(content, "type", "");
	const char *uri = json_str(content, "uri", NULL);
	autofree char *text = agent_json(content);
	struct part part = { .type = PART_JSON, .text = text };
	const struct item it = { .kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &part,
		.nparts = 1 };

	acp_chunk_close(p, ITEM_COMPLETED);
	if (is(type, "image") && uri != NULL)
		part = (struct part){ .type = PART_IMAGE,
			.name = uri,
			.word = json_str(content, "mimeType", NULL) };
	else if (is(type, "resource_link") && uri != NULL)
		part = (struct part){ .type = PART_FILE_REF,
			.name = str_starts(uri, "file://") ? uri + 7 : uri,
			.word = "read" };
	else
		part.len = text != NULL ? strlen(text) : 0;
	uni_item_completed(p->a.out, &it, ITEM_COMPLETED);
}

static void
on_chunk(struct acp *p, const struct json *update, bool reasoning)
{
	const struct json *content = json_get(update, "content");
	const struct json *text = json_get(content, "text");
	const char *message = json_str(update, "messageId", NULL);

	if (message != NULL && strlen(message) >= ACP_ID_MAX)
		message = NULL; /* absurdly long: unnamed */
	if (!is(json_str(content, "type", ""), "text")) {
		acp_expect_turn(p);
		other_content(p, content);
		return;
	}
	if (text == NULL || text->type != JSON_STRING || text->len == 0)
		return;
	acp_expect_turn(p);
	if (p->chunk != NULL &&
	    (p->chunk_reasoning != reasoning ||
		(message != NULL && p->chunk_message != NULL &&
		    !is(message, p->chunk_message))))
		acp_chunk_close(p, ITEM_COMPLETED);
	if (p->chunk == NULL)
		chunk_start(p, message, reasoning);
	uni_item_delta(p->a.out, p->chunk, text->str, text->len);
}

/* --- other news ----------------------------------------------------------- */

static void
on_plan(struct acp *p, const struct json *update)
{
	autofree char *entries = agent_json(json_get(update, "entries"));

	if (entries == NULL)
		return;
	acp_expect_turn(p);
	acp_chunk_close(p, ITEM_COMPLETED);
	uni_plan(p->a.out, "turn.plan.updated", entries);
}

static void
on_commands(struct acp *p, const struct json *update)
{
	const struct json *list = json_get(update, "availableCommands");
	autofree char *text = agent_json(list);

	if (text != NULL && list->type == JSON_ARRAY)
		agent_commands(&p->a, text);
}

/* A title of the conversation is news; what agents add for clients of their
 * own kind is not. */
static void
on_info(struct acp *p, const struct json *update)
{
	const char *title = json_str(update, "title", NULL);

	if (title != NULL && agent_turn_open(&p->a))
		uni_status(p->a.out, "session.title", title);
}

static void
on_other_update(struct acp *p, const struct json *update, const char *kind)
{
	autofree char *detail = agent_json(update);

	if (kind[0] != '_' && agent_turn_open(&p->a))
		uni_status(p->a.out, kind, detail);
}

static void
on_update(struct acp *p, const struct json *update, const char *kind)
{
	if (is(kind, "agent_message_chunk"))
		on_chunk(p, update, false);
	else if (is(kind, "agent_thought_chunk"))
		on_chunk(p, update, true);
	else if (is(kind, "tool_call"))
		acp_tool_update(p, update, true);
	else if (is(kind, "tool_call_update"))
		acp_tool_update(p, update, false);
	else if (is(kind, "plan"))
		on_plan(p, update);
	else if (is(kind, "usage_update"))
		agent_usage(&p->a, json_int(update, "used", 0),
		    json_int(update, "size", 0));
	else if (is(kind, "available_commands_update"))
		on_commands(p, update);
	else if (is(kind, "current_mode_update"))
		acp_settings_mode(p, json_str(update, "currentModeId", NULL));
	else if (is(kind, "config_option_update"))
		acp_settings_config(p, json_get(update, "configOptions"));
	else if (is(kind, "session_info_update"))
		on_info(p, update);
	else if (!is(kind, "user_message_chunk")) /* ours, logged already */
		on_other_update(p, update, kind);
}

static void
on_session_update(
    struct acp *p, const struct json *params, const char *line, size_t len)
{
	const struct json *update = json_get(params, "update");
	const char *kind = json_str(update, "sessionUpdate", NULL);
	const char *session = json_str(params, "sessionId", NULL);

	if (kind == NULL || session == NULL) {
		unparsed(p, "an update of no known form", line, len, true);
		return;
	}
	/* What is replayed while a session is opened is known, and sessions
	 * that the agent keeps besides ours are its own affair. */
	if (p->stage != ACP_READY) {
		if (is(kind, "available_commands_update") && !p->probing)
			on_commands(p, update);
		return;
	}
	if (is(session, p->session))
		on_update(p, update, kind);
}

/* --- lines ---------------------------------------------------------------- */

static void
on_notification(struct acp *p, const struct json *m, const char *method,
    const char *line, size_t len)
{
	const struct json *params = json_get(m, "params");
	autofree char *detail = NULL;

	if (is(method, "session/update")) {
		on_session_update(p, params, line, len);
	} else if (method[0] != '_' && method[0] != '$' &&
		   agent_turn_open(&p->a)) {
		detail = agent_json(params);
		uni_status(p->a.out, method, detail);
	}
}

static void
on_answer(struct acp *p, const struct json *m)
{
	const struct json *error = json_get(m, "error");
	enum acp_call call;

	if (error != NULL && error->type != JSON_OBJECT)
		error = NULL;
	if (!acp_take_call(p, json_get(m, "id"), &call)) {
		/* To a notification, or a line that it could not read. */
		log_info("acp", "an answer to no question",
		    LOG_STR("error", json_str(error, "message", "none")));
		return;
	}
	if (call == CALL_PROMPT)
		acp_prompt_answered(p, json_get(m, "result"), error);
	else if (call == CALL_SETTING)
		acp_setting_answered(p, json_get(m, "result"), error);
	else
		acp_open_answered(p, call, json_get(m, "result"), error);
}

static void
dispatch(struct acp *p, const struct json *m, const char *line, size_t len)
{
	const char *method = json_str(m, "method", NULL);
	const struct json *id = json_get(m, "id");

	if (m->type != JSON_OBJECT || (method == NULL && id == NULL))
		unparsed(p, "no message of a known shape", line, len, true);
	else if (method == NULL)
		on_answer(p, m);
	else if (id == NULL)
		on_notification(p, m, method, line, len);
	else
		acp_request(p, m, line, len);
}

void
acp_read(struct acp *p, const char *line, size_t len, size_t total)
{
	struct json *m = NULL;
	struct err e;

	if (total > len) {
		autofree char *why =
		    xasprintf("line of %zu bytes is too long, cut", total);

		unparsed(p, why, line, len, false);
		return;
	}
	if (strspn(line, " \t\r") == len)
		return;
	if (json_parse(line, len, JSON_DEPTH_AGENT, &m, &e) == -1) {
		unparsed(p, e.text, line, len, false);
		return;
	}
	uni_raw(p->a.out, line, len);
	dispatch(p, m, line, len);
	uni_raw(p->a.out, NULL, 0);
	json_free(m);
}
