/*
 * Codex's items as canonical ones. Runs in the session worker on hostile input.
 *
 * What Codex does (a command, a patch, a call of a tool) is one item there and
 * two here, as everywhere: the call, which is complete when it is announced,
 * and its result, which streams. Both carry Codex's id. What item/completed
 * says holds: output that came before the item was announced has no delta.
 */
#include "session/agents/codex.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agents/messages.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define REASONING_PARTS_MAX 32
#define FILES_MAX 32
#define DIFF_BYTES_MAX (256u << 10)
#define TEXT_BYTES_MAX (1u << 20)

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static enum item_status
status_of(const struct json *item)
{
	const char *status = json_str(item, "status", "completed");

	return is(status, "failed") || is(status, "declined") ? ITEM_FAILED
							      : ITEM_COMPLETED;
}

/* --- calls and results ------------------------------------------------------
 */

static bool
tool_take(struct codex *c, const char *id)
{
	unsigned i;

	for (i = 0; i < c->ntools; i++)
		if (is(c->tools[i], id))
			break;
	if (i == c->ntools)
		return false;
	free(c->tools[i]);
	c->tools[i] = c->tools[--c->ntools];
	return true;
}

void
codex_items_drop(struct codex *c)
{
	while (c->ntools > 0)
		free(c->tools[--c->ntools]);
}

/* The call of ITEM; ARGUMENTS is JSON or free text. */
static void
log_call(struct codex *c, const struct json *item, const char *name,
    const char *arguments)
{
	const char *id = json_str(item, "id", NULL);
	const char *text = arguments != NULL ? arguments : "{}";
	const struct part p = { .type = PART_TOOL_CALL,
		.name = name,
		.text = text,
		.len = strlen(text),
		.word = id };
	const struct item it = { .native_id = id,
		.kind = ITEM_TOOL_CALL,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	uni_item_completed(c->a.out, &it, ITEM_COMPLETED);
}

/* The call, and the beginning of its result. True: it is to be completed now,
 * either since it has been begun before or since it comes whole. */
static bool
begin_tool(struct codex *c, const struct json *item, bool completed,
    const char *name, const char *arguments)
{
	const char *id = json_str(item, "id", "");
	struct part p = PART(PART_TOOL_RESULT, "");
	const struct item it = { .native_id = id,
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = &p,
		.nparts = 1 };

	if (completed && tool_take(c, id))
		return true;
	log_call(c, item, name, arguments);
	if (completed)
		return true;
	if (c->ntools == CODEX_TOOLS_MAX)
		free(c->tools[--c->ntools]); /* its call shows twice */
	c->tools[c->ntools++] = xstrdup(id);
	p.word = id;
	uni_item_started(c->a.out, &it);
	return false;
}

/* The result: its text, and what else belongs to it. */
static void
end_tool(struct codex *c, const struct json *item, const char *text, size_t len,
    struct part *parts, size_t nparts)
{
	const struct item it = { .native_id = json_str(item, "id", NULL),
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = parts,
		.nparts = nparts };

	parts[0] = (struct part){ .type = PART_TOOL_RESULT,
		.text = text != NULL ? text : "",
		.len = text != NULL ? len : 0,
		.word = it.native_id };
	uni_item_completed(c->a.out, &it, status_of(item));
}

/* The status word as a member; the schema spells it with a capital. */
static void
write_status(struct jw *w, const struct json *item)
{
	char word[64];

	if (str_copy(word, sizeof(word), json_str(item, "status", "")) == -1)
		return;
	word[0] = (char)toupper((unsigned char)word[0]);
	jw_kstr(w, "status", word);
}

static void
write_members(
    struct jw *w, const struct json *item, const char *const *names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (json_get(item, names[i]) != NULL &&
		    json_get(item, names[i])->type != JSON_NULL)
			jw_kvalue(w, names[i], json_get(item, names[i]));
}

/* Some members of an item as a JSON object; the caller's. */
static char *
members(const struct json *item, const char *const *names, size_t n)
{
	struct buf b;
	struct jw w;

	buf_init(&b, TEXT_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	write_members(&w, item, names, n);
	jw_object_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

/* --- what Codex does --------------------------------------------------------
 */

static void
on_command(struct codex *c, const struct json *item, bool completed)
{
	static const char *const given[] = { "command", "cwd" };
	static const char *const told[] = { "command", "cwd", "exitCode",
		"durationMs" };
	const struct json *out = json_get(item, "aggregatedOutput");
	autofree char *arguments = members(item, given, countof(given));
	struct part p[2];
	struct buf b;
	struct jw w;

	if (!begin_tool(c, item, completed, "shell", arguments))
		return;
	if (out == NULL || out->type != JSON_STRING)
		out = NULL;
	buf_init(&b, TEXT_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	write_members(&w, item, told, countof(told));
	write_status(&w, item);
	jw_object_end(&w);
	p[1] = (struct part){ .type = PART_JSON,
		.text = b.failed ? "{}" : b.data,
		.len = b.failed ? 2 : b.len };
	end_tool(c, item, out != NULL ? out->str : NULL,
	    out != NULL ? out->len : 0, p, countof(p));
	buf_free(&b);
}

/* Codex gives the content of a new or removed file, not a difference. */
static void
write_diff(struct buf *b, const char *kind, const char *text)
{
	char mark = is(kind, "delete") ? '-' : '+';
	const char *end;
	int64_t n = 0;

	if (!is(kind, "add") && !is(kind, "delete")) {
		(void)buf_adds(b, text);
		return;
	}
	for (end = text; *end != '\0'; end++)
		n += *end == '\n' || end[1] == '\0';
	(void)buf_addf(b,
	    mark == '+' ? "@@ -0,0 +1,%" PRId64 " @@\n"
			: "@@ -1,%" PRId64 " +0,0 @@\n",
	    n);
	while (*text != '\0' && !b->failed) {
		end = strchr(text, '\n');
		(void)buf_addc(b, mark);
		(void)buf_add(
		    b, text, end != NULL ? (size_t)(end - text) : strlen(text));
		(void)buf_addc(b, '\n');
		text = end != NULL ? end + 1 : "";
	}
}

static const char *
change_kind(const struct json *change)
{
	const struct json *kind = json_get(change, "kind");

	return kind != NULL && kind->type == JSON_STRING
		   ? json_str(change, "kind", "update")
		   : json_str(kind, "type", "update");
}

struct files {
	struct part parts[FILES_MAX + 2];
	struct buf diffs[FILES_MAX];
	size_t n;
	struct buf list; /* one a line */
};

static void
collect_files(struct files *f, const struct json *changes)
{
	buf_init(&f->list, TEXT_BYTES_MAX);
	f->n = 0;
	json_foreach (it, changes) {
		const char *path = json_str(it, "path", "");
		const char *kind = change_kind(it);
		struct buf *b = &f->diffs[f->n];

		(void)buf_addf(&f->list, "%c %s\n",
		    is(kind, "add")	 ? 'A'
		    : is(kind, "delete") ? 'D'
					 : 'M',
		    path);
		if (f->n == FILES_MAX)
			continue;
		buf_init(b, DIFF_BYTES_MAX);
		write_diff(b, kind, json_str(it, "diff", ""));
		f->parts[1 + f->n++] = (struct part){ .type = PART_FILE_REF,
			.name = path,
			.word = is(kind, "add") ? "write" : "patch",
			.text = b->failed ? NULL : b->data,
			.len = b->failed ? 0 : b->len };
	}
}

static void
on_file_change(struct codex *c, const struct json *item, bool completed)
{
	static const char *const given[] = { "changes" };
	autofree char *arguments = members(item, given, countof(given));
	struct files f;
	struct buf b;
	struct jw w;
	size_t i;

	if (!begin_tool(c, item, completed, "apply_patch", arguments))
		return;
	collect_files(&f, json_get(item, "changes"));
	buf_init(&b, TEXT_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	write_members(&w, item, given, countof(given));
	write_status(&w, item);
	jw_object_end(&w);
	f.parts[1 + f.n] = (struct part){ .type = PART_JSON,
		.text = b.failed ? "{}" : b.data,
		.len = b.failed ? 2 : b.len };
	end_tool(c, item, f.list.data, f.list.len, f.parts, f.n + 2);
	for (i = 0; i < f.n; i++)
		buf_free(&f.diffs[i]);
	buf_free(&f.list);
	buf_free(&b);
}

/* The texts of a list of content; what is no text is named. */
static void
add_content(struct buf *b, const struct json *list)
{
	json_foreach (it, list) {
		const struct json *text = json_get(it, "text");

		if (b->len > 0)
			(void)buf_addc(b, '\n');
		if (text != NULL && text->type == JSON_STRING)
			(void)buf_add(b, text->str, text->len);
		else
			(void)buf_addf(
			    b, "[%.64s]", json_str(it, "type", "unknown"));
	}
}

static void
on_tool_call(struct codex *c, const struct json *item, bool completed)
{
	const char *tool = json_str(item, "tool", "unknown");
	const char *server = json_str(item, "server", NULL);
	const char *error = json_str(json_get(item, "error"), "message", NULL);
	autofree char *arguments = agent_json(json_get(item, "arguments"));
	autofree char *name =
	    server != NULL ? xasprintf("%s.%s", server, tool) : xstrdup(tool);
	autofree char *structured =
	    agent_json(json_path(item, "result.structuredContent"));
	struct part p[1];
	struct buf b;

	if (!begin_tool(c, item, completed, name, arguments))
		return;
	buf_init(&b, 2 * LINE_BYTES_MAX);
	add_content(&b, json_path(item, "result.content"));
	add_content(&b, json_get(item, "contentItems"));
	if (b.len == 0 && structured != NULL && !is(structured, "null"))
		(void)buf_adds(&b, structured);
	if (error != NULL)
		(void)buf_adds(&b, error);
	end_tool(c, item, b.data, b.len, p, 1);
	buf_free(&b);
}

/* Other agents that it starts and talks to. */
static void
on_collaboration(struct codex *c, const struct json *item, bool completed)
{
	static const char *const given[] = { "prompt", "receiverThreadIds",
		"model" };
	autofree char *arguments = members(item, given, countof(given));
	autofree char *states = agent_json(json_get(item, "agentsStates"));
	struct part p[1];

	if (begin_tool(
		c, item, completed, json_str(item, "tool", "agent"), arguments))
		end_tool(
		    c, item, states, states != NULL ? strlen(states) : 0, p, 1);
}

/* What is looked for is often known only when it is found. */
static void
on_search(struct codex *c, const struct json *item, bool completed)
{
	static const char *const told[] = { "action", "results" };
	const char *query = json_str(item, "query", "");
	autofree char *found = members(item, told, countof(told));
	struct part p[1];

	if (!completed && *query == '\0')
		return;
	if (begin_tool(c, item, completed, "web_search", query))
		end_tool(
		    c, item, found, found != NULL ? strlen(found) : 0, p, 1);
}

static void
on_output(struct codex *c, const struct json *item, bool completed)
{
	autofree char *out = agent_json(json_get(item, "output"));
	struct part p[1];

	if (begin_tool(
		c, item, completed, json_str(item, "name", "unknown"), NULL))
		end_tool(c, item, out, out != NULL ? strlen(out) : 0, p, 1);
}

/* --- what Codex says
 * ---------------------------------------------------------- */

static void
log_message(struct codex *c, const struct json *item, bool completed,
    const struct part *parts, size_t nparts)
{
	const struct item it = { .native_id = json_str(item, "id", NULL),
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = parts,
		.nparts = nparts };

	if (completed)
		uni_item_completed(c->a.out, &it, ITEM_COMPLETED);
	else
		uni_item_started(c->a.out, &it);
}

/* A message, or the plan that it proposes. */
static void
on_message(struct codex *c, const struct json *item, bool completed)
{
	const struct json *text = json_get(item, "text");
	struct part p = PART(PART_TEXT, "");

	if (text != NULL && text->type == JSON_STRING) {
		p.text = text->str;
		p.len = text->len;
	}
	log_message(c, item, completed, &p, 1);
}

static size_t
add_reasoning(struct part *parts, size_t n, const struct json *list,
    const char *visibility)
{
	json_foreach (it, list) {
		const struct json *text =
		    it->type == JSON_STRING ? it : json_get(it, "text");

		if (n == REASONING_PARTS_MAX || text == NULL ||
		    text->type != JSON_STRING)
			continue;
		parts[n++] = (struct part){ .type = PART_REASONING,
			.text = text->str,
			.len = text->len,
			.word = visibility };
	}
	return n;
}

static void
on_reasoning(struct codex *c, const struct json *item, bool completed)
{
	struct part p[REASONING_PARTS_MAX];
	size_t n;

	n = add_reasoning(p, 0, json_get(item, "content"), "private");
	n = add_reasoning(p, n, json_get(item, "summary"), "public");
	if (n == 0)
		p[n++] = (struct part){
			.type = PART_REASONING, .text = "", .word = "public"
		};
	log_message(c, item, completed, p, n);
}

static void
on_image(struct codex *c, const struct json *item, bool completed)
{
	const char *path =
	    json_str(item, "path", json_str(item, "savedPath", NULL));
	const struct part p = { .type = PART_IMAGE, .name = path };

	if (completed && path != NULL)
		log_message(c, item, true, &p, 1);
}

static void
on_compaction(struct codex *c, const struct json *item, bool completed)
{
	(void)item;
	uni_status(
	    c->a.out, completed ? "thread.compacted" : "compacting", NULL);
}

static void
on_review(struct codex *c, const struct json *item, bool completed)
{
	if (completed)
		uni_status(c->a.out,
		    is(json_str(item, "type", ""), "enteredReviewMode")
			? "review.entered"
			: "review.exited",
		    json_str(item, "review", NULL));
}

/* News that are no more than that. */
static void
on_news(struct codex *c, const struct json *item, bool completed)
{
	autofree char *detail = agent_json(item);

	if (completed)
		uni_status(c->a.out, json_str(item, "type", ""), detail);
}

static void
on_unknown(struct codex *c, const struct json *item, bool completed)
{
	autofree char *text = agent_json(item);
	const struct part p = { .type = PART_JSON,
		.text = text,
		.len = text != NULL ? strlen(text) : 0 };
	const struct item it = { .native_id = json_str(item, "id", NULL),
		.kind = ITEM_UNKNOWN,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	if (completed && text != NULL)
		uni_item_completed(c->a.out, &it, ITEM_COMPLETED);
}

/* The session has logged it already, as the user said it. */
static void
on_user(struct codex *c, const struct json *item, bool completed)
{
	(void)c, (void)item, (void)completed;
}

void
codex_item(struct codex *c, const struct json *item, bool completed)
{
	static const struct {
		const char *type;
		void (*handle)(struct codex *, const struct json *, bool);
	} types[] = {
		{ "userMessage", on_user },
		{ "agentMessage", on_message },
		{ "plan", on_message },
		{ "reasoning", on_reasoning },
		{ "commandExecution", on_command },
		{ "fileChange", on_file_change },
		{ "mcpToolCall", on_tool_call },
		{ "dynamicToolCall", on_tool_call },
		{ "collabAgentToolCall", on_collaboration },
		{ "webSearch", on_search },
		{ "functionCallOutput", on_output },
		{ "imageView", on_image },
		{ "imageGeneration", on_image },
		{ "contextCompaction", on_compaction },
		{ "enteredReviewMode", on_review },
		{ "exitedReviewMode", on_review },
		{ "sleep", on_news },
		{ "subAgentActivity", on_news },
		{ "hookPrompt", on_news },
	};
	const char *type = json_str(item, "type", "");
	size_t i;

	for (i = 0; i < countof(types); i++)
		if (is(types[i].type, type)) {
			types[i].handle(c, item, completed);
			return;
		}
	on_unknown(c, item, completed);
}
