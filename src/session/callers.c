/*
 * See callers.h. Runs in the session worker. A gateway reads what anybody on
 * the network sends, so it is believed in no more than proto.def lets it say:
 * what breaks that costs it its channel, and the session goes on.
 */
#include "session/callers.h"

#include "lib/log.h"
#include "lib/proto.h"
#include "lib/xalloc.h"
#include "session/session.h"

/* Of answers that a gateway has not read. */
#define CALLER_QUEUE_BYTES (1u << 20)
/* A gateway has one channel at a time, or for a moment two. */
#define CALLERS_MAX 64

static void
caller_free(struct caller *c)
{
	LIST_REMOVE(c, link);
	c->s->ncallers--;
	chan_free(c->ch);
	free(c);
}

static void
on_caller(struct chan *ch ATTR_UNUSED, enum chan_what what,
    const struct chan_frame *f, const char *why, void *ctx)
{
	struct caller *c = ctx;
	struct proto_in in = { .kind = PROTO_MESSAGE };
	struct err e = { .code = ERR_NONE };

	if (what == CHAN_CLOSED) {
		log_debug("caller", "gateway gone", LOG_STR("why", why));
		caller_free(c);
		return;
	}
	if (proto_check(ROLE_GATEWAY, PS_RUNNING, ROLE_SESSION, f->msg, f->len,
		f->nfds, &in, &e) == -1 ||
	    in.kind != PROTO_MESSAGE) {
		log_warn("caller", "breach by a gateway",
		    LOG_STR(
			"rule", in.kind == PROTO_MESSAGE ? e.text : "a reply"));
		caller_free(c);
		return;
	}
	session_command(c->s, (struct asker){ c->number, in.id }, &in, f);
}

void
caller_add(struct session *s, int fd)
{
	struct caller *c;

	if (s->ncallers >= CALLERS_MAX) {
		log_warn("caller", "too many gateways");
		(void)close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->s = s;
	c->number = ++s->caller_numbers;
	c->ch = chan_new(s->loop, fd, "gateway", on_caller, c);
	chan_set_queue(c->ch, CALLER_QUEUE_BYTES);
	if (s->stage == STAGE_WAITING)
		chan_pause(c->ch);
	LIST_INSERT_HEAD(&s->callers, c, link);
	s->ncallers++;
}

void
callers_resume(struct session *s)
{
	struct caller *c;

	LIST_FOREACH (c, &s->callers, link)
		chan_resume(c->ch);
}

void
callers_free(struct session *s)
{
	struct caller *c;

	while ((c = LIST_FIRST(&s->callers)) != NULL)
		caller_free(c);
}

void
asker_lost(struct session *s, struct asker who)
{
	struct caller *c;

	/* The supervisor's channel ends by itself. */
	LIST_FOREACH (c, &s->callers, link) {
		if (c->number == who.caller) {
			log_warn("caller", "a gateway does not read");
			caller_free(c);
			return;
		}
	}
}

struct chan *
asker_chan(const struct session *s, struct asker who)
{
	const struct caller *c;

	if (who.caller == 0)
		return s->super;
	LIST_FOREACH (c, &s->callers, link) {
		if (c->number == who.caller)
			return c->ch;
	}
	return NULL;
}
