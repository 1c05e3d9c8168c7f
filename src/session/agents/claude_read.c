/*
 * What claude prints, as canonical events. Runs in the session worker on
 * hostile input: every line is parsed strictly, looked at by name, and whatever
 * is not understood is logged as it came (agent.unparsed) rather than guessed.
 *
 * Text and thinking stream as one item per content block. The finished block
 * comes as an `assistant` line, before its content_block_stop; without partial
 * messages it is all that comes.
 */
#include "session/agents/claude.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <inttypes.h>
#include <string.h>

#define LOCATION "claude"

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* Claude works on its own account, as it does when a background task ends. */
static void
expect_turn(struct claude *c)
{
	if (!agent_turn_open(&c->a)) {
		free(STEAL(c->error));
		c->said = false;
		c->initialised = true;
		agent_turn_begun(&c->a);
	}
	c->working = true;
}

/* --- streamed blocks ----------------------------------------------------- */

static void
block_id(const struct claude *c, char dst[CLAUDE_ID_MAX + 32], int64_t index)
{
	if (str_format(dst, CLAUDE_ID_MAX + 32, "%s:%" PRId64, c->message_id,
		index) == -1)
		abort(); /* both parts are bounded */
}

static void
block_start(struct claude *c, const struct json *ev)
{
	const struct json *block = json_get(ev, "content_block");
	const char *type = json_str(block, "type", "");
	char id[CLAUDE_ID_MAX + 32];
	struct part p = PART(PART_TEXT, "");
	const struct item it = { .native_id = id,
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };
	unsigned n = c->nblocks;

	if (n == CLAUDE_BLOCKS_MAX ||
	    (!is(type, "text") && !is(type, "thinking")))
		return;
	c->blocks[n].index = json_int(ev, "index", 0);
	c->blocks[n].reasoning = is(type, "thinking");
	c->nblocks++;
	block_id(c, id, c->blocks[n].index);
	if (c->blocks[n].reasoning) {
		p.type = PART_REASONING;
		p.word = "public";
	}
	uni_item_started(c->a.out, &it);
}

static void
block_delta(struct claude *c, const struct json *ev)
{
	const struct json *delta = json_get(ev, "delta");
	const struct json *text = json_get(delta, "text");
	int64_t index = json_int(ev, "index", 0);
	char id[CLAUDE_ID_MAX + 32];
	unsigned i;

	if (text == NULL)
		text = json_get(delta, "thinking");
	if (text == NULL || text->type != JSON_STRING)
		return; /* tool input, signatures: the assistant line has them
			 */
	for (i = 0; i < c->nblocks && c->blocks[i].index != index; i++)
		;
	if (i == c->nblocks)
		return;
	block_id(c, id, index);
	uni_item_delta(c->a.out, id, text->str, text->len);
	c->said |= !c->blocks[i].reasoning;
}

static void
block_forget(struct claude *c, unsigned i)
{
	memmove(&c->blocks[i], &c->blocks[i + 1],
	    (c->nblocks - i - 1) * sizeof(c->blocks[0]));
	c->nblocks--;
}

/* Blocks for which no assistant line came: whole when their message ended,
 * abandoned when another began. */
static void
close_blocks(struct claude *c, enum item_status status)
{
	char id[CLAUDE_ID_MAX + 32];

	while (c->nblocks > 0) {
		block_id(c, id, c->blocks[0].index);
		(void)uni_item_close(c->a.out, id, status);
		block_forget(c, 0);
	}
}

static void
on_stream_event(struct claude *c, const struct json *m)
{
	const struct json *ev = json_get(m, "event");
	const char *type = json_str(ev, "type", "");

	/* Of sub-agents whole blocks are enough. */
	if (json_str(m, "parent_tool_use_id", NULL) != NULL)
		return;
	expect_turn(c);
	if (is(type, "message_start")) {
		close_blocks(c, ITEM_FAILED);
		c->context_in =
		    message_context_tokens(json_path(ev, "message.usage"));
		if (str_copy(c->message_id, sizeof(c->message_id),
			json_str(json_get(ev, "message"), "id", "")) == -1)
			c->message_id[0] = '\0'; /* absurdly long: unnamed */
	} else if (is(type, "content_block_start")) {
		block_start(c, ev);
	} else if (is(type, "content_block_delta")) {
		block_delta(c, ev);
	} else if (is(type, "message_delta")) {
		c->context =
		    c->context_in +
		    message_tokens(json_get(ev, "usage"), "output_tokens");
	} else if (is(type, "message_stop")) {
		close_blocks(c, ITEM_COMPLETED);
	}
}

/* --- finished blocks ----------------------------------------------------- */

static void
on_text(struct claude *c, const struct json *m, const struct json *block,
    bool reasoning)
{
	const struct json *text =
	    json_get(block, reasoning ? "thinking" : "text");
	const char *message = json_str(json_get(m, "message"), "id", "");
	bool own = json_str(m, "parent_tool_use_id", NULL) == NULL;
	char id[CLAUDE_ID_MAX + 32];
	unsigned i;

	if (text == NULL || text->type != JSON_STRING)
		return;
	if (own && !is(message, c->message_id))
		close_blocks(c, ITEM_FAILED); /* it was asked for again */
	i = c->nblocks;
	if (own)
		for (i = 0; i < c->nblocks; i++)
			if (c->blocks[i].reasoning == reasoning)
				break;
	if (i < c->nblocks) {
		block_id(c, id, c->blocks[i].index);
		block_forget(c, i);
	} else if (str_format(id, sizeof(id), "%s:+%u", message,
		       ++c->unstreamed) == -1) {
		(void)!str_format(id, sizeof(id), "+%u", c->unstreamed);
	}
	c->said |= !reasoning && own;
	/* What an interrupt cut off is not complete. */
	message_text(&c->a, id, m, block, reasoning,
	    agent_cancelling(&c->a) ? ITEM_FAILED : ITEM_COMPLETED);
}

/* A failed model call shows as a message that claude made up. */
static bool
on_error_message(struct claude *c, const struct json *m)
{
	const char *word = json_str(m, "error", NULL);
	const struct json *content = json_path(m, "message.content");
	const char *text;
	struct buf b;
	struct jw w;

	if (word == NULL || content == NULL || content->type != JSON_ARRAY)
		return false;
	text = json_str(content->child, "text", NULL);
	if (text == NULL)
		return false;
	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "error", word);
	jw_kbool(&w, "retrying", false);
	jw_object_end(&w);
	uni_error(c->a.out, FROM_AGENT,
	    is(word, "authentication_failed") ? "auth_required" : "api_error",
	    text, b.failed ? NULL : b.data);
	buf_free(&b);
	free(c->error);
	c->error = xstrdup(text);
	return true;
}

static void
on_assistant(struct claude *c, const struct json *m)
{
	const struct json *content = json_path(m, "message.content");
	const char *type;

	expect_turn(c);
	if (on_error_message(c, m))
		return;
	if (json_str(m, "parent_tool_use_id", NULL) == NULL &&
	    !is(json_str(json_get(m, "message"), "id", ""), c->message_id))
		c->context =
		    message_context_tokens(json_path(m, "message.usage"));
	json_foreach (block, content) {
		type = json_str(block, "type", "");
		if (is(type, "text"))
			on_text(c, m, block, false);
		else if (is(type, "thinking"))
			on_text(c, m, block, true);
		else if (json_get(block, "input") != NULL) {
			message_tool_use(&c->a, m, block);
			claude_plan_use(c, block);
		} else if (!is(type, "redacted_thinking"))
			message_other_block(&c->a, m, block);
	}
}

/* --- the user's side --------------------------------------------------------
 */

static void
on_user(struct claude *c, const struct json *m)
{
	const struct json *content = json_path(m, "message.content");

	if (content == NULL || content->type != JSON_ARRAY)
		return; /* marks and echoes: nothing that is not known */
	json_foreach (block, content) {
		if (!is(json_str(block, "type", ""), "tool_result"))
			continue;
		expect_turn(c);
		message_tool_result(&c->a, m, block, content->len == 1);
		if (content->len == 1)
			claude_plan_result(c, m, block);
	}
}

/* --- system lines -------------------------------------------------------- */

/* A retry is no error yet: readers of a turn stop at an `error` event. */
static void
on_retry(struct claude *c, const struct json *m)
{
	autofree char *detail =
	    xasprintf("attempt %" PRId64 " of %" PRId64
		      " failed: %.128s (%" PRId64 "), the next in %.0f ms",
		json_int(m, "attempt", 0), json_int(m, "max_retries", 0),
		json_str(m, "error", "unknown"), json_int(m, "error_status", 0),
		json_double(m, "retry_delay_ms", 0));

	expect_turn(c);
	uni_status(c->a.out, "api_retry", detail);
}

static void
on_mode(struct claude *c, const char *native)
{
	const char *mode = claude_mode_shared(native);

	/* As it is called already, if by either name. */
	if (mode != NULL && strcmp(c->a.conf->permission_mode, native) != 0)
		agent_mode_changed(&c->a, mode);
}

static void
on_system(struct claude *c, const struct json *m)
{
	const char *subtype = json_str(m, "subtype", "");
	const char *mode = json_str(m, "permissionMode", NULL);

	if (is(subtype, "init")) {
		c->alive = true;
		if (agent_cancelling(&c->a) && !c->initialised)
			(void)c->a.ops->cancel(
			    &c->a, NULL); /* now it is heard */
		c->initialised = true;
	} else if (is(subtype, "status")) {
		if (mode != NULL)
			on_mode(c, mode);
		if (is(json_str(m, "status", ""), "compacting") &&
		    agent_turn_open(&c->a))
			uni_status(c->a.out, "compacting", NULL);
	} else if (is(subtype, "api_retry")) {
		on_retry(c, m);
	}
}

/* --- lines --------------------------------------------------------------- */

static void
learn_native_id(struct claude *c, const struct json *m)
{
	const char *id = json_str(m, "session_id", NULL);

	if (id == NULL)
		id = json_str(m, "sessionId", NULL);
	if (id != NULL && strlen(id) < CLAUDE_ID_MAX && agent_word_ok(id))
		agent_native_id(&c->a, id);
}

static void
unparsed(
    struct claude *c, const char *why, const char *line, size_t len, bool json)
{
	uni_unparsed(c->a.out, LOCATION, why, json ? line : NULL, line, len);
}

static bool
is_ignored(const char *type)
{
	static const char *const words[] = { "keep_alive",
		"update_environment_variables", "tool_progress",
		"rate_limit_event", "auth_status", "tool_use_summary" };
	size_t i;

	for (i = 0; i < countof(words); i++)
		if (is(words[i], type))
			return true;
	return false;
}

static void
dispatch(struct claude *c, const struct json *m, const char *line, size_t len)
{
	const char *type = json_str(m, "type", NULL);

	if (type == NULL) {
		unparsed(c, "no message of a known shape", line, len, true);
		return;
	}
	if (is(type, "system"))
		on_system(c, m);
	else if (is(type, "stream_event"))
		on_stream_event(c, m);
	else if (is(type, "assistant"))
		on_assistant(c, m);
	else if (is(type, "user"))
		on_user(c, m);
	else if (is(type, "result"))
		claude_result(c, m);
	else if (is(type, "control_request")) {
		expect_turn(c);
		claude_control_request(c, m, line, len);
	} else if (is(type, "control_cancel_request"))
		claude_control_cancel(c, m);
	else if (is(type, "control_response"))
		claude_control_response(c, m);
	else if (!is_ignored(type))
		unparsed(c, "unknown message type", line, len, true);
}

void
claude_read(struct claude *c, const char *line, size_t len, size_t total)
{
	struct json *m = NULL;
	struct err e;

	if (total > len) {
		autofree char *why =
		    xasprintf("line of %zu bytes is too long, cut", total);

		unparsed(c, why, line, len, false);
		return;
	}
	if (strspn(line, " \t\r") == len)
		return;
	if (json_parse(line, len, JSON_DEPTH_AGENT, &m, &e) == -1) {
		unparsed(c, e.text, line, len, false);
		return;
	}
	uni_raw(c->a.out, line, len);
	learn_native_id(c, m);
	dispatch(c, m, line, len);
	uni_raw(c->a.out, NULL, 0);
	json_free(m);
}
