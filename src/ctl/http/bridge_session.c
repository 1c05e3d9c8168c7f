/*
 * Operations on sessions over HTTP; see bridge.h. Runs as the caller.
 */
#include "ctl/http/bridge.h"
#include "ctl/http/sse.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

#define S "/v1/sessions"
#define BODY_MAX (8u << 20)
#define PAGE 1000 /* events of one request */
#define ANSWER_DEPTH (JSON_DEPTH_AGENT + 8)

static char *
session_path(const struct json *args, const char *form)
{
	const char *words[] = { json_str(args, "id", "") };

	return bridge_path(NULL, form, words);
}

/* KEY of the request as NAME of the body. */
static void
copy(struct jw *w, const struct json *args, const char *key, const char *name)
{
	const struct json *v = json_get(args, key);

	if (v != NULL)
		jw_kvalue(w, name, v);
}

static int
post(struct bridge *b, const char *path, struct buf *body, struct err *e)
{
	if (body != NULL && body->failed)
		return err_set(e, ERR_TOO_LARGE, "the request is too long");
	return bridge_ask(b, "POST", path, body, NULL, e);
}

/* --- records ------------------------------------------------------------- */

/* One session in the control socket's words. */
static void
write_session(struct jw *w, const struct json *s)
{
	static const char *const names[][2] = { { "agent", "agent" },
		{ "sandbox", "sandbox" }, { "model", "model" },
		{ "agentMode", "agent_mode" },
		{ "permissionMode", "permission_mode" },
		{ "nativeSessionId", "native_session_id" },
		{ "eventCount", "event_count" }, { "createdAt", "created_at" },
		{ "updatedAt", "updated_at" }, { "directory", "directory" },
		{ "title", "title" } };
	bool ended = json_bool(s, "ended", false);
	size_t i;

	jw_object(w);
	jw_kstr(w, "id", json_str(s, "sessionId", ""));
	jw_kstr(w, "state", json_str(s, "state", ended ? "ended" : "open"));
	jw_kint(w, "last_sequence",
	    json_int(s, "lastSequence", json_int(s, "eventCount", 0)));
	for (i = 0; i < countof(names); i++)
		if (json_get(s, names[i][0]) != NULL)
			jw_kvalue(w, names[i][1], json_get(s, names[i][0]));
	jw_object_end(w);
}

static int
get_session(struct bridge *b, const struct json *args, struct json **j_out,
    struct err *e)
{
	autofree char *path = session_path(args, S "/{}");

	if (bridge_ask(b, "GET", path, NULL, j_out, e) == -1)
		return -1;
	if (*j_out != NULL && (*j_out)->type == JSON_OBJECT)
		return 0;
	json_free(*j_out);
	return err_set(e, ERR_INTERNAL, "the server's answer is no session");
}

int
bridge_session_get(struct bridge *b, const struct json *args, struct err *e)
{
	struct json *j;

	if (get_session(b, args, &j, e) == -1)
		return -1;
	write_session(bridge_begin(b, "ok"), j);
	bridge_send(b, -1);
	json_free(j);
	return 0;
}

int
bridge_session_list(struct bridge *b, const struct json *args, struct err *e)
{
	const char *sandbox = json_str(args, "sandbox", NULL);
	autofree char *path = bridge_path(sandbox, S, NULL);
	struct json *j;
	struct jw *w;

	if (bridge_ask(b, "GET", path, NULL, &j, e) == -1)
		return -1;
	w = bridge_begin(b, "ok");
	jw_object(w);
	jw_key(w, "sessions");
	jw_array(w);
	json_foreach (s, json_get(j, "sessions"))
		write_session(w, s);
	jw_array_end(w);
	jw_object_end(w);
	bridge_send(b, -1);
	json_free(j);
	return 0;
}

int
bridge_session_create(struct bridge *b, const struct json *args, struct err *e)
{
	static const char *const names[][2] = { { "agent", "agent" },
		{ "model", "model" }, { "agent_mode", "agentMode" },
		{ "permission_mode", "permissionMode" },
		{ "thought_level", "thoughtLevel" },
		{ "directory", "directory" }, { "title", "title" },
		{ "env", "env" }, { "command", "command" } };
	char made[RANDOM_ID_MAX];
	const char *words[1];
	autofree char *path = NULL;
	autofree char *look = NULL;
	struct json *j = NULL;
	struct buf body;
	struct jw w;
	size_t i;
	int r;

	if (json_get(args, "install") != NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "over HTTP the server decides whether an agent is "
		    "installed; say `agents install` first");
	random_id(made, "ses-");
	words[0] = json_str(args, "id", made);
	path = bridge_path(json_str(args, "sandbox", NULL), S "/{}", words);
	look = bridge_path(NULL, S "/{}", words);
	buf_init(&body, BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	for (i = 0; i < countof(names); i++)
		copy(&w, args, names[i][0], names[i][1]);
	jw_object_end(&w);
	r = post(b, path, &body, e);
	buf_free(&body);
	if (r == -1 || bridge_ask(b, "GET", look, NULL, &j, e) == -1)
		return -1;
	write_session(bridge_begin(b, "ok"), j);
	bridge_send(b, -1);
	json_free(j);
	return 0;
}

/* --- a turn -------------------------------------------------------------- */

/* Send the message; the answer's head says which turn it became. */
static int
send_message(
    struct bridge *b, const char *path, const struct buf *body, struct err *e)
{
	struct http_call c;
	struct jw *w;
	int64_t after;
	int r;

	http_call_init(&c, "POST", path);
	c.body = body->data;
	c.body_len = body->len;
	c.wanted[0] = "x-turn-id";
	c.wanted[1] = "x-turn-after";
	c.wanted[2] = "x-turn-queued";
	r = http_do(&b->http, &c, e);
	if (r == 0 && (c.status < 200 || c.status >= 300))
		r = http_problem(&c, e);
	if (r == 0) {
		w = bridge_begin(b, "ok");
		jw_object(w);
		if (c.values[0][0] != '\0')
			jw_kstr(w, "turn_id", c.values[0]);
		if (str_to_int(c.values[1], 0, INT64_MAX, &after) == 0)
			jw_kint(w, "after", after);
		jw_kbool(w, "queued", strcmp(c.values[2], "true") == 0);
		jw_object_end(w);
		bridge_send(b, -1);
	}
	http_end(&b->http, &c);
	return r;
}

int
bridge_session_prompt(struct bridge *b, const struct json *args, struct err *e)
{
	autofree char *path = session_path(args, S "/{}/messages");
	struct buf body;
	struct jw w;
	int r;

	buf_init(&body, BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	copy(&w, args, "text", "message");
	copy(&w, args, "attachments", "attachments");
	jw_object_end(&w);
	r = body.failed ? err_set(e, ERR_TOO_LARGE, "the message is too long")
			: send_message(b, path, &body, e);
	buf_free(&body);
	return r;
}

int
bridge_session_cancel(struct bridge *b, const struct json *args, struct err *e)
{
	autofree char *path = session_path(args, S "/{}/cancel");

	if (post(b, path, NULL, e) == -1) {
		if (e->code == ERR_SANDBOX_STATE)
			e->code = ERR_TURN_NOT_RUNNING;
		return -1;
	}
	bridge_ok_empty(b);
	return 0;
}

int
bridge_session_end(struct bridge *b, const struct json *args, struct err *e)
{
	autofree char *path = session_path(args, S "/{}/terminate");

	if (post(b, path, NULL, e) == -1)
		return -1;
	bridge_ok_empty(b);
	return 0;
}

int
bridge_session_configure(
    struct bridge *b, const struct json *args, struct err *e)
{
	autofree char *path = session_path(args, S "/{}");
	struct buf body;
	struct jw w;
	int r;

	buf_init(&body, BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	copy(&w, args, "model", "model");
	copy(&w, args, "permission_mode", "permissionMode");
	copy(&w, args, "agent_mode", "agentMode");
	copy(&w, args, "thought_level", "thoughtLevel");
	jw_object_end(&w);
	r = bridge_ask(b, "PATCH", path, &body, NULL, e);
	buf_free(&body);
	return r == -1 ? -1 : bridge_session_get(b, args, e);
}

/* --- replies ------------------------------------------------------------- */

/* That nothing is open under this id is a request that makes no sense here,
 * and an error of its own for the commands. */
static int
reply(struct bridge *b, const struct json *args, const char *form,
    const char *key, struct buf *body, struct err *e)
{
	const char *words[] = { json_str(args, "id", ""),
		json_str(args, key, "") };
	autofree char *path = bridge_path(NULL, form, words);

	if (post(b, path, body, e) == 0) {
		bridge_ok_empty(b);
		return 0;
	}
	if (e->code == ERR_BAD_REQUEST && strstr(e->text, "unknown ") != NULL)
		e->code = *key == 'p' ? ERR_PERMISSION_NOT_FOUND
				      : ERR_QUESTION_NOT_FOUND;
	return -1;
}

int
bridge_session_permission(
    struct bridge *b, const struct json *args, struct err *e)
{
	struct buf body;
	struct jw w;
	int r;

	buf_init(&body, BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	copy(&w, args, "reply", "reply");
	copy(&w, args, "message", "message");
	jw_object_end(&w);
	r = reply(
	    b, args, S "/{}/permissions/{}/reply", "permission_id", &body, e);
	buf_free(&body);
	return r;
}

int
bridge_session_question(
    struct bridge *b, const struct json *args, struct err *e)
{
	const struct json *answers = json_get(args, "answers");
	struct buf body;
	struct jw w;
	int r;

	buf_init(&body, BODY_MAX);
	jw_init(&w, &body);
	jw_object(&w);
	jw_key(&w, "answers");
	if (answers->type == JSON_STRING) {
		jw_array(&w);
		jw_array(&w);
		jw_value(&w, answers);
		jw_array_end(&w);
		jw_array_end(&w);
	} else {
		jw_value(&w, answers);
	}
	jw_object_end(&w);
	r = reply(b, args, S "/{}/questions/{}/reply", "question_id", &body, e);
	buf_free(&body);
	return r;
}

int
bridge_session_reject(struct bridge *b, const struct json *args, struct err *e)
{
	return reply(
	    b, args, S "/{}/questions/{}/reject", "question_id", NULL, e);
}

/* --- events -------------------------------------------------------------- */

struct events {
	struct bridge *b;
	int64_t left; /* -1: no limit */
	bool until_turn;
	bool is_over; /* all that was asked for has come */
	struct err e; /* why it stopped, when it is not over */
};

static int
on_event(void *ctx, const char *name, const char *data, size_t len)
{
	struct events *ev = ctx;
	const char *type;
	struct json *j;

	(void)name;
	if (json_parse(data, len, ANSWER_DEPTH, &j, &ev->e) == -1)
		return bridge_nonsense(&ev->e, "an event of the server");
	jw_value(bridge_begin(ev->b, "item"), j);
	bridge_send(ev->b, -1);
	type = json_str(j, "type", "");
	ev->is_over = strcmp(type, "session.ended") == 0 ||
		      strcmp(json_str(j, "event", ""), "destroyed") == 0 ||
		      (ev->until_turn && strcmp(type, "turn.ended") == 0) ||
		      (ev->left > 0 && --ev->left == 0);
	json_free(j);
	return ev->is_over ? -1 : 0;
}

static int
on_data(void *ctx, const char *p, size_t n)
{
	return sse_feed(ctx, p, n);
}

static int
follow(struct bridge *b, struct events *ev, const char *path, struct err *e)
{
	struct http_call c;
	struct sse sse;
	int r;

	sse_init(&sse, on_event, ev);
	http_call_init(&c, "GET", path);
	c.headers[0] = "Accept: text/event-stream";
	c.on_data = on_data;
	c.ctx = &sse;
	r = http_do(&b->http, &c, e);
	if (r == 0 && (c.status < 200 || c.status >= 300))
		r = http_problem(&c, e);
	else if (r == 0 && !ev->is_over)
		r = ev->e.code != ERR_NONE ? (*e = ev->e, -1)
					   : err_set(e, ERR_STORE_UNAVAILABLE,
						 "the server ended the stream");
	else if (r == -1 && !(b->is_first && c.status == 0))
		/* The follower asks again from where it is. */
		e->code = ERR_STORE_UNAVAILABLE;
	http_end(&b->http, &c);
	sse_free(&sse);
	return r;
}

int
bridge_stream(struct bridge *b, const char *path, int64_t left, struct err *e)
{
	struct events ev = { .b = b, .left = left };

	return follow(b, &ev, path, e);
}

/* One page from AFTER on; *LAST_OUT is its last sequence, *MORE_OUT whether
 * there are further ones. */
static int
list_page(struct bridge *b, const char *base, int64_t *after, int64_t limit,
    bool raw, bool *more_out, struct err *e)
{
	autofree char *path =
	    xasprintf("%s?offset=%lld&limit=%lld%s", base, (long long)*after,
		(long long)limit, raw ? "&include_raw=true" : "");
	struct json *j;

	if (bridge_ask(b, "GET", path, NULL, &j, e) == -1)
		return -1;
	*more_out = false;
	json_foreach (event, json_get(j, "events")) {
		jw_value(bridge_begin(b, "item"), event);
		bridge_send(b, -1);
		*after = json_int(event, "sequence", *after);
		*more_out = true; /* an empty page is the last */
	}
	*more_out = *more_out && json_bool(j, "hasMore", false);
	json_free(j);
	return 0;
}

/* A long history in pages, so that neither side holds all of it. */
static int
list_events(struct bridge *b, const char *base, int64_t after, int64_t left,
    bool raw, struct err *e)
{
	bool more = left != 0;

	while (more) {
		int64_t page = left < 0 ? PAGE : MIN(left, (int64_t)PAGE);
		int64_t before = after;

		if (list_page(b, base, &after, page, raw, &more, e) == -1)
			return -1;
		if (left > 0 && (left -= page) == 0)
			break;
		more = more && after > before;
	}
	return 0;
}

int
bridge_session_events(struct bridge *b, const struct json *args, struct err *e)
{
	bool live = json_bool(args, "follow", false);
	struct events ev = { .b = b,
		.left = json_int(args, "limit", -1),
		.until_turn =
		    strcmp(json_str(args, "until", ""), "turn") == 0 };
	const char *words[] = { json_str(args, "id", "") };
	autofree char *base = bridge_path(
	    NULL, live ? S "/{}/events/sse" : S "/{}/events", words);
	autofree char *path = NULL;
	int64_t after = json_int(args, "after", 0);
	bool raw = json_bool(args, "raw", false);
	int r = 0;

	if (!live) {
		r = list_events(b, base, after, ev.left, raw, e);
	} else if (ev.left != 0) {
		path = xasprintf("%s?offset=%lld%s", base, (long long)after,
		    raw ? "&include_raw=true" : "");
		r = follow(b, &ev, path, e);
	}
	if (r == 0)
		bridge_ok_empty(b);
	return r;
}
