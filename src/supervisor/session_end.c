/*
 * Ending sessions for good: by request, or all of a sandbox that is destroyed.
 * Runs in the supervisor. A worker that lives writes the last event itself;
 * otherwise the store does.
 */
#include "lib/xalloc.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"

#define END_MS 5000

struct ending {
	struct session *ss;
	struct request *r;	 /* who asked, or NULL */
	void (*done)(void *ctx); /* who waits for all, or NULL */
	void *ctx;
	unsigned *left;
};

static void
ending_done(struct ending *en, const struct err *e)
{
	struct jw *w;

	if (en->r != NULL && e != NULL) {
		request_end_err(en->r, e);
	} else if (en->r != NULL) {
		w = request_ok(en->r);
		jw_object(w);
		jw_kstr(w, "id", en->ss->id);
		jw_kstr(w, "state", "ended");
		jw_object_end(w);
		request_end_ok(en->r);
	}
	if (e == NULL)
		session_release_sandbox(en->ss);
	if (en->left != NULL && --*en->left == 0) {
		en->done(en->ctx);
		free(en->left);
	}
	free(en);
}

static void
on_state_ended(void *ctx, const struct err *e)
{
	ending_done(ctx, e);
}

static void
on_worker_ended(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e ATTR_UNUSED)
{
	struct ending *en = ctx;
	struct session *ss = en->ss;

	if (ss->proc.state != PS_DOWN)
		proc_stop(&ss->proc);
	/* A record that is being deleted is not written again; and nothing
	 * of ours may wait beyond the session's own end. */
	if (ok != NULL || ss->deleting)
		ending_done(en, NULL);
	else /* it could not say so itself */
		session_state_put(ss, "ended", on_state_ended, en);
}

static void
end_one(struct session *ss, struct ending *en)
{
	struct jw *w = NULL;

	ss->ended = true;
	ss->s->nsessions--;
	ss->want_worker = false;
	en->ss = ss;
	if (ss->ready && proc_up(&ss->proc))
		w = proc_call(
		    &ss->proc, MSG_SESSION_END, END_MS, on_worker_ended, en);
	if (w != NULL) {
		/* It exits by itself after its answer. */
		ss->proc.stop_wanted = true;
		(void)proc_send(&ss->proc, NULL, 0); /* comes as an answer */
		return;
	}
	if (ss->proc.state != PS_DOWN)
		proc_kill(&ss->proc);
	session_state_put(ss, "ended", on_state_ended, en);
}

void
session_end(struct session *ss, struct request *r)
{
	struct ending *en;
	struct err e;

	if (ss->ended || ss->creating != NULL) {
		err_set(&e, ERR_SESSION_ENDED, "session has ended: %s", ss->id);
		request_end_err(r, &e);
		return;
	}
	if (ss->sb != NULL && ss->sb->state == SB_PAUSED) {
		err_set(
		    &e, ERR_SANDBOX_STATE, "sandbox is paused: %s", ss->sb->id);
		request_end_err(r, &e);
		return;
	}
	en = xcalloc(1, sizeof(*en));
	en->r = r;
	end_one(ss, en);
}

void
session_probed(struct session *ss)
{
	ss->ended = true;
	ss->s->nsessions--;
	ss->want_worker = false;
	session_state_put(ss, "ended", NULL, NULL);
	proc_kill(&ss->proc);
}

void
sessions_end_all(struct sandbox *sb, void (*done)(void *ctx), void *ctx)
{
	unsigned *left = xcalloc(1, sizeof(*left));
	struct session *ss;
	struct ending *en;

	*left = 1; /* ours, so that DONE comes once and last */
	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb != sb || ss->ended || ss->creating != NULL)
			continue;
		en = xcalloc(1, sizeof(*en));
		en->done = done;
		en->ctx = ctx;
		en->left = left;
		++*left;
		end_one(ss, en);
	}
	if (--*left == 0) {
		free(left);
		done(ctx);
	}
}
