/*
 * What is told of connections: each decision, and how each one that was allowed
 * has ended. Runs in the proxy. A sandbox that knocks at closed doors all day
 * fills nobody's disk: the same refusal again is counted, and told some seconds
 * later as one; and of anything there are only so many a second.
 */
#include "egress/proxy.h"

#include "lib/log.h"
#include "lib/xalloc.h"

#include <string.h>

#define SAME_MAX 16 /* refusals that are remembered */
#define SAME_S 10.0 /* so long */
#define RATE 20	    /* notes a second, */
#define BURST 400   /* after a time of silence */

/* A refusal that was told; those like it are counted. */
struct same {
	struct target target;
	const char *reason; /* static words; NULL: empty */
	int64_t count;
};

struct notes {
	struct box *b;
	struct same same[SAME_MAX];
	size_t next; /* of SAME, to be used again */
	ev_timer timer;
	double tokens;
	int64_t filled_ms;
	int64_t left_out; /* for want of them */
};

/* What one note says; zero and NULL members are left out. */
struct note {
	const char *event; /* egress or egress.end */
	const char *decision;
	const struct conn *c;
	const struct target *target;
	const uint8_t *addr;
	const char *rule, *reason;
	int64_t count;
};

static const char *
protocol(const struct conn *c)
{
	return c->socks ? "socks5" : c->tunnel ? "connect" : "http";
}

static void
emit(struct notes *n, const struct note *t)
{
	char host[TARGET_TEXT_MAX] = "", addr[NETADDR_TEXT_MAX] = "";
	bool end = t->decision == NULL;

	if (t->target != NULL && t->target->port != 0)
		target_text(host, t->target, 0);
	if (t->addr != NULL)
		netaddr_text(addr, t->addr);
	log_info("egress", end ? "ended" : t->decision,
	    LOG_STR("sandbox", n->b->id), LOG_STR("to", host),
	    LOG_STR("address", addr),
	    LOG_STR("rule", t->rule != NULL ? t->rule : ""),
	    LOG_STR("reason", t->reason),
	    LOG_STR("protocol", t->c != NULL ? protocol(t->c) : ""),
	    LOG_INT("connection", t->c != NULL ? t->c->number : 0),
	    LOG_INT("count", t->count),
	    LOG_INT("sent", end ? t->c->side[SERVER].bytes : 0),
	    LOG_INT("received", end ? t->c->side[CLIENT].bytes : 0));
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
	const struct note t = { .event = "egress",
		.decision = "left_out",
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

	fd_close(&log_fd);
	n->b = b;
	n->tokens = BURST;
	n->filled_ms = now_monotonic_ms();
	ev_timer_init(&n->timer, on_timer, SAME_S, 0.);
	n->timer.data = n;
	return n;
}

void
notes_free(struct notes *n)
{
	if (n == NULL)
		return;
	tell_all(n);
	ev_timer_stop(n->b->p->loop, &n->timer);
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
