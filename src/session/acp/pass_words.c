/*
 * What was said in a session that its program has forgotten, for the program to
 * read ahead of the next prompt. Runs in the session worker. It comes out of
 * the log, which has what the agent said: data to us, and no more than that.
 * Each item is a line of JSON, so that no text in it can pass for another.
 */
#include "session/acp/pass.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/session.h"
#include <string.h>

#define READ_EVENTS_MAX 20000
#define READ_BYTES_MAX 800000
#define ITEM_BYTES_MAX 4000u

static const char intro[] =
    "This conversation began before you were started anew. What you said and "
    "did in it, one JSON object a line, the oldest first:\n";
static const char outro[] =
    "That was the conversation so far. It goes on with what follows.\n\n";

struct words {
	struct buf out;	 /* lines */
	struct buf text; /* of the message that is put together */
};

static void
add_line(
    struct buf *b, const char *kind, const char *key, const char *s, size_t n)
{
	size_t budget = ITEM_BYTES_MAX;
	struct jw w;

	jw_init(&w, b);
	jw_object(&w);
	jw_kstr(&w, "kind", kind);
	jw_key(&w, key);
	content_text(&w, s, n, &budget);
	jw_object_end(&w);
	(void)buf_addc(b, '\n');
}

static void
end_message(struct words *ws)
{
	if (ws->text.len > 0)
		add_line(
		    &ws->out, "message", "text", ws->text.data, ws->text.len);
	buf_clear(&ws->text);
}

static void
add_update(struct words *ws, const struct json *update)
{
	const char *kind = json_str(update, "sessionUpdate", "");
	const struct json *text = json_path(update, "content.text");
	const char *title = json_str(update, "title", NULL);

	if (strcmp(kind, "agent_message_chunk") == 0 && text != NULL &&
	    text->type == JSON_STRING) {
		(void)buf_add(&ws->text, text->str, text->len);
	} else if (strcmp(kind, "tool_call") == 0 && title != NULL) {
		end_message(ws);
		add_line(&ws->out, "tool_call", "title", title, strlen(title));
	}
}

/* Where the last lines begin of which there are at most MAX_LINES in at most
 * MAX_BYTES. */
static const char *
last_lines(const struct buf *b, int64_t max_lines, int64_t max_bytes)
{
	const char *end = b->data + b->len, *start = end, *at = end;

	while (at > b->data && max_lines-- > 0) {
		for (at--; at > b->data && at[-1] != '\n'; at--)
			;
		if (end - at > max_bytes)
			break;
		start = at;
	}
	return start;
}

char *
acp_words(const struct json *events, const char *session,
    const struct agent_conf *conf)
{
	struct words ws;
	const char *start;
	char *all = NULL;

	buf_init(&ws.out, 2 * READ_BYTES_MAX);
	buf_init(&ws.text, 2 * READ_BYTES_MAX);
	json_foreach (ev, events) {
		const struct json *params = json_path(ev, "raw.params");

		if (strcmp(json_str(params, "sessionId", ""), session) == 0)
			add_update(&ws, json_get(params, "update"));
		else if (json_path(ev, "raw.result.stopReason") != NULL)
			end_message(&ws);
	}
	end_message(&ws);
	if (!ws.out.failed && ws.out.len > 0) {
		start = last_lines(
		    &ws.out, conf->replay_max_events, conf->replay_max_chars);
		if (*start != '\0')
			all = xasprintf("%s%s%s", intro, start, outro);
	}
	buf_free(&ws.out);
	buf_free(&ws.text);
	return all;
}

/* The prompt ENV with WORDS as its first block; the caller's. */
static char *
with_words(const struct json *env, const char *words)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 2 * ACP_INPUT_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	json_foreach (v, env) {
		jw_key(&w, v->key);
		if (strcmp(v->key, "params") != 0) {
			jw_value(&w, v);
			continue;
		}
		jw_object(&w);
		json_foreach (m, v) {
			jw_key(&w, m->key);
			if (strcmp(m->key, "prompt") != 0 ||
			    m->type != JSON_ARRAY) {
				jw_value(&w, m);
				continue;
			}
			jw_array(&w);
			jw_object(&w);
			jw_kstr(&w, "type", "text");
			jw_kstr(&w, "text", words);
			jw_object_end(&w);
			json_foreach (block, m)
				jw_value(&w, block);
			jw_array_end(&w);
		}
		jw_object_end(&w);
	}
	jw_object_end(&w);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}

static void
on_tail(void *arg, const struct json *events, const struct err *e)
{
	struct pass *p = arg;
	struct pass_waiting *q = TAILQ_FIRST(&p->queue);
	autofree char *words = NULL;
	struct json *env = NULL;
	char *text = NULL;

	if (p->call != PASS_WORDS)
		return;
	p->call = PASS_NONE;
	if (e != NULL && events == NULL)
		log_warn("acp", "the log cannot be read back",
		    LOG_STR("why", e->text));
	if (events != NULL && p->restoring != NULL)
		words = acp_words(events, p->restoring->id, p->b.conf);
	p->restoring = NULL;
	if (q != NULL && words != NULL &&
	    json_parse(q->text, q->len, JSON_DEPTH_AGENT, &env, NULL) == 0)
		text = with_words(env, words);
	json_free(env);
	if (text != NULL) {
		p->queue_bytes -= q->len;
		free(q->text);
		q->text = text;
		q->len = strlen(text);
		p->queue_bytes += q->len;
	}
	pass_pump(p);
}

int
pass_words(struct pass *p)
{
	struct err e;

	if (outbox_tail(&p->b.session->out, READ_EVENTS_MAX, READ_BYTES_MAX,
		true, on_tail, p, &e) == -1) {
		log_warn("acp", "the log cannot be read back",
		    LOG_STR("why", e.text));
		return -1;
	}
	p->call = PASS_WORDS;
	return 0;
}
