/*
 * Those who wait for a sandbox to start, to stop, to freeze. Runs in the
 * supervisor.
 */
#include "lib/xalloc.h"
#include "supervisor/sandbox_priv.h"

void
sandbox_wait_for(struct sandbox_waiters *q, sandbox_done *done, void *ctx)
{
	struct sandbox_waiter *w;

	if (done == NULL)
		return;
	w = xcalloc(1, sizeof(*w));
	w->done = done;
	w->ctx = ctx;
	TAILQ_INSERT_TAIL(q, w, link);
}

void
sandbox_wake(struct sandbox_waiters *q, const struct err *e)
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

bool
sandbox_when_gone(
    struct super *s, const char *id, sandbox_done *done, void *ctx)
{
	struct sandbox *sb = sandbox_find(s, id);

	if (sb == NULL || sb->state != SB_DESTROYING)
		return false;
	sandbox_wait_for(&sb->stop_waiters, done, ctx);
	return true;
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
