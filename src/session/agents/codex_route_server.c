/*
 * Lines of the server; see codex_route_priv.h. Runs in the process that keeps a
 * shared app-server. They are hostile input: parsed strictly, and what is
 * somebody's goes to nobody else.
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

/* --- of the server: answers ----------------------------------------------- */

/* Deliver the news of a thread that came before its id was known. */
static void
unstash(struct route *r, const char *id, unsigned client)
{
	struct stash *s, *next;

	for (s = TAILQ_FIRST(&r->stash); s != NULL; s = next) {
		next = TAILQ_NEXT(s, link);
		if (!is(s->thread, id))
			continue;
		r->ops->to_client(r->ctx, client, s->line, s->len);
		route_stash_free(r, s);
	}
}

static bool
is_opening(struct route *r)
{
	struct call *k;

	TAILQ_FOREACH (k, &r->calls, link)
		if (k->kind == CALL_OPEN)
			return true;
	return false;
}

/* When no thread is being started nobody waits for what is kept. */
static void
stash_drop(struct route *r)
{
	while (!TAILQ_EMPTY(&r->stash) && !is_opening(r))
		route_stash_free(r, TAILQ_FIRST(&r->stash));
}

/* Everybody who waits for initialize gets its answer. */
static void
init_answered(struct route *r, const struct json *m)
{
	const struct json *result = json_get(m, "result");
	struct call *k, *next;
	struct buf b;

	free(r->greeting);
	r->greeting = json_text(result, LINE_BYTES_MAX / 2);
	r->init = r->greeting != NULL ? INIT_DONE : INIT_NONE;
	for (k = TAILQ_FIRST(&r->calls); k != NULL; k = next) {
		next = TAILQ_NEXT(k, link);
		if (k->kind != CALL_INIT)
			continue;
		route_write_with_id(&b, m, k->rpc_id);
		route_to_client(r, k->client, &b);
		route_call_free(r, k);
	}
}

static void
server_answer(struct route *r, const struct json *m)
{
	const struct json *result = json_get(m, "result");
	const char *id = json_str(json_get(result, "thread"), "id", NULL);
	int64_t number = json_int(m, "id", 0);
	struct thread *t = NULL;
	struct call *k;
	struct buf b;

	TAILQ_FOREACH (k, &r->calls, link)
		if (number != 0 && k->id == number)
			break;
	if (k == NULL)
		return; /* of a request of our own */
	if (k->kind == CALL_INIT) {
		init_answered(r, m);
		return;
	}
	if ((k->kind == CALL_OPEN || k->kind == CALL_RESUME) && id != NULL)
		t = route_learn(r, id, k->client, true);
	route_write_with_id(&b, m, k->rpc_id);
	route_to_client(r, k->client, &b);
	if (t != NULL && k->client == 0)
		route_release(r, t);
	else if (t != NULL)
		unstash(r, id, k->client);
	if (k->kind == CALL_TURN && result == NULL &&
	    (t = route_thread(r, k->thread)) != NULL &&
	    t->state == THREAD_ASKED)
		route_turn_over(r, t);
	route_call_free(r, k);
	stash_drop(r);
}

/* --- of the server: news and requests ------------------------------------- */

static const char *
thread_named(const struct json *params)
{
	const char *id = json_str(params, "threadId", NULL);

	if (id == NULL)
		id = json_str(params, "conversationId", NULL);
	if (id == NULL)
		id = json_str(json_get(params, "thread"), "id", NULL);
	return id;
}

static void
server_request(
    struct route *r, const struct json *m, const char *line, size_t len)
{
	autofree char *rpc_id = json_text(json_get(m, "id"), ROUTE_ID_MAX);
	const char *id = thread_named(json_get(m, "params"));
	struct thread *t = route_thread(r, id);
	struct ask *k;
	struct buf b;
	unsigned n = 0;

	if (rpc_id == NULL)
		return; /* it cannot be answered */
	TAILQ_FOREACH (k, &r->asks, link)
		n += t != NULL && k->client == t->client ? 1 : 0;
	if (t == NULL || t->client == 0 || n >= ROUTE_ASKS_MAX) {
		route_write_error(&b, rpc_id, "no session takes this request");
		(void)route_to_server(r, &b); /* else its end is near */
		return;
	}
	k = xcalloc(1, sizeof(*k));
	k->rpc_id = STEAL(rpc_id);
	k->client = t->client;
	TAILQ_INSERT_TAIL(&r->asks, k, link);
	r->ops->to_client(r->ctx, t->client, line, len);
}

static void
stash_add(struct route *r, const char *id, const char *line, size_t len)
{
	struct stash *s;

	if (!is_opening(r) || r->nstash >= ROUTE_STASH_MAX ||
	    len > STDIN_BYTES_MAX / ROUTE_STASH_MAX)
		return; /* nobody's, or more than is worth it */
	s = xcalloc(1, sizeof(*s));
	s->thread = xstrdup(id);
	s->line = xstrndup(line, len);
	s->len = len;
	TAILQ_INSERT_TAIL(&r->stash, s, link);
	r->nstash++;
}

/* A thread that one of ours has started is its client's, too. */
static struct thread *
thread_child(struct route *r, const char *id, const struct json *params)
{
	const struct thread *parent = route_thread(
	    r, json_str(json_get(params, "thread"), "parentThreadId", NULL));

	return parent != NULL ? route_learn(r, id, parent->client, false)
			      : NULL;
}

static void
turn_news(struct route *r, struct thread *t, const char *method,
    const struct json *params)
{
	const char *turn = json_str(json_get(params, "turn"), "id", NULL);

	if (is(method, "turn/completed")) {
		route_turn_over(r, t);
	} else if (is(method, "turn/started")) {
		t->state = THREAD_RUNNING;
		free(t->turn);
		t->turn = turn != NULL && strlen(turn) < ROUTE_ID_MAX
			      ? xstrdup(turn)
			      : NULL;
		if (t->client == 0)
			route_release(r, t);
	}
}

static void
server_news(struct route *r, const struct json *m, const char *method,
    const char *line, size_t len)
{
	const struct json *params = json_get(m, "params");
	const char *id = thread_named(params);
	struct thread *t = route_thread(r, id);
	struct ask *k;

	if (id == NULL) {
		r->ops->to_client(r->ctx, 0, line, len);
		return;
	}
	if (is(method, "serverRequest/resolved") &&
	    (k = route_ask(r, json_get(params, "requestId"))) != NULL)
		route_ask_free(r, k);
	if (t == NULL && is(method, "thread/started"))
		t = thread_child(r, id, params);
	if (t == NULL) {
		stash_add(r, id, line, len);
		return;
	}
	if (t->client != 0)
		r->ops->to_client(r->ctx, t->client, line, len);
	turn_news(r, t, method, params);
}

/* What cannot be understood is told to all, as it came: each logs it. */
void
route_from_server(struct route *r, const char *line, size_t len, size_t total)
{
	struct json *m = NULL;
	const char *method;

	if (strspn(line, " \t\r") == len && total == len)
		return;
	if (total > len ||
	    json_parse(line, len, JSON_DEPTH_AGENT, &m, NULL) == -1) {
		r->ops->to_client(r->ctx, 0, line, len);
		return;
	}
	method = json_str(m, "method", NULL);
	if (method != NULL && json_get(m, "id") != NULL)
		server_request(r, m, line, len);
	else if (method != NULL)
		server_news(r, m, method, line, len);
	else if (json_get(m, "id") != NULL)
		server_answer(r, m);
	else
		r->ops->to_client(r->ctx, 0, line, len);
	json_free(m);
}
