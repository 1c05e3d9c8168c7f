/*
 * Channels to inits, file servers and session workers. Runs in a gateway. Who
 * sits at the other end lives in a sandbox and may be hostile: what it says is
 * checked by proto.def, what it breaks costs it the channel and those who
 * waited on it an error. It can hold nobody up: each call has its deadline
 * where one was asked for, and each channel its own queue.
 *
 * Messages of ours are checked before they go: a client's words are in them,
 * and what the other side must refuse would cost all who share the channel.
 */
#include "gateway/link.h"

#include "gateway/call.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "gateway/touch.h"
#include "lib/xalloc.h"

#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#define LINKS_MAX 1024
#define IDLE_MS 60000
#define SWEEP_S 1.0
/* Waiting for answers, on one channel. */
#define CALLS_MAX 8192
/* What surrounds the members of a message. */
#define ENVELOPE_BYTES 128
#define BUCKETS 1024 /* of calls */

struct link_call {
	TAILQ_ENTRY(link_call) link; /* of its channel, in order */
	LIST_ENTRY(link_call) by_number;
	struct gateway *gw;
	struct link *l; /* NULL: it never got one */
	uint64_t number;
	enum msg_type type;
	struct json *fields;   /* owned; until it is sent */
	int fds[FDIO_MAX_FDS]; /* owned; until it is sent */
	size_t nfds;
	bool sent, replied;
	link_done *done;
	void *ctx;
	ev_timer timer;
	struct err e; /* what the timer tells */
};

struct pin {
	LIST_ENTRY(pin) link;
	uint64_t number;
};

struct link {
	LIST_ENTRY(link) link;
	struct gateway *gw;
	enum link_kind kind;
	char *id;	 /* owned */
	struct chan *ch; /* owned; NULL until it is there */
	bool dead;	 /* its calls are being told */
	bool left;	 /* only for what was asked already */
	int64_t used_ms;
	size_t ncalls;
	size_t late; /* answers that may still come, and nobody wants */
	TAILQ_HEAD(, link_call) calls;
	LIST_HEAD(, pin) pins;
};

struct links {
	LIST_HEAD(, link) all;
	size_t n;
	uint64_t number; /* of the last call, or pin */
	LIST_HEAD(, link_call) buckets[BUCKETS];
	ev_timer sweep;
};

static const struct {
	const char *wire;
	enum role role;
	enum err_code gone;
} kinds[LINK_N] = {
	[LINK_INIT] = { "init", ROLE_INIT, ERR_SANDBOX_FAILED },
	[LINK_FILES] = { "files", ROLE_INIT, ERR_SANDBOX_FAILED },
	[LINK_SESSION] = { "session", ROLE_SESSION, ERR_SESSION_FAILED },
};

/* --- calls --------------------------------------------------------------- */

static void
call_free(struct link_call *c)
{
	ev_timer_stop(c->gw->loop, &c->timer);
	LIST_REMOVE(c, by_number);
	if (c->l != NULL) {
		TAILQ_REMOVE(&c->l->calls, c, link);
		c->l->ncalls--;
		c->l->used_ms = now_monotonic_ms();
		if (c->sent && !c->replied)
			c->l->late++;
	}
	fd_close_all(c->fds, c->nfds);
	json_free(c->fields);
	free(c);
}

static void
call_finish(struct link_call *c, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	link_done *done = c->done;
	void *ctx = c->ctx;

	call_free(c);
	done(ctx, ok, fds, nfds, e);
}

static struct link_call *
call_find(struct gateway *gw, uint64_t number)
{
	struct link_call *c;

	LIST_FOREACH (c, &gw->links->buckets[number % BUCKETS], by_number) {
		if (c->number == number)
			break;
	}
	return c;
}

/* The other side is to stop what it does for C, if it is worth telling. */
static void
call_revoke(struct link_call *c)
{
	struct jw *w;

	if (!c->sent || c->type != MSG_PROC_RUN || c->l->ch == NULL)
		return;
	w = chan_begin(c->l->ch);
	proto_begin(w, MSG_PROC_CANCEL, 0);
	jw_kint(w, "run", (int64_t)c->number);
	(void)chan_end(c->l->ch, NULL, 0); /* or it is dying */
}

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct link_call *c = t->data;
	struct err e = c->e;

	if (c->l != NULL)
		call_revoke(c);
	call_finish(c, NULL, NULL, 0, &e);
}

/* Its end comes from the loop, like any other. */
static void
call_fail_soon(struct link_call *c, const struct err *e)
{
	c->e = *e;
	ev_timer_stop(c->gw->loop, &c->timer);
	ev_timer_set(&c->timer, 0., 0.);
	ev_timer_start(c->gw->loop, &c->timer);
}

static void
write_fields(struct jw *w, const struct json *fields)
{
	json_foreach (it, fields) {
		jw_kvalue(w, it->key, it);
	}
}

static void
call_send(struct link_call *c)
{
	struct jw *w = chan_begin(c->l->ch);
	size_t nfds = c->nfds;
	struct err e;

	proto_begin(w, c->type, (int64_t)c->number);
	write_fields(w, c->fields);
	json_free(STEAL(c->fields));
	c->sent = true;
	c->nfds = 0;
	if (chan_end(c->l->ch, c->fds, nfds) == -1) {
		/* With nothing before it there was room, but nobody. */
		err_set(&e,
		    chan_queued(c->l->ch) > 0 ? ERR_LIMIT
					      : kinds[c->l->kind].gone,
		    "%s is busy or ending", c->l->id);
		call_fail_soon(c, &e);
	}
}

/* --- channels ------------------------------------------------------------ */

static struct link *
link_find(struct gateway *gw, enum link_kind kind, const char *id)
{
	struct link *l;

	LIST_FOREACH (l, &gw->links->all, link) {
		if (l->kind == kind && !l->dead && !l->left &&
		    strcmp(l->id, id) == 0)
			break;
	}
	return l;
}

static void
link_free(struct link *l)
{
	struct pin *p;

	LIST_REMOVE(l, link);
	l->gw->links->n--;
	chan_free(STEAL(l->ch));
	while ((p = LIST_FIRST(&l->pins)) != NULL) {
		LIST_REMOVE(p, link);
		free(p);
	}
	free(l->id);
	free(l);
}

/* The channel is over: all who wait on it are told E. Their callbacks may ask
 * again, which makes a new one. */
static void
link_end(struct link *l, const struct err *e)
{
	struct link_call *c;

	l->dead = true;
	while ((c = TAILQ_FIRST(&l->calls)) != NULL)
		call_finish(c, NULL, NULL, 0, e);
	link_free(l);
}

/* One frame; -1: it broke a rule. */
static int
frame(struct link *l, const struct chan_frame *f, struct err *e)
{
	struct link_call *c;
	struct proto_in in;
	struct err told;

	if (proto_check(kinds[l->kind].role, PS_RUNNING, ROLE_GATEWAY, f->msg,
		f->len, f->nfds, &in, e) == -1)
		return -1;
	if (in.kind == PROTO_MESSAGE)
		return err_set(e, ERR_BAD_REQUEST, "not to be said here");
	c = call_find(l->gw, (uint64_t)in.id);
	if (c == NULL || c->l != l || !c->sent) {
		/* Nobody ever wanted it; or nobody does any more: one for each
		 * call that was given up, so that nobody can keep us busy. */
		if (l->late == 0)
			return err_set(
			    e, ERR_BAD_REQUEST, "reply to no request");
		l->late--;
		return 0;
	}
	c->replied = true;
	if (in.kind == PROTO_ERROR) {
		(void)chan_reply_to_err(in.body, &told);
		call_finish(c, NULL, NULL, 0, &told);
		return 0;
	}
	if (proto_check_reply(c->type, in.body, e) == -1)
		return -1;
	call_finish(c, in.body, f->fds, f->nfds, NULL);
	return 0;
}

static void
on_chan(struct chan *ch ATTR_UNUSED, enum chan_what what,
    const struct chan_frame *f, const char *why, void *ctx)
{
	struct link *l = ctx;
	struct err e;

	if (what == CHAN_CLOSED) {
		err_set(&e, kinds[l->kind].gone, "%s %s: %s",
		    l->kind == LINK_SESSION ? "session" : "sandbox", l->id,
		    why);
		link_end(l, &e);
	} else if (frame(l, f, &e) == -1) {
		log_warn("link", "breach", LOG_STR("of", l->id),
		    LOG_STR("kind", kinds[l->kind].wire),
		    LOG_STR("detail", e.text));
		err_set(
		    &e, kinds[l->kind].gone, "%s broke the protocol", l->id);
		link_end(l, &e);
	}
}

static void
on_connected(void *ctx, int fd, const struct err *e)
{
	struct link *l = ctx;
	struct link_call *c, *next;

	if (fd == -1) {
		link_end(l, e);
		return;
	}
	l->ch = chan_new(l->gw->loop, fd, kinds[l->kind].wire, on_chan, l);
	l->used_ms = now_monotonic_ms();
	/* Sending calls nobody back. */
	for (c = TAILQ_FIRST(&l->calls); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		call_send(c);
	}
}

/* Close the channel that was idle for longest. */
static bool
make_room(struct gateway *gw)
{
	struct link *l, *oldest = NULL;

	if (gw->links->n < LINKS_MAX)
		return true;
	LIST_FOREACH (l, &gw->links->all, link) {
		if (l->ncalls == 0 && l->ch != NULL && !l->dead &&
		    LIST_EMPTY(&l->pins) &&
		    (oldest == NULL || l->used_ms < oldest->used_ms))
			oldest = l;
	}
	if (oldest != NULL)
		link_free(oldest);
	return oldest != NULL;
}

static struct link *
link_get(struct gateway *gw, enum link_kind kind, const char *id, struct err *e)
{
	struct link *l = link_find(gw, kind, id);

	if (l != NULL)
		return l;
	if (!make_room(gw)) {
		err_set(e, ERR_LIMIT, "too many sandboxes at one time");
		return NULL;
	}
	l = xcalloc(1, sizeof(*l));
	l->gw = gw;
	l->kind = kind;
	l->id = xstrdup(id);
	l->used_ms = now_monotonic_ms();
	TAILQ_INIT(&l->calls);
	LIST_INIT(&l->pins);
	LIST_INSERT_HEAD(&gw->links->all, l, link);
	gw->links->n++;
	if (!ev_is_active(&gw->links->sweep))
		ev_timer_again(gw->loop, &gw->links->sweep);
	super_connect(gw, kinds[kind].wire, id, on_connected, l);
	return l;
}

static void
on_sweep(struct ev_loop *loop, ev_timer *t, int revents ATTR_UNUSED)
{
	struct gateway *gw = t->data;
	int64_t now = now_monotonic_ms();
	struct link *l, *next;

	for (l = LIST_FIRST(&gw->links->all); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (l->kind != LINK_SESSION &&
		    (l->ncalls > 0 || !LIST_EMPTY(&l->pins)))
			touch_busy(gw, l->id);
		if (l->ncalls == 0 && l->ch != NULL && !l->dead &&
		    LIST_EMPTY(&l->pins) &&
		    (l->left || now - l->used_ms >= IDLE_MS))
			link_free(l);
	}
	if (LIST_EMPTY(&gw->links->all))
		ev_timer_stop(loop, t);
}

/* --- interface ----------------------------------------------------------- */

/* Would the other side take it? */
static int
check_message(enum msg_type type, const struct buf *fields, size_t nfds,
    struct json **tree_out, struct err *e)
{
	const struct proto_msg *m = &proto_table[type];

	*tree_out = NULL;
	if (fields != NULL && fields->failed)
		return err_set(e, ERR_TOO_LARGE, "the request is too long");
	if (fields != NULL && fields->len + ENVELOPE_BYTES > m->max_bytes)
		return err_set(e, ERR_TOO_LARGE, "%s: longer than %zu bytes",
		    m->name, m->max_bytes);
	if (nfds > m->max_fds)
		return err_set(e, ERR_INTERNAL, "%s: descriptors", m->name);
	if (json_parse(fields != NULL ? fields->data : "{}",
		fields != NULL ? fields->len : 2, JSON_DEPTH_CONTROL, tree_out,
		e) == -1)
		return -1;
	return json_check(*tree_out, m->fields, m->nfields, e);
}

static struct link_call *
call_new(struct gateway *gw, enum msg_type type, int64_t ms, link_done *done,
    void *ctx)
{
	struct link_call *c = xcalloc(1, sizeof(*c));

	c->gw = gw;
	c->number = ++gw->links->number;
	c->type = type;
	c->done = done;
	c->ctx = ctx;
	err_set(&c->e, ERR_TIMEOUT, "%s: no answer in time",
	    proto_table[type].name);
	ev_timer_init(&c->timer, on_timer, (double)ms / 1000.0, 0.);
	c->timer.data = c;
	if (ms > 0)
		ev_timer_start(gw->loop, &c->timer);
	LIST_INSERT_HEAD(
	    &gw->links->buckets[c->number % BUCKETS], c, by_number);
	return c;
}

uint64_t
link_call(struct gateway *gw, enum link_kind kind, const char *id,
    enum msg_type type, const struct buf *fields, const int *fds, size_t nfds,
    int64_t ms, link_done *done, void *ctx)
{
	struct link_call *c = call_new(gw, type, ms, done, ctx);
	struct link *l = NULL;
	struct err e;

	c->nfds = MIN(nfds, countof(c->fds));
	for (size_t i = 0; i < c->nfds; i++)
		c->fds[i] = fds[i];
	if (check_message(type, fields, nfds, &c->fields, &e) == 0)
		l = link_get(gw, kind, id, &e);
	if (l != NULL && l->ncalls >= CALLS_MAX) {
		err_set(&e, ERR_LIMIT, "%s: too many requests wait", id);
		l = NULL;
	}
	if (l == NULL) {
		call_fail_soon(c, &e);
		return c->number;
	}
	c->l = l;
	TAILQ_INSERT_TAIL(&l->calls, c, link);
	l->ncalls++;
	if (kind != LINK_SESSION) /* its worker tells */
		touch_busy(gw, id);
	if (l->ch != NULL)
		call_send(c);
	return c->number;
}

void
link_cancel(struct gateway *gw, uint64_t number)
{
	struct link_call *c = call_find(gw, number);

	if (c == NULL)
		return;
	if (c->l != NULL)
		call_revoke(c);
	call_free(c);
}

void
link_notice(struct gateway *gw, enum link_kind kind, const char *id,
    enum msg_type type, const struct buf *fields)
{
	struct link *l = link_find(gw, kind, id);
	struct json *tree = NULL;
	struct jw *w;
	struct err e;

	if (l != NULL && l->ch != NULL &&
	    check_message(type, fields, 0, &tree, &e) == 0) {
		w = chan_begin(l->ch);
		proto_begin(w, type, 0);
		write_fields(w, tree);
		(void)chan_end(l->ch, NULL, 0); /* or it is dying */
		l->used_ms = now_monotonic_ms();
	}
	json_free(tree);
}

uint64_t
link_pin(struct gateway *gw, enum link_kind kind, const char *id)
{
	struct link *l = link_find(gw, kind, id);
	struct pin *p;

	if (l == NULL || l->ch == NULL)
		return 0;
	p = xcalloc(1, sizeof(*p));
	p->number = ++gw->links->number;
	LIST_INSERT_HEAD(&l->pins, p, link);
	return p->number;
}

void
link_unpin(struct gateway *gw, uint64_t number)
{
	struct link *l;
	struct pin *p;

	LIST_FOREACH (l, &gw->links->all, link) {
		LIST_FOREACH (p, &l->pins, link) {
			if (p->number != number)
				continue;
			LIST_REMOVE(p, link);
			free(p);
			l->used_ms = now_monotonic_ms();
			return;
		}
	}
}

void
links_leave(struct gateway *gw, const char *kind, const char *id)
{
	struct link *l;

	if (gw->links == NULL)
		return;
	LIST_FOREACH (l, &gw->links->all, link) {
		if (strcmp(kinds[l->kind].wire, kind) == 0 &&
		    strcmp(l->id, id) == 0 && l->ch != NULL)
			l->left = true;
	}
}

int
links_open(struct gateway *gw, struct err *e ATTR_UNUSED)
{
	struct links *ls = xcalloc(1, sizeof(*ls));

	LIST_INIT(&ls->all);
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&ls->buckets[i]);
	ev_timer_init(&ls->sweep, on_sweep, SWEEP_S, SWEEP_S);
	ls->sweep.data = gw;
	gw->links = ls;
	return 0;
}

void
links_close(struct gateway *gw)
{
	struct links *ls = gw->links;
	struct link_call *c;
	struct link *l;

	if (ls == NULL)
		return;
	ev_timer_stop(gw->loop, &ls->sweep);
	for (size_t i = 0; i < BUCKETS; i++) {
		while ((c = LIST_FIRST(&ls->buckets[i])) != NULL)
			call_free(c);
	}
	while ((l = LIST_FIRST(&ls->all)) != NULL)
		link_free(l);
	free(STEAL(gw->links));
}
