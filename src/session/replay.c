/*
 * Telling an agent what it has forgotten; see replay.h. Runs in the session
 * worker. What is told comes out of the log: words of the user and of agents,
 * which are data to us and no more than that. It stands inside one message, as
 * lines of JSON, so that no text in it can pass for another line.
 */
#include "session/replay.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "session/session.h"
#include <string.h>

#define LINE_TEXT_MAX 4000u /* bytes of one item */
#define READ_EVENTS_MAX 20000
#define READ_BYTES_MAX 800000

static const char intro[] =
    "This conversation began before you were started anew. What was said in "
    "it, one JSON object a line, the oldest first:\n";
static const char outro[] =
    "That was the conversation so far. It goes on with this message:\n\n";

/* --- the words ------------------------------------------------------------ */

static const char *
part_text(const struct json *part)
{
	const char *type = json_str(part, "type", "");

	if (strcmp(type, "text") == 0)
		return json_str(part, "text", NULL);
	if (strcmp(type, "tool_call") == 0)
		return json_str(part, "arguments", NULL);
	if (strcmp(type, "tool_result") == 0)
		return json_str(part, "output", NULL);
	return NULL;
}

/* One line for an item that tells something. */
static void
item_line(struct buf *b, const struct json *item)
{
	size_t budget = LINE_TEXT_MAX;
	size_t before = b->len;
	bool any = false;
	struct jw w;

	jw_init(&w, b);
	jw_object(&w);
	jw_kstr(&w, "kind", json_str(item, "kind", "unknown"));
	if (json_str(item, "role", NULL) != NULL)
		jw_kstr(&w, "role", json_str(item, "role", NULL));
	json_foreach (part, json_get(item, "content")) {
		const char *text = part_text(part);

		if (json_str(part, "name", NULL) != NULL && !any)
			jw_kstr(&w, "name", json_str(part, "name", NULL));
		if (text == NULL || *text == '\0' || any)
			continue;
		jw_key(&w, "text");
		content_text(&w, text, strlen(text), &budget);
		any = true;
	}
	jw_object_end(&w);
	(void)buf_addc(b, '\n');
	if (!any && !b->failed)
		b->len = before;
}

/* Where the last lines begin of which there are at most MAX_LINES in at most
 * MAX_BYTES. */
static size_t
last_lines(const struct buf *b, int64_t max_lines, int64_t max_bytes)
{
	size_t start = b->len;

	while (start > 0 && max_lines-- > 0) {
		size_t line = start - 1; /* its end */

		while (line > 0 && b->data[line - 1] != '\n')
			line--;
		if ((int64_t)(b->len - line) > max_bytes)
			break;
		start = line;
	}
	return start;
}

char *
replay_words(const struct json *events, int64_t max_events, int64_t max_chars,
    const char *turn_id)
{
	struct buf all, out;
	size_t start;

	buf_init(&all, 2 * READ_BYTES_MAX);
	json_foreach (ev, events) {
		const struct json *data = json_get(ev, "data");
		const char *type = json_str(ev, "type", "");

		if (strcmp(type, "turn.started") == 0 &&
		    strcmp(json_str(data, "turn_id", ""), turn_id) == 0)
			break;
		if (strcmp(type, "item.completed") == 0)
			item_line(&all, json_get(data, "item"));
	}
	start = all.failed ? all.len : last_lines(&all, max_events, max_chars);
	if (start >= all.len) {
		buf_free(&all);
		return NULL;
	}
	buf_init(&out, 2 * READ_BYTES_MAX);
	(void)buf_adds(&out, intro);
	(void)buf_add(&out, all.data + start, all.len - start);
	(void)buf_adds(&out, outro);
	buf_free(&all);
	if (out.failed)
		buf_free(&out);
	return out.data != NULL ? buf_steal(&out) : NULL;
}

/* --- the running turn ----------------------------------------------------- */

void
replay_keep(struct session *s, char *text, char *parts)
{
	replay_drop(s);
	s->replay.text = text;
	s->replay.parts = parts;
}

void
replay_drop(struct session *s)
{
	free(s->replay.text);
	free(s->replay.parts);
	s->replay = (struct replay){ 0 };
}

bool
replay_waits(const struct session *s)
{
	return s->replay.asked && !s->replay.again;
}

/* Prompt once more, with WORDS (or NULL) ahead. */
static void
prompt_again(struct session *s, const char *words)
{
	struct replay *r = &s->replay;
	autofree char *text =
	    xasprintf("%s%s", words != NULL ? words : "", r->text);
	struct agent_message m = { .text = text, .len = strlen(text) };
	struct json *parts = NULL;
	struct err e;

	/* Written by us, or read from our own checkpoint. */
	if (r->parts != NULL && json_parse(r->parts, strlen(r->parts),
				    JSON_DEPTH_AGENT, &parts, NULL) == 0)
		m.parts = parts;
	r->again = true;
	if (s->agent->ops->prompt(s->agent, s->turn, &m, &e) == -1) {
		uni_error(&s->uni, FROM_DAEMON, err_wire(e.code), e.text, NULL);
		agent_turn_ended(s->agent, "error", NULL);
	}
	json_free(parts);
}

static void
on_tail(void *arg, const struct json *events, const struct err *e)
{
	struct session *s = arg;
	autofree char *words = NULL;
	char turn[TURN_ID_MAX];

	if (!replay_waits(s))
		return; /* the turn was cancelled meanwhile */
	turn_id(turn, s->turn);
	if (events != NULL)
		words = replay_words(events, s->conf.replay_max_events,
		    s->conf.replay_max_chars, turn);
	else
		log_warn("session", "the log cannot be read back",
		    LOG_STR("why", e->text));
	prompt_again(s, words);
}

static void
on_stored(void *ctx, void *arg, const struct err *e)
{
	struct session *s = ctx;
	struct err why;

	(void)arg, (void)e; /* what is not stored is not told */
	if (!replay_waits(s))
		return;
	if (outbox_tail(&s->out, READ_EVENTS_MAX, READ_BYTES_MAX, false,
		on_tail, s, &why) == 0)
		return;
	log_warn(
	    "session", "the log cannot be read back", LOG_STR("why", why.text));
	prompt_again(s, NULL);
}

void
replay_begin(struct session *s)
{
	if (!s->turn_open || s->replay.text == NULL || s->replay.asked)
		return;
	s->replay.asked = true;
	outbox_when_stored(&s->out, on_stored, NULL);
}
