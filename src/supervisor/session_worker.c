/*
 * A session's worker as a child of a child: started by its sandbox's init,
 * heard over a channel of its own, attached to the store. Runs in the
 * supervisor. What a worker says is checked by proto.def and believed about
 * its own session only.
 */
#include "lib/log.h"
#include "supervisor/exec.h"
#include "supervisor/sandboxes.h"
#include "supervisor/session_priv.h"
#include "supervisor/spec.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* A probe's worker gives up by itself long before. */
#define PROBE_MS 30000

static void worker_kill(struct proc *p);

static void
on_attached(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct session *ss = ctx;

	if (ok != NULL)
		return;
	log_warn("session", "not attached to the store",
	    LOG_STR("session", ss->id), LOG_STR("detail", e->text));
	/* Without the store it would wait for ever: the next one tries again.
	 * A store that restarts finds its workers by itself. */
	if (e->code == ERR_LIMIT && ss->proc.alive)
		worker_kill(&ss->proc);
}

/* Give one end of a new channel to the store; the other is *FD_OUT. */
static int
attach(struct session *ss, int *fd_out, struct err *e)
{
	struct proc *store = storec_proc(ss->s->store);
	int store_fd = -1;
	struct jw *w;

	if (!proc_up(store))
		return err_set(
		    e, ERR_STORE_UNAVAILABLE, "the store is restarting");
	if (fd_socketpair(&store_fd, fd_out, e) == -1)
		return -1;
	w = proc_call(store, MSG_STORE_ATTACH, 0, on_attached, ss);
	jw_kstr(w, "session", ss->id);
	(void)proc_send(store, &store_fd, 1); /* failure comes as an answer */
	ss->store_generation = store->generation;
	return 0;
}

static void
on_worker_exec(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct session *ss = ctx;

	if (ok != NULL || !ss->proc.alive)
		return;
	proc_start_failed(&ss->proc, e);
	proc_exited(&ss->proc, 127 << 8);
}

/* Each worker is started by what its agent's file says then. */
static void
agent_renew(struct session *ss)
{
	struct agent_def *now = agent_find(ss->s, ss->agent->id);

	if (now == NULL || now == ss->agent)
		return;
	agent_drop(ss->agent);
	ss->agent = agent_hold(now);
}

/* A store that is being started again is no fault of the worker's. */
static bool
worker_may_start(const struct proc *p)
{
	const struct session *ss = p->owner;

	return proc_up(storec_proc(ss->s->store));
}

static int
worker_start(struct proc *p, struct err *e)
{
	struct session *ss = p->owner;
	struct sandbox *sb = ss->sb;
	int ours = -1, fds[4] = { -1, -1, -1, -1 };
	struct jw *w;

	agent_renew(ss);
	if (ss->agent->unknown)
		return err_set(
		    e, ERR_AGENT_UNKNOWN, "no such agent: %s", ss->agent->id);
	if (sb == NULL || sb->state != SB_RUNNING || !proc_up(&sb->proc))
		return err_set(
		    e, ERR_SANDBOX_STATE, "its sandbox is not running");
	fds[0] = fcntl(ss->s->session_fd, F_DUPFD_CLOEXEC, 3);
	if (fds[0] == -1)
		return err_sys(e, "duplicate a descriptor");
	if (fd_socketpair(&ours, &fds[1], e) == -1 ||
	    attach(ss, &fds[2], e) == -1) {
		fd_close(&ours);
		fd_close_all(fds, 3);
		return -1;
	}
	/* Init keeps it for whoever comes after us. */
	fds[3] = fcntl(ours, F_DUPFD_CLOEXEC, 3);
	if (fds[3] == -1) {
		(void)err_sys(e, "duplicate a descriptor");
		fd_close(&ours);
		fd_close_all(fds, 3);
		return -1;
	}
	p->start_ms = ss->s->conf.start_session_ms;
	w = proc_call(
	    &sb->proc, MSG_INIT_EXEC, p->start_ms, on_worker_exec, ss);
	ss->exec_id = proc_call_id(&sb->proc);
	jw_kstr(w, "kind", "session");
	jw_key(w, "argv");
	jw_array(w);
	jw_str(w, "sandboxd-session");
	jw_str(w, ss->id); /* for ps; the worker learns it from `start` */
	jw_array_end(w);
	jw_key(w, "env");
	jw_object(w);
	jw_object_end(w);
	jw_kstr(w, "cwd", "/");
	jw_kstr(w, "user", sb->spec.user);
	(void)proc_send(&sb->proc, fds, 4); /* failure comes as an answer */
	proc_spawned(p, -1, -1, ours);
	ss->ready = ss->busy = false;
	return 0;
}

/* Neither the host nor the sandbox has its agent: it may be installed. */
static void
start_refused(struct session *ss, const struct err *e)
{
	if (ss->creating == NULL) {
		session_fail_waits(ss, e);
		return;
	}
	if (e->code != ERR_AGENT_NOT_INSTALLED ||
	    !session_may_install(ss, ss->creating->op.args)) {
		session_create_failed(ss, e);
		return;
	}
	ss->start_again = true;
	session_install(ss);
	if (ss->proc.state != PS_DOWN)
		proc_kill(&ss->proc);
}

static void
on_started(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct session *ss = ctx;
	struct request *r = ss->creating;

	if (ok == NULL) {
		start_refused(ss, e);
		return;
	}
	if (ss->kind == SK_PROBE)
		session_probed(ss);
	else
		ss->ready = true;
	if (r != NULL) {
		ss->creating = NULL;
		session_create_answer(ss, r);
		session_create_repeats(ss, NULL);
	}
	session_serve_waits(ss);
}

/* A channel to the store that is running now, if the worker's is not. */
int
session_reattach(struct session *ss)
{
	struct proc *store = storec_proc(ss->s->store);
	struct jw *w;
	struct err e;
	int fd = -1;

	if (ss->store_generation == store->generation || !proc_up(store) ||
	    storec_held(ss->s->store))
		return 0; /* comes with sessions_store_up() otherwise */
	if (attach(ss, &fd, &e) == -1)
		return -1;
	w = proc_notice(&ss->proc, MSG_SESSION_STORE);
	if (w == NULL) {
		fd_close(&fd);
		return -1;
	}
	return proc_send(&ss->proc, &fd, 1);
}

static void
worker_up(struct proc *p)
{
	struct session *ss = p->owner;
	struct jw *w = proc_call(p, MSG_SESSION_START,
	    ss->kind == SK_PROBE ? PROBE_MS : 0, on_started, ss);

	session_start_write(ss, w);
	(void)proc_send(p, NULL, 0); /* failure comes as an answer */
	if (session_reattach(ss) == -1)
		log_warn("session", "not attached to the store",
		    LOG_STR("session", ss->id));
}

/* Only `busy` can come here: proto.def lets a worker say no more. */
static int
worker_message(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f ATTR_UNUSED, struct err *e)
{
	struct session *ss = p->owner;

	if (in->type != MSG_SESSION_BUSY)
		return err_set(e, ERR_BAD_REQUEST, "not for a worker to say");
	ss->busy = json_bool(in->body, "busy", false);
	if (ss->sb != NULL)
		sandbox_used(ss->sb);
	return 0;
}

bool
sessions_busy(const struct sandbox *sb)
{
	struct session *ss;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb == sb && (ss->busy || ss->creating != NULL ||
					!TAILQ_EMPTY(&ss->waits)))
			return true;
	}
	return false;
}

static void
worker_ask_stop(struct proc *p)
{
	/* At its end of file it leaves at once; init holds our side, too. */
	chan_hang_up(p->ch);
	chan_free(STEAL(p->ch));
}

static void
worker_kill(struct proc *p)
{
	struct session *ss = p->owner;
	struct jw *w;

	if (ss->sb == NULL || (w = proc_call(&ss->sb->proc, MSG_INIT_KILL, 0,
				   NULL, NULL)) == NULL)
		return; /* dead with its sandbox */
	jw_kint(w, "exec", ss->exec_id);
	jw_kint(w, "signal", SIGKILL);
	(void)proc_send(&ss->sb->proc, NULL, 0); /* the ladder tries again */
}

static bool
sandbox_runs(const struct session *ss)
{
	return ss->sb != NULL && ss->sb->state == SB_RUNNING &&
	       proc_up(&ss->sb->proc);
}

static void
worker_down(struct proc *p, const char *cause)
{
	struct session *ss = p->owner;
	struct err e;

	ss->ready = ss->busy = false;
	err_set(&e, ERR_SESSION_FAILED, "session %s: its worker: %s", ss->id,
	    cause);
	if (ss->deleting) {
		session_delete_step(ss);
		return;
	}
	if (ss->start_again) {
		if (ss->installing == NULL)
			session_create_go(ss);
		return;
	}
	if (ss->creating != NULL) {
		session_create_failed(ss, &e);
		return;
	}
	if (ss->ended) {
		session_fail_waits(ss, &e);
		return;
	}
	if (p->state == PS_FAILED) {
		session_fail_waits(ss, &e);
		session_state_put(ss, "error", NULL, NULL);
	} else if (p->state == PS_DOWN && ss->want_worker && sandbox_runs(ss)) {
		(void)proc_start(p, &e); /* came back while it was dying */
	} else if (p->state == PS_DOWN) {
		session_fail_waits(ss, &e);
	}
}

static const struct proc_kind worker_kind = {
	.role = ROLE_SESSION,
	.start = worker_start,
	.may_start = worker_may_start,
	.up = worker_up,
	.message = worker_message,
	.ask_stop = worker_ask_stop,
	.kill = worker_kill,
	.down = worker_down,
	.start_ms = 15000,
	.stop_ms = 2000,
	.restart = true,
	.kill_counts = true,
};

bool
sessions_exited(struct sandbox *sb, int64_t exec, int status)
{
	struct session *ss;

	LIST_FOREACH (ss, &sb->s->sessions, link) {
		if (ss->sb == sb && ss->exec_id == exec && ss->proc.alive) {
			/* What its agent had started goes with it. */
			worker_kill(&ss->proc);
			proc_exited(&ss->proc, status);
			return true;
		}
	}
	/* One that we have given up already. */
	return true;
}

void
session_worker_init(struct session *ss)
{
	proc_init(
	    &ss->proc, &worker_kind, ss, ss->s->loop, "session %s", ss->id);
}
