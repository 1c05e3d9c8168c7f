/*
 * The table of sandboxes and their life. Runs in the supervisor. Building is
 * in sandbox/, what was asked for in spec.c; here is what follows what.
 */
#include "supervisor/sandboxes.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "sandbox/remove.h"
#include "supervisor/control.h"
#include "supervisor/exec.h"
#include "supervisor/instance.h"
#include "supervisor/sandbox_init.h"
#include "supervisor/sessions.h"
#include "supervisor/spec.h"
#include "supervisor/storec.h"

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

/* --- waiters ------------------------------------------------------------- */

static void
wait_for(struct sandbox_waiters *q, sandbox_done *done, void *ctx)
{
	struct sandbox_waiter *w;

	if (done == NULL)
		return;
	w = xcalloc(1, sizeof(*w));
	w->done = done;
	w->ctx = ctx;
	TAILQ_INSERT_TAIL(q, w, link);
}

static void
wake(struct sandbox_waiters *q, const struct err *e)
{
	struct sandbox_waiters all = TAILQ_HEAD_INITIALIZER(all);
	struct sandbox_waiter *w;

	/* A callback may wait again: for the next time. */
	TAILQ_CONCAT(&all, q, link);
	while ((w = TAILQ_FIRST(&all)) != NULL) {
		TAILQ_REMOVE(&all, w, link);
		w->done(w->ctx, e);
		free(w);
	}
}

void
sandbox_forget(struct sandbox *sb, void *ctx)
{
	struct sandbox_waiters *const qs[] = { &sb->start_waiters,
		&sb->stop_waiters };
	struct sandbox_waiter *w, *next;

	for (size_t i = 0; i < countof(qs); i++) {
		for (w = TAILQ_FIRST(qs[i]); w != NULL; w = next) {
			next = TAILQ_NEXT(w, link);
			if (w->ctx != ctx)
				continue;
			TAILQ_REMOVE(qs[i], w, link);
			free(w);
		}
	}
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

	sandbox_stop(sb, sb->s->conf.stop_grace_ms, "its time limit is over",
	    NULL, NULL);
}

static struct sandbox *
sandbox_new(struct super *s, const char *id, unsigned slot)
{
	struct sandbox *sb = xcalloc(1, sizeof(*sb));

	sb->s = s;
	(void)!str_copy(sb->id, sizeof(sb->id), id);
	sb->slot = s->root ? free_slot(s, slot) : 0;
	sb->report_fd = -1;
	sb->created_at_ms = now_realtime_ms();
	TAILQ_INIT(&sb->start_waiters);
	TAILQ_INIT(&sb->stop_waiters);
	LIST_INIT(&sb->execs);
	ev_timer_init(&sb->time_limit, on_time_limit, 0., 0.);
	sb->time_limit.data = sb;
	sandbox_init_proc(sb);
	LIST_INSERT_HEAD(&s->sandboxes, sb, link);
	s->nsandboxes++;
	sb->listed = true;
	return sb;
}

static void
sandbox_free(struct sandbox *sb)
{
	if (sb->listed) {
		LIST_REMOVE(sb, link);
		sb->s->nsandboxes--;
	}
	ev_timer_stop(sb->s->loop, &sb->time_limit);
	sandbox_init_report_close(sb);
	sessions_sandbox_free(sb);
	exec_sandbox_free(sb);
	proc_free(&sb->proc);
	cgroup_free(sb->cgroup);
	spec_free(&sb->spec);
	free(sb->plan_mounts);
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
	wake(&sb->start_waiters, &sb->why);
	wake(&sb->stop_waiters, sb->left.code != ERR_NONE ? &sb->left : NULL);
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
	sb->proc.once = false; /* from now on it is kept running */
	wake(&sb->start_waiters, NULL);
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

/* Launch, and store that it should run. */
static int
start(struct sandbox *sb, struct err *e)
{
	sb->state = SB_CREATING;
	sb->want = true;
	if (proc_start(&sb->proc, e) == -1)
		return -1;
	sb->puts++;
	sandbox_record_put(sb, on_record_stored);
	return 0;
}

int
sandbox_create(struct super *s, const struct json *args,
    struct sandbox **sb_out, struct err *e)
{
	char made[RANDOM_ID_MAX];
	const char *id = json_str(args, "id", NULL);
	struct sandbox_spec sp;
	struct sandbox *sb;
	int fd = -1;

	if (id == NULL) {
		random_id(made, "sb-");
		id = made;
	}
	if (!sandbox_id_valid(id))
		return err_set(e, ERR_BAD_REQUEST,
		    "id: letters, digits, '-', '.' and '_', at most 63, "
		    "beginning with a letter or digit");
	if (sandbox_find(s, id) != NULL)
		return err_set(e, ERR_SANDBOX_EXISTS, "sandbox exists: %s", id);
	if (s->nsandboxes >= (size_t)s->conf.max_sandboxes)
		return err_set(e, ERR_LIMIT, "there are %zu sandboxes already",
		    s->nsandboxes);
	if (spec_parse(s, args, id, false, &sp, e) == -1)
		return -1;
	if (strcmp(sp.isolation, "full") == 0 &&
	    sandbox_isolation_check(&sp, s->host.have, e) == -1) {
		spec_free(&sp);
		return -1;
	}
	if (instance_make_dir(s, id, &fd, e) == -1) {
		spec_free(&sp);
		return err_prefix(e, "create sandbox %s", id);
	}
	fd_close(&fd);
	sb = sandbox_new(s, id, 1);
	sb->spec = sp;
	sb->proc.once = true; /* a create that fails is not tried again */
	if (start(sb, e) == -1) {
		int64_t budget = INT64_MAX;

		(void)err_prefix(e, "create sandbox %s", id);
		(void)tree_remove(s->sandboxes_fd, id, &budget, NULL);
		sandbox_free(sb);
		return -1;
	}
	*sb_out = sb;
	return 0;
}

int
sandbox_default(struct super *s, struct sandbox **sb_out, struct err *e)
{
	static const char args[] = "{\"id\":\"default\"}";
	struct json *j;
	int rc;

	*sb_out = sandbox_find(s, "default");
	if (*sb_out != NULL && (*sb_out)->state != SB_DESTROYING)
		return 0;
	if (json_parse(args, sizeof(args) - 1, 4, &j, e) == -1)
		return -1;
	rc = sandbox_create(s, j, sb_out, e);
	json_free(j);
	return rc;
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
			wake(&sb->start_waiters, &e);
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
	if (sb->spec.time_ms > 0) {
		ev_timer_stop(sb->s->loop, &sb->time_limit);
		ev_timer_set(
		    &sb->time_limit, (double)sb->spec.time_ms / 1000.0, 0.);
		ev_timer_start(sb->s->loop, &sb->time_limit);
	}
	start_step(sb);
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
	wait_for(&sb->start_waiters, done, ctx);
	if (sb->state == SB_CREATING || sb->state == SB_RUNNING)
		return; /* on its way */
	if (sb->state == SB_STOPPING)
		return; /* goes on when it has stopped */
	if (start(sb, &e) == -1) {
		sb->state = SB_ERROR;
		(void)err_prefix(&e, "start sandbox %s", sb->id);
		(void)!str_format(
		    sb->reason, sizeof(sb->reason), "%.250s", e.text);
		wake(&sb->start_waiters, &e);
	}
}

/* --- stop ---------------------------------------------------------------- */

static void
on_stop_stored(void *ctx, const struct err *e)
{
	struct sandbox *sb = ctx;

	wake(&sb->stop_waiters, e);
	super_stop_step(sb->s);
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
	wait_for(&sb->stop_waiters, done, ctx);
	if (!sb->s->stopping)
		sb->want = false; /* else it starts again with us */
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
		sb->state = SB_STOPPED;
		sandbox_record_put(sb, on_stop_stored);
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

/* Nothing runs in it any more. */
static void
destroy_files(struct sandbox *sb)
{
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
	wait_for(&sb->stop_waiters, done, ctx);
	if (sb->state == SB_DESTROYING)
		return;
	sb->state = SB_DESTROYING;
	sb->want = false;
	ev_timer_stop(sb->s->loop, &sb->time_limit);
	sessions_end_all(sb, on_sessions_ended, sb);
}

/* --- its init has ended -------------------------------------------------- */

void
sandbox_is_down(struct sandbox *sb, const char *cause)
{
	bool first = !sb->born;
	struct err e;

	if (sb->quiet)
		return; /* only the backoff was called off */
	err_set(&e, ERR_SANDBOX_FAILED, "sandbox %s: %s", sb->id, cause);
	ev_timer_stop(sb->s->loop, &sb->time_limit);
	exec_sandbox_down(sb, &e);
	sessions_sandbox_down(sb);
	if (sb->state == SB_DESTROYING) {
		if (sb->destroy_begun) /* else on_sessions_ended() goes on */
			destroy_files(sb);
		return;
	}
	if (sb->proc.state == PS_DOWN && sb->state == SB_STOPPING) {
		if (sb->s->stopping) {
			err_set(&e, ERR_SHUTTING_DOWN,
			    "the supervisor is stopping");
			wake(&sb->start_waiters, &e);
		}
		if (!TAILQ_EMPTY(&sb->start_waiters)) {
			/* A start came while it stopped. */
			sb->state = SB_STOPPED;
			wake(&sb->stop_waiters, NULL);
			sandbox_ensure(sb, NULL, NULL);
			return;
		}
		sb->state = SB_STOPPED;
		sandbox_record_put(sb, on_stop_stored);
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
	sb->state = SB_ERROR;
	(void)!str_format(sb->reason, sizeof(sb->reason), "%.240s", cause);
	if (TAILQ_EMPTY(&sb->start_waiters))
		return;
	/* Somebody asked for this start and is told; no retries. */
	if (sb->proc.state == PS_WAITING) {
		sb->quiet = true;
		proc_stop(&sb->proc);
		sb->quiet = false;
	}
	wake(&sb->start_waiters, &e);
}

/* --- at start and at the end --------------------------------------------- */

void
sandboxes_loaded(struct super *s, const struct json *rec)
{
	const char *id = json_str(rec, "id", "");
	struct sandbox_spec sp;
	struct sandbox *sb;
	struct err e;
	int64_t slot = json_int(rec, "slot", 0);

	if (!sandbox_id_valid(id) || sandbox_find(s, id) != NULL)
		return;
	if (spec_parse(s, rec, id, true, &sp, &e) == -1) {
		log_error("sandbox", "record not understood",
		    LOG_STR("sandbox", id), LOG_STR("detail", e.text));
		return;
	}
	sb = sandbox_new(s, id, slot > 0 && slot <= 30000 ? (unsigned)slot : 1);
	sb->spec = sp;
	sb->put = sb->born = true;
	sb->want = json_bool(rec, "want", false);
	sb->state = SB_STOPPED;
	sb->created_at_ms = json_int(rec, "created_at", sb->created_at_ms);
	(void)!str_format(sb->reason, sizeof(sb->reason), "%.250s",
	    json_str(rec, "reason", ""));
}

static bool
is_known(struct super *s, const char *id)
{
	return sandbox_find(s, id) != NULL;
}

void
sandboxes_all_loaded(struct super *s)
{
	struct sandbox *sb;

	instance_sweep(s, is_known);
	LIST_FOREACH (sb, &s->sandboxes, link) {
		if (!sb->want || sb->state != SB_STOPPED)
			continue;
		/* With the backoff: what an earlier life has left may be on
		 * its way out still. */
		sb->state = SB_CREATING;
		proc_start_soon(&sb->proc);
	}
	super_ready(s);
}

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
		if (sb->proc.state == PS_DOWN)
			continue;
		some = true;
		if (!sb->born)
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
