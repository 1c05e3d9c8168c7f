/*
 * What is whose; see codex_route_priv.h. Runs in the process that keeps a
 * shared app-server. Every table is bounded for each session, and so is what
 * those leave that have gone.
 */
#include "session/agents/codex_route_priv.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/agent_process.h"
#include <string.h>

#define GONE_CODE (-32000)

static bool
is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* --- what is remembered --------------------------------------------------- */

void
route_call_free(struct route *r, struct call *k)
{
	TAILQ_REMOVE(&r->calls, k, link);
	free(k->rpc_id);
	free(k->thread);
	free(k);
}

void
route_ask_free(struct route *r, struct ask *k)
{
	TAILQ_REMOVE(&r->asks, k, link);
	free(k->rpc_id);
	free(k);
}

static void
thread_free(struct route *r, struct thread *t)
{
	TAILQ_REMOVE(&r->threads, t, link);
	free(t->id);
	free(t->turn);
	free(t->held);
	free(t);
}

void
route_stash_free(struct route *r, struct stash *s)
{
	TAILQ_REMOVE(&r->stash, s, link);
	r->nstash--;
	free(s->thread);
	free(s->line);
	free(s);
}

struct thread *
route_thread(struct route *r, const char *id)
{
	struct thread *t;

	TAILQ_FOREACH (t, &r->threads, link)
		if (id != NULL && is(t->id, id))
			return t;
	return NULL;
}

struct thread *
route_thread_of(struct route *r, unsigned client)
{
	struct thread *t;

	TAILQ_FOREACH (t, &r->threads, link)
		if (t->client == client)
			return t;
	return NULL;
}

/* CLIENT has too many threads: forget the oldest that has no turn, or just the
 * oldest; but not its first, which is the session's own, nor KEEP, which the
 * caller goes on with, nor one that somebody waits for. */
static void
threads_bound(struct route *r, unsigned client, const struct thread *keep)
{
	struct thread *t, *idle = NULL;
	unsigned n = 0;

	TAILQ_FOREACH (t, &r->threads, link) {
		if (t->client != client || n++ == 0 || t == keep ||
		    t->held != NULL)
			continue;
		if (idle == NULL ||
		    (idle->state != THREAD_IDLE && t->state == THREAD_IDLE))
			idle = t;
	}
	if (n > ROUTE_THREADS_MAX && idle != NULL)
		thread_free(r, idle);
}

struct thread *
route_learn(struct route *r, const char *id, unsigned client, bool own)
{
	struct thread *t = route_thread(r, id);

	if (strlen(id) >= ROUTE_ID_MAX)
		return NULL;
	if (t == NULL) {
		t = xcalloc(1, sizeof(*t));
		t->id = xstrdup(id);
	} else {
		TAILQ_REMOVE(&r->threads, t, link);
	}
	t->client = client;
	if (own)
		TAILQ_INSERT_HEAD(&r->threads, t, link);
	else
		TAILQ_INSERT_TAIL(&r->threads, t, link);
	threads_bound(r, client, t);
	return t;
}

struct ask *
route_ask(struct route *r, const struct json *id)
{
	autofree char *text = json_text(id, ROUTE_ID_MAX);
	struct ask *k;

	TAILQ_FOREACH (k, &r->asks, link)
		if (text != NULL && is(k->rpc_id, text))
			return k;
	return NULL;
}
/* --- lines ---------------------------------------------------------------- */

int
route_to_server(struct route *r, struct buf *b)
{
	int rc = b->failed ? -1 : r->ops->to_server(r->ctx, b->data, b->len);

	buf_free(b);
	return rc;
}

void
route_to_client(struct route *r, unsigned client, struct buf *b)
{
	if (client != 0 && !b->failed)
		r->ops->to_client(r->ctx, client, b->data, b->len);
	buf_free(b);
}

void
route_write_with_id(struct buf *b, const struct json *m, const char *id)
{
	struct jw w;

	buf_init(b, 2 * STDIN_BYTES_MAX);
	jw_init(&w, b);
	jw_object(&w);
	json_foreach (v, m) {
		if (!is(v->key, "id")) {
			jw_kvalue(&w, v->key, v);
			continue;
		}
		jw_key(&w, "id");
		jw_raw(&w, id, strlen(id));
	}
	jw_object_end(&w);
}

void
route_write_error(struct buf *b, const char *id, const char *why)
{
	struct jw w;

	buf_init(b, 4096);
	jw_init(&w, b);
	jw_object(&w);
	jw_key(&w, "id");
	jw_raw(&w, id, strlen(id));
	jw_key(&w, "error");
	jw_object(&w);
	jw_kint(&w, "code", GONE_CODE);
	jw_kstr(&w, "message", why);
	jw_object_end(&w);
	jw_object_end(&w);
}

/* A request of our own about a thread, whose answer nobody wants. It fails
 * when the server reads no more: then its end is near. */
static void
say(struct route *r, const char *method, const struct thread *t, bool turn)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "method", method);
	jw_kint(&w, "id", ++r->ncalls);
	jw_key(&w, "params");
	jw_object(&w);
	jw_kstr(&w, "threadId", t->id);
	if (turn)
		jw_kstr(&w, "turnId", t->turn);
	jw_object_end(&w);
	jw_object_end(&w);
	(void)route_to_server(r, &b);
}
/* --- threads without a client --------------------------------------------- */

/* Its client has gone: end what it does, sooner or later. An interrupt leaves
 * commands in the background alone, and comes to nothing before the turn has
 * begun. */
void
route_release(struct route *r, struct thread *t)
{
	t->client = 0;
	if (t->state == THREAD_RUNNING && t->turn != NULL)
		say(r, "turn/interrupt", t, true);
	if (t->state != THREAD_IDLE) {
		threads_bound(r, 0, t);
		return;
	}
	say(r, "thread/backgroundTerminals/clean", t, false);
	say(r, "thread/unsubscribe", t, false);
	thread_free(r, t);
}

void
route_turn_over(struct route *r, struct thread *t)
{
	struct call *k;

	t->state = THREAD_IDLE;
	t->stuck = false;
	free(STEAL(t->turn));
	if (t->client != 0)
		return;
	if (t->held == NULL) {
		route_release(r, t);
		return;
	}
	say(r, "thread/backgroundTerminals/clean", t, false);
	t->client = t->held_for;
	TAILQ_FOREACH (k, &r->calls, link)
		if (k->held && k->client == t->client && is(k->thread, t->id)) {
			k->held = false;
			k->since_ms = now_monotonic_ms();
		}
	(void)r->ops->to_server(r->ctx, t->held, strlen(t->held));
	free(STEAL(t->held));
}
/* --- life ----------------------------------------------------------------- */

struct route *
route_new(const struct route_ops *ops, void *ctx)
{
	struct route *r = xcalloc(1, sizeof(*r));

	r->ops = ops;
	r->ctx = ctx;
	TAILQ_INIT(&r->calls);
	TAILQ_INIT(&r->threads);
	TAILQ_INIT(&r->asks);
	TAILQ_INIT(&r->stash);
	return r;
}

void
route_free(struct route *r)
{
	if (r == NULL)
		return;
	while (!TAILQ_EMPTY(&r->calls))
		route_call_free(r, TAILQ_FIRST(&r->calls));
	while (!TAILQ_EMPTY(&r->threads))
		thread_free(r, TAILQ_FIRST(&r->threads));
	while (!TAILQ_EMPTY(&r->asks))
		route_ask_free(r, TAILQ_FIRST(&r->asks));
	while (!TAILQ_EMPTY(&r->stash))
		route_stash_free(r, TAILQ_FIRST(&r->stash));
	free(r->greeting);
	free(r);
}
