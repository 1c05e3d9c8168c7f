/*
 * Signals to managed processes, and waiting for their end; runs in init.
 */
#include "init/procs_priv.h"

#define WAITERS_MAX 256 /* of one process */

struct waiter {
	LIST_ENTRY(waiter) link;
	struct mproc *p;
	struct gate *g;
	int64_t id; /* of the request */
	ev_timer timer;
};

static void
waiter_free(struct waiter *t)
{
	LIST_REMOVE(t, link);
	ev_timer_stop(t->p->ps->in->loop, &t->timer);
	free(t);
}

static void
on_waited(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct waiter *t = w->data;

	(void)loop;
	(void)revents;
	mproc_reply(t->p, t->g, t->id);
	waiter_free(t);
}

void
waiters_tell(struct mproc *p)
{
	struct waiter *t;

	while ((t = LIST_FIRST(&p->waiters)) != NULL) {
		mproc_reply(p, t->g, t->id);
		waiter_free(t);
	}
}

void
waiters_gate_closed(struct mproc *p, struct gate *g)
{
	struct waiter *t, *next;

	for (t = LIST_FIRST(&p->waiters); t != NULL; t = next) {
		next = LIST_NEXT(t, link);
		if (t->g == g)
			waiter_free(t);
	}
}

static int
waiter_add(struct mproc *p, struct gate *g, int64_t id, int64_t ms)
{
	struct waiter *t;
	size_t n = 0;

	LIST_FOREACH (t, &p->waiters, link)
		n++;
	t = n < WAITERS_MAX ? calloc(1, sizeof(*t)) : NULL;
	if (t == NULL)
		return -1;
	t->p = p;
	t->g = g;
	t->id = id;
	LIST_INSERT_HEAD(&p->waiters, t, link);
	ev_now_update(p->ps->in->loop);
	ev_timer_init(&t->timer, on_waited, (double)ms / 1e3, 0.);
	t->timer.data = t;
	ev_timer_start(p->ps->in->loop, &t->timer);
	return 0;
}

void
signal_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg)
{
	int64_t wait_ms = json_int(msg, "wait_ms", 0);
	struct err e;
	struct mproc *p = mproc_find(ps, msg, &e);

	if (p == NULL) {
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	if (p->x != NULL && json_int(msg, "signal", SIGTERM) != 0)
		exec_signal(p->x, (int)json_int(msg, "signal", SIGTERM));
	if (p->state == MPROC_EXITED || wait_ms == 0 ||
	    waiter_add(p, g, id, wait_ms) == -1)
		mproc_reply(p, g, id);
}
