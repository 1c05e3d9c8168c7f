/*
 * What Pi prints, as canonical events. Runs in the session worker on hostile
 * input: every line is parsed strictly, looked at by name, and whatever is not
 * understood is logged as it came (agent.unparsed) rather than guessed.
 *
 * Each piece of a message comes with all of the message so far, twice, so that
 * lines grow with the answer: what is repeated is cut off before anything looks
 * at it, and is not logged.
 */
#include "session/agents/pi.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agents/messages.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOCATION "pi"
#define ID_MAX 96
#define LINE_MAX_CUT (1u << 20) /* of a piece, without what it repeats */
#define RUN_S 10.0 /* for an announced run to begin, besides its delay */

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static void
unparsed(struct pi *p, const char *why, const char *line, size_t len, bool json)
{
	uni_unparsed(p->a.out, LOCATION, why, json ? line : NULL, line, len);
}

/* Pi works, perhaps on its own account, as when an extension tells it to. */
static void
expect_turn(struct pi *p)
{
	if (!agent_turn_open(&p->a)) {
		p->message = 0;
		p->turn++;
		agent_turn_begun(&p->a);
	}
	p->working = true;
}

/* --- streamed blocks ------------------------------------------------------ */

static void
block_id(const struct pi *p, char dst[ID_MAX], int64_t index)
{
	if (str_format(dst, ID_MAX, "t%" PRIu64 "m%u:%" PRId64, p->turn,
		p->message, index) == -1)
		abort(); /* three bounded numbers */
}

static uint64_t
bit(int64_t index)
{
	return index >= 0 && index < PI_BLOCKS_MAX ? UINT64_C(1) << index : 0;
}

static void
block_start(struct pi *p, int64_t index, bool reasoning)
{
	char id[ID_MAX];
	const struct part part = { .type =
				       reasoning ? PART_REASONING : PART_TEXT,
		.text = "",
		.word = reasoning ? "public" : NULL };
	const struct item it = { .native_id = id,
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &part,
		.nparts = 1 };

	if (bit(index) == 0 || (p->open & bit(index)) != 0)
		return;
	p->open |= bit(index);
	block_id(p, id, index);
	uni_item_started(p->a.out, &it);
}

static void
block_delta(struct pi *p, int64_t index, const struct json *delta)
{
	char id[ID_MAX];

	if ((p->open & bit(index)) == 0 || delta == NULL ||
	    delta->type != JSON_STRING)
		return;
	block_id(p, id, index);
	uni_item_delta(p->a.out, id, delta->str, delta->len);
}

static void
block_whole(struct pi *p, int64_t index, bool reasoning,
    const struct json *text, enum item_status status)
{
	char id[ID_MAX];
	struct part part = { .type = reasoning ? PART_REASONING : PART_TEXT,
		.word = "public" };
	const struct item it = { .native_id = id,
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &part,
		.nparts = 1 };

	if ((p->complete & bit(index)) != 0 || text == NULL ||
	    text->type != JSON_STRING)
		return;
	p->open &= ~bit(index);
	p->complete |= bit(index);
	part.text = text->str;
	part.len = text->len;
	block_id(p, id, index);
	uni_item_completed(p->a.out, &it, status);
}

/* Blocks that nobody will complete. */
static void
close_blocks(struct pi *p, enum item_status status)
{
	char id[ID_MAX];
	int64_t i;

	for (i = 0; i < PI_BLOCKS_MAX && p->open != 0; i++) {
		if ((p->open & bit(i)) == 0)
			continue;
		block_id(p, id, i);
		(void)uni_item_close(p->a.out, id, status);
		p->open &= ~bit(i);
	}
}

/* The call that begins: named by the event, or only by what it repeats. */
static void
call_start(struct pi *p, const struct json *ev, int64_t index)
{
	const char *id = json_str(ev, "id", NULL);
	const char *name = json_str(ev, "toolName", NULL);
	const struct json *block = json_path(ev, "partial.content");

	block = block != NULL ? block->child : NULL;
	for (; id == NULL && block != NULL && index > 0; index--)
		block = block->next;
	if (id == NULL) {
		id = json_str(block, "id", NULL);
		name = json_str(block, "name", NULL);
	}
	if (id != NULL && *id != '\0' && name != NULL)
		pi_call_started(p, id, name);
}

static void
on_update(struct pi *p, const struct json *m)
{
	const struct json *ev = json_get(m, "assistantMessageEvent");
	const char *type = json_str(ev, "type", "");
	int64_t index = json_int(ev, "contentIndex", -1);

	expect_turn(p);
	if (is(type, "text_start") || is(type, "thinking_start"))
		block_start(p, index, is(type, "thinking_start"));
	else if (is(type, "text_delta") || is(type, "thinking_delta"))
		block_delta(p, index, json_get(ev, "delta"));
	else if ((is(type, "text_end") || is(type, "thinking_end")) &&
		 bit(index) != 0)
		block_whole(p, index, is(type, "thinking_end"),
		    json_get(ev, "content"), ITEM_COMPLETED);
	else if (is(type, "toolcall_start"))
		call_start(p, ev, index);
	else if (is(type, "toolcall_end"))
		pi_call(p, json_get(ev, "toolCall"), false);
}

/* --- messages ------------------------------------------------------------- */

static void
count(struct pi *p, const struct json *usage)
{
	double cost = json_double(json_get(usage, "cost"), "total", 0);
	int64_t read = message_tokens(usage, "cacheRead");
	int64_t in = message_tokens(usage, "input"),
		out = message_tokens(usage, "output");
	int64_t all = in + out + read + message_tokens(usage, "cacheWrite");

	if (all == 0)
		return; /* a call that failed */
	p->input += in;
	p->output += out;
	p->cached += read;
	p->reasoning += message_tokens(usage, "reasoning");
	p->total += all;
	p->context = all;
	if (cost > 0)
		p->cost += cost;
}

static void
on_answer(struct pi *p, const struct json *message)
{
	const char *stop = json_str(message, "stopReason", "");
	const char *error = json_str(message, "errorMessage", NULL);
	bool cut_off = is(stop, "error") || is(stop, "aborted");
	enum item_status status = cut_off ? ITEM_FAILED : ITEM_COMPLETED;
	int64_t index = 0;

	json_foreach (block, json_get(message, "content")) {
		const char *type = json_str(block, "type", "");

		if (is(type, "text") &&
		    (!cut_off || *json_str(block, "text", "x") != '\0'))
			block_whole(
			    p, index, false, json_get(block, "text"), status);
		else if (is(type, "thinking"))
			block_whole(p, index, true, json_get(block, "thinking"),
			    status);
		else if (is(type, "toolCall"))
			pi_call(p, block, cut_off);
		index++;
	}
	close_blocks(p, status);
	count(p, json_get(message, "usage"));
	if (str_copy(p->stop, sizeof(p->stop), stop) == -1)
		p->stop[0] = '\0'; /* none that we know */
	free(STEAL(p->error));
	if (error != NULL)
		p->error = xstrndup(error, 4096);
}

/* What an extension adds to the conversation for people to see. */
static void
on_custom(struct pi *p, const struct json *message)
{
	const struct json *content = json_get(message, "content");
	struct part part = { .type = PART_TEXT };
	const struct item it = { .kind = ITEM_SYSTEM,
		.role = ROLE_OF_SYSTEM,
		.parts = &part,
		.nparts = 1 };

	if (!json_bool(message, "display", true) || !agent_turn_open(&p->a))
		return;
	if (content != NULL && content->type == JSON_ARRAY)
		content = json_get(content->child, "text");
	if (content == NULL || content->type != JSON_STRING)
		return;
	part.text = content->str;
	part.len = content->len;
	uni_item_completed(p->a.out, &it, ITEM_COMPLETED);
}

static void
on_message(struct pi *p, const struct json *m, bool end)
{
	const struct json *message = json_get(m, "message");
	const char *role = json_str(message, "role", "");

	if (is(role, "custom") && end)
		on_custom(p, message);
	if (!is(role, "assistant"))
		return; /* the user's words, and results: known already */
	expect_turn(p);
	if (end) {
		on_answer(p, message);
		return;
	}
	close_blocks(p, ITEM_FAILED);
	p->message++;
	p->complete = 0;
}

/* --- runs ----------------------------------------------------------------- */

static void
on_run(struct pi *p, bool begins)
{
	if (begins) {
		expect_turn(p);
		ev_timer_stop(p->a.loop, &p->watch);
		p->running = true;
		p->announced = false;
		if (agent_cancelling(&p->a))
			(void)pi_order(p, "abort"); /* it is heard now */
		return;
	}
	p->running = false;
	pi_check(p);
}

static void
status(struct pi *p, const char *label, const char *detail)
{
	if (agent_turn_open(&p->a))
		uni_status(p->a.out, label, detail);
}

static void
on_retry(struct pi *p, const struct json *m, bool begins)
{
	double delay = json_double(m, "delayMs", 0);
	autofree char *detail = NULL;

	if (begins) {
		detail = xasprintf("attempt %" PRId64 " of %" PRId64
				   " failed: %.500s, the next in %.0f ms",
		    json_int(m, "attempt", 0), json_int(m, "maxAttempts", 0),
		    json_str(m, "errorMessage", "unknown"), delay);
		status(p, "api_retry", detail);
		p->announced = true;
		pi_watch(
		    p, RUN_S + (delay > 0 && delay < 1e7 ? delay / 1e3 : 0.));
	} else if (!json_bool(m, "success", false)) {
		p->announced = false;
		pi_check(p);
	}
}

static void
on_compaction(struct pi *p, const struct json *m, bool begins)
{
	const char *error = json_str(m, "errorMessage", NULL);

	if (begins) {
		status(p, "compacting", json_str(m, "reason", NULL));
		return;
	}
	if (error != NULL)
		status(p, "compaction_failed", error);
	if (json_bool(m, "willRetry", false)) {
		p->announced = true;
		pi_watch(p, RUN_S);
	} else {
		pi_check(p);
	}
}

/* --- answers -------------------------------------------------------------- */

static void
on_state(struct pi *p, const struct json *state)
{
	pi_model_is(p, json_get(state, "model"));
	if (str_copy(p->level, sizeof(p->level),
		json_str(state, "thinkingLevel", "")) == -1)
		p->level[0] = '\0'; /* none that we know */
	if (!p->ready)
		pi_ready(p, state);
	else
		pi_checked(p, state);
}

static void
on_response(struct pi *p, const struct json *m)
{
	const char *command = json_str(m, "command", "");
	const char *id = json_str(m, "id", "");
	const char *error = json_str(m, "error", "it was refused");
	const struct json *data = json_get(m, "data");
	uint64_t number = strtoull(id, NULL, 10);
	bool ok = json_bool(m, "success", false);

	/* What pi could not read is answered without a number. */
	if (!ok && p->prompt != 0 &&
	    (number == p->prompt || (*id == '\0' && is(command, "parse")))) {
		pi_refused(p, error);
	} else if (number != 0 && number == p->prompt) {
		p->prompt = 0;
		pi_check(p); /* an extension's command begins no run */
	} else if (is(command, "abort")) {
		pi_check(p);
	} else if (is(command, "get_state") && ok) {
		on_state(p, data);
	} else if (is(command, "get_available_models") && ok) {
		pi_models_are(p, json_get(data, "models"));
	} else if (is(command, "get_commands") && ok) {
		pi_commands_are(p, json_get(data, "commands"));
	} else if (is(command, "set_model") && ok) {
		pi_model_is(p, data);
		pi_tell_options(p);
	}
}

/* --- lines ---------------------------------------------------------------- */

static bool
is_ignored(const char *type)
{
	static const char *const words[] = { "session", "turn_start",
		"turn_end", "queue_update", "session_info_changed",
		"entry_appended", "bash_execution_update" };
	size_t i;

	for (i = 0; i < countof(words); i++)
		if (is(words[i], type))
			return true;
	return false;
}

static void
on_level(struct pi *p, const struct json *m)
{
	if (str_copy(p->level, sizeof(p->level), json_str(m, "level", "")) == 0)
		pi_tell_options(p);
}

static void
dispatch(struct pi *p, const struct json *m, const char *line, size_t len)
{
	const char *type = json_str(m, "type", NULL);

	if (type == NULL)
		unparsed(p, "no message of a known shape", line, len, true);
	else if (is(type, "message_update"))
		on_update(p, m);
	else if (is(type, "message_start") || is(type, "message_end"))
		on_message(p, m, is(type, "message_end"));
	else if (str_starts(type, "tool_execution_"))
		pi_tool_event(p, type, m);
	else if (is(type, "agent_start") || is(type, "agent_end"))
		on_run(p, is(type, "agent_start"));
	else if (is(type, "agent_settled"))
		pi_settled(p);
	else if (is(type, "auto_retry_start") || is(type, "auto_retry_end"))
		on_retry(p, m, is(type, "auto_retry_start"));
	else if (is(type, "compaction_start") || is(type, "compaction_end"))
		on_compaction(p, m, is(type, "compaction_start"));
	else if (is(type, "response"))
		on_response(p, m);
	else if (is(type, "extension_ui_request"))
		pi_ui_request(p, m, line, len);
	else if (is(type, "extension_error"))
		status(p, "extension_error", json_str(m, "error", NULL));
	else if (is(type, "thinking_level_changed"))
		on_level(p, m);
	else if (!is_ignored(type))
		unparsed(p, "unknown message type", line, len, true);
}

/* A piece of a message without what it repeats; the caller's. NULL: it is no
 * piece, or repeats nothing. Within a JSON string the quotes of the mark would
 * be escaped, so that it cannot be part of what is said. */
static char *
cut_piece(const char *line, size_t len)
{
	static const char head[] =
	    "{\"type\":\"message_update\",\"assistantMessageEvent\":{";
	static const char mark[] = ",\"partial\":{";
	const char *at;

	if (len < sizeof(head) || memcmp(line, head, sizeof(head) - 1) != 0)
		return NULL;
	at = memmem(line, len, mark, sizeof(mark) - 1);
	if (at == NULL || (size_t)(at - line) > LINE_MAX_CUT)
		return NULL;
	return xasprintf("%.*s}}", (int)(at - line), line);
}

/* Only the beginning of a line is here: it was longer than may be. What it
 * means for the turn must not be lost. */
static void
on_long_line(struct pi *p, const char *line, size_t len, size_t total)
{
	static const char result[] = "{\"type\":\"tool_execution_end\",";
	autofree char *why =
	    xasprintf("line of %zu bytes is too long, cut", total);
	autofree char *head = NULL;
	struct json *m = NULL;
	const char *at;

	if (str_starts(line, "{\"type\":\"agent_end\"")) {
		on_run(p, false);
	} else if (str_starts(line, "{\"type\":\"message_end\",\"message\":"
				    "{\"role\":\"assistant\"")) {
		close_blocks(p, ITEM_COMPLETED);
		p->stop[0] = '\0';
	} else if (str_starts(line, result) &&
		   (at = memmem(line, len, ",\"result\":", 10)) != NULL) {
		head = xasprintf("%.*s,\"result\":{\"content\":[{\"type\":"
				 "\"text\",\"text\":\"[%zu bytes]\"}]}}",
		    (int)(at - line), line, total);
		if (json_parse(
			head, strlen(head), JSON_DEPTH_AGENT, &m, NULL) == 0)
			pi_tool_event(p, "tool_execution_end", m);
		json_free(m);
	} else if (!str_starts(line, "{\"type\":\"message_") &&
		   !str_starts(line, "{\"type\":\"turn_end\"") &&
		   !str_starts(line, "{\"type\":\"tool_execution_")) {
		unparsed(p, why, line, len, false);
	}
}

static void
read_line(struct pi *p, const char *line, size_t len, bool whole)
{
	autofree char *cut = cut_piece(line, len);
	const char *text = cut != NULL ? cut : line;
	size_t n = cut != NULL ? strlen(cut) : len;
	bool names =
	    cut == NULL || (whole && strstr(cut, "\"toolcall_start\"") != NULL);
	struct json *m = NULL;
	struct err e;

	/* Which call begins is told only by what the line repeats. */
	if (json_parse(names ? line : text, names ? len : n, JSON_DEPTH_AGENT,
		&m, &e) == -1) {
		unparsed(p, e.text, line, len, false);
		return;
	}
	uni_raw(p->a.out, text, n);
	dispatch(p, m, text, n);
	uni_raw(p->a.out, NULL, 0);
	json_free(m);
}

void
pi_read(struct pi *p, const char *line, size_t len, size_t total)
{
	autofree char *cut = NULL;

	if (total > len) {
		cut = cut_piece(line, len);
		if (cut != NULL)
			read_line(p, line, len, false);
		else
			on_long_line(p, line, len, total);
		return;
	}
	if (strspn(line, " \t\r") == len)
		return;
	read_line(p, line, len, true);
}
