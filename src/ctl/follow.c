/*
 * Events over connections that may be lost; see follow.h. Runs as the caller.
 * A repeated event is dropped here; what is no event ends the connection.
 */
#include "ctl/follow.h"
#include "lib/strutil.h"

#define TRIES_MAX 30
#define DELAY_FIRST_MS 50
#define DELAY_MAX_MS 2000

void
follow_init(struct follow *f, struct ctl *ctl, const char *session,
    int64_t after, bool live)
{
	*f = (struct follow){ .ctl = ctl,
		.session = session,
		.last = after,
		.limit = -1,
		.live = live };
	client_init(&f->c, ctl);
}

void
follow_free(struct follow *f)
{
	client_close(&f->c);
}

int
follow_fd(const struct follow *f)
{
	return f->asked ? f->c.fd : -1;
}

int
follow_wait_ms(const struct follow *f)
{
	int64_t ms;

	if (f->asked)
		return -1;
	ms = f->retry_ms - now_monotonic_ms();
	return ms < 0 ? 0 : (int)ms;
}

static int
ask(struct follow *f, struct err *e)
{
	struct jw *w = client_begin(&f->c, "session.events");

	jw_kstr(w, "id", f->session);
	jw_kint(w, "after", f->last);
	if (f->limit >= 0)
		jw_kint(w, "limit", f->limit);
	if (f->live)
		jw_kbool(w, "follow", true);
	if (f->raw)
		jw_kbool(w, "raw", true);
	if (client_send(&f->c, NULL, 0, e) == -1)
		return -1;
	f->asked = true;
	return 0;
}

/* The connection is of no use any more. 0: one more try; -1: give up, E says
 * why. */
static int
lost(struct follow *f, const struct err *why, struct err *e)
{
	int64_t delay;

	client_close(&f->c);
	client_init(&f->c, f->ctl);
	f->asked = false;
	f->lost = *why;
	if (f->tries >= TRIES_MAX) {
		*e = *why;
		return -1;
	}
	delay = DELAY_FIRST_MS << MIN(f->tries, 6u);
	f->retry_ms = now_monotonic_ms() + MIN(delay, (int64_t)DELAY_MAX_MS);
	f->tries++;
	return 0;
}

/* What the supervisor says while it or its store restarts. */
static bool
is_passing(const struct err *e)
{
	return e->code == ERR_STORE_UNAVAILABLE || e->code == ERR_SHUTTING_DOWN;
}

/* 1: a new event; 0: seen before; -1: no event of this session. */
static int
accept_event(struct follow *f, const struct answer *a)
{
	int64_t sequence;

	if (json_number_int(json_get(a->body, "sequence"), &sequence) == -1 ||
	    json_str(a->body, "type", NULL) == NULL)
		return -1;
	if (sequence <= f->last)
		return 0;
	f->last = sequence;
	f->tries = 0;
	if (f->limit > 0)
		f->limit--;
	return 1;
}

/* 1: *GOT_OUT tells; 0: look for the next line; -1. */
static int
on_answer(
    struct follow *f, enum follow_got *got_out, struct answer *a, struct err *e)
{
	struct err why;
	int r;

	if (a->kind == ANSWER_ITEM) {
		r = accept_event(f, a);
		if (r == 1)
			*got_out = FOLLOW_EVENT;
		if (r >= 0)
			return r;
		(void)err_set(&why, ERR_INTERNAL,
		    "the supervisor sent something that is no event");
		return lost(f, &why, e);
	}
	if (a->kind == ANSWER_OK) {
		*got_out = FOLLOW_END;
		return 1;
	}
	(void)answer_error(f->ctl, a, &why);
	if (is_passing(&why))
		return lost(f, &why, e);
	*e = why;
	return -1;
}

int
follow_next(struct follow *f, enum follow_got *got_out, struct answer *a_out,
    struct err *e)
{
	*got_out = FOLLOW_NONE;
	for (;;) {
		enum client_got got;
		struct err why;
		int r;

		if (!f->asked) {
			if (follow_wait_ms(f) > 0)
				return 0;
			if (ask(f, &why) == -1) {
				/* Nobody there from the start: say so now. */
				if (f->tries == 0 && f->lost.code == ERR_NONE) {
					*e = why;
					return -1;
				}
				if (lost(f, &why, e) == -1)
					return -1;
				continue;
			}
		}
		r = client_line(&f->c, 0, &got, a_out, &why);
		if (r == 0 && got == CLIENT_WAIT)
			return 0;
		if (r == 0 && got == CLIENT_EOF)
			r = err_set(&why, ERR_SYSTEM,
			    "the supervisor hung up before the last event");
		if (r == -1) {
			if (lost(f, &why, e) == -1)
				return -1;
			continue;
		}
		r = on_answer(f, got_out, a_out, e);
		if (r == 1 && *got_out == FOLLOW_EVENT)
			return 0; /* the answer is the caller's now */
		answer_free(a_out);
		if (r != 0)
			return r == 1 ? 0 : -1;
	}
}
