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
#define DIFF_BYTES_MAX (64u << 10)

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
		if (str_copy(c->message_id, sizeof(c->message_id),
			json_str(json_get(ev, "message"), "id", "")) == -1)
			c->message_id[0] = '\0'; /* absurdly long: unnamed */
	} else if (is(type, "content_block_start")) {
		block_start(c, ev);
	} else if (is(type, "content_block_delta")) {
		block_delta(c, ev);
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
	char id[CLAUDE_ID_MAX + 32];
	struct part p = { .type = reasoning ? PART_REASONING : PART_TEXT,
		.word = "public" };
	const struct item it = { .native_id = id,
		.parent = json_str(m, "parent_tool_use_id", NULL),
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };
	unsigned i;

	if (text == NULL || text->type != JSON_STRING)
		return;
	p.text = text->str;
	p.len = text->len;
	if (it.parent == NULL && !is(message, c->message_id))
		close_blocks(c, ITEM_FAILED); /* it was asked for again */
	i = c->nblocks;
	if (it.parent == NULL)
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
	c->said |= !reasoning && it.parent == NULL;
	/* What an interrupt cut off is not complete. */
	uni_item_completed(c->a.out, &it,
	    agent_cancelling(&c->a) ? ITEM_FAILED : ITEM_COMPLETED);
}

static void
on_tool_use(struct claude *c, const struct json *m, const struct json *block)
{
	const char *id = json_str(block, "id", NULL);
	autofree char *input = claude_json(json_get(block, "input"));
	const struct part p = { .type = PART_TOOL_CALL,
		.name = json_str(block, "name", "unknown"),
		.text = input != NULL ? input : "{}",
		.len = input != NULL ? strlen(input) : 2,
		.word = id };
	const struct item it = { .native_id = id,
		.parent = json_str(m, "parent_tool_use_id", NULL),
		.kind = ITEM_TOOL_CALL,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	uni_item_completed(c->a.out, &it, ITEM_COMPLETED);
}

static void
on_other_block(struct claude *c, const struct json *m, const struct json *block)
{
	autofree char *text = claude_json(block);
	const struct part p = { .type = PART_JSON,
		.text = text,
		.len = text != NULL ? strlen(text) : 0 };
	const struct item it = { .parent =
				     json_str(m, "parent_tool_use_id", NULL),
		.kind = ITEM_UNKNOWN,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	uni_item_completed(c->a.out, &it, ITEM_COMPLETED);
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
	uni_error(
	    c->a.out, FROM_AGENT, "api_error", text, b.failed ? NULL : b.data);
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
	json_foreach (block, content) {
		type = json_str(block, "type", "");
		if (is(type, "text"))
			on_text(c, m, block, false);
		else if (is(type, "thinking"))
			on_text(c, m, block, true);
		else if (json_get(block, "input") != NULL)
			on_tool_use(c, m, block);
		else if (!is(type, "redacted_thinking"))
			on_other_block(c, m, block);
	}
}

/* --- tool results -------------------------------------------------------- */

/* The text of a result; what is no text is named or shown as JSON. */
static void
result_text(struct buf *b, const struct json *content)
{
	const struct json *text;
	autofree char *json = NULL;

	if (content != NULL && content->type == JSON_STRING) {
		(void)buf_add(b, content->str, content->len);
		return;
	}
	if (content == NULL || content->type != JSON_ARRAY) {
		json = claude_json(content);
		(void)buf_adds(b, json != NULL ? json : "");
		return;
	}
	json_foreach (block, content) {
		if (b->len > 0)
			(void)buf_addc(b, '\n');
		text = json_get(block, "text");
		if (text != NULL && text->type == JSON_STRING)
			(void)buf_add(b, text->str, text->len);
		else
			(void)buf_addf(
			    b, "[%.64s]", json_str(block, "type", "unknown"));
	}
}

/* A structured patch as unified hunks. */
static void
patch_text(struct buf *b, const struct json *hunks)
{
	json_foreach (h, hunks) {
		(void)buf_addf(b,
		    "@@ -%" PRId64 ",%" PRId64 " +%" PRId64 ",%" PRId64 " @@\n",
		    json_int(h, "oldStart", 0), json_int(h, "oldLines", 0),
		    json_int(h, "newStart", 0), json_int(h, "newLines", 0));
		json_foreach (line, json_get(h, "lines")) {
			if (line->type != JSON_STRING)
				continue;
			(void)buf_add(b, line->str, line->len);
			(void)buf_addc(b, '\n');
		}
	}
}

/* Which file the tool touched, if its structured result says so. */
static bool
file_part(struct part *p, struct buf *diff, const struct json *r)
{
	const char *path = json_str(r, "filePath", NULL);

	p->type = PART_FILE_REF;
	p->word = "read";
	if (path == NULL) {
		p->name = json_str(json_get(r, "file"), "filePath", NULL);
		return p->name != NULL;
	}
	p->name = path;
	p->word = json_get(r, "oldString") != NULL ? "patch" : "write";
	patch_text(diff, json_get(r, "structuredPatch"));
	if (!diff->failed && diff->len > 0) {
		p->text = diff->data;
		p->len = diff->len;
	}
	return true;
}

static void
on_tool_result(
    struct claude *c, const struct json *m, const struct json *block, bool only)
{
	const char *id = json_str(block, "tool_use_id", NULL);
	struct part p[2] = { { .type = PART_TOOL_RESULT, .word = id } };
	struct item it = { .native_id = id,
		.parent = json_str(m, "parent_tool_use_id", NULL),
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = p,
		.nparts = 1 };
	bool failed = json_bool(block, "is_error", false);
	struct buf text, diff;

	buf_init(&text, 2 * LINE_BYTES_MAX);
	buf_init(&diff, DIFF_BYTES_MAX);
	result_text(&text, json_get(block, "content"));
	p[0].text = text.data != NULL ? text.data : "";
	p[0].len = text.len;
	if (only && !failed &&
	    file_part(&p[1], &diff, json_get(m, "tool_use_result")))
		it.nparts = 2;
	uni_item_completed(
	    c->a.out, &it, failed ? ITEM_FAILED : ITEM_COMPLETED);
	buf_free(&text);
	buf_free(&diff);
}

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
		on_tool_result(c, m, block, content->len == 1);
	}
}

/* --- system lines -------------------------------------------------------- */

static void
log_status(struct claude *c, const char *label, const char *detail)
{
	const struct part p = { .type = PART_STATUS,
		.name = label,
		.text = detail,
		.len = detail != NULL ? strlen(detail) : 0 };
	const struct item it = { .kind = ITEM_STATUS,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	uni_item_completed(c->a.out, &it, ITEM_COMPLETED);
}

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
	log_status(c, "api_retry", detail);
}

static void
on_mode(struct claude *c, const char *mode)
{
	if (is(mode, "bypassPermissions"))
		agent_mode_changed(&c->a, "bypass");
	else if (is(mode, "default") || is(mode, "acceptEdits") ||
		 is(mode, "plan"))
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
			log_status(c, "compacting", NULL);
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
	static const char *const words[] = { "control_response", "keep_alive",
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
