/*
 * What is told of connections: each decision, and how each one that was allowed
 * has ended. Runs in the proxy. A sandbox that knocks at closed doors all day
 * fills nobody's disk: the same refusal again is counted, and told some seconds
 * later as one; and of anything there are only so many a second.
 */
#include "egress/proxy.h"

#include "lib/log.h"
#include "lib/proto.h"
#include "lib/xalloc.h"

#include <string.h>

#define SAME_MAX 16   /* refusals that are remembered */
#define SAME_S 10.0   /* so long */
#define RATE 20	      /* notes a second, */
#define BURST 400     /* after a time of silence */
#define WAIT_MAX 1000 /* that wait for the store */
#define ASK_S 0.5     /* for another channel to it, so often */
#define TEXT_MAX 4000 /* of one */

/* A refusal that was told; those like it are counted. */
struct same {
	struct target target;
	const char *reason; /* static words; NULL: empty */
	int64_t count;
};

/* A note that waits: JSON. */
struct waiting {
	STAILQ_ENTRY(waiting) link;
	size_t len;
	char text[];
};

struct notes {
	struct box *b;
	struct chan *ch; /* to the store; NULL while there is none */
	ev_timer ask;
	STAILQ_HEAD(, waiting) waiting;
	size_t nwaiting;
	struct same same[SAME_MAX];
	size_t next; /* of SAME, to be used again */
	ev_timer timer;
	double tokens;
	int64_t filled_ms;
	int64_t left_out; /* for want of them */
};

/* What one note says; what is empty is left out. */
struct note {
	const char *event; /* egress or egress.end */
	const char *decision;
	const struct conn *c;
	const struct target *target;
	const uint8_t *addr;
	const char *rule, *reason;
	int64_t count;
};

/* --- to the store ------------------------------------------------------------
 */

static bool
tell_store(struct notes *n, const char *text, size_t len)
{
	struct jw *w;

	if (n->ch == NULL || chan_queued(n->ch) > 0)
		return false;
	w = chan_begin(n->ch);
	proto_begin(w, MSG_NOTE, 0);
	jw_key(w, "note");
	jw_raw(w, text, len);
	return chan_end(n->ch, NULL, 0) == 0;
}

static void
tell_waiting(struct notes *n)
{
	struct waiting *t;

	while ((t = STAILQ_FIRST(&n->waiting)) != NULL &&
	       tell_store(n, t->text, t->len)) {
		STAILQ_REMOVE_HEAD(&n->waiting, link);
		n->nwaiting--;
		free(t);
	}
}

static void
tell(struct notes *n, const char *text, size_t len)
{
	struct waiting *t;

	if (STAILQ_EMPTY(&n->waiting) && tell_store(n, text, len))
		return;
	if (n->nwaiting == WAIT_MAX) {
		n->left_out++;
		return;
	}
	t = xmalloc(sizeof(*t) + len);
	t->len = len;
	memcpy(t->text, text, len);
	STAILQ_INSERT_TAIL(&n->waiting, t, link);
	n->nwaiting++;
}

static void
on_drain(struct chan *ch ATTR_UNUSED, void *ctx)
{
	tell_waiting(ctx);
}

static void
on_store(struct chan *ch, enum chan_what what,
    const struct chan_frame *f ATTR_UNUSED, const char *why ATTR_UNUSED,
    void *ctx)
{
	struct notes *n = ctx;

	/* It has nothing to say; and when it has gone, another one comes. */
	chan_free(ch);
	n->ch = NULL;
	if (what == CHAN_FRAME)
		log_warn("note", "the store speaks");
	ev_timer_start(n->b->p->loop, &n->ask);
}

static void
on_ask(struct ev_loop *loop ATTR_UNUSED, ev_timer *t ATTR_UNUSED,
    int revents ATTR_UNUSED)
{
	struct notes *n = t->data;
	struct jw *w = chan_begin(n->b->p->ch);

	proto_begin(w, MSG_EGRESS_UNHEARD, 0);
	jw_kstr(w, "sandbox", n->b->id);
	(void)chan_end(n->b->p->ch, NULL, 0); /* said again */
}

void
notes_channel(struct notes *n, int log_fd)
{
	chan_free(n->ch);
	n->ch = NULL;
	if (log_fd == -1) {
		ev_timer_start(n->b->p->loop, &n->ask);
		return;
	}
	ev_timer_stop(n->b->p->loop, &n->ask);
	n->ch = chan_new(n->b->p->loop, log_fd, "store", on_store, n);
	chan_on_drain(n->ch, on_drain);
	tell_waiting(n);
}

/* --- what is said
 * ------------------------------------------------------------- */

static const char *
protocol(const struct conn *c)
{
	return c->socks ? "socks5" : c->tunnel ? "connect" : "http";
}

static void
text_member(struct jw *w, const char *key, const char *text)
{
	if (text != NULL && text[0] != '\0')
		jw_kstr(w, key, text);
}

static void
write_conn(struct jw *w, const struct conn *c, bool end)
{
	jw_kstr(w, "protocol", protocol(c));
	jw_kint(w, "connection", c->number);
	if (!end)
		return;
	jw_kint(w, "sent", c->side[SERVER].bytes);
	jw_kint(w, "received", c->side[CLIENT].bytes);
	jw_kint(w, "ms", now_monotonic_ms() - c->began_ms);
}

static void
emit(struct notes *n, const struct note *t)
{
	char host[TARGET_TEXT_MAX] = "", addr[NETADDR_TEXT_MAX] = "";
	struct buf b;
	struct jw w;

	if (t->target != NULL && t->target->port != 0)
		target_host(host, t->target);
	if (t->addr != NULL)
		netaddr_text(addr, t->addr);
	buf_init(&b, TEXT_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "event", t->event);
	text_member(&w, "decision", t->decision);
	text_member(&w, "host", host);
	if (host[0] != '\0')
		jw_kint(&w, "port", t->target->port);
	text_member(&w, "address", addr);
	text_member(&w, "rule", t->rule);
	text_member(&w, "reason", t->reason);
	if (t->c != NULL)
		write_conn(&w, t->c, t->decision == NULL);
	if (t->count > 0)
		jw_kint(&w, "count", t->count);
	jw_object_end(&w);
	if (!b.failed)
		tell(n, b.data, b.len);
	buf_free(&b);
	log_debug("egress", t->event, LOG_STR("sandbox", n->b->id),
	    LOG_STR("decision", t->decision != NULL ? t->decision : ""),
	    LOG_STR("host", host), LOG_STR("address", addr),
	    LOG_STR("reason", t->reason));
}

/* --- how many
 * ----------------------------------------------------------------- */

static bool
may_tell(struct notes *n)
{
	int64_t now = now_monotonic_ms();

	n->tokens += (double)(now - n->filled_ms) * RATE / 1000.0;
	n->tokens = MIN(n->tokens, BURST);
	n->filled_ms = now;
	if (n->tokens < 1.0) {
		n->left_out++;
		if (!ev_is_active(&n->timer))
			ev_timer_start(n->b->p->loop, &n->timer);
		return false;
	}
	n->tokens -= 1.0;
	return true;
}

static void
tell_same(struct notes *n, struct same *s)
{
	const struct note t = { .event = "egress",
		.decision = "deny",
		.target = &s->target,
		.reason = s->reason,
		.count = s->count };

	if (s->reason != NULL && s->count > 0)
		emit(n, &t);
	memset(s, 0, sizeof(*s));
}

static void
tell_all(struct notes *n)
{
	const struct note t = { .event = "egress.left_out",
		.reason = "too many to be told of each",
		.count = n->left_out };

	for (size_t i = 0; i < SAME_MAX; i++)
		tell_same(n, &n->same[i]);
	if (n->left_out > 0)
		emit(n, &t);
	n->left_out = 0;
}

static void
on_timer(struct ev_loop *loop, ev_timer *t, int revents ATTR_UNUSED)
{
	ev_timer_stop(loop, t);
	ev_timer_set(t, SAME_S, 0.);
	tell_all(t->data);
}

/* Was that told already? Then it is counted; else it is remembered. */
static bool
seen(struct notes *n, const struct target *t, const char *reason)
{
	struct same *s;

	for (size_t i = 0; i < SAME_MAX; i++) {
		s = &n->same[i];
		if (s->reason == reason && s->target.port == t->port &&
		    target_same_host(&s->target, t)) {
			s->count++;
			return true;
		}
	}
	s = &n->same[n->next++ % SAME_MAX];
	tell_same(n, s);
	s->target = *t;
	s->reason = reason;
	if (!ev_is_active(&n->timer))
		ev_timer_start(n->b->p->loop, &n->timer);
	return false;
}

/* --- interface
 * ---------------------------------------------------------------- */

struct notes *
notes_new(struct box *b, int log_fd)
{
	struct notes *n = xcalloc(1, sizeof(*n));

	n->b = b;
	STAILQ_INIT(&n->waiting);
	ev_timer_init(&n->ask, on_ask, ASK_S, ASK_S);
	n->ask.data = n;
	notes_channel(n, log_fd);
	n->tokens = BURST;
	n->filled_ms = now_monotonic_ms();
	ev_timer_init(&n->timer, on_timer, SAME_S, 0.);
	n->timer.data = n;
	return n;
}

void
notes_free(struct notes *n)
{
	struct waiting *t;

	if (n == NULL)
		return;
	tell_all(n);
	ev_timer_stop(n->b->p->loop, &n->timer);
	ev_timer_stop(n->b->p->loop, &n->ask);
	chan_free(n->ch);
	while ((t = STAILQ_FIRST(&n->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&n->waiting, link);
		free(t);
	}
	free(n);
}

void
note_decision(struct conn *c, const struct verdict *v, const uint8_t *addr)
{
	struct notes *n = c->box->notes;
	const struct note t = { .event = "egress",
		.decision = v->allow ? "allow" : "deny",
		.c = c,
		.target = &c->target,
		.addr = addr,
		.rule = v->rule,
		.reason = v->reason };

	if (!v->allow && seen(n, &c->target, v->reason))
		return;
	if (!may_tell(n))
		return;
	c->noted = c->noted || v->allow;
	emit(n, &t);
}

void
note_end(struct conn *c, const char *why)
{
	const struct note t = { .event = "egress.end",
		.c = c,
		.target = &c->target,
		.addr = c->addr,
		.reason = why };

	if (c->noted)
		emit(c->box->notes, &t);
	c->noted = false;
}
