/*
 * Content blocks as items; see messages.h. Runs in the session worker on
 * hostile input that was parsed strictly.
 */
#include "session/agents/messages.h"

#include "lib/buf.h"
#include "lib/xalloc.h"
#include "session/agent_process.h"
#include <inttypes.h>
#include <string.h>

#define DIFF_BYTES_MAX (64u << 10)

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* --- blocks --------------------------------------------------------------- */

void
message_text(struct agent *a, const char *native_id, const struct json *m,
    const struct json *block, bool reasoning, enum item_status status)
{
	const struct json *text =
	    json_get(block, reasoning ? "thinking" : "text");
	struct part p = { .type = reasoning ? PART_REASONING : PART_TEXT,
		.word = "public" };
	const struct item it = { .native_id = native_id,
		.parent = json_str(m, "parent_tool_use_id", NULL),
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	if (text == NULL || text->type != JSON_STRING)
		return;
	p.text = text->str;
	p.len = text->len;
	uni_item_completed(a->out, &it, status);
}

void
message_tool_use(
    struct agent *a, const struct json *m, const struct json *block)
{
	const char *id = json_str(block, "id", NULL);
	autofree char *input = agent_json(json_get(block, "input"));
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

	uni_item_completed(a->out, &it, ITEM_COMPLETED);
}

void
message_other_block(
    struct agent *a, const struct json *m, const struct json *block)
{
	autofree char *text = agent_json(block);
	const struct part p = { .type = PART_JSON,
		.text = text,
		.len = text != NULL ? strlen(text) : 0 };
	const struct item it = { .parent =
				     json_str(m, "parent_tool_use_id", NULL),
		.kind = ITEM_UNKNOWN,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	uni_item_completed(a->out, &it, ITEM_COMPLETED);
}

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
		json = agent_json(content);
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

void
message_tool_result(
    struct agent *a, const struct json *m, const struct json *block, bool only)
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
	uni_item_completed(a->out, &it, failed ? ITEM_FAILED : ITEM_COMPLETED);
	buf_free(&text);
	buf_free(&diff);
}

/* --- what is sent --------------------------------------------------------- */

static bool
has_image(const struct json *parts)
{
	json_foreach (it, parts)
		if (is(json_str(it, "type", ""), "image"))
			return true;
	return false;
}

static void
write_content(struct jw *w, const struct agent_message *m)
{
	bool images = has_image(m->parts);
	autofree char *text = agent_message_flat(m, images);

	if (!images) {
		jw_str(w, text);
		return;
	}
	jw_array(w);
	if (*text != '\0') { /* an empty block would be refused */
		jw_object(w);
		jw_kstr(w, "type", "text");
		jw_kstr(w, "text", text);
		jw_object_end(w);
	}
	json_foreach (it, m->parts) {
		if (!is(json_str(it, "type", ""), "image"))
			continue;
		jw_object(w);
		jw_kstr(w, "type", "image");
		jw_key(w, "source");
		jw_object(w);
		jw_kstr(w, "type", "base64");
		jw_kstr(w, "media_type", json_str(it, "mimeType", "image/png"));
		jw_kvalue(w, "data", json_get(it, "data"));
		jw_object_end(w);
		jw_object_end(w);
	}
	jw_array_end(w);
}

char *
message_user_line(const struct agent_message *m)
{
	struct buf b;
	struct jw w;

	buf_init(&b, STDIN_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "type", "user");
	jw_key(&w, "message");
	jw_object(&w);
	jw_kstr(&w, "role", "user");
	jw_key(&w, "content");
	write_content(&w, m);
	jw_object_end(&w);
	jw_knull(&w, "parent_tool_use_id");
	jw_kstr(&w, "session_id", "");
	jw_object_end(&w);
	(void)buf_addc(&b, '\n');
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

/* --- results -------------------------------------------------------------- */

const char *
message_stop_reason(const struct agent *a, const struct json *m)
{
	const char *why = json_str(m, "stop_reason", "");
	const char *subtype = json_str(m, "subtype", "");

	if (agent_cancelling(a))
		return "cancelled";
	if (is(subtype, "error_max_turns"))
		return "max_turns";
	if (json_bool(m, "is_error", false))
		return "error";
	if (is(why, "max_tokens"))
		return "max_tokens";
	return is(why, "refusal") ? "refusal" : "end_turn";
}

int64_t
message_tokens(const struct json *usage, const char *key)
{
	int64_t n = json_int(usage, key, 0);

	return n > 0 && n < INT64_C(1000000000000) ? n : 0;
}

static void
write_usage(struct jw *w, const struct json *usage)
{
	int64_t in = message_tokens(usage, "input_tokens");
	int64_t out = message_tokens(usage, "output_tokens");
	int64_t read = message_tokens(usage, "cache_read_input_tokens");
	int64_t made = message_tokens(usage, "cache_creation_input_tokens");

	jw_key(w, "usage");
	jw_object(w);
	jw_kint(w, "input_tokens", in);
	jw_kint(w, "output_tokens", out);
	jw_kint(w, "cached_input_tokens", read);
	jw_kint(w, "cache_creation_input_tokens", made);
	jw_kint(w, "total_tokens", in + out + read + made);
	jw_object_end(w);
}

char *
message_result_metadata(const struct json *m)
{
	static const char *const members[] = { "total_cost_usd", "duration_ms",
		"num_turns" };
	struct buf b;
	struct jw w;
	size_t i;

	buf_init(&b, 32u << 10);
	jw_init(&w, &b);
	jw_object(&w);
	if (json_get(m, "usage") != NULL)
		write_usage(&w, json_get(m, "usage"));
	for (i = 0; i < countof(members); i++)
		if (json_get(m, members[i]) != NULL)
			jw_kvalue(&w, members[i], json_get(m, members[i]));
	jw_object_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

int64_t
message_context_tokens(const struct json *usage)
{
	return message_tokens(usage, "input_tokens") +
	       message_tokens(usage, "output_tokens") +
	       message_tokens(usage, "cache_read_input_tokens") +
	       message_tokens(usage, "cache_creation_input_tokens");
}
