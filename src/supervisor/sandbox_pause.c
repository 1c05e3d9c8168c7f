/*
 * Pausing: every process of a sandbox is frozen by its control group, and goes
 * on later as if nothing had been. Runs in the supervisor.
 *
 * Stopping processes with signals would be something else (those inside could
 * go on by themselves, and see it), so where there is no freezer we say so.
 */
#include "lib/log.h"
#include "supervisor/gateway.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/sessions.h"

#include <string.h>

#define FREEZE_POLL_S 0.001
/* A process that hangs in the kernel cannot be frozen. */
#define FREEZE_MS 5000

/* Undo: it runs again, or whoever calls ends it. */
static void
thaw(struct sandbox *sb, const struct err *why)
{
	struct err e;

	ev_timer_stop(sb->s->loop, &sb->freeze_timer);
	if (sb->frozen && sb->cgroup != NULL &&
	    cgroup_freeze(sb->cgroup, false, &e) == -1)
		log_error("sandbox", "not thawed", LOG_STR("sandbox", sb->id),
		    LOG_STR("detail", e.text));
	sb->frozen = false;
	sandbox_wake(&sb->pause_waiters, why);
}

void
sandbox_thaw(struct sandbox *sb)
{
	struct err e;

	err_set(
	    &e, ERR_SANDBOX_STATE, "sandbox was stopped meanwhile: %s", sb->id);
	thaw(sb, &e);
}

static void
go_on(struct sandbox *sb, const struct err *why)
{
	thaw(sb, why);
	sb->state = SB_RUNNING;
	sandbox_idle_begin(sb);
	/* Workers that were given up while they could not answer. */
	sessions_sandbox_up(sb);
}

static void
on_pause_stored(void *ctx, const struct err *e)
{
	struct sandbox *sb = ctx;

	if (e != NULL && sb->state == SB_PAUSED)
		go_on(sb, e);
	else
		sandbox_wake(&sb->pause_waiters, e);
}

static void
on_freeze_timer(struct ev_loop *loop, ev_timer *t, int revents ATTR_UNUSED)
{
	struct sandbox *sb = t->data;
	struct err e;

	if (sb->cgroup != NULL && cgroup_frozen(sb->cgroup)) {
		ev_timer_stop(loop, t);
		sandbox_event(sb, SH_PAUSED, NULL);
		sandbox_record_put(sb, on_pause_stored);
		return;
	}
	if (now_monotonic_ms() - sb->freezing_ms < FREEZE_MS)
		return;
	err_set(&e, ERR_TIMEOUT,
	    "sandbox %s: a process in it could not be frozen", sb->id);
	go_on(sb, &e);
}

static int
pause_begin(struct sandbox *sb, struct err *e)
{
	if (sb->state != SB_RUNNING || sb->puts > 0 || !proc_up(&sb->proc))
		return err_set(e, ERR_SANDBOX_STATE, "sandbox is %s: %s",
		    sandbox_state_name(sb->state), sb->id);
	if (sb->cgroup == NULL)
		return err_set(e, ERR_ISOLATION_UNAVAILABLE,
		    "pausing needs control groups: %s",
		    sb->s->cgroups_why.text);
	if (cgroup_freeze(sb->cgroup, true, e) == -1)
		return err_prefix(e, "pause sandbox %s", sb->id);
	sb->frozen = true;
	sb->state = SB_PAUSED;
	gateways_leave(sb->s->gateways, sb);
	sb->freezing_ms = now_monotonic_ms();
	ev_timer_stop(sb->s->loop, &sb->freeze_timer);
	ev_timer_set(&sb->freeze_timer, 0., FREEZE_POLL_S);
	ev_timer_start(sb->s->loop, &sb->freeze_timer);
	return 0;
}

void
sandbox_pause(struct sandbox *sb, sandbox_done *done, void *ctx)
{
	struct err e;

	if (pause_begin(sb, &e) == -1)
		done(ctx, &e);
	else
		sandbox_wait_for(&sb->pause_waiters, done, ctx);
}

void
sandbox_resume(struct sandbox *sb, sandbox_done *done, void *ctx)
{
	struct err e;

	if (sb->state == SB_STOPPED && sb->was_paused) {
		sandbox_event(sb, SH_RESUMED, "started anew");
		sandbox_ensure(sb, done, ctx);
		return;
	}
	if (sb->state != SB_PAUSED) {
		err_set(&e, ERR_SANDBOX_STATE, "sandbox is %s, not paused: %s",
		    sandbox_state_name(sb->state), sb->id);
		done(ctx, &e);
		return;
	}
	err_set(
	    &e, ERR_SANDBOX_STATE, "sandbox was resumed meanwhile: %s", sb->id);
	if (sb->adopting) {
		/* It hears of us only now. */
		thaw(sb, &e);
		sb->state = SB_CREATING;
		proc_hurry(&sb->proc, sb->s->conf.start_ms);
		sandbox_event(sb, SH_RESUMED, NULL);
		sandbox_ensure(sb, done, ctx);
		return;
	}
	go_on(sb, &e);
	sandbox_event(sb, SH_RESUMED, NULL);
	sandbox_record_store(sb, done, ctx);
}

void
sandbox_pause_init(struct sandbox *sb)
{
	TAILQ_INIT(&sb->pause_waiters);
	ev_timer_init(&sb->freeze_timer, on_freeze_timer, 0., FREEZE_POLL_S);
	sb->freeze_timer.data = sb;
}

void
sandbox_pause_free(struct sandbox *sb)
{
	ev_timer_stop(sb->s->loop, &sb->freeze_timer);
}
