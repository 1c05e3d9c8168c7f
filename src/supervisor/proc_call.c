/*
 * Calls: requests to a child that wait for their answer, a deadline, or the
 * child's end, whichever comes first. Runs in the supervisor.
 */
#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/proc_priv.h"

void
proc_call_free(struct proc_call *c)
{
	ev_timer_stop(c->p->loop, &c->deadline);
	TAILQ_REMOVE(&c->p->calls, c, link);
	free(c);
}

static void
call_finish(struct proc_call *c, const struct json *ok,
    const struct chan_frame *f, const struct err *e)
{
	proc_reply_cb *cb = c->cb;
	void *ctx = c->ctx;

	proc_call_free(c);
	if (cb != NULL)
		cb(ctx, ok, f, e);
}

static void
call_timeout(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct proc_call *c = t->data;
	struct err e;

	err_set(&e, ERR_TIMEOUT, "%s did not answer", c->p->name);
	call_finish(c, NULL, NULL, &e);
}

void
proc_fail_calls(struct proc *p)
{
	struct proc_call *c;
	struct err e;

	err_set(&e,
	    p->kind->role == ROLE_STORE	 ? ERR_STORE_UNAVAILABLE
	    : p->kind->role == ROLE_INIT ? ERR_SANDBOX_FAILED
					 : ERR_SESSION_FAILED,
	    "%s ended: %s", p->name, p->cause);
	/* A callback may make new calls: on a channel that is closed they are
	 * refused, so the list only shrinks. */
	while ((c = TAILQ_FIRST(&p->calls)) != NULL)
		call_finish(c, NULL, NULL, &e);
}

struct proc_call *
proc_call_new(struct proc *p, int64_t id, enum msg_type type, int64_t ms,
    proc_reply_cb *cb, void *ctx)
{
	struct proc_call *c = xcalloc(1, sizeof(*c));

	c->id = id;
	c->type = type;
	c->cb = cb;
	c->ctx = ctx;
	c->p = p;
	ev_timer_init(&c->deadline, call_timeout, (double)ms / 1000.0, 0.);
	/* An answer that has come is read before the time is found over. */
	ev_set_priority(&c->deadline, EV_MINPRI);
	c->deadline.data = c;
	if (ms > 0)
		ev_timer_start(p->loop, &c->deadline);
	TAILQ_INSERT_TAIL(&p->calls, c, link);
	return c;
}

struct jw *
proc_call(struct proc *p, enum msg_type type, int64_t ms, proc_reply_cb *cb,
    void *ctx)
{
	struct proc_call *c;
	struct jw *w;

	if (p->ch == NULL)
		return NULL;
	c = proc_call_new(p, ++p->next_id, type, ms, cb, ctx);
	w = chan_begin(p->ch);
	proto_begin(w, type, c->id);
	return w;
}

void
proc_forget(struct proc *p, const void *ctx)
{
	struct proc_call *c;

	TAILQ_FOREACH (c, &p->calls, link) {
		if (c->ctx == ctx)
			c->cb = NULL;
	}
}

int64_t
proc_call_id(const struct proc *p)
{
	return p->next_id;
}

static void
call_unsent(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct proc_call *c = t->data;
	struct err e;

	err_set(&e, ERR_LIMIT, "%s has too much to do", c->p->name);
	call_finish(c, NULL, NULL, &e);
}

int
proc_send(struct proc *p, const int *fds, size_t nfds)
{
	struct proc_call *c = TAILQ_LAST(&p->calls, proc_calls);

	if (chan_end(p->ch, fds, nfds) == 0)
		return 0;
	/* It has died, which the channel tells next: the call is answered with
	 * all others then. Who writes again after that error must not take a
	 * store that was killed just now for one that is full. */
	if (chan_mute(p->ch))
		return -1;
	/* A message too many or too long: its answer is an error, which comes
	 * from the loop like any other. */
	if (c != NULL && c->id == p->next_id) {
		ev_timer_stop(p->loop, &c->deadline);
		ev_timer_init(&c->deadline, call_unsent, 0., 0.);
		ev_timer_start(p->loop, &c->deadline);
	}
	return -1;
}

struct jw *
proc_notice(struct proc *p, enum msg_type type)
{
	struct jw *w;

	if (p->ch == NULL)
		return NULL;
	p->next_id++; /* so that proc_send finds no call of this number */
	w = chan_begin(p->ch);
	proto_begin(w, type, 0);
	return w;
}

int
proc_reply(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f, struct err *e)
{
	struct proc_call *c;
	struct err told;

	TAILQ_FOREACH (c, &p->calls, link) {
		if (c->id == in->id)
			break;
	}
	if (c == NULL) {
		/* Ours to forgive: the deadline may have come first. */
		if (in->id > 0 && in->id <= p->next_id)
			return 0;
		return err_set(e, ERR_BAD_REQUEST, "reply to no request");
	}
	if (in->kind == PROTO_ERROR) {
		(void)chan_reply_to_err(f->msg, &told);
		call_finish(c, NULL, f, &told);
		return 0;
	}
	if (proto_check_reply(c->type, in->body, e) == -1)
		return -1;
	call_finish(c, in->body, f, NULL);
	return 0;
}
