/*
 * After a restart of the worker: a program that knows nothing is told what the
 * former one knew, when an envelope needs it. Runs in the session worker.
 *
 * First initialize (and authenticate), as the clients did. Then, for a session
 * that an envelope names, session/resume or session/load where the program can,
 * else a new one with the same parameters, whose id is replaced both ways from
 * then on; then what the clients had set in it. All of this the clients do not
 * see: our own requests have ids that no client uses, and their answers, like
 * the history that a load repeats, are swallowed. Meanwhile envelopes wait in
 * their order.
 */
#include "session/acp/pass.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <inttypes.h>
#include <string.h>

#define OUR_ID "sandboxd:"
#define OUR_ID_MAX 40

/* --- the envelopes that wait ---------------------------------------------- */

static void
drop_first(struct pass *p)
{
	struct pass_waiting *q = TAILQ_FIRST(&p->queue);

	TAILQ_REMOVE(&p->queue, q, link);
	p->queue_bytes -= q->len;
	free(q->text);
	free(q);
}

void
pass_queue_free(struct pass *p)
{
	while (!TAILQ_EMPTY(&p->queue))
		drop_first(p);
}

void
pass_queue(struct pass *p, const char *text, size_t len)
{
	struct pass_waiting *q;

	if (p->queue_bytes + len > PASS_QUEUE_BYTES_MAX) {
		log_warn("acp", "an envelope is lost: too many wait");
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->text = xmalloc(len + 1);
	memcpy(q->text, text, len);
	q->text[len] = '\0';
	q->len = len;
	p->queue_bytes += len;
	TAILQ_INSERT_TAIL(&p->queue, q, link);
}

/* --- our own requests ----------------------------------------------------- */

/* PARAMS (JSON text of an object) with the session id SESSION in place of its
 * own, or without one when that is NULL. */
static void
write_params(struct jw *w, const char *params, const char *session)
{
	struct json *j = NULL;

	if (json_parse(params, strlen(params), JSON_DEPTH_AGENT, &j, NULL) ==
	    -1)
		j = NULL; /* an object once; see pass_state.c */
	jw_object(w);
	if (session != NULL)
		jw_kstr(w, "sessionId", session);
	json_foreach (v, j)
		if (strcmp(v->key, "sessionId") != 0)
			jw_kvalue(w, v->key, v);
	jw_object_end(w);
	json_free(j);
}

static void
ask(struct pass *p, enum pass_call call, const char *method, const char *params,
    const char *session)
{
	char id[OUR_ID_MAX];
	struct buf b;
	struct jw w;

	if (str_format(id, sizeof(id), OUR_ID "%" PRIu64, ++p->calls) == -1)
		abort(); /* 9 + 20 bytes */
	buf_init(&b, ACP_INPUT_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "jsonrpc", "2.0");
	jw_kstr(&w, "id", id);
	jw_kstr(&w, "method", method);
	jw_key(&w, "params");
	write_params(&w, params, session);
	jw_object_end(&w);
	p->call = call;
	if (b.failed || pass_write(p, b.data, b.len) == -1)
		log_warn("acp", "the agent does not read what it is sent");
	buf_free(&b);
}

static void
ask_session(struct pass *p, enum pass_call call)
{
	static const char *const methods[] = { [PASS_RESUME] = "session/resume",
		[PASS_LOAD] = "session/load",
		[PASS_NEW] = "session/new" };
	const struct pass_session *s = p->restoring;

	ask(p, call, methods[call], s->params,
	    call == PASS_NEW	? NULL
	    : s->former != NULL ? s->former
				: s->id);
}

/* Tell it the next thing that was set in the session that is restored. */
static void
go_on_setting(struct pass *p)
{
	const struct pass_session *s = p->restoring;

	if (p->restored < s->nset) {
		ask(p, PASS_SETTING, s->set[p->restored].method,
		    s->set[p->restored].params, s->native);
		p->restored++;
		return;
	}
	p->restoring = NULL;
	p->call = PASS_NONE;
}

static void
session_is_open(struct pass *p, const char *native)
{
	struct pass_session *s = p->restoring;

	free(s->native);
	s->native = xstrdup(native);
	p->restored = 0;
	acp_touch(p->b.door);
	go_on_setting(p);
}

/* The program has it no more, or cannot. */
static void
session_failed(struct pass *p)
{
	log_warn("acp", "a session cannot be opened again",
	    LOG_STR("session", p->restoring->id));
	/* By its own id it is unknown, which the program will say. */
	session_is_open(p, p->restoring->id);
}

static void
session_answered(
    struct pass *p, const struct json *result, bool ok, enum pass_call call)
{
	struct pass_session *s = p->restoring;
	const char *id = json_str(result, "sessionId", NULL);

	if (ok && call != PASS_NEW) {
		session_is_open(p, s->former != NULL ? s->former : s->id);
	} else if (ok && id != NULL && strlen(id) <= NAME_BYTES_MAX) {
		s->lost = true;
		session_is_open(p, id);
	} else if (call == PASS_RESUME && p->can_load) {
		ask_session(p, PASS_LOAD);
	} else if (call != PASS_NEW) {
		ask_session(p, PASS_NEW);
	} else {
		session_failed(p);
	}
}

static void
answered(struct pass *p, const struct json *env)
{
	const struct json *result = json_get(env, "result");
	enum pass_call call = p->call;
	bool ok = result != NULL;

	p->call = PASS_NONE;
	switch (call) {
	case PASS_HELLO:
		pass_capabilities(p, result);
		if (ok && p->key != NULL)
			ask(p, PASS_KEY, "authenticate", p->key, NULL);
		break;
	case PASS_RESUME:
	case PASS_LOAD:
	case PASS_NEW:
		session_answered(p, result, ok, call);
		break;
	case PASS_SETTING:
		go_on_setting(p);
		break;
	case PASS_NONE:
	case PASS_KEY:
	case PASS_WORDS:
		break;
	}
	pass_pump(p);
}

bool
pass_ours(struct pass *p, const struct json *env)
{
	const char *id = json_str(env, "id", "");
	const char *session =
	    json_str(json_get(env, "params"), "sessionId", NULL);
	const struct pass_session *s = p->restoring;

	if (json_get(env, "method") == NULL && str_starts(id, OUR_ID)) {
		answered(p, env);
		return true;
	}
	/* What is repeated while a session is opened was seen before. */
	return s != NULL && s->native == NULL && session != NULL &&
	       json_get(env, "id") == NULL &&
	       strcmp(session, s->former != NULL ? s->former : s->id) == 0;
}

/* --- envelopes ------------------------------------------------------------ */

/* A response to a request that this program has made? */
static bool
asked_for(struct pass *p, const struct json *env)
{
	autofree char *id = pass_json(json_get(env, "id"));
	unsigned i;

	for (i = 0; i < p->nasked && id != NULL; i++)
		if (strcmp(p->asked[i], id) == 0) {
			free(p->asked[i]);
			p->asked[i] = p->asked[--p->nasked];
			return true;
		}
	return false;
}

static bool
opens_itself(const char *method)
{
	return strcmp(method, "session/load") == 0 ||
	       strcmp(method, "session/resume") == 0 ||
	       strcmp(method, "session/close") == 0 ||
	       strcmp(method, "session/delete") == 0;
}

/* What the first envelope in the queue needs before it can go: true when that
 * was begun. */
static bool
prepare(struct pass *p, const struct json *env)
{
	const char *method = json_str(env, "method", "");
	const char *id = json_str(json_get(env, "params"), "sessionId", NULL);
	struct pass_session *s = id != NULL ? pass_find(p, id) : NULL;

	if (!p->greeted && strcmp(method, "initialize") != 0) {
		p->greeted = true;
		ask(p, PASS_HELLO, "initialize", p->hello, NULL);
		return true;
	}
	if (s == NULL ||
	    (opens_itself(method) &&
		(s->former == NULL || strcmp(s->former, s->id) == 0)))
		return false;
	p->restoring = s;
	if (s->native == NULL) {
		ask_session(p, p->can_resume ? PASS_RESUME
			       : p->can_load ? PASS_LOAD
					     : PASS_NEW);
		return true;
	}
	if (s->lost && strcmp(method, "session/prompt") == 0) {
		s->lost = false;
		if (pass_words(p) == 0)
			return true;
	}
	p->restoring = NULL;
	return false;
}

/* It is about something that went with the former program. */
static bool
is_stale(struct pass *p, const struct json *env)
{
	const char *method = json_str(env, "method", NULL);

	if (method == NULL)
		return !asked_for(p, env);
	return p->proc == NULL && strcmp(method, "session/cancel") == 0;
}

void
pass_pump(struct pass *p)
{
	struct pass_waiting *q;
	struct json *env;

	while (p->call == PASS_NONE && !p->ended &&
	       (q = TAILQ_FIRST(&p->queue)) != NULL) {
		if (json_parse(q->text, q->len, JSON_DEPTH_AGENT, &env, NULL) ==
		    -1) {
			drop_first(p); /* it was parsed before */
			continue;
		}
		if (is_stale(p, env)) {
			drop_first(p);
		} else if (p->proc == NULL && pass_start(p) == -1) {
			json_free(env);
			return; /* the queue is gone */
		} else if (!prepare(p, env)) {
			pass_forward(p, env, q->text, q->len);
			drop_first(p);
		}
		json_free(env);
	}
}
