/*
 * The supervisor's `exec` and `kill` messages; runs in init. The answer to an
 * `exec` says that the command runs; its end is a notice of its own.
 */
#include "init/exec_priv.h"
#include "init/stop.h"
#include "init/sweep.h"

#include <fcntl.h>
#include <string.h>

static struct exec *
exec_by_id(struct execs *xs, int64_t id)
{
	struct exec *x;
	size_t i;

	for (i = 0; i < EXEC_BUCKETS; i++)
		for (x = xs->bucket[i]; x != NULL; x = x->next)
			if (x->id == id)
				return x;
	return NULL;
}

static void
super_started(struct exec *x)
{
	struct jw *w = chan_reply(x->in->ch, x->id);
	int fds[1] = { fd_steal(&x->master_fd) };

	jw_kint(w, "pid", x->pid);
	jw_object_end(w);
	(void)chan_end(x->in->ch, fds, fds[0] == -1 ? 0 : 1);
}

static void
super_failed(struct exec *x, const struct err *e)
{
	(void)chan_reply_err(x->in->ch, x->id, e);
}

static void
super_ended(struct exec *x)
{
	struct jw *w = chan_begin(x->in->ch);

	proto_begin(w, MSG_INIT_EXITED, 0);
	jw_kint(w, "exec", x->id);
	exec_put_end(x, w);
	(void)chan_end(x->in->ch, NULL, 0);
	past_add(x->in->execs, x->id, x->pid);
}

static const struct exec_ops super_ops = {
	super_started,
	super_failed,
	super_ended,
};

static int
exec_check(struct init *in, int64_t id, const struct json *msg, size_t nfds,
    struct err *e)
{
	const char *kind = json_str(msg, "kind", "");
	const char *cwd = json_str(msg, "cwd", "/");
	bool tty = json_bool(msg, "tty", false);
	bool session = strcmp(kind, "session") == 0;

	if (stop_begun(in))
		return err_set(e, ERR_SANDBOX_STATE, "the sandbox is stopping");
	if (!session && strcmp(kind, "command") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "kind: neither command nor "
		    "session");
	if ((session && tty) || (nfds != (tty ? 0 : CHILD_FDS) &&
				    !(session && nfds == CHILD_FDS + 1)))
		return err_set(e, ERR_BAD_REQUEST,
		    "fds: %zu came with this request", nfds);
	if (cwd[0] != '/')
		return err_set(e, ERR_BAD_REQUEST, "cwd: not absolute");
	if (exec_by_id(in->execs, id) != NULL)
		return err_set(e, ERR_BAD_REQUEST, "id: in use");
	return 0;
}

/* The supervisor says it for ps: the second word of a worker's. */
static const char *
session_name(const struct json *msg)
{
	const struct json *argv = json_get(msg, "argv");
	size_t i = 0;

	json_foreach (it, argv)
		if (i++ == 1)
			return it->str;
	return NULL;
}

void
exec_request(struct init *in, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	struct exec_how how = {
		.plan = { .msg = msg, .fds = { -1, -1, -1 } },
		.tty = json_bool(msg, "tty", false),
		.columns = (int)json_int(msg, "columns", 80),
		.rows = (int)json_int(msg, "rows", 24),
		.timeout_ms = json_int(msg, "timeout_ms", 0),
		.id = id,
		.keep = json_bool(msg, "keep", false),
	};
	struct err e;

	how.plan.term = how.tty ? "xterm" : NULL;
	how.plan.session = strcmp(json_str(msg, "kind", ""), "session") == 0;
	if (exec_check(in, id, msg, f->nfds, &e) == 0) {
		if (f->nfds >= CHILD_FDS)
			memcpy(how.plan.fds, f->fds, sizeof(how.plan.fds));
		if (f->nfds > CHILD_FDS && in->adopt != NULL) {
			how.super_fd = f->fds[CHILD_FDS];
			how.session = session_name(msg);
		}
		if (exec_start(in, &how, &super_ops, NULL, NULL, &e) == 0)
			return;
	}
	(void)chan_reply_err(in->ch, id, &e);
}

void
exec_kill_request(struct init *in, int64_t id, const struct json *msg)
{
	int64_t exec = json_int(msg, "exec", 0);
	int sig = (int)json_int(msg, "signal", 0);
	struct exec *x = exec_by_id(in->execs, exec);
	pid_t sid = x != NULL ? x->pid : past_find(in->execs, exec);

	if (sid != 0) {
		if (sig == SIGKILL)
			sweep_start(in, sid, NULL);
		else
			(void)sweep_session(in->proc_fd, sid, sig);
	}
	(void)chan_reply_ok(in->ch, id); /* a full queue ends the channel */
}

void
execs_orphaned(struct init *in)
{
	struct exec *x;
	size_t i;

	for (i = 0; i < EXEC_BUCKETS; i++)
		for (x = in->execs->bucket[i]; x != NULL; x = x->next) {
			if (x->ops != &super_ops || x->keep || x->ended ||
			    x->super_fd != -1)
				continue;
			/* Before its setsid() it is in no session of its own.
			 */
			if (x->state == EXEC_STARTING)
				(void)kill(x->pid, SIGKILL);
			sweep_start(in, x->pid, NULL);
		}
}

void
execs_put_workers(struct init *in)
{
	struct exec *x;
	struct jw *w;
	size_t i;
	int fd;

	for (i = 0; i < EXEC_BUCKETS; i++)
		for (x = in->execs->bucket[i]; x != NULL; x = x->next) {
			if (x->super_fd == -1 || x->ended)
				continue;
			fd = fcntl(x->super_fd, F_DUPFD_CLOEXEC, 3);
			if (fd == -1)
				continue; /* then nobody speaks to it */
			w = chan_begin(in->ch);
			proto_begin(w, MSG_INIT_WORKER, 0);
			jw_kint(w, "exec", x->id);
			jw_kstr(w, "session", x->session);
			(void)chan_end(in->ch, &fd, 1);
		}
}
