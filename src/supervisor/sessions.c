/*
 * The table of sessions: making them, asking them, what happens around them.
 * Runs in the supervisor. Their processes are in session_worker.c, their end in
 * session_end.c.
 */
#include "supervisor/sessions.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/courier.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"
#include "supervisor/spec.h"

#include <signal.h>
#include <string.h>

struct session *
session_find(struct super *s, const char *id)
{
	struct session *ss;

	LIST_FOREACH (ss, &s->sessions, link) {
		if (strcmp(ss->id, id) == 0)
			return ss;
	}
	return NULL;
}

const char *
session_kind_name(enum session_kind k)
{
	static const char *const names[SK_N] = {
		[SK_UNIVERSAL] = "universal",
		[SK_ACP] = "acp",
		[SK_PROBE] = "probe",
	};

	return names[k];
}

bool
session_is_there(const struct session *ss)
{
	return ss != NULL && !ss->deleting &&
	       (ss->stored || ss->creating != NULL);
}

/* --- records ----------------------------------------------------------------
 */

void
session_state_put(
    struct session *ss, const char *state, storec_done *done, void *ctx)
{
	struct buf b;

	buf_init(&b, 256);
	(void)buf_addf(&b, "{\"state\":\"%s\"}", state); /* fits */
	storec_put(ss->s->store, "sessions", ss->id, &b, done, ctx);
	buf_free(&b);
}

/* --- waiting requests ---------------------------------------------------- */

void
session_fail_waits(struct session *ss, const struct err *e)
{
	struct session_wait *w;

	while ((w = TAILQ_FIRST(&ss->waits)) != NULL) {
		TAILQ_REMOVE(&ss->waits, w, link);
		if (w->r != NULL)
			request_end_err(w->r, e);
		else
			w->done(w->ctx, ss, e);
		free(w);
	}
}

void
session_serve_waits(struct session *ss)
{
	struct session_wait *w;

	while (ss->ready && (w = TAILQ_FIRST(&ss->waits)) != NULL) {
		TAILQ_REMOVE(&ss->waits, w, link);
		if (w->r != NULL)
			session_send(ss, w->r);
		else
			w->done(w->ctx, ss, NULL);
		free(w);
	}
}

/* --- making and freeing -------------------------------------------------- */

static void
session_free(struct session *ss)
{
	LIST_REMOVE(ss, link);
	if (!ss->ended)
		ss->s->nsessions--;
	ev_timer_stop(ss->s->loop, &ss->free_timer);
	proc_free(&ss->proc);
	storec_forget(ss->s->store, ss);
	proc_forget(storec_proc(ss->s->store), ss); /* attach() */
	if (ss->sb != NULL) {
		proc_forget(&ss->sb->proc, ss); /* worker_start() */
		sandbox_forget(ss->sb, ss);
	}
	if (ss->installing != NULL)
		courier_forget(ss->installing);
	agent_drop(ss->agent);
	free(ss->model);
	free(ss->permission_mode);
	free(ss->agent_mode);
	free(ss->thought_level);
	free(ss->directory);
	free(ss->title);
	free(ss->variant);
	free(ss->mcp);
	free(ss->skills);
	free(ss->idempotency_key);
	free(ss->request_hash);
	strv_free(ss->env);
	strv_free(ss->command);
	free(ss);
}

static void
on_free_timer(
    struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct session *ss = t->data;
	struct sandbox_waiters all = TAILQ_HEAD_INITIALIZER(all);

	/* Out of the table first: whoever is told may use the id again. */
	TAILQ_CONCAT(&all, &ss->gone_waiters, link);
	session_free(ss);
	sandbox_wake(&all, NULL);
}

void
session_free_soon(struct session *ss)
{
	ss->deleting = true;
	ev_timer_stop(ss->s->loop, &ss->free_timer);
	ev_timer_init(&ss->free_timer, on_free_timer, 0., 0.);
	ss->free_timer.data = ss;
	ev_timer_start(ss->s->loop, &ss->free_timer);
}

/* A create that failed: nothing of it stays. */
void
session_create_failed(struct session *ss, const struct err *e)
{
	struct request *r = ss->creating;

	if (ss->creating == NULL)
		return;
	ss->creating = NULL;
	ss->start_again = false;
	ss->deleting = true;
	session_fail_waits(ss, e);
	if (!ss->ended) {
		ss->ended = true; /* no restart, no further request */
		ss->s->nsessions--;
	}
	if (ss->stored)
		session_delete_record(ss);
	else
		ss->deleted = true;
	session_release_sandbox(ss);
	if (ss->proc.state != PS_DOWN)
		proc_kill(&ss->proc);
	session_delete_step(ss);
	request_end_err(r, e);
	session_create_repeats(ss, e);
}

/* --- asking -------------------------------------------------------------- */

static void
on_sandbox_for_ask(void *ctx, const struct err *e)
{
	struct session *ss = ctx;
	struct err why;

	if (e != NULL) {
		session_fail_waits(ss, e);
		return;
	}
	ss->want_worker = true;
	if (ss->proc.state == PS_STOPPING)
		return; /* worker_down() starts it again */
	if (proc_start(&ss->proc, &why) == -1 && ss->proc.state != PS_WAITING)
		session_fail_waits(ss, &why);
}

/* Can nothing be asked of it now? */
static bool
unusable(const struct session *ss, struct err *e)
{
	if (ss->deleting)
		err_set(
		    e, ERR_SESSION_NOT_FOUND, "no such session: %s", ss->id);
	else if (ss->ended || ss->sb == NULL)
		err_set(e, ERR_SESSION_ENDED, "session has ended: %s", ss->id);
	else if (ss->sb->state == SB_PAUSED)
		err_set(
		    e, ERR_SANDBOX_STATE, "sandbox is paused: %s", ss->sb->id);
	else
		return false;
	return true;
}

void
session_ask(struct session *ss, struct request *r)
{
	struct session_wait *w;
	struct err e;

	if (unusable(ss, &e)) {
		request_end_err(r, &e);
		return;
	}
	if (ss->ready && proc_up(&ss->proc) && TAILQ_EMPTY(&ss->waits)) {
		session_send(ss, r);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->r = r;
	TAILQ_INSERT_TAIL(&ss->waits, w, link);
	if (ss->creating == NULL)
		sandbox_ensure(ss->sb, on_sandbox_for_ask, ss);
}

void
session_ensure(struct session *ss, session_done *done, void *ctx)
{
	struct session_wait *w;
	struct err e;

	if (unusable(ss, &e)) {
		done(ctx, ss, &e);
		return;
	}
	if (ss->ready && proc_up(&ss->proc) && TAILQ_EMPTY(&ss->waits)) {
		done(ctx, ss, NULL);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->done = done;
	w->ctx = ctx;
	TAILQ_INSERT_TAIL(&ss->waits, w, link);
	if (ss->creating == NULL)
		sandbox_ensure(ss->sb, on_sandbox_for_ask, ss);
}

/* --- what happens around it ---------------------------------------------- */

void
sessions_loaded(struct super *s, const struct json *rec)
{
	const char *id = json_str(rec, "id", "");
	const char *state = json_str(rec, "state", "");
	struct agent_def *a = agent_find(s, json_str(rec, "agent", ""));
	struct session *ss;

	if (!session_id_valid(id) || session_find(s, id) != NULL)
		return;
	if (a == NULL) {
		/* Its events can be read, and it can be deleted. */
		log_warn("session", "record names an agent we do not have",
		    LOG_STR("session", id));
		a = agent_def_unknown(json_str(rec, "agent", ""));
	}
	ss = session_new(s, id, a, rec);
	ss->stored = true;
	ss->sb = sandbox_find(s, json_str(rec, "sandbox", ""));
	/* Idle ones get a worker when they are asked for something. */
	ss->want_worker = strcmp(state, "idle") != 0;
	/* If its worker is adopted, that says when the turn is over. */
	ss->busy = strcmp(state, "turn") == 0;
	if (strcmp(state, "ended") == 0 || ss->sb == NULL) {
		if (strcmp(state, "ended") != 0)
			session_state_put(ss, "ended", NULL, NULL);
		ss->ended = true;
		ss->ended_ms = json_int(rec, "updated_at", 0);
		ss->want_worker = false;
		s->nsessions--;
	} else if (!ss->sb->want && strcmp(state, "stopped") != 0) {
		session_state_put(ss, "stopped", NULL, NULL);
	}
}

void
sessions_store_up(struct super *s)
{
	struct session *ss;

	LIST_FOREACH (ss, &s->sessions, link) {
		if (proc_up(&ss->proc) && session_reattach(ss) == -1)
			log_warn("session", "not attached to the store",
			    LOG_STR("session", ss->id));
	}
}

void
sessions_sandbox_up(struct sandbox *sb)
{
	struct session *ss;
	struct err e;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb != sb || ss->ended || ss->creating != NULL ||
		    !ss->want_worker || ss->proc.state == PS_STOPPING)
			continue;
		if (proc_start(&ss->proc, &e) == -1)
			log_warn("session", "worker not started",
			    LOG_STR("session", ss->id),
			    LOG_STR("detail", e.text));
	}
}

void
sessions_sandbox_stopping(struct sandbox *sb)
{
	struct session *ss;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb != sb || ss->ended)
			continue;
		ss->proc.stop_wanted = true;
		ss->want_worker = true; /* when it starts again */
	}
}

void
sessions_sandbox_down(struct sandbox *sb)
{
	bool gone = sb->state == SB_DESTROYING;
	struct session *ss;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb != sb)
			continue;
		/* Its restart is sessions_sandbox_up()'s. */
		ss->proc.stop_wanted = true;
		if (ss->proc.state == PS_WAITING)
			proc_stop(&ss->proc);
		if (ss->proc.alive)
			proc_exited(&ss->proc, SIGKILL);
		if (!ss->ended && ss->stored && !gone &&
		    !(sb->want && sb->proc.state == PS_WAITING))
			session_state_put(ss, "stopped", NULL, NULL);
		/* Its own is waited for to the end when it is deleted. */
		if (gone && !ss->own_sandbox)
			ss->sb = NULL;
	}
}

void
sessions_sandbox_free(struct sandbox *sb)
{
	struct session *ss;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb == sb)
			ss->sb = NULL;
	}
}

void
sessions_write_ids(struct sandbox *sb, struct jw *w)
{
	struct session *ss;

	jw_key(w, "sessions");
	jw_array(w);
	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb == sb && !ss->ended && ss->kind == SK_UNIVERSAL)
			jw_str(w, ss->id);
	}
	jw_array_end(w);
}

void
sessions_free(struct super *s)
{
	struct session *ss;

	while ((ss = LIST_FIRST(&s->sessions)) != NULL)
		session_free(ss);
}
