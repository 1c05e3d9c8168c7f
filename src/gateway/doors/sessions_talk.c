/*
 * Talking to a session: messages, replies, cancel, terminate. Runs in
 * sandboxd-gateway; what a client says goes to the session's worker over a
 * channel that the supervisor made, and is answered when its effect is stored.
 */
#include "gateway/doors/sessions.h"

#include "gateway/call.h"
#include "gateway/link.h"
#include "lib/frame.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>

#define WORKER_MS 30000
/* A message too long to be kept while another turn runs is acknowledged when
 * its own turn starts. */
#define PROMPT_MS 600000
#define FIELDS_MAX (FRAME_MAX - 1024)
#define TEXT_MAX 1000000 /* as proto.def has it */
#define ANSWERS_MAX 64
#define WORD_MAX 4096

struct talk {
	struct req *r; /* held */
	uint64_t log;
	bool stream; /* the turn's events follow */
	bool raw;
};

/* --- refusals ------------------------------------------------------------ */

/* The agent, or its worker, has ended: named by its agent. */
static void
fail_exited(struct req *r, const struct err *e)
{
	struct json *rec = NULL;
	struct db_session s;
	struct buf b;
	struct jw w;

	if (db_begin(r->gw->db, NULL) == 0) {
		if (session_look(r, &s) && json_parse(s.record, s.record_len,
					       RECORD_DEPTH, &rec, NULL) == -1)
			rec = NULL;
		db_end(r->gw->db);
	}
	buf_init(&b, 4096);
	(void)buf_adds(&b, "\"agent\":");
	jw_init(&w, &b);
	jw_str(&w, json_str(rec, "agent", NULL));
	(void)buf_adds(&b, ",\"details\":{\"message\":");
	jw_init(&w, &b);
	jw_str(&w, e->text);
	(void)buf_adds(&b, "}");
	req_problem_ext(r, PROBLEM_AGENT_EXITED, b.failed ? NULL : b.data, "%s",
	    json_str(rec, "agent", "?"));
	buf_free(&b);
	json_free(rec);
}

void
session_fail(struct req *r, const struct err *e)
{
	switch (e->code) {
	case ERR_SESSION_FAILED:
	case ERR_AGENT_FAILED:
		fail_exited(r, e);
		break;
	case ERR_SESSION_ENDED:
		req_problem(r, PROBLEM_INVALID_REQUEST, "session terminated");
		break;
	case ERR_SESSION_NOT_FOUND:
		session_missing(r);
		break;
	case ERR_PERMISSION_NOT_FOUND:
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "unknown permission id: %s", r->params[1]);
		break;
	case ERR_QUESTION_NOT_FOUND:
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "unknown question id: %s", r->params[1]);
		break;
	case ERR_KEY_REUSED:
		req_problem(r, PROBLEM_KEY_REUSED, "%s", e->text);
		break;
	default:
		req_fail(r, e);
		break;
	}
}

/* --- asking the worker --------------------------------------------------- */

/* A message's answer has no body. Which turn it became, and behind which event
 * that begins, clients may read in its head. */
static void
turn_headers(struct req *r, const struct json *ok)
{
	const char *id = json_str(ok, "turn_id", NULL);
	char after[24];

	if (id == NULL)
		return;
	req_add_header(r, "x-turn-id", id);
	if (str_format(after, sizeof(after), "%lld",
		(long long)json_int(ok, "after", 0)) == 0)
		req_add_header(r, "x-turn-after", after);
	req_add_header(r, "x-turn-queued",
	    json_bool(ok, "queued", false) ? "true" : "false");
}

static void
on_answer(void *ctx, const struct json *ok, int *fds ATTR_UNUSED,
    size_t nfds ATTR_UNUSED, const struct err *e)
{
	struct talk *t = ctx;
	struct events_from from = { .log = t->log, .raw = t->raw };

	if (ok == NULL) {
		session_fail(t->r, e);
	} else if (t->stream) {
		from.after = (uint64_t)MAX(json_int(ok, "after", 0), 0);
		from.turn = json_str(ok, "turn_id", "");
		events_stream(t->r, &from);
	} else {
		turn_headers(t->r, ok);
		req_reply_empty(t->r, 204);
	}
	req_release(t->r);
	free(t);
}

/* FIELDS is freed. */
static void
ask(struct req *r, enum msg_type type, struct buf *fields,
    const struct db_session *s, bool stream)
{
	struct talk *t;

	if (fields->failed) {
		req_problem(r, PROBLEM_TOO_LARGE, "too long for a session");
		buf_free(fields);
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->r = r;
	t->log = s->log;
	t->stream = stream;
	t->raw = stream && (req_query_bool(r, "include_raw", false) ||
			       req_query_bool(r, "includeRaw", false));
	req_hold(r);
	(void)link_call(r->gw, LINK_SESSION, r->params[0], type, fields, NULL,
	    0, type == MSG_SESSION_PROMPT ? PROMPT_MS : WORKER_MS, on_answer,
	    t);
	buf_free(fields);
}

/* --- messages ------------------------------------------------------------ */

static int
attachments_write(struct req *r, struct jw *w)
{
	static const struct json_field fields[] = {
		{ "path", JK_STR, true, 1, 4095 },
		{ "mime", JK_STR, false, 1, 255 },
		{ "filename", JK_STR, false, 1, 255 },
	};
	const struct json *list = json_get(r->json, "attachments");
	const struct json *v;
	size_t i;

	if (list == NULL || list->type == JSON_NULL || list->len == 0)
		return 0;
	jw_key(w, "attachments");
	jw_array(w);
	json_foreach (it, list) {
		jw_object(w);
		for (i = 0; i < countof(fields); i++) {
			v = json_get(it, fields[i].name);
			if (v == NULL || v->type == JSON_NULL) {
				if (!fields[i].required)
					continue;
				v = NULL;
			}
			if (v == NULL || v->type != JSON_STRING ||
			    strlen(v->str) != v->len ||
			    v->len > (size_t)fields[i].max ||
			    v->len < (size_t)fields[i].min) {
				req_problem(r, PROBLEM_BAD_BODY,
				    "attachments: %s", fields[i].name);
				return -1;
			}
			jw_kvalue(w, fields[i].name, v);
		}
		jw_object_end(w);
	}
	jw_array_end(w);
	return 0;
}

static int
key_write(struct req *r, struct jw *w)
{
	const char *key;

	if (session_key(r, &key) == -1)
		return -1;
	if (key != NULL)
		jw_kstr(w, "key", key);
	return 0;
}

static void
message(struct req *r, bool stream)
{
	const struct json *text = json_get(r->json, "message");
	struct db_session s;
	struct buf b;
	struct jw w;

	if (!session_find(r, &s))
		return;
	if (text->len > TEXT_MAX) {
		req_problem(r, PROBLEM_TOO_LARGE,
		    "message: longer than %d bytes", TEXT_MAX);
		return;
	}
	buf_init(&b, FIELDS_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kvalue(&w, "text", text);
	if (attachments_write(r, &w) == -1 || key_write(r, &w) == -1) {
		buf_free(&b);
		return;
	}
	jw_object_end(&w);
	ask(r, MSG_SESSION_PROMPT, &b, &s, stream);
}

void
route_session_message(struct req *r)
{
	message(r, false);
}

void
route_session_message_stream(struct req *r)
{
	message(r, true);
}

/* --- replies ------------------------------------------------------------- */

/* Ask TYPE with one id, and more members that the caller has. */
static struct jw
fields_begin(struct buf *b, const char *name, const char *id)
{
	struct jw w;

	buf_init(b, FIELDS_MAX);
	jw_init(&w, b);
	jw_object(&w);
	if (name != NULL)
		jw_kstr(&w, name, id);
	return w;
}

/* An id that no request of ours can have is unknown, not malformed. */
static bool
id_plausible(struct req *r, enum err_code code)
{
	struct err e;

	if (r->params[1][0] != '\0' && strlen(r->params[1]) <= 256)
		return true;
	(void)err_set(&e, code, "no such id");
	session_fail(r, &e);
	return false;
}

void
route_session_permission_reply(struct req *r)
{
	const char *reply = json_str(r->json, "reply", "");
	struct db_session s;
	struct buf b;
	struct jw w;

	if (strcmp(reply, "once") != 0 && strcmp(reply, "always") != 0 &&
	    strcmp(reply, "reject") != 0) {
		req_problem(
		    r, PROBLEM_BAD_BODY, "reply: none of once, always, reject");
		return;
	}
	if (!session_find(r, &s) || !id_plausible(r, ERR_PERMISSION_NOT_FOUND))
		return;
	w = fields_begin(&b, "permission_id", r->params[1]);
	jw_kstr(&w, "reply", reply);
	if (json_str(r->json, "message", NULL) != NULL)
		jw_kstr(&w, "message", json_str(r->json, "message", ""));
	jw_object_end(&w);
	ask(r, MSG_SESSION_PERMISSION, &b, &s, false);
}

/* [["Red"],["A","B"]] */
static bool
answers_fit(const struct json *list)
{
	if (list->len > ANSWERS_MAX)
		return false;
	json_foreach (one, list) {
		if (one->type != JSON_ARRAY || one->len > ANSWERS_MAX)
			return false;
		json_foreach (word, one) {
			if (word->type != JSON_STRING || word->len > WORD_MAX)
				return false;
		}
	}
	return true;
}

void
route_session_question_reply(struct req *r)
{
	const struct json *answers = json_get(r->json, "answers");
	struct db_session s;
	struct buf b;
	struct jw w;

	if (!answers_fit(answers)) {
		req_problem(r, PROBLEM_BAD_BODY,
		    "answers: a list of words for each question");
		return;
	}
	if (!session_find(r, &s) || !id_plausible(r, ERR_QUESTION_NOT_FOUND))
		return;
	w = fields_begin(&b, "question_id", r->params[1]);
	jw_kvalue(&w, "answers", answers);
	jw_object_end(&w);
	ask(r, MSG_SESSION_QUESTION, &b, &s, false);
}

void
route_session_question_reject(struct req *r)
{
	struct db_session s;
	struct buf b;
	struct jw w;

	if (!session_find(r, &s) || !id_plausible(r, ERR_QUESTION_NOT_FOUND))
		return;
	w = fields_begin(&b, "question_id", r->params[1]);
	jw_object_end(&w);
	ask(r, MSG_SESSION_QUESTION, &b, &s, false);
}

void
route_session_cancel(struct req *r)
{
	struct db_session s;
	struct buf b;
	struct jw w;

	if (!session_find(r, &s))
		return;
	w = fields_begin(&b, NULL, NULL);
	jw_object_end(&w);
	ask(r, MSG_SESSION_CANCEL, &b, &s, false);
}

/* --- configure ----------------------------------------------------------- */

void
route_session_configure(struct req *r)
{
	static const char *const names[][2] = { { "model", "model" },
		{ "permissionMode", "permission_mode" },
		{ "agentMode", "agent_mode" },
		{ "thoughtLevel", "thought_level" } };
	const char *word;
	struct db_session s;
	bool some = false;
	struct buf b;
	struct jw w;
	size_t i;

	w = fields_begin(&b, NULL, NULL);
	for (i = 0; i < countof(names); i++) {
		word = json_str(r->json, names[i][0], NULL);
		if (word == NULL)
			continue;
		jw_kstr(&w, names[i][1], word);
		some = true;
	}
	jw_object_end(&w);
	if (!some)
		req_problem(r, PROBLEM_BAD_BODY,
		    "none of model, permissionMode, agentMode and "
		    "thoughtLevel is given");
	else if (session_find(r, &s)) {
		ask(r, MSG_SESSION_CONFIGURE, &b, &s, false);
		return;
	}
	buf_free(&b);
}

/* --- terminate ----------------------------------------------------------- */

static void
on_terminated(void *ctx, const struct json *result, const struct err *e)
{
	struct req *r = ctx;

	/* To end what has ended is no mistake. */
	if (result != NULL || e->code == ERR_SESSION_ENDED)
		req_reply_empty(r, 204);
	else
		session_fail(r, e);
	req_release(r);
}

void
route_session_terminate(struct req *r)
{
	struct db_session s;
	struct buf b;
	struct jw w;

	if (!session_find(r, &s))
		return;
	w = fields_begin(&b, "id", r->params[0]);
	jw_object_end(&w);
	req_hold(r);
	super_call(r->gw, "session.end", &b, on_terminated, r);
	buf_free(&b);
}
