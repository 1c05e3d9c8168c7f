/*
 * The table of sandboxes and their life. Runs in the supervisor. Building is
 * in sandbox/, what was asked for in spec.c; here is what follows what.
 */
#include "supervisor/sandboxes.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/control.h"
#include "supervisor/egress.h"
#include "supervisor/exec.h"
#include "supervisor/expose.h"
#include "supervisor/instance.h"
#include "supervisor/sandbox_priv.h"
#include "supervisor/sessions.h"
#include "supervisor/spec.h"
#include "supervisor/storec.h"
#include "supervisor/tokens.h"

#include <stdio.h>
#include <string.h>

struct sandbox *
sandbox_find(struct super *s, const char *id)
{
	struct sandbox *sb;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		if (strcmp(sb->id, id) == 0)
			return sb;
	}
	return NULL;
}

/* --- making and freeing -------------------------------------------------- */

static unsigned
free_slot(struct super *s, unsigned wanted)
{
	struct sandbox *sb;

	for (unsigned n = wanted; n <= 30001; n++) {
		LIST_FOREACH (sb, &s->sandboxes, link) {
			if (sb->slot == n)
				break;
		}
		if (sb == NULL)
			return n;
	}
	return 0;
}

static void
on_time_limit(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct sandbox *sb = t->data;

	if (sb->state == SB_RUNNING || sb->state == SB_PAUSED)
		sandbox_limit_met(sb, "time");
	sandbox_stop(sb, sb->s->conf.stop_grace_ms, "its time limit is over",
	    NULL, NULL);
}

struct sandbox *
sandbox_new(struct super *s, const char *id, unsigned slot)
{
	struct sandbox *sb = xcalloc(1, sizeof(*sb));

	sb->s = s;
	(void)!str_copy(sb->id, sizeof(sb->id), id);
	sb->slot = s->root ? free_slot(s, slot) : 0;
	sb->report_fd = sb->proxy_fd = sb->proxy_sock = -1;
	sb->created_at_ms = now_realtime_ms();
	TAILQ_INIT(&sb->start_waiters);
	TAILQ_INIT(&sb->stop_waiters);
	LIST_INIT(&sb->execs);
	LIST_INIT(&sb->exposed);
	ev_timer_init(&sb->time_limit, on_time_limit, 0., 0.);
	sb->time_limit.data = sb;
	sandbox_pause_init(sb);
	sandbox_expiry_init(sb);
	sandbox_history_init(sb);
	sandbox_idle_init(sb);
	sandbox_init_proc(sb);
	LIST_INSERT_HEAD(&s->sandboxes, sb, link);
	s->nsandboxes++;
	sb->listed = true;
	return sb;
}

void
sandbox_free(struct sandbox *sb)
{
	if (sb->listed) {
		LIST_REMOVE(sb, link);
		sb->s->nsandboxes--;
	}
	ev_timer_stop(sb->s->loop, &sb->time_limit);
	sandbox_pause_free(sb);
	sandbox_idle_free(sb);
	sandbox_disk_free(sb);
	sandbox_expiry_set(sb, 0);
	sandbox_history_free(sb);
	sandbox_init_report_close(sb);
	egress_leave(sb);
	sessions_sandbox_free(sb);
	exec_sandbox_free(sb);
	exposed_free(sb);
	proc_free(&sb->proc);
	cgroup_free(sb->cgroup);
	spec_free(&sb->spec);
	free(sb->plan_mounts);
	free(sb->hosts_text);
	free(sb->owner);
	free(sb);
}

/* --- the end of an entry ------------------------------------------------- */

static void
on_free_timer(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct sandbox *sb = t->data;
	struct super *s = sb->s;

	/* Out of the table first: whoever is told may use the id again. */
	LIST_REMOVE(sb, link);
	s->nsandboxes--;
	sb->listed = false;
	sandbox_wake(&sb->start_waiters, &sb->why);
	sandbox_wake(
	    &sb->stop_waiters, sb->left.code != ERR_NONE ? &sb->left : NULL);
	sandbox_free(sb);
	super_stop_step(s);
}

/* From the loop, since callers up the stack may still look at it. */
static void
free_soon(struct sandbox *sb)
{
	ev_timer_stop(sb->s->loop, &sb->time_limit);
	ev_timer_init(&sb->time_limit, on_free_timer, 0., 0.);
	sb->time_limit.data = sb;
	ev_timer_start(sb->s->loop, &sb->time_limit);
}

/* --- start --------------------------------------------------------------- */

/* A start is over when the sandbox runs and its record says that it should:
 * the two are waited for side by side. */
static void
start_step(struct sandbox *sb)
{
	if (sb->state != SB_RUNNING || sb->puts > 0 || !proc_up(&sb->proc))
		return;
	sb->born = true;
	/* From now on it is kept running, unless its end is to be its end. */
	sb->proc.once = sb->spec.ephemeral;
	sandbox_wake(&sb->start_waiters, NULL);
}

static void
on_record_stored(void *ctx, const struct err *e)
{
	struct sandbox *sb = ctx;

	sb->puts--;
	if (e != NULL && !sb->born && sb->state != SB_DESTROYING) {
		/* Not durable, so it never was: as a create that failed. */
		sb->why = *e;
		(void)err_prefix(&sb->why, "store sandbox %s", sb->id);
		sandbox_destroy(sb, NULL, NULL);
		return;
	}
	start_step(sb);
}

static int
launch(struct sandbox *sb, struct err *e)
{
	if (proc_start(&sb->proc, e) == -1)
		return -1;
	sb->puts++;
	sandbox_record_put(sb, on_record_stored);
	return 0;
}

static void
on_disk_ready(struct sandbox *sb, const struct err *e)
{
	struct err why;

	if (e != NULL)
		why = *e;
	else if (launch(sb, &why) == 0)
		return;
	sandbox_is_down(sb, why.text);
}

/* Launch, and store that it should run. */
int
sandbox_launch_and_store(struct sandbox *sb, struct err *e)
{
	sb->state = SB_CREATING;
	sb->want = true;
	if (!sandbox_disk_ready(sb))
		return sandbox_disk_attach(sb, on_disk_ready, e);
	return launch(sb, e);
}

/* Its init said hello. */
void
sandbox_is_up(struct sandbox *sb)
{
	struct err e;

	/* It is being destroyed: its sessions are ending first. */
	if (sb->state == SB_DESTROYING)
		return;
	if (strcmp(sb->spec.isolation, "full") == 0 &&
	    sandbox_isolation_check(&sb->spec, sb->have, &e) == -1) {
		if (sb->born) {
			sandbox_wake(&sb->start_waiters, &e);
			sandbox_stop(sb, 0, e.text, NULL, NULL);
		} else {
			sb->why = e;
			sandbox_destroy(sb, NULL, NULL);
		}
		return;
	}
	sb->state = SB_RUNNING;
	sb->started_at_ms = now_realtime_ms();
	sb->reason[0] = '\0';
	sb->was_paused = false;
	sandbox_event(sb, SH_STARTED, NULL);
	sandbox_time_limit_set(sb);
	sandbox_watch_begin(sb);
	sandbox_idle_begin(sb);
	start_step(sb);
	sandbox_entry_start(sb);
	sessions_sandbox_up(sb);
}

/* Its init, started by a supervisor before us, said hello: it is as it was. */
void
sandbox_is_adopted(struct sandbox *sb)
{
	sb->adopting = false;
	if (sb->state != SB_CREATING)
		return; /* being ended, or frozen again */
	sandbox_event(sb, SH_ADOPTED, NULL);
	sb->state = SB_RUNNING;
	sandbox_idle_begin(sb);
	sb->puts++;
	sandbox_record_put(sb, on_record_stored);
	sessions_sandbox_up(sb);
}

void
sandbox_ensure(struct sandbox *sb, sandbox_done *done, void *ctx)
{
	struct err e;

	if (sb->state == SB_RUNNING && sb->puts == 0 && proc_up(&sb->proc)) {
		if (done != NULL)
			done(ctx, NULL);
		return;
	}
	if (sb->state == SB_DESTROYING) {
		err_set(&e, ERR_SANDBOX_NOT_FOUND,
		    "sandbox is being "
		    "destroyed: %s",
		    sb->id);
		if (done != NULL)
			done(ctx, &e);
		return;
	}
	if (sb->state == SB_PAUSED) {
		err_set(&e, ERR_SANDBOX_STATE, "sandbox is paused: %s", sb->id);
		if (done != NULL)
			done(ctx, &e);
		return;
	}
	sandbox_wait_for(&sb->start_waiters, done, ctx);
	if (sb->state == SB_CREATING || sb->state == SB_RUNNING)
		return; /* on its way */
	if (sb->state == SB_STOPPING)
		return; /* goes on when it has stopped */
	if (sandbox_launch_and_store(sb, &e) == -1) {
		sb->state = SB_ERROR;
		(void)err_prefix(&e, "start sandbox %s", sb->id);
		(void)!str_format(
		    sb->reason, sizeof(sb->reason), "%.250s", e.text);
		sandbox_event(sb, SH_ERROR, sb->reason);
		sandbox_wake(&sb->start_waiters, &e);
	}
}

/* --- stop ---------------------------------------------------------------- */

static void
on_stop_stored(void *ctx, const struct err *e)
{
	struct sandbox *sb = ctx;

	if (sb->state == SB_DESTROYING)
		return; /* told when that is done */
	sandbox_wake(&sb->stop_waiters, e);
	super_stop_step(sb->s);
}

/* It has stopped, as it was asked to: its record says so, or it goes. */
static void
stopped(struct sandbox *sb)
{
	sb->state = SB_STOPPED;
	sandbox_disk_cancel(sb, NULL);
	sandbox_event(sb, SH_STOPPED, sb->reason);
	if (sb->spec.ephemeral && !sb->s->stopping)
		sandbox_destroy(sb, NULL, NULL);
	else
		sandbox_record_put(sb, on_stop_stored);
}

void
sandbox_stop(struct sandbox *sb, int64_t grace_ms, const char *reason,
    sandbox_done *done, void *ctx)
{
	struct err e;

	if (sb->state == SB_DESTROYING) {
		err_set(&e, ERR_SANDBOX_NOT_FOUND,
		    "sandbox is being destroyed: %s", sb->id);
		if (done != NULL)
			done(ctx, &e);
		return;
	}
	if (sb->state == SB_STOPPED) {
		if (done != NULL)
			done(ctx, NULL);
		return;
	}
	if (!sb->born) {
		err_set(&e, ERR_SANDBOX_STATE, "sandbox is being created: %s",
		    sb->id);
		if (done != NULL)
			done(ctx, &e);
		return;
	}
	sandbox_wait_for(&sb->stop_waiters, done, ctx);
	if (!sb->s->stopping)
		sb->want = false; /* else it starts again with us */
	if (sb->state == SB_PAUSED) {
		sb->was_paused = sb->s->stopping;
		sb->want = false;
		sandbox_thaw(sb);
	}
	ev_timer_stop(sb->s->loop, &sb->time_limit);
	(void)!str_format(sb->reason, sizeof(sb->reason), "%s", reason);
	if (sb->state == SB_STOPPING) {
		/* A second stop does not lengthen the first. */
		return;
	}
	sb->state = SB_STOPPING;
	sb->proc.stop_ms = grace_ms + 2000; /* then the ladder goes on */
	sb->grace_ms = grace_ms;
	sessions_sandbox_stopping(sb);
	if (sb->proc.state == PS_DOWN) {
		/* Its last start failed: nothing is left that could end. */
		stopped(sb);
		return;
	}
	proc_stop(&sb->proc);
}

/* --- destroy ------------------------------------------------------------- */

static void
destroy_step(struct sandbox *sb)
{
	if (--sb->destroy_waits == 0)
		free_soon(sb);
}

static void
on_destroy_part(void *ctx, const struct err *e)
{
	struct sandbox *sb = ctx;

	if (e != NULL)
		sb->left = *e;
	destroy_step(sb);
}

static void destroy_files(struct sandbox *sb);

static void
on_disk_let_go(struct sandbox *sb, const struct err *e ATTR_UNUSED)
{
	destroy_files(sb);
}

/* Nothing runs in it any more. */
static void
destroy_files(struct sandbox *sb)
{
	sandbox_disk_cancel(sb, on_disk_let_go);
	if (sandbox_disk_busy(sb))
		return;
	sandbox_disk_destroy(sb);
	instance_remove_dir(sb->s, sb->id, on_destroy_part, sb);
}

/* The record goes while the processes end: what is then left without one, if
 * we die in between, the next start sweeps away. */
static void
destroy_begin(struct sandbox *sb)
{
	if (sb->why.code == ERR_NONE)
		err_set(&sb->why, ERR_SANDBOX_NOT_FOUND,
		    "sandbox was destroyed: %s", sb->id);
	sb->destroy_begun = true;
	sb->destroy_waits = 1;
	if (!sb->put)
		return;
	sb->destroy_waits++;
	storec_delete(sb->s->store, "sandboxes", sb->id, on_destroy_part, sb);
	tokens_sandbox_gone(sb->s->tokens, sb->id);
}

static void
on_sessions_ended(void *ctx)
{
	struct sandbox *sb = ctx;

	destroy_begin(sb);
	/* proc_kill() reports through sandbox_is_down(), at once when there is
	 * nothing to kill but the backoff. */
	if (sb->proc.state == PS_DOWN)
		destroy_files(sb);
	else
		proc_kill(&sb->proc);
}

void
sandbox_destroy(struct sandbox *sb, sandbox_done *done, void *ctx)
{
	sandbox_wait_for(&sb->stop_waiters, done, ctx);
	if (sb->state == SB_DESTROYING)
		return;
	if (sb->state == SB_PAUSED)
		sandbox_thaw(sb);
	sb->state = SB_DESTROYING;
	sb->want = false;
	sandbox_event(sb, SH_DESTROYED, NULL);
	exposed_free(sb);
	ev_timer_stop(sb->s->loop, &sb->time_limit);
	sessions_end_all(sb, on_sessions_ended, sb);
}

/* --- its init has ended -------------------------------------------------- */

static void
no_restart(struct sandbox *sb)
{
	if (sb->proc.state != PS_WAITING)
		return;
	sb->quiet = true;
	proc_stop(&sb->proc);
	sb->quiet = false;
}

/* Killed from outside while it was frozen: it must not run unasked. */
static void
down_paused(struct sandbox *sb)
{
	sandbox_thaw(sb);
	no_restart(sb);
	sb->want = false;
	sb->was_paused = true;
	stopped(sb);
}

void
sandbox_is_down(struct sandbox *sb, const char *cause)
{
	bool first = !sb->born;
	struct err e;

	if (sb->quiet)
		return; /* only the backoff was called off */
	err_set(&e, ERR_SANDBOX_FAILED, "sandbox %s: %s", sb->id, cause);
	sandbox_idle_free(sb);
	ev_timer_stop(sb->s->loop, &sb->time_limit);
	exec_sandbox_down(sb, &e);
	sessions_sandbox_down(sb);
	sb->service.state = NULL; /* it went with its init */
	if (sb->state == SB_DESTROYING) {
		if (sb->destroy_begun) /* else on_sessions_ended() goes on */
			destroy_files(sb);
		return;
	}
	if (sb->proc.state == PS_DOWN && sb->state == SB_STOPPING) {
		if (sb->s->stopping) {
			err_set(&e, ERR_SHUTTING_DOWN,
			    "the supervisor is stopping");
			sandbox_wake(&sb->start_waiters, &e);
		}
		if (!TAILQ_EMPTY(&sb->start_waiters)) {
			/* A start came while it stopped. */
			sb->state = SB_STOPPED;
			sandbox_wake(&sb->stop_waiters, NULL);
			sandbox_ensure(sb, NULL, NULL);
			return;
		}
		stopped(sb);
		return;
	}
	if (first) {
		/* A create that failed: nothing of it stays. */
		sb->state = SB_DESTROYING;
		sb->why = e;
		destroy_begin(sb);
		destroy_files(sb);
		return;
	}
	(void)!str_format(sb->reason, sizeof(sb->reason), "%.240s", cause);
	if (sb->state == SB_PAUSED) {
		down_paused(sb);
		return;
	}
	sb->state = SB_ERROR;
	sandbox_event(sb, SH_ERROR, sb->reason);
	/* By the time of its restart it is there. */
	if (sb->proc.state == PS_WAITING && !sandbox_disk_ready(sb))
		(void)sandbox_disk_attach(sb, NULL, &e); /* told by that */
	if (sb->spec.ephemeral && !sb->s->stopping) {
		sandbox_destroy(sb, NULL, NULL);
		return;
	}
	if (TAILQ_EMPTY(&sb->start_waiters))
		return;
	/* Somebody asked for this start and is told; no retries. */
	no_restart(sb);
	sandbox_wake(&sb->start_waiters, &e);
}

/* --- at the end ---------------------------------------------------------- */

void
sandboxes_kill_all(struct super *s)
{
	struct sandbox *sb;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		if (sb->proc.state != PS_DOWN)
			proc_kill(&sb->proc);
	}
}

bool
sandboxes_stop_all(struct super *s)
{
	struct sandbox *sb;
	bool some = false;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		if (sb->proc.state == PS_DOWN &&
		    !(sb->state == SB_CREATING && sandbox_disk_busy(sb)))
			continue;
		some = true;
		if (!sb->born || sb->spec.ephemeral)
			sandbox_destroy(sb, NULL, NULL);
		else if (sb->state != SB_STOPPING && sb->state != SB_DESTROYING)
			sandbox_stop(sb, s->conf.stop_grace_ms,
			    "the supervisor stopped", NULL, NULL);
	}
	return !some;
}

void
sandboxes_free(struct super *s)
{
	struct sandbox *sb;

	while ((sb = LIST_FIRST(&s->sandboxes)) != NULL)
		sandbox_free(sb);
}
