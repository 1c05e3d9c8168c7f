/*
 * Pi's tools: calls that the model makes, and how they go. Runs in the session
 * worker on hostile input. Pi tells all of a tool's output again whenever there
 * is more: what is new is found by comparing.
 */
#include "session/agents/pi.h"

#include "lib/buf.h"
#include "lib/xalloc.h"
#include "session/agents/messages.h"
#include <string.h>

#define SAID_BYTES_MAX (256u << 10) /* of output that is compared */
#define RESULT_BYTES_MAX (8u << 20)

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* --- calls ---------------------------------------------------------------- */

void
pi_call_started(struct pi *p, const char *id, const char *name)
{
	const struct part part = {
		.type = PART_TOOL_CALL, .name = name, .text = "", .word = id
	};
	const struct item it = { .native_id = id,
		.kind = ITEM_TOOL_CALL,
		.role = ROLE_OF_ASSISTANT,
		.parts = &part,
		.nparts = 1 };

	if (strlen(id) <= PI_CALL_ID_MAX)
		uni_item_started(p->a.out, &it);
}

/* Was this call of the message completed already? */
static bool
known(struct pi *p, const char *id)
{
	unsigned i;

	for (i = 0; i < p->ncalls; i++)
		if (is(p->calls[i], id))
			return true;
	if (p->ncalls == PI_BLOCKS_MAX) {
		free(p->calls[0]);
		memmove(p->calls, p->calls + 1,
		    (PI_BLOCKS_MAX - 1) * sizeof(p->calls[0]));
		p->ncalls--;
	}
	p->calls[p->ncalls++] = xstrdup(id);
	return false;
}

void
pi_call(struct pi *p, const struct json *call, bool cut_off)
{
	const char *id = json_str(call, "id", NULL);
	autofree char *args = agent_json(json_get(call, "arguments"));
	const struct part part = { .type = PART_TOOL_CALL,
		.name = json_str(call, "name", "unknown"),
		.text = args != NULL ? args : "{}",
		.len = args != NULL ? strlen(args) : 2,
		.word = id };
	const struct item it = { .native_id = id,
		.kind = ITEM_TOOL_CALL,
		.role = ROLE_OF_ASSISTANT,
		.parts = &part,
		.nparts = 1 };

	if (id == NULL || strlen(id) > PI_CALL_ID_MAX || known(p, id))
		return;
	uni_item_completed(
	    p->a.out, &it, cut_off ? ITEM_FAILED : ITEM_COMPLETED);
}

/* --- tools that run ------------------------------------------------------- */

static void
tool_drop(struct pi *p, unsigned i)
{
	struct pi_tool *t = &p->tools[i];

	free(t->id);
	free(t->name);
	free(t->path);
	buf_free(&t->said);
	memmove(t, t + 1, (p->ntools - i - 1) * sizeof(*t));
	p->ntools--;
}

void
pi_tools_drop(struct pi *p)
{
	while (p->ntools > 0)
		tool_drop(p, p->ntools - 1);
	while (p->ncalls > 0)
		free(p->calls[--p->ncalls]);
}

const struct pi_tool *
pi_tool_last(const struct pi *p)
{
	return p->ntools > 0 ? &p->tools[p->ntools - 1] : NULL;
}

static struct pi_tool *
tool_find(struct pi *p, const char *id)
{
	unsigned i;

	for (i = 0; i < p->ntools; i++)
		if (is(p->tools[i].id, id))
			return &p->tools[i];
	return NULL;
}

static struct pi_tool *
tool_begin(struct pi *p, const struct json *m, const char *id)
{
	const char *path = json_str(json_get(m, "args"), "path", NULL);
	struct pi_tool *t = tool_find(p, id);

	if (t != NULL)
		return t;
	if (p->ntools == PI_TOOLS_MAX)
		tool_drop(p, 0);
	t = &p->tools[p->ntools++];
	memset(t, 0, sizeof(*t));
	t->id = xstrdup(id);
	t->name = xstrndup(json_str(m, "toolName", "unknown"), PI_CALL_ID_MAX);
	t->path = path != NULL ? xstrndup(path, 4096) : NULL;
	buf_init(&t->said, SAID_BYTES_MAX);
	return t;
}

/* The text of a result; what is no text is named. */
static void
result_text(struct buf *b, const struct json *result)
{
	const struct json *content = json_get(result, "content");

	if (content != NULL && content->type == JSON_STRING)
		(void)buf_add(b, content->str, content->len);
	if (content == NULL || content->type != JSON_ARRAY)
		return;
	json_foreach (block, content) {
		const struct json *text = json_get(block, "text");

		if (b->len > 0)
			(void)buf_addc(b, '\n');
		if (text != NULL && text->type == JSON_STRING)
			(void)buf_add(b, text->str, text->len);
		else
			(void)buf_addf(
			    b, "[%.64s]", json_str(block, "type", "unknown"));
	}
}

static void
tool_update(struct pi *p, struct pi_tool *t, const struct json *m)
{
	const struct part part = {
		.type = PART_TOOL_RESULT, .text = "", .word = t->id
	};
	const struct item it = { .native_id = t->id,
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = &part,
		.nparts = 1 };
	size_t old = t->said.len;
	struct buf now;

	if (t->lost)
		return;
	buf_init(&now, SAID_BYTES_MAX);
	result_text(&now, json_get(m, "partialResult"));
	/* Long output is cut at its beginning by pi: then only its end says
	 * what it was. */
	t->lost = now.failed || now.len < old ||
		  (old > 0 && memcmp(now.data, t->said.data, old) != 0);
	if (!t->lost && now.len > old) {
		uni_item_started(p->a.out, &it);
		uni_item_delta(p->a.out, t->id, now.data + old, now.len - old);
		buf_free(&t->said);
		t->said = now;
		return;
	}
	buf_free(&now);
}

/* Which file a tool has touched, by its name and arguments. */
static bool
file_part(struct part *part, const struct pi_tool *t, const struct json *result)
{
	const struct json *diff = json_path(result, "details.diff");

	if (t->path == NULL)
		return false;
	part->type = PART_FILE_REF;
	part->name = t->path;
	part->word = is(t->name, "read")    ? "read"
		     : is(t->name, "write") ? "write"
		     : is(t->name, "edit")  ? "patch"
					    : NULL;
	if (diff != NULL && diff->type == JSON_STRING) {
		part->text = diff->str;
		part->len = diff->len;
	}
	return part->word != NULL;
}

static void
tool_end(struct pi *p, struct pi_tool *t, const struct json *m)
{
	const struct json *result = json_get(m, "result");
	bool failed = json_bool(m, "isError", false);
	struct part parts[2] = { { .type = PART_TOOL_RESULT, .word = t->id } };
	struct item it = { .native_id = t->id,
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = parts,
		.nparts = 1 };
	struct buf text;

	buf_init(&text, RESULT_BYTES_MAX);
	result_text(&text, result);
	parts[0].text = text.data != NULL ? text.data : "";
	parts[0].len = text.len;
	if (!failed && file_part(&parts[1], t, result))
		it.nparts = 2;
	uni_item_completed(
	    p->a.out, &it, failed ? ITEM_FAILED : ITEM_COMPLETED);
	buf_free(&text);
	/* Its dialogs have nobody left who waits. */
	pi_dialogs_cancel(p, t->id);
	tool_drop(p, (unsigned)(t - p->tools));
}

void
pi_tool_event(struct pi *p, const char *type, const struct json *m)
{
	const char *id = json_str(m, "toolCallId", NULL);
	struct pi_tool *t;

	if (id == NULL || strlen(id) > PI_CALL_ID_MAX ||
	    !agent_turn_open(&p->a))
		return;
	t = tool_begin(p, m, id);
	if (is(type, "tool_execution_update"))
		tool_update(p, t, m);
	else if (is(type, "tool_execution_end"))
		tool_end(p, t, m);
}
