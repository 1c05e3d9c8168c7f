/*
 * Retention: the store is told what to keep, and sessions that ended long ago
 * are deleted like on request. Runs in the supervisor.
 */
#include "supervisor/retain.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "supervisor/session_priv.h"
#include "supervisor/storec.h"

#define LOOK_S 5.0
#define DELETE_MAX 64 /* in one look */

static void
on_told(void *ctx ATTR_UNUSED, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	/* A store that has just started is told again. */
	if (ok == NULL && e->code != ERR_STORE_UNAVAILABLE)
		log_error("retain", "the store was not told what to keep",
		    LOG_STR("detail", e->text));
}

void
retain_tell(struct super *s)
{
	struct proc *store = storec_proc(s->store);
	struct jw *w;

	if (!proc_up(store))
		return;
	w = proc_call(store, MSG_STORE_RETAIN, 0, on_told, s);
	if (w == NULL)
		return;
	jw_kint(w, "age_ms", s->conf.retain.age_ms);
	jw_kint(w, "events", s->conf.retain.events);
	jw_kint(w, "bytes", s->conf.retain.bytes);
	jw_kint(w, "total_events", s->conf.retain.total_events);
	jw_kint(w, "total_bytes", s->conf.retain.total_bytes);
	jw_kint(w, "sandbox_events", s->conf.retain.sandbox_events);
	jw_kint(w, "sandbox_age_ms", s->conf.retain.sandbox_age_ms);
	(void)proc_send(store, NULL, 0); /* failure comes as an answer */
}

/* Since when a session is over: what the record says of one that was when we
 * started, else when it was first seen to be. */
static bool
over_for_long(struct session *ss, int64_t now_ms)
{
	if (!ss->ended || ss->deleting || ss->creating != NULL)
		return false;
	if (ss->ended_ms == 0)
		ss->ended_ms = now_ms;
	return now_ms - ss->ended_ms >= ss->s->conf.retain.ended_ms;
}

static void
on_look(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct super *s = t->data;
	int64_t now_ms = now_realtime_ms();
	struct session *ss, *next;
	unsigned n = 0;

	if (s->conf.retain.ended_ms == 0 || !s->ready || s->stopping ||
	    !proc_up(storec_proc(s->store)))
		return;
	for (ss = LIST_FIRST(&s->sessions); ss != NULL && n < DELETE_MAX;
	     ss = next) {
		next = LIST_NEXT(ss, link);
		if (!over_for_long(ss, now_ms))
			continue;
		log_info("retain", "ended session removed",
		    LOG_STR("session", ss->id));
		session_delete(ss, NULL, NULL);
		n++;
	}
}

void
retain_start(struct super *s)
{
	ev_timer_init(&s->retain_timer, on_look, LOOK_S, LOOK_S);
	s->retain_timer.data = s;
	ev_timer_start(s->loop, &s->retain_timer);
}
