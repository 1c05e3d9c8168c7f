/*
 * Batches of event bodies and their appends; see outbox.h. Runs in the
 * session worker. It trusts the store to number and to keep, and checks that
 * the store's numbers are the ones given here: a difference ends the worker
 * rather than the log's order.
 *
 * It must never drop a batch that is not acknowledged, and never send a
 * second append while one is unanswered: if the first were refused (a full
 * disk) the second would leave a gap.
 */
#include "session/outbox.h"

#include "lib/frame.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "lib/xalloc.h"
#include <string.h>

#define BATCH_BYTES                                              \
	(256u << 10) /* a batch is closed before it grows beyond \
		      */
#define FULL_BYTES (768u << 10)
#define RELIEF_BYTES (256u << 10)
#define RETRY_S 1.0
#define ENVELOPE_BYTES 256 /* of a frame around events and set */

struct batch {
	TAILQ_ENTRY(batch) link;
	uint64_t number;
	int64_t first; /* sequence of its first event */
	int64_t count;
	struct buf events; /* JSON array without its closing bracket */
	struct buf set;	   /* JSON object, or empty */
};

struct outbox_waiter {
	TAILQ_ENTRY(outbox_waiter) link;
	uint64_t number; /* of the batch that must be stored */
	uint64_t order;
	outbox_stored *fn;
	void *arg;
};

static void send_head(struct outbox *o);

static struct batch *
batch_open(struct outbox *o)
{
	struct batch *b;

	if (o->open != NULL)
		return o->open;
	b = xcalloc(1, sizeof(*b));
	b->number = ++o->batches;
	b->first = o->next;
	buf_init(&b->events, FRAME_MAX);
	buf_init(&b->set, SET_BYTES_MAX);
	(void)buf_addc(&b->events, '['); /* failure shows in `failed` */
	o->bytes += b->events.len;
	o->open = b;
	return b;
}

static void
batch_free(struct batch *b)
{
	buf_free(&b->events);
	buf_free(&b->set);
	free(b);
}

/* The open batch takes no more events: fix what `set` says at this point. */
static void
batch_close(struct outbox *o)
{
	struct batch *b = STEAL(o->open);
	struct jw w;

	jw_init(&w, &b->set);
	jw_object(&w);
	o->hooks->set(o->ctx, &w);
	jw_object_end(&w);
	if (b->set.len <= 2)
		buf_clear(&b->set);
	TAILQ_INSERT_TAIL(&o->closed, b, link);
}

static void
waiters_run(struct outbox *o, uint64_t number, const struct err *e)
{
	struct outbox_waiter *wt;
	uint64_t last = o->waited;

	/* Waiters that are added meanwhile wait for the next answer. */
	while ((wt = TAILQ_FIRST(&o->waiters)) != NULL &&
	       wt->number <= number && wt->order <= last) {
		TAILQ_REMOVE(&o->waiters, wt, link);
		wt->fn(o->ctx, wt->arg, e);
		free(wt);
	}
}

static void
head_stored(struct outbox *o)
{
	struct batch *b = TAILQ_FIRST(&o->closed);
	uint64_t number = b->number;

	TAILQ_REMOVE(&o->closed, b, link);
	o->bytes -= b->events.len;
	batch_free(b);
	o->refused = false;
	waiters_run(o, number, NULL);
	if (o->full && o->bytes < RELIEF_BYTES) {
		o->full = false;
		o->hooks->full(o->ctx, false);
	}
	if (outbox_settled(o))
		o->hooks->settled(o->ctx);
}

static void
tail_done(struct outbox *o, const struct json *events, const struct err *e)
{
	outbox_read *fn = STEAL(o->tail_fn);

	o->tail_id = 0;
	if (fn != NULL)
		fn(o->tail_arg, events, e);
}

static void
store_away(struct outbox *o)
{
	struct err e;

	chan_free(o->ch);
	o->ch = NULL;
	o->attached = false;
	o->in_flight = 0;
	ev_timer_stop(o->loop, &o->retry);
	if (o->tail_id == 0)
		return;
	(void)err_set(&e, ERR_STORE_UNAVAILABLE, "the store is restarting");
	tail_done(o, NULL, &e);
}

static void
send_head(struct outbox *o)
{
	struct batch *b;
	struct jw *w;

	if (!o->attached || o->in_flight != 0 || ev_is_active(&o->retry))
		return;
	if (TAILQ_EMPTY(&o->closed) && o->open != NULL)
		batch_close(o);
	b = TAILQ_FIRST(&o->closed);
	if (b == NULL)
		return;
	if (b->events.failed ||
	    b->events.len + b->set.len + ENVELOPE_BYTES > FRAME_MAX)
		o->hooks->broken(o->ctx, "an append does not fit in a frame");
	o->in_flight = ++o->requests;
	w = chan_begin(o->ch);
	proto_begin(w, MSG_APPEND, o->in_flight);
	jw_kint(w, "first", b->first);
	jw_key(w, "events");
	/* The bracket is added for the time of the copy: a batch that is sent
	 * again must look the same. */
	(void)buf_addc(&b->events, ']');
	jw_raw(w, b->events.data, b->events.len);
	b->events.len--;
	if (b->set.len > 0) {
		jw_key(w, "set");
		jw_raw(w, b->set.data, b->set.len);
	}
	(void)chan_end(o->ch, NULL, 0); /* a failure is followed by CLOSED */
}

static void
on_attached(struct outbox *o, const struct json *body)
{
	int64_t next = json_int(body, "next", 0);
	struct batch *b;

	if (o->attached) {
		o->hooks->broken(o->ctx, "the store attached twice");
		return;
	}
	o->attached = true;
	if (o->next == 0) {
		o->next = next;
		o->hooks->attached(o->ctx, next, json_get(body, "record"));
		return;
	}
	/* A restarted store: what it has need not be sent again. */
	while ((b = TAILQ_FIRST(&o->closed)) != NULL && b->count > 0 &&
	       b->first + b->count <= next)
		head_stored(o);
	b = TAILQ_FIRST(&o->closed);
	if (next != (b != NULL		  ? b->first
			: o->open != NULL ? o->open->first
					  : o->next)) {
		o->hooks->broken(o->ctx, "the store lost or gained events");
		return;
	}
	send_head(o);
}

static void
on_tail(struct outbox *o, const struct proto_in *in, const struct json *msg)
{
	struct err e;

	if (in->kind == PROTO_ERROR) {
		(void)chan_reply_to_err(msg, &e); /* always -1 */
		tail_done(o, NULL, &e);
	} else if (proto_check_reply(MSG_STORE_TAIL, in->body, &e) == -1) {
		o->hooks->broken(o->ctx, e.text);
	} else {
		tail_done(o, json_get(in->body, "events"), NULL);
	}
}

static void
on_answer(struct outbox *o, const struct proto_in *in, const struct json *msg)
{
	struct batch *b = TAILQ_FIRST(&o->closed);
	struct err e;

	if (in->id == o->tail_id && o->tail_id != 0) {
		on_tail(o, in, msg);
		return;
	}
	if (in->id != o->in_flight || o->in_flight == 0 || b == NULL) {
		o->hooks->broken(o->ctx, "an answer nobody waits for");
		return;
	}
	o->in_flight = 0;
	if (in->kind == PROTO_ERROR) {
		(void)chan_reply_to_err(msg, &e); /* always -1 */
		if (!o->refused)
			log_warn("store", "append refused, trying again",
			    LOG_STR("why", e.text));
		o->refused = true;
		ev_timer_set(&o->retry, RETRY_S, 0.);
		ev_timer_start(o->loop, &o->retry);
		waiters_run(o, UINT64_MAX, &e);
		return;
	}
	if (proto_check_reply(MSG_APPEND, in->body, &e) == -1 ||
	    json_int(in->body, "last", -1) != b->first + b->count - 1) {
		o->hooks->broken(o->ctx, "the store numbers otherwise");
		return;
	}
	head_stored(o);
	send_head(o);
}

static void
on_frame(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct outbox *o = ctx;
	struct proto_in in;
	struct err e;

	(void)ch; /* there is only one at a time */
	if (what == CHAN_CLOSED) {
		log_info("store", "channel lost", LOG_STR("why", why));
		store_away(o);
		return;
	}
	if (proto_check(ROLE_STORE, PS_RUNNING, ROLE_SESSION, f->msg, f->len,
		f->nfds, &in, &e) == -1) {
		o->hooks->broken(o->ctx, e.text);
		return;
	}
	if (in.kind == PROTO_MESSAGE)
		on_attached(o, in.body);
	else
		on_answer(o, &in, f->msg);
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop;
	(void)revents;
	send_head(w->data);
}

static void
on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	send_head(w->data);
}

void
outbox_init(struct outbox *o, struct ev_loop *loop,
    const struct outbox_hooks *hooks, void *ctx)
{
	memset(o, 0, sizeof(*o));
	o->loop = loop;
	o->hooks = hooks;
	o->ctx = ctx;
	TAILQ_INIT(&o->closed);
	TAILQ_INIT(&o->waiters);
	/* Sent just before the loop sleeps: all events of one round of
	 * callbacks share an append. */
	ev_prepare_init(&o->flush, on_prepare);
	o->flush.data = o;
	ev_prepare_start(loop, &o->flush);
	ev_timer_init(&o->retry, on_retry, 0., 0.);
	o->retry.data = o;
}

void
outbox_free(struct outbox *o)
{
	struct outbox_waiter *wt;
	struct batch *b;

	o->tail_fn = NULL; /* nobody is there to be told */
	store_away(o);
	ev_prepare_stop(o->loop, &o->flush);
	if (o->open != NULL)
		batch_free(STEAL(o->open));
	while ((b = TAILQ_FIRST(&o->closed)) != NULL) {
		TAILQ_REMOVE(&o->closed, b, link);
		batch_free(b);
	}
	while ((wt = TAILQ_FIRST(&o->waiters)) != NULL) {
		TAILQ_REMOVE(&o->waiters, wt, link);
		free(wt);
	}
}

void
outbox_connect(struct outbox *o, int fd)
{
	store_away(o);
	o->ch = chan_new(o->loop, fd, "store", on_frame, o);
	/* The record holds our checkpoint, and that what an agent asked; events
	 * that are read back hold what it said. */
	chan_set_depth(o->ch, RECORD_DEPTH + 1);
}

int64_t
outbox_add(struct outbox *o, const char *body, size_t len)
{
	struct batch *b;

	if (o->open != NULL && o->open->count > 0 &&
	    o->open->events.len + len + 1 > BATCH_BYTES)
		batch_close(o);
	b = batch_open(o);
	o->bytes -= b->events.len;
	if (b->count > 0)
		(void)buf_addc(&b->events, ','); /* failure: `failed` */
	(void)buf_add(&b->events, body, len);
	o->bytes += b->events.len;
	b->count++;
	o->next++;
	if (!o->full && o->bytes > FULL_BYTES) {
		o->full = true;
		o->hooks->full(o->ctx, true);
	}
	return o->next - 1;
}

void
outbox_touch(struct outbox *o)
{
	(void)batch_open(o); /* its closing writes what changed */
}

int64_t
outbox_last(const struct outbox *o)
{
	return o->next > 0 ? o->next - 1 : 0;
}

bool
outbox_settled(const struct outbox *o)
{
	return o->open == NULL && TAILQ_EMPTY(&o->closed);
}

void
outbox_when_stored(struct outbox *o, outbox_stored *fn, void *arg)
{
	struct outbox_waiter *wt;

	if (outbox_settled(o)) {
		fn(o->ctx, arg, NULL);
		return;
	}
	wt = xcalloc(1, sizeof(*wt));
	wt->number = o->batches;
	wt->order = ++o->waited;
	wt->fn = fn;
	wt->arg = arg;
	TAILQ_INSERT_TAIL(&o->waiters, wt, link);
}

int
outbox_tail(struct outbox *o, int64_t events, int64_t bytes, bool raw,
    outbox_read *fn, void *arg, struct err *e)
{
	struct jw *w;

	if (o->tail_id != 0)
		return err_set(e, ERR_LIMIT, "the log is being read already");
	if (!o->attached)
		return err_set(
		    e, ERR_STORE_UNAVAILABLE, "the store is restarting");
	o->tail_id = ++o->requests;
	o->tail_fn = fn;
	o->tail_arg = arg;
	w = chan_begin(o->ch);
	proto_begin(w, MSG_STORE_TAIL, o->tail_id);
	jw_kint(w, "events", events);
	jw_kint(w, "bytes", bytes);
	if (raw)
		jw_kbool(w, "raw", true);
	(void)chan_end(o->ch, NULL, 0); /* a failure is followed by CLOSED */
	return 0;
}
