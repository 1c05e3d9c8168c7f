/*
 * Events for people; see render.h. Everything in an event is hostile: agents
 * repeat what web pages and files tell them. So all of it goes through
 * text_clean(), and nothing in it chooses a colour.
 */
#include "ctl/render.h"
#include "ctl/term.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include <stdarg.h>
#include <string.h>

#define TEXT_KEPT (1u << 20) /* of one item, to compare with its end */
#define CLEAN_MAX (16u << 20)
#define RESULT_LINES 5
#define DIFF_LINES 20
#define LINE_ELSEWHERE 200 /* columns where no terminal tells its own */

enum paint {
	PLAIN,
	BOLD,
	DIM,
	RED,
	GREEN,
	YELLOW,
	CYAN
};

void
render_init(struct render *r, const struct ctl *ctl, FILE *out)
{
	size_t i;

	*r = (struct render){ .out = out,
		.colour = ctl->colour,
		.utf8 = ctl->utf8,
		.width = term_columns(LINE_ELSEWHERE) };
	for (i = 0; i < RENDER_ITEMS; i++)
		buf_init(&r->items[i].text, TEXT_KEPT);
}

void
render_free(struct render *r)
{
	size_t i;

	for (i = 0; i < RENDER_ITEMS; i++)
		buf_free(&r->items[i].text);
}

/* --- writing ------------------------------------------------------------- */

static void
paint(struct render *r, enum paint p)
{
	static const char *const codes[] = { "\033[0m", "\033[1m", "\033[2m",
		"\033[31m", "\033[32m", "\033[33m", "\033[36m" };

	if (r->colour)
		(void)fputs(codes[p], r->out);
}

static const char *
symbol(const struct render *r, const char *utf8, const char *ascii)
{
	return r->utf8 ? utf8 : ascii;
}

void
render_fresh_line(struct render *r)
{
	if (r->mid_line)
		(void)fputc('\n', r->out);
	r->mid_line = false;
}

static void
put_text(struct render *r, const char *s, size_t n, enum paint p)
{
	struct buf b;

	buf_init(&b, CLEAN_MAX);
	text_clean(&b, s, n, true);
	if (!b.failed && b.len > 0) {
		if (p != PLAIN)
			paint(r, p);
		(void)fwrite(b.data, 1, b.len, r->out);
		if (p != PLAIN)
			paint(r, PLAIN);
		r->mid_line = b.data[b.len - 1] != '\n';
	}
	buf_free(&b);
}

/* A line: MARK painted, then B (clean already). */
static void
put_line(struct render *r, enum paint p, const char *mark, const struct buf *b)
{
	render_fresh_line(r);
	paint(r, p);
	(void)fputs(mark, r->out);
	paint(r, PLAIN);
	if (!b->failed && b->len > 0)
		(void)fwrite(b->data, 1, b->len, r->out);
	(void)fputc('\n', r->out);
}

static size_t
room_after(const struct render *r, size_t used)
{
	return r->width > used + 8 ? r->width - used : 8;
}

/* MARK painted, then the text, cut to one line. */
static void ATTR_PRINTF(4, 5) put_note(
    struct render *r, enum paint p, const char *mark, const char *fmt, ...)
{
	struct buf b;
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n == -1)
		return;
	buf_init(&b, CLEAN_MAX);
	text_line(&b, text, (size_t)n, room_after(r, strlen(mark)), "...");
	put_line(r, p, mark, &b);
	buf_free(&b);
	free(text);
}

/* --- what a tool is asked to do ------------------------------------------ */

void
render_value(struct buf *b, const struct json *v, size_t columns)
{
	static const char *const telling[] = { "command", "cmd", "file_path",
		"notebook_path", "path", "pattern", "query", "url",
		"description", "prompt", "question" };
	const struct json *best = NULL;
	struct buf t;
	struct jw w;
	size_t i;

	for (i = 0; i < countof(telling) && best == NULL; i++) {
		best = json_get(v, telling[i]);
		if (best != NULL && best->type != JSON_STRING)
			best = NULL;
	}
	buf_init(&t, CLEAN_MAX);
	if (best == NULL && v->type == JSON_STRING)
		best = v;
	if (best != NULL) {
		(void)buf_add(&t, best->str, best->len);
	} else if (v->type != JSON_OBJECT || v->len > 0) {
		jw_init(&w, &t);
		jw_value(&w, v);
	}
	if (!t.failed && t.len > 0 && columns > 0)
		text_line(b, t.data, t.len, columns, "...");
	else if (!t.failed && t.len > 0)
		text_clean(b, t.data, t.len, true);
	buf_free(&t);
}

/* The same of a string that is JSON text, or free text. */
static void
put_arguments(struct buf *b, const struct json *s, size_t columns)
{
	struct json *v = NULL;

	if (json_parse(s->str, s->len, JSON_DEPTH_AGENT, &v, NULL) == 0)
		render_value(b, v, columns);
	else
		text_line(b, s->str, s->len, columns, "...");
	json_free(v);
}

static void
put_tool_call(struct render *r, const struct json *part)
{
	const char *name = json_str(part, "name", "tool");
	const struct json *arguments = json_get(part, "arguments");
	const char *mark = symbol(r, "\xe2\x97\x8f ", "* ");
	struct buf b;
	size_t used;

	buf_init(&b, CLEAN_MAX);
	if (r->colour)
		(void)buf_adds(&b, "\033[1m");
	used = b.len;
	text_line(&b, name, strlen(name), 40, "...");
	used = b.failed ? 0 : b.len - used;
	if (r->colour)
		(void)buf_adds(&b, "\033[0m");
	(void)buf_addc(&b, ' ');
	if (arguments != NULL && arguments->type == JSON_STRING)
		put_arguments(&b, arguments, room_after(r, used + 4));
	else if (arguments != NULL)
		render_value(&b, arguments, room_after(r, used + 4));
	put_line(r, CYAN, mark, &b);
	buf_free(&b);
	r->after_tool = true;
}

/* A line of output, whose tabs are blanks: columns matter more than bytes. */
static void
add_output_line(struct render *r, struct buf *b, const char *s, size_t len)
{
	struct buf t;
	size_t i;

	buf_init(&t, CLEAN_MAX);
	for (i = 0; i < len && t.len < r->width * 64; i++)
		if (s[i] == '\t')
			(void)buf_adds(&t, "    ");
		else if (s[i] != '\r' || i + 1 < len)
			(void)buf_addc(&t, s[i]);
	if (!t.failed && t.len > 0)
		text_line(b, t.data, t.len, room_after(r, 4), "...");
	buf_free(&t);
}

/* The first lines of S, indented; how many more there are. */
static void
put_lines(struct render *r, const char *s, size_t n, unsigned max, enum paint p)
{
	const char *gutter = symbol(r, "  \xe2\x94\x82 ", "  | ");
	unsigned more = 0;
	unsigned shown = 0;

	while (n > 0 && s[n - 1] == '\n')
		n--;
	while (n > 0) {
		const char *nl = memchr(s, '\n', n);
		size_t len = nl == NULL ? n : (size_t)(nl - s);
		struct buf b;

		if (shown < max) {
			buf_init(&b, CLEAN_MAX);
			add_output_line(r, &b, s, len);
			put_line(r, p, gutter, &b);
			buf_free(&b);
			shown++;
		} else {
			more++;
		}
		len += nl != NULL;
		s += len;
		n -= len;
	}
	if (more > 0) {
		render_fresh_line(r);
		paint(r, DIM);
		(void)fprintf(r->out, "%s%u more line%s", gutter, more,
		    more == 1 ? "" : "s");
		paint(r, PLAIN);
		(void)fputc('\n', r->out);
	}
}

/* --- parts --------------------------------------------------------------- */

static void
put_json(struct render *r, const struct json *v)
{
	struct buf b, t;
	struct jw w;

	buf_init(&b, CLEAN_MAX);
	buf_init(&t, CLEAN_MAX);
	jw_init(&w, &t);
	jw_value(&w, v);
	if (!t.failed && t.len > 0)
		text_line(&b, t.data, t.len, room_after(r, 2), "...");
	put_line(r, DIM, "  ", &b);
	buf_free(&b);
	buf_free(&t);
}

static void
put_file_ref(struct render *r, const struct json *part)
{
	const struct json *diff = json_get(part, "diff");

	put_note(r, DIM, "  ", "%s %s", json_str(part, "action", "file"),
	    json_str(part, "path", "?"));
	if (diff != NULL && diff->type == JSON_STRING)
		put_lines(r, diff->str, diff->len, DIFF_LINES, DIM);
}

static void
put_status(struct render *r, const struct json *part)
{
	const char *detail = json_str(part, "detail", "");

	put_note(r, DIM, symbol(r, "\xc2\xb7 ", "- "), "%s%s%s",
	    json_str(part, "label", "status"), *detail == '\0' ? "" : ": ",
	    detail);
}

static void
put_part(struct render *r, const struct json *part, bool failed)
{
	const char *type = json_str(part, "type", "");
	const struct json *text = json_get(part, "text");
	const struct json *output = json_get(part, "output");

	if (strcmp(type, "tool_call") == 0) {
		put_tool_call(r, part);
	} else if (strcmp(type, "tool_result") == 0) {
		if (output != NULL && output->type == JSON_STRING)
			put_lines(r, output->str, output->len, RESULT_LINES,
			    failed ? RED : DIM);
		r->after_tool = true;
	} else if (strcmp(type, "file_ref") == 0) {
		put_file_ref(r, part);
	} else if (strcmp(type, "status") == 0) {
		put_status(r, part);
	} else if (strcmp(type, "image") == 0) {
		put_note(r, DIM, "  image ", "%s", json_str(part, "path", "?"));
	} else if (strcmp(type, "reasoning") == 0 && text != NULL &&
		   text->type == JSON_STRING) {
		render_fresh_line(r);
		put_text(r, text->str, text->len, DIM);
		render_fresh_line(r);
	} else if (strcmp(type, "json") == 0) {
		put_json(r, json_get(part, "json"));
	} else if (strcmp(type, "text") != 0) {
		put_json(r, part); /* kinds that we do not know yet */
	}
}

/* --- items --------------------------------------------------------------- */

static struct render_item *
find_item(struct render *r, const char *id)
{
	size_t i;

	for (i = 0; i < RENDER_ITEMS; i++)
		if (strcmp(r->items[i].id, id) == 0)
			return &r->items[i];
	return NULL;
}

static void
clear_item(struct render_item *it)
{
	struct buf text = it->text;

	buf_clear(&text);
	*it = (struct render_item){ .text = text };
}

static struct render_item *
open_item(struct render *r, const char *id)
{
	struct render_item *it = find_item(r, id);

	if (it == NULL)
		it = find_item(r, "");
	/* An agent that never ends its items loses only comparisons. */
	if (it == NULL)
		it = &r->items[r->next_slot++ % RENDER_ITEMS];
	clear_item(it);
	if (str_copy(it->id, sizeof(it->id), id) == -1)
		it->id[0] = '\0';
	return it;
}

/* All text parts, joined by newlines. */
static void
join_text(struct buf *b, const struct json *item)
{
	bool first = true;

	json_foreach (part, json_get(item, "content")) {
		const struct json *text = json_get(part, "text");

		if (strcmp(json_str(part, "type", ""), "text") != 0 ||
		    text == NULL || text->type != JSON_STRING)
			continue;
		if (!first)
			(void)buf_addc(b, '\n');
		(void)buf_add(b, text->str, text->len);
		first = false;
	}
}

static void
before_text(struct render *r)
{
	render_fresh_line(r);
	if (r->after_tool)
		(void)fputc('\n', r->out);
	r->after_tool = false;
}

static void
on_started(struct render *r, const struct json *item)
{
	const char *kind = json_str(item, "kind", "");
	struct render_item *it = open_item(r, json_str(item, "item_id", ""));

	it->is_user = strcmp(json_str(item, "role", ""), "user") == 0;
	json_foreach (part, json_get(item, "content")) {
		const char *type = json_str(part, "type", "");
		const char *arguments = json_str(part, "arguments", "");

		if (strcmp(type, "reasoning") == 0)
			it->is_reasoning = true;
		/* A call that takes long should show before it is over. */
		if (strcmp(kind, "tool_call") == 0 &&
		    strcmp(type, "tool_call") == 0 && *arguments != '\0' &&
		    strcmp(arguments, "{}") != 0) {
			put_tool_call(r, part);
			it->is_shown = true;
		}
	}
}

static void
on_delta(struct render *r, const struct json *data)
{
	const struct json *delta = json_get(data, "delta");
	const char *id = json_str(data, "item_id", "");
	struct render_item *it = find_item(r, id);

	if (delta == NULL || delta->type != JSON_STRING || delta->len == 0)
		return;
	if (it == NULL || *id == '\0')
		it = open_item(r, id);
	if (it->is_user)
		return;
	if (!it->has_delta)
		before_text(r);
	it->has_delta = true;
	(void)buf_add(&it->text, delta->str, delta->len); /* failed: no
							      comparison */
	put_text(r, delta->str, delta->len, it->is_reasoning ? DIM : PLAIN);
}

/* The end has the whole text, which need not be the sum of the deltas. */
static void
finish_text(struct render *r, struct render_item *it, const struct json *item)
{
	struct buf whole;
	size_t skip = 0;

	buf_init(&whole, CLEAN_MAX);
	join_text(&whole, item);
	if (whole.failed || whole.len == 0) {
		render_fresh_line(r);
		buf_free(&whole);
		return;
	}
	if (it->has_delta && !it->text.failed && it->text.len <= whole.len &&
	    memcmp(it->text.data, whole.data, it->text.len) == 0)
		skip = it->text.len;
	else if (it->has_delta && it->text.failed)
		skip = whole.len;
	if (skip == 0)
		before_text(r);
	put_text(r, whole.data + skip, whole.len - skip, PLAIN);
	render_fresh_line(r);
	buf_free(&whole);
}

static void
put_user(struct render *r, const struct json *item)
{
	struct buf whole;

	buf_init(&whole, CLEAN_MAX);
	join_text(&whole, item);
	before_text(r);
	paint(r, BOLD);
	(void)fputs("> ", r->out);
	paint(r, PLAIN);
	r->mid_line = true;
	if (!whole.failed && whole.len > 0)
		put_text(r, whole.data, whole.len, BOLD);
	render_fresh_line(r);
	buf_free(&whole);
}

static void
on_completed(struct render *r, const struct json *item)
{
	const char *id = json_str(item, "item_id", "");
	bool failed = strcmp(json_str(item, "status", ""), "failed") == 0;
	struct render_item *it = find_item(r, id);

	if (it == NULL || *id == '\0')
		it = open_item(r, id);
	if (strcmp(json_str(item, "role", ""), "user") == 0) {
		if (r->show_user)
			put_user(r, item);
		clear_item(it);
		return;
	}
	if (!it->is_reasoning)
		finish_text(r, it, item);
	render_fresh_line(r);
	json_foreach (part, json_get(item, "content")) {
		const char *type = json_str(part, "type", "");
		bool again = (it->is_shown && strcmp(type, "tool_call") == 0) ||
			     (it->is_reasoning && it->has_delta &&
				 strcmp(type, "reasoning") == 0);

		if (!again)
			put_part(r, part, failed);
	}
	clear_item(it);
}

/* --- other events -------------------------------------------------------- */

static void
on_error(struct render *r, const struct json *data)
{
	const char *code = json_str(data, "code", "");

	put_note(r, RED, "error: ", "%s%s%s%s", json_str(data, "message", "?"),
	    *code == '\0' ? "" : " (", code, *code == '\0' ? "" : ")");
}

static void
on_request(struct render *r, const struct json *data, bool permission)
{
	const char *status = json_str(data, "status", "");
	const char *what = permission ? json_str(data, "action", "?")
				      : json_str(data, "prompt", "?");
	const char *response = json_str(data, "response", "");
	const struct json *metadata = json_get(data, "metadata");
	const struct json *input = json_get(metadata, "input");
	struct buf b;

	if (strcmp(status, "requested") == 0) {
		buf_init(&b, CLEAN_MAX);
		if (input == NULL)
			input = metadata;
		if (permission && input != NULL && input->type != JSON_NULL)
			render_value(&b, input, room_after(r, 20));
		put_note(r, YELLOW,
		    permission ? "? permission: " : "? question: ", "%s%s%s",
		    what, b.len > 0 ? ": " : "", b.len > 0 ? b.data : "");
		buf_free(&b);
	} else {
		put_note(r, DIM, symbol(r, "\xc2\xb7 ", "- "), "%s: %s%s%s",
		    what, status, *response == '\0' ? "" : " ", response);
	}
}

static void
on_ended(struct render *r, const struct json *data)
{
	const char *message = json_str(data, "message", "");

	put_note(r, DIM, symbol(r, "\xc2\xb7 ", "- "), "session ended: %s%s%s",
	    json_str(data, "reason", "?"), *message == '\0' ? "" : ": ",
	    message);
}

void
render_event(struct render *r, const struct json *event)
{
	const char *type = json_str(event, "type", "");
	const struct json *data = json_get(event, "data");

	if (strcmp(type, "item.delta") == 0)
		on_delta(r, data);
	else if (strcmp(type, "item.started") == 0)
		on_started(r, json_get(data, "item"));
	else if (strcmp(type, "item.completed") == 0)
		on_completed(r, json_get(data, "item"));
	else if (strcmp(type, "error") == 0)
		on_error(r, data);
	else if (str_starts(type, "permission."))
		on_request(r, data, true);
	else if (str_starts(type, "question."))
		on_request(r, data, false);
	else if (strcmp(type, "session.ended") == 0)
		on_ended(r, data);
	else if (strcmp(type, "agent.unparsed") == 0)
		put_note(r, YELLOW, "not understood: ", "%s",
		    json_str(data, "error", "?"));
	else if (strcmp(type, "turn.ended") == 0)
		render_fresh_line(r);
	else if (strcmp(type, "turn.started") != 0 &&
		 strcmp(type, "session.started") != 0)
		put_note(r, DIM, "? ", "%s", type); /* of a newer supervisor */
}
