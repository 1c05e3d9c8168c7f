/*
 * Tool calls of an ACP agent as items: the call when what it does is known, its
 * result when it ends, the output in between as deltas. Runs in the session
 * worker; every member of an update is the agent's invention.
 *
 * Agents announce a call early and tell its arguments later, some of them piece
 * by piece. The call is complete when it runs, when leave is asked for it, or
 * when a whole new input comes with no status.
 */
#include "session/agents/acp.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <ctype.h>
#include <string.h>

#define OUT_BYTES_MAX (1u << 20)
#define TOOL_NAME_MAX 128

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* --- the calls that are known --------------------------------------------- */

static void
tool_free(struct acp *p, struct acp_tool *t)
{
	TAILQ_REMOVE(&p->tools, t, link);
	p->ntools--;
	acp_files_drop(t);
	buf_free(&t->out);
	free(t->id);
	free(t->name);
	free(t->kind);
	free(t->title);
	free(t->arguments);
	free(t->parent);
	free(t);
}

void
acp_tools_drop(struct acp *p)
{
	while (!TAILQ_EMPTY(&p->tools))
		tool_free(p, TAILQ_FIRST(&p->tools));
}

bool
acp_tools_running(const struct acp *p)
{
	const struct acp_tool *t;

	TAILQ_FOREACH (t, &p->tools, link)
		if (!t->done)
			return true;
	return false;
}

static struct acp_tool *
tool_find(struct acp *p, const char *id)
{
	struct acp_tool *t;

	TAILQ_FOREACH (t, &p->tools, link)
		if (is(t->id, id))
			return t;
	return NULL;
}

static struct acp_tool *
tool_new(struct acp *p, const char *id)
{
	struct acp_tool *t = xcalloc(1, sizeof(*t));

	if (p->ntools == ACP_TOOLS_MAX)
		tool_free(p, TAILQ_FIRST(&p->tools));
	t->id = xstrdup(id);
	buf_init(&t->out, OUT_BYTES_MAX);
	TAILQ_INSERT_TAIL(&p->tools, t, link);
	p->ntools++;
	return t;
}

/* --- what an update tells ------------------------------------------------- */

static bool
is_word(const char *s)
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++)
		if (!isalnum((unsigned char)s[i]) &&
		    strchr("_-.", s[i]) == NULL)
			return false;
	return i > 0 && i < TOOL_NAME_MAX;
}

static void
set(char **dst, const char *s)
{
	if (s == NULL)
		return;
	free(*dst);
	*dst = xstrdup(s);
}

/* A title of one word is the tool's name, or a command of one word. */
static bool
is_command(const struct json *u, const char *title)
{
	const struct json *command = json_path(u, "rawInput.command");

	if (command != NULL && command->type == JSON_ARRAY)
		for (command = command->child;
		     command != NULL && command->next != NULL;
		     command = command->next)
			;
	return command != NULL && command->type == JSON_STRING &&
	       is(command->str, title);
}

/* The tool's own name where the agent tells it, else what kind it is of. */
static void
learn_name(struct acp_tool *t, const struct json *u)
{
	const char *title = json_str(u, "title", NULL);
	const char *name = json_str(u, "name", NULL);

	if (name == NULL)
		name = json_str(
		    json_path(u, "_meta.claudeCode"), "toolName", NULL);
	if (name == NULL && t->name == NULL && title != NULL &&
	    is_word(title) && !is_command(u, title))
		name = title;
	if (name != NULL && strlen(name) < TOOL_NAME_MAX)
		set(&t->name, name);
}

static bool
has_members(const struct json *v)
{
	return v != NULL && v->type != JSON_NULL && v->len > 0;
}

static void
learn(struct acp_tool *t, const struct json *u)
{
	const struct json *input = json_get(u, "rawInput");
	const char *kind = json_str(u, "kind", NULL);
	char *text;

	learn_name(t, u);
	set(&t->title, json_str(u, "title", NULL));
	if (kind != NULL && is_word(kind))
		set(&t->kind, kind);
	set(&t->parent, json_str(json_path(u, "_meta.claudeCode"),
			    "parentToolUseId", NULL));
	if (!t->called && has_members(input) &&
	    (text = agent_json(input)) != NULL) {
		free(t->arguments);
		t->arguments = text;
	}
	acp_files_learn(t, u);
}

/* --- output --------------------------------------------------------------- */

static void
add_text(struct buf *b, const struct json *text)
{
	if (b->len > 0 && b->data[b->len - 1] != '\n')
		(void)buf_addc(b, '\n');
	(void)buf_add(b, text->str, text->len);
}

static bool
add_blocks(struct buf *b, const struct json *list)
{
	const struct json *text, *inner;
	bool any = false;

	if (list == NULL || list->type != JSON_ARRAY)
		return false;
	json_foreach (it, list) {
		inner = json_get(it, "content");
		if (inner == NULL || inner->type != JSON_OBJECT)
			inner = it;
		text = json_get(inner, "text");
		if (text != NULL && text->type == JSON_STRING) {
			add_text(b, text);
			any = true;
		} else if (is(json_str(inner, "type", ""), "image")) {
			(void)buf_addf(b, "[image %.64s]",
			    json_str(inner, "mimeType", "of unknown type"));
			any = true;
		}
	}
	return any;
}

/* What the agent itself got from the tool: a text, or an object that holds it
 * under one of several names. */
static bool
raw_output(struct buf *b, const struct json *raw)
{
	static const char *const names[] = { "output", "aggregated_output",
		"formatted_output", "stdout", "message", "error", "result" };
	const struct json *v = NULL;
	autofree char *text = NULL;
	size_t i;

	if (raw == NULL || raw->type == JSON_NULL)
		return false;
	if (raw->type == JSON_STRING) {
		add_text(b, raw);
		return true;
	}
	if (raw->type == JSON_ARRAY && add_blocks(b, raw))
		return true;
	for (i = 0; i < countof(names); i++) {
		v = json_get(raw, names[i]);
		if (v != NULL && v->type == JSON_STRING) {
			add_text(b, v);
			return true;
		}
	}
	v = json_get(raw, "content");
	if (v != NULL && v->type == JSON_ARRAY) {
		(void)add_blocks(b, v);
		return true;
	}
	text = agent_json(raw);
	(void)buf_adds(b, text != NULL ? text : "");
	return true;
}

/* A piece of terminal output, whose pieces are put together; or NULL. */
static const struct json *
terminal_piece(const struct json *u)
{
	const struct json *data = json_path(u, "_meta.terminal_output.data");

	if (data == NULL)
		data = json_path(u, "_meta.terminal_output_delta.data");
	return data != NULL && data->type == JSON_STRING ? data : NULL;
}

/* Some agents tell what a call does in its title alone. */
static void
arguments_from_title(struct acp_tool *t)
{
	bool runs = t->kind != NULL && is(t->kind, "execute");
	struct buf b;
	struct jw w;

	if (t->arguments != NULL || t->title == NULL ||
	    (t->name != NULL && is(t->name, t->title)))
		return;
	buf_init(&b, 65536);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, runs ? "command" : "title", t->title);
	jw_object_end(&w);
	t->arguments = b.failed ? NULL : buf_steal(&b);
}

static void
call_emit(struct acp *p, struct acp_tool *t, bool complete)
{
	const struct part part = { .type = PART_TOOL_CALL,
		.name = t->name != NULL	  ? t->name
			: t->kind != NULL ? t->kind
					  : "unknown",
		.text = t->arguments != NULL ? t->arguments : "{}",
		.len = t->arguments != NULL ? strlen(t->arguments) : 2,
		.word = t->id };
	const struct item it = { .native_id = t->id,
		.parent = t->parent,
		.kind = ITEM_TOOL_CALL,
		.role = ROLE_OF_ASSISTANT,
		.parts = &part,
		.nparts = 1 };

	if (complete)
		uni_item_completed(p->a.out, &it, ITEM_COMPLETED);
	else
		uni_item_started(p->a.out, &it);
	t->called = t->called || complete;
}

static void
call_item(struct acp *p, struct acp_tool *t, bool complete)
{
	if (complete)
		arguments_from_title(t);
	call_emit(p, t, complete);
}

static void
result_open(struct acp *p, struct acp_tool *t)
{
	const struct part part = {
		.type = PART_TOOL_RESULT, .text = "", .word = t->id
	};
	const struct item it = { .native_id = t->id,
		.parent = t->parent,
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = &part,
		.nparts = 1 };

	if (!t->opened)
		uni_item_started(p->a.out, &it);
	t->opened = true;
}

/* TEXT is the output so far: what it adds is a delta. */
static void
output_grows(struct acp *p, struct acp_tool *t, const struct buf *text)
{
	size_t old = t->out.len;

	if (text->len <= old ||
	    (old > 0 && memcmp(text->data, t->out.data, old) != 0))
		return;
	if (!t->called)
		call_item(p, t, true);
	result_open(p, t);
	uni_item_delta(p->a.out, t->id, text->data + old, text->len - old);
	(void)buf_add(&t->out, text->data + old, text->len - old);
}

static void
output(struct acp *p, struct acp_tool *t, const struct json *u, bool ended)
{
	const struct json *piece = terminal_piece(u);
	bool known;
	struct buf b;

	buf_init(&b, OUT_BYTES_MAX);
	if (piece != NULL) {
		(void)buf_add(&b, t->out.data, t->out.len);
		(void)buf_add(&b, piece->str, piece->len);
		known = true;
	} else {
		known = raw_output(&b, json_get(u, "rawOutput")) ||
			add_blocks(&b, json_get(u, "content"));
	}
	if (known && !ended) {
		output_grows(p, t, &b);
	} else if (known) {
		buf_free(&t->out);
		t->out = b;
		return;
	}
	buf_free(&b);
}

static void
finish(struct acp *p, struct acp_tool *t, bool failed)
{
	struct part parts[1 + ACP_FILES_MAX] = { { .type = PART_TOOL_RESULT,
	    .text = t->out.data != NULL ? t->out.data : "",
	    .len = t->out.len,
	    .word = t->id } };
	struct item it = { .native_id = t->id,
		.parent = t->parent,
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = parts,
		.nparts = 1 };
	unsigned i;

	for (i = 0; i < t->nfiles && !failed; i++)
		parts[it.nparts++] = (struct part){ .type = PART_FILE_REF,
			.name = t->files[i].path,
			.word = t->files[i].action,
			.text = t->files[i].diff,
			.len = t->files[i].diff != NULL
				   ? strlen(t->files[i].diff)
				   : 0 };
	uni_item_completed(
	    p->a.out, &it, failed ? ITEM_FAILED : ITEM_COMPLETED);
	t->done = true;
	buf_free(&t->out);
	acp_files_drop(t);
}

void
acp_tools_end(struct acp *p, bool ok)
{
	struct acp_tool *t;

	TAILQ_FOREACH (t, &p->tools, link)
		if (t->called && !t->done)
			finish(p, t, !ok);
	acp_tools_drop(p);
}

/* --- updates -------------------------------------------------------------- */

void
acp_tool_update(struct acp *p, const struct json *u, bool first)
{
	const char *id = json_str(u, "toolCallId", "");
	const char *status = json_str(u, "status", "");
	bool failed = is(status, "failed"), ended;
	struct acp_tool *t;

	if (*id == '\0' || strlen(id) >= ACP_ID_MAX)
		return;
	t = tool_find(p, id);
	/* The last word on a call of a turn that has ended. */
	if (t == NULL && !first && !agent_turn_open(&p->a))
		return;
	if (t != NULL && t->done)
		return;
	acp_expect_turn(p);
	if (first)
		acp_chunk_close(p, ITEM_COMPLETED);
	if (t == NULL)
		t = tool_new(p, id);
	learn(t, u);
	ended = failed || is(status, "completed");
	if (!t->called)
		call_item(p, t,
		    ended || is(status, "in_progress") ||
			(!first && *status == '\0' &&
			    has_members(json_get(u, "rawInput"))));
	/* Before it runs, its content tells what it will do. */
	if (ended || is(status, "in_progress") || terminal_piece(u) != NULL)
		output(p, t, u, ended);
	if (ended)
		finish(p, t, failed);
}

const struct acp_tool *
acp_tool_asked(struct acp *p, const struct json *tool_call)
{
	const char *id = json_str(tool_call, "toolCallId", "");
	struct acp_tool *t;

	if (*id == '\0' || strlen(id) >= ACP_ID_MAX)
		return NULL;
	t = tool_find(p, id);
	if (t == NULL) {
		/* Some ask first and announce the call afterwards. */
		t = tool_new(p, id);
		learn(t, tool_call);
		return t;
	}
	learn(t, tool_call);
	if (!t->called)
		call_item(p, t, true);
	return t;
}
