/*
 * Idleness: a sandbox with limits.idle that nobody has used for that time is
 * stopped. Runs in the supervisor.
 *
 * In use it is while a command runs in it that a control client started, while
 * a session in it is in a turn, and at each use through a gateway, which tells
 * of it about once a second while something is under way. What a sandbox does
 * by itself, with nobody looking, is no use.
 *
 * A use costs no timer: it notes the time, and the timer that runs looks there
 * when it is due.
 */
#include "lib/strutil.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/sessions.h"

static bool
is_busy(const struct sandbox *sb)
{
	return !LIST_EMPTY(&sb->execs) || sessions_busy(sb);
}

static void
arm(struct sandbox *sb, int64_t ms)
{
	ev_timer_stop(sb->s->loop, &sb->idle_timer);
	ev_timer_set(&sb->idle_timer, (double)ms / 1000., 0.);
	ev_timer_start(sb->s->loop, &sb->idle_timer);
}

static void
on_idle_timer(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct sandbox *sb = t->data;
	int64_t left;

	if (sb->state != SB_RUNNING || sb->spec.idle_ms == 0)
		return;
	if (is_busy(sb))
		sandbox_used(sb);
	left = sb->used_ms + sb->spec.idle_ms - now_monotonic_ms();
	if (left > 0) {
		arm(sb, left);
		return;
	}
	sandbox_limit_met(sb, "idle");
	sandbox_stop(sb, sb->s->conf.stop_grace_ms,
	    "idle: nobody used it for its idle time", NULL, NULL);
}

void
sandbox_used(struct sandbox *sb)
{
	sb->used_ms = now_monotonic_ms();
}

void
sandbox_idle_begin(struct sandbox *sb)
{
	sandbox_used(sb);
	if (sb->spec.idle_ms > 0)
		arm(sb, sb->spec.idle_ms);
	else
		ev_timer_stop(sb->s->loop, &sb->idle_timer);
}

void
sandbox_idle_init(struct sandbox *sb)
{
	ev_timer_init(&sb->idle_timer, on_idle_timer, 0., 0.);
	sb->idle_timer.data = sb;
}

void
sandbox_idle_free(struct sandbox *sb)
{
	ev_timer_stop(sb->s->loop, &sb->idle_timer);
}
