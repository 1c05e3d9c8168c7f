/*
 * Deleting sessions: the worker and all that it has started are killed, the
 * record and the events are removed, and a sandbox that was made for the
 * session goes with it. Runs in the supervisor. What is asked for is that
 * nothing is left, so nobody is asked to end gracefully, and nobody is waited
 * for longer than the kernel takes.
 */
#include "lib/xalloc.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"

bool
session_when_gone(
    struct super *s, const char *id, sandbox_done *done, void *ctx)
{
	struct session *ss = session_find(s, id);

	if (ss == NULL || !ss->deleting)
		return false;
	sandbox_wait_for(&ss->gone_waiters, done, ctx);
	return true;
}

void
session_delete_step(struct session *ss)
{
	/* Calls to the worker are answered when it is down, not before. */
	if (ss->deleted && ss->proc.state == PS_DOWN && !ss->releasing)
		session_free_soon(ss);
}

static void
on_released(void *ctx, const struct err *e ATTR_UNUSED)
{
	struct session *ss = ctx;

	ss->releasing = false;
	session_delete_step(ss);
}

static void
on_deleted(void *ctx, const struct err *e ATTR_UNUSED)
{
	struct session *ss = ctx;

	/* What could not be removed was logged, and the id is free all the
	 * same: the next record by it is written over what is left. */
	ss->deleted = true;
	session_delete_step(ss);
}

void
session_delete_record(struct session *ss)
{
	storec_delete(ss->s->store, "sessions", ss->id, on_deleted, ss);
}

void
session_delete(struct session *ss, sandbox_done *done, void *ctx)
{
	struct err e;

	sandbox_wait_for(&ss->gone_waiters, done, ctx);
	if (ss->deleting)
		return;
	ss->deleting = true;
	err_set(&e, ERR_SESSION_ENDED, "session was deleted: %s", ss->id);
	if (ss->creating != NULL) {
		session_create_failed(ss, &e);
		return;
	}
	session_fail_waits(ss, &e);
	if (!ss->ended) {
		ss->ended = true;
		ss->s->nsessions--;
	}
	ss->want_worker = false;
	session_delete_record(ss);
	if (ss->own_sandbox && ss->sb != NULL) {
		ss->releasing = true;
		sandbox_destroy(ss->sb, on_released, ss); /* or waits for it */
	}
	if (ss->proc.state != PS_DOWN)
		proc_kill(
		    &ss->proc); /* its end comes to session_delete_step() */
}
