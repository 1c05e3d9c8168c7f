/*
 * See codex_route.h. Runs in the process that keeps a shared app-server, inside
 * the sandbox, as its user. Lines of sessions are hostile input, too: each is
 * parsed strictly, every table is bounded for each session, and no session is
 * told, or may answer, what is another's.
 */
#include "session/agents/codex_route_priv.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agent_process.h"
#include <string.h>

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* --- of clients ----------------------------------------------------------- */

static enum call_kind
kind_of(const char *method)
{
	if (is(method, "initialize"))
		return CALL_INIT;
	if (is(method, "thread/start") || is(method, "thread/fork"))
		return CALL_OPEN;
	if (is(method, "thread/resume"))
		return CALL_RESUME;
	return is(method, "turn/start") ? CALL_TURN : CALL_OTHER;
}

static struct call *
call_new(struct route *r, unsigned client, enum call_kind kind,
    const char *rpc_id, const char *thread)
{
	struct call *k = xcalloc(1, sizeof(*k));

	k->client = client;
	k->kind = kind;
	k->rpc_id = xstrdup(rpc_id);
	k->thread = thread != NULL ? xstrdup(thread) : NULL;
	k->since_ms = now_monotonic_ms();
	TAILQ_INSERT_TAIL(&r->calls, k, link);
	return k;
}

static void
refuse(struct route *r, unsigned client, const char *rpc_id, const char *why)
{
	struct buf b;

	route_write_error(&b, rpc_id, why);
	route_to_client(r, client, &b);
}

static void
greet(struct route *r, unsigned client, const char *rpc_id)
{
	struct buf b;

	buf_init(&b, LINE_BYTES_MAX);
	(void)buf_addf(&b, "{\"id\":%s,\"result\":%s}", rpc_id, r->greeting);
	route_to_client(r, client, &b);
}

/* Whoever has waited for the thread until now does so in vain. */
static void
held_refuse(struct route *r, struct thread *t)
{
	struct call *k, *next;

	if (t->held == NULL)
		return;
	for (k = TAILQ_FIRST(&r->calls); k != NULL; k = next) {
		next = TAILQ_NEXT(k, link);
		if (!k->held || k->client != t->held_for ||
		    !is(k->thread, t->id))
			continue;
		refuse(
		    r, k->client, k->rpc_id, "another session has this thread");
		route_call_free(r, k);
	}
	free(STEAL(t->held));
}

/* Who had the thread before has lost it. A turn of it ends first, or this
 * client's next message would become part of that. */
static bool
resume_waits(struct route *r, unsigned client, const char *id, struct buf *line)
{
	struct thread *t = route_thread(r, id);

	if (t == NULL || t->client == client || t->state == THREAD_IDLE ||
	    t->stuck) {
		(void)route_learn(r, id, client, true);
		return false;
	}
	held_refuse(r, t);
	t->held = buf_steal(line);
	t->held_for = client;
	if (t->client != 0)
		route_release(r, t);
	return true;
}

static int
forward_call(struct route *r, struct call *k, const struct json *m)
{
	char id[DECIMAL_MAX + 1];
	struct thread *t = route_thread(r, k->thread);
	struct buf b;

	k->id = ++r->ncalls;
	id[str_decimal(id, (uint64_t)k->id)] = '\0';
	route_write_with_id(&b, m, id);
	if (k->kind == CALL_TURN && t != NULL && t->state == THREAD_IDLE)
		t->state = THREAD_ASKED;
	if (k->kind == CALL_RESUME && k->thread != NULL && !b.failed &&
	    resume_waits(r, k->client, k->thread, &b)) {
		k->held = true;
		return 0;
	}
	return route_to_server(r, &b);
}

static int
client_request(struct route *r, unsigned client, const struct json *m,
    const char *method, const char *rpc_id)
{
	const char *id = json_str(json_get(m, "params"), "threadId", NULL);
	enum call_kind kind = kind_of(method);
	struct thread *t = route_thread(r, id);
	struct call *k;
	unsigned n = 0;

	TAILQ_FOREACH (k, &r->calls, link)
		n += k->client == client ? 1 : 0;
	if (n >= ROUTE_CALLS_MAX) {
		refuse(r, client, rpc_id, "too many requests are open");
		return 0;
	}
	if (t != NULL && t->client != client && kind != CALL_RESUME) {
		refuse(r, client, rpc_id, "another session has this thread");
		return 0;
	}
	if (kind == CALL_INIT && r->init == INIT_DONE) {
		greet(r, client, rpc_id);
		return 0;
	}
	k = call_new(r, client, kind, rpc_id, id);
	if (kind == CALL_INIT && r->init == INIT_ASKED)
		return 0; /* it gets the first one's answer */
	if (kind == CALL_INIT)
		r->init = INIT_ASKED;
	return forward_call(r, k, m);
}

/* Only who was asked answers, and only once. */
static int
client_answer(struct route *r, unsigned client, const struct json *m,
    const char *line, size_t len)
{
	struct ask *k = route_ask(r, json_get(m, "id"));

	if (k == NULL || k->client != client)
		return 0;
	route_ask_free(r, k);
	return r->ops->to_server(r->ctx, line, len);
}

static int
client_message(struct route *r, unsigned client, const struct json *m,
    const char *line, size_t len)
{
	const char *method = json_str(m, "method", NULL);
	autofree char *rpc_id = json_text(json_get(m, "id"), ROUTE_ID_MAX);

	if (method != NULL && rpc_id != NULL)
		return client_request(r, client, m, method, rpc_id);
	if (method == NULL)
		return client_answer(r, client, m, line, len);
	if (is(method, "initialized")) {
		if (r->said_initialized)
			return 0;
		r->said_initialized = true;
	}
	return r->ops->to_server(r->ctx, line, len);
}

int
route_from_client(struct route *r, unsigned client, const char *line,
    size_t len, struct err *e)
{
	struct json *m = NULL;
	int rc;

	if (strspn(line, " \t\r") == len)
		return 0;
	if (json_parse(line, len, JSON_DEPTH_AGENT, &m, e) == -1)
		return err_prefix(e, "a line that is no JSON");
	rc = client_message(r, client, m, line, len);
	json_free(m);
	return rc == 0 ? 0
		       : err_set(e, ERR_LIMIT,
			     "codex does not read what it is sent");
}

/* Answers of clients that have gone, which may never come. */
static void
calls_bound(struct route *r)
{
	struct call *k, *oldest;
	unsigned n;

	do {
		n = 0;
		oldest = NULL;
		TAILQ_FOREACH (k, &r->calls, link) {
			if (k->client != 0)
				continue;
			oldest = oldest == NULL ? k : oldest;
			n++;
		}
		if (n > ROUTE_CALLS_MAX)
			route_call_free(r, oldest);
	} while (n > ROUTE_CALLS_MAX);
}

void
route_leave(struct route *r, unsigned client)
{
	struct thread *t;
	struct call *k, *next_k;
	struct ask *a, *next_a;
	struct buf b;

	for (a = TAILQ_FIRST(&r->asks); a != NULL; a = next_a) {
		next_a = TAILQ_NEXT(a, link);
		if (a->client != client)
			continue;
		route_write_error(&b, a->rpc_id, "the session has gone");
		(void)route_to_server(r, &b); /* else its end is near */
		route_ask_free(r, a);
	}
	for (k = TAILQ_FIRST(&r->calls); k != NULL; k = next_k) {
		next_k = TAILQ_NEXT(k, link);
		if (k->client != client)
			continue;
		/* Of what may start something the answer is needed. */
		if (k->id == 0 || k->held || k->kind == CALL_OTHER)
			route_call_free(r, k);
		else
			k->client = 0;
	}
	calls_bound(r);
	TAILQ_FOREACH (t, &r->threads, link)
		if (t->held != NULL && t->held_for == client) {
			free(STEAL(t->held));
			t->stuck = true;
		}
	/* To release one may be the end of others. */
	while ((t = route_thread_of(r, client)) != NULL)
		route_release(r, t);
}

int64_t
route_waits_ms(const struct route *r, unsigned client)
{
	const struct call *k;

	TAILQ_FOREACH (k, &r->calls, link) /* the oldest comes first */
		if (k->client == client && !k->held)
			return now_monotonic_ms() - k->since_ms;
	return 0;
}
