/*
 * Starting, watching, killing and reporting commands; runs in init.
 *
 * A record is STARTING from fork until the report pipe closes (exec succeeded)
 * or brings an error, then RUNNING until its main process was reaped. Both
 * events may come in either order, so each only notes what it knows and
 * exec_settle() decides. What a child reports is treated as hostile: between
 * fork and exec it reads files of the sandbox.
 *
 * Never blocks: no step waits for a child.
 */
#include "init/exec.h"
#include "init/child.h"
#include "init/pty.h"
#include "init/stop.h"
#include "init/sweep.h"
#include "lib/fdio.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define START_S 10.0	/* from fork to exec */
#define STARTING_MAX 64 /* then no further request is read for a while */
#define SPARE_FDS 30	/* of init and of a child on its way to exec */
#define BUCKETS 128
#define PAST_MAX 256	   /* ended commands that `kill` still reaches */
#define SWEEP_S 5.0	   /* for killing what a command has left */
#define SWEEP_STEP_S 0.005 /* between passes */
#define SWEEP_PASSES 2	   /* at one go */

enum exec_state {
	EXEC_STARTING,
	EXEC_RUNNING,
	EXEC_FAILED,
	EXEC_STATE_N
};

struct exec {
	struct exec *next;  /* in its bucket, by pid */
	struct init *in;    /* borrowed */
	int64_t id;	    /* of the request */
	int64_t timeout_ms; /* 0: none */
	pid_t pid;	    /* also its session's id */
	enum exec_state state;
	int report_fd; /* owned, -1 when read */
	int master_fd; /* owned, -1 when passed on */
	ev_io report;
	ev_timer timer;	 /* STARTING: for exec; RUNNING: the command's own */
	bool ended;	 /* reaped; code and value are known */
	int code, value; /* si_code, si_status */
	bool timed_out;
	struct sweep *sweep; /* borrowed while it kills on timeout */
};

struct sweep { /* SIGKILL until nothing of a session is left */
	struct sweep *next;
	struct init *in;
	struct exec *exec; /* waits for it; NULL: nobody */
	pid_t sid;
	ev_timer timer;
	double deadline;
};

struct past {
	int64_t id;
	pid_t sid; /* 0: empty */
};

struct execs {
	struct exec *bucket[BUCKETS];
	struct sweep *sweeps;
	struct past *past; /* owned, PAST_MAX of them, made when first needed */
	size_t past_at;
	size_t live, starting;
	size_t starting_max; /* STARTING_MAX, or what descriptors allow */
};

static void exec_settle(struct exec *x);

int
execs_open(struct init *in, struct err *e)
{
	struct rlimit fds;

	in->execs = calloc(1, sizeof(*in->execs));
	if (in->execs == NULL || getrlimit(RLIMIT_NOFILE, &fds) == -1)
		return err_sys(e, "command table");
	in->execs->starting_max =
	    fds.rlim_cur <= SPARE_FDS
		? 1
		: MIN(fds.rlim_cur - SPARE_FDS, STARTING_MAX);
	return 0;
}

static struct exec *
exec_by_pid(struct execs *xs, pid_t pid)
{
	struct exec *x = xs->bucket[(unsigned)pid % BUCKETS];

	while (x != NULL && x->pid != pid)
		x = x->next;
	return x;
}

static struct exec *
exec_by_id(struct execs *xs, int64_t id)
{
	struct exec *x;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		for (x = xs->bucket[i]; x != NULL; x = x->next)
			if (x->id == id)
				return x;
	return NULL;
}

/* Requests wait in the socket while too many children are on their way to
 * exec: each of those costs a descriptor, a running command none. */
static void
starting_count(struct init *in, int by)
{
	struct execs *xs = in->execs;

	xs->starting = by > 0 ? xs->starting + 1 : xs->starting - 1;
	if (xs->starting == xs->starting_max && by > 0)
		chan_pause(in->ch);
	else if (xs->starting == xs->starting_max - 1 && by < 0)
		chan_resume(in->ch);
}

static void
exec_free(struct exec *x)
{
	struct execs *xs = x->in->execs;
	struct exec **p = &xs->bucket[(unsigned)x->pid % BUCKETS];

	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	xs->live--;
	ev_io_stop(x->in->loop, &x->report);
	ev_timer_stop(x->in->loop, &x->timer);
	fd_close(&x->report_fd);
	fd_close(&x->master_fd);
	if (x->sweep != NULL)
		x->sweep->exec = NULL;
	free(x);
}

/*
 * Killing
 */

static void
sweep_free(struct sweep *s)
{
	struct sweep **p = &s->in->execs->sweeps;
	struct exec *x = s->exec;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	ev_timer_stop(s->in->loop, &s->timer);
	free(s);
	if (x != NULL) {
		x->sweep = NULL;
		exec_settle(x);
	}
}

static void
sweep_step(struct sweep *s)
{
	int pass, left = 1;

	/* The processes die a moment after their signal; several passes at once
	 * are only worth it against a tree that grows. */
	for (pass = 0; left > 0 && pass < SWEEP_PASSES; pass++)
		left = sweep_session(s->in->proc_fd, s->sid, SIGKILL);
	if (left <= 0 || ev_now(s->in->loop) >= s->deadline) {
		sweep_free(s);
		return;
	}
	ev_timer_set(&s->timer, SWEEP_STEP_S, 0.);
	ev_timer_start(s->in->loop, &s->timer);
}

static void
on_sweep_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	sweep_step(w->data);
}

/* Kill everything of session SID. X is settled when that is done, which may be
 * before this returns. */
static void
sweep_start(struct init *in, pid_t sid, struct exec *x)
{
	struct sweep *s;

	for (s = in->execs->sweeps; s != NULL; s = s->next)
		if (s->sid == sid)
			break;
	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL) { /* one pass is better than none */
			(void)sweep_session(in->proc_fd, sid, SIGKILL);
			return;
		}
		s->in = in;
		s->sid = sid;
		ev_init(&s->timer, on_sweep_timer);
		s->timer.data = s;
		s->next = in->execs->sweeps;
		in->execs->sweeps = s;
	}
	s->deadline = ev_now(in->loop) + SWEEP_S;
	if (x != NULL) {
		s->exec = x;
		x->sweep = s;
	}
	sweep_step(s);
}

static void
past_add(struct execs *xs, int64_t id, pid_t sid)
{
	if (xs->past == NULL)
		xs->past = calloc(PAST_MAX, sizeof(*xs->past));
	if (xs->past == NULL)
		return; /* then kill does not reach what it left behind */
	xs->past[xs->past_at] = (struct past){ id, sid };
	xs->past_at = (xs->past_at + 1) % PAST_MAX;
}

/* The kernel gives a session's number to nobody while the session has members;
 * so once a new child has it, the old session is gone, and nothing of ours may
 * go on aiming at the number. */
static void
session_forget(struct execs *xs, pid_t sid)
{
	struct sweep *s, *next;
	size_t i;

	for (i = 0; xs->past != NULL && i < PAST_MAX; i++)
		if (xs->past[i].sid == sid)
			xs->past[i].sid = 0;
	for (s = xs->sweeps; s != NULL; s = next) {
		next = s->next;
		if (s->sid == sid)
			sweep_free(s);
	}
}

static pid_t
past_find(struct execs *xs, int64_t id)
{
	size_t i;

	for (i = 0; xs->past != NULL && i < PAST_MAX; i++) {
		if (xs->past[i].id != id || xs->past[i].sid == 0)
			continue;
		/* The leader was reaped: whoever has its number now is
		 * somebody else, and the session ended before. */
		if (kill(xs->past[i].sid, 0) == 0)
			xs->past[i].sid = 0;
		return xs->past[i].sid;
	}
	return 0;
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

/*
 * Reporting
 */

static void
exec_reply_started(struct exec *x)
{
	struct jw *w = chan_begin(x->in->ch);
	int fds[1] = { fd_steal(&x->master_fd) };

	jw_kint(w, "id", x->id);
	jw_key(w, "ok");
	jw_object(w);
	jw_kint(w, "pid", x->pid);
	jw_object_end(w);
	(void)chan_end(x->in->ch, fds, fds[0] == -1 ? 0 : 1);
}

static void
exec_tell_exited(const struct exec *x)
{
	struct jw *w = chan_begin(x->in->ch);

	proto_begin(w, MSG_INIT_EXITED, 0);
	jw_kint(w, "exec", x->id);
	jw_kint(w, x->code == CLD_EXITED ? "code" : "signal", x->value);
	jw_kbool(w, "timed_out", x->timed_out);
	(void)chan_end(x->in->ch, NULL, 0);
}

/* Act on what is known by now; may free X. */
static void
exec_settle(struct exec *x)
{
	if (x->state == EXEC_STARTING || !x->ended || x->sweep != NULL)
		return;
	if (x->state == EXEC_RUNNING) {
		exec_tell_exited(x);
		past_add(x->in->execs, x->id, x->pid);
	}
	exec_free(x);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct exec *x = w->data;

	(void)loop;
	(void)revents;
	x->timed_out = true;
	sweep_start(x->in, x->pid, x);
}

static void
exec_started(struct exec *x)
{
	x->state = EXEC_RUNNING;
	starting_count(x->in, -1);
	exec_reply_started(x);
	ev_timer_stop(x->in->loop, &x->timer);
	if (x->timeout_ms > 0 && !x->ended) {
		ev_timer_init(
		    &x->timer, on_timeout, (double)x->timeout_ms / 1e3, 0.);
		x->timer.data = x;
		ev_timer_start(x->in->loop, &x->timer);
	}
}

static void
exec_failed(struct exec *x, const struct err *e)
{
	x->state = EXEC_FAILED;
	starting_count(x->in, -1);
	ev_timer_stop(x->in->loop, &x->timer);
	(void)chan_reply_err(x->in->ch, x->id, e);
}

static void
exec_read_report(struct exec *x)
{
	struct err e;
	ssize_t n = read(x->report_fd, &e, sizeof(e));

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	ev_io_stop(x->in->loop, &x->report);
	fd_close(&x->report_fd);
	if (n == 0) {
		exec_started(x);
	} else {
		if (n != (ssize_t)sizeof(e) || (unsigned)e.code >= ERR_N ||
		    e.code == ERR_NONE ||
		    memchr(e.text, 0, sizeof(e.text)) == NULL)
			(void)err_set(&e, ERR_EXEC_FAILED,
			    "exec: the child's report is damaged");
		exec_failed(x, &e);
	}
}

static void
on_report(struct ev_loop *loop, ev_io *w, int revents)
{
	struct exec *x = w->data;

	(void)loop;
	(void)revents;
	exec_read_report(x);
	exec_settle(x);
}

static void
on_start_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct exec *x = w->data;
	struct err e;

	(void)loop;
	(void)revents;
	if (!x->ended)
		(void)kill(x->pid, SIGKILL); /* not reaped: still ours */
	(void)err_set(
	    &e, ERR_TIMEOUT, "exec: not started within %d s", (int)START_S);
	exec_failed(x, &e);
	exec_settle(x);
}

void
exec_reaped(struct init *in, const siginfo_t *si)
{
	struct exec *x = exec_by_pid(in->execs, si->si_pid);

	if (x == NULL || x->ended)
		return;
	x->ended = true;
	x->code = si->si_code;
	x->value = si->si_status;
	if (x->state == EXEC_RUNNING)
		ev_timer_stop(in->loop, &x->timer);
	exec_settle(x);
}

void
execs_flush(struct init *in)
{
	struct exec *x, *next;
	size_t i;

	for (i = 0; i < BUCKETS; i++) {
		for (x = in->execs->bucket[i]; x != NULL; x = next) {
			next = x->next;
			if (x->report_fd != -1)
				exec_read_report(x);
			if (x->sweep != NULL)
				x->sweep->exec = NULL;
			x->sweep = NULL;
			exec_settle(x);
		}
	}
}

/*
 * Starting
 */

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
	if ((session && tty) || nfds != (tty ? 0 : CHILD_FDS))
		return err_set(e, ERR_BAD_REQUEST,
		    "fds: %zu came with this request", nfds);
	if (cwd[0] != '/')
		return err_set(e, ERR_BAD_REQUEST, "cwd: not absolute");
	if (exec_by_id(in->execs, id) != NULL)
		return err_set(e, ERR_BAD_REQUEST, "id: in use");
	if (in->execs->live >= EXECS_MAX)
		return err_set(
		    e, ERR_LIMIT, "exec: %d commands are running", EXECS_MAX);
	return 0;
}

static void
exec_watch(struct exec *x)
{
	struct execs *xs = x->in->execs;

	session_forget(xs, x->pid);
	x->next = xs->bucket[(unsigned)x->pid % BUCKETS];
	xs->bucket[(unsigned)x->pid % BUCKETS] = x;
	xs->live++;
	starting_count(x->in, 1);
	ev_io_init(&x->report, on_report, x->report_fd, EV_READ);
	x->report.data = x;
	ev_io_start(x->in->loop, &x->report);
	ev_timer_init(&x->timer, on_start_timeout, START_S, 0.);
	x->timer.data = x;
	/* The loop's time may be as old as the last wake-up. */
	ev_now_update(x->in->loop);
	ev_timer_start(x->in->loop, &x->timer);
}

static int
limit_error(struct err *e, const char *what)
{
	(void)err_sys(e, "exec: %s", what);
	if (errno == EAGAIN || errno == EMFILE || errno == ENFILE ||
	    errno == ENOMEM)
		e->code = ERR_LIMIT;
	return -1;
}

/* Fork. On success X is watched; on failure nothing is left of it but its
 * memory. */
static int
exec_fork(struct exec *x, const struct json *msg, const struct chan_frame *f,
    struct err *e)
{
	struct child_plan plan = {
		.msg = msg,
		.session = strcmp(json_str(msg, "kind", ""), "session") == 0,
		.fds = { -1, -1, -1 },
		.null_fd = x->in->null_fd,
	};
	autofd int write_fd = -1;

	if (json_bool(msg, "tty", false) &&
	    pty_open((int)json_int(msg, "columns", 80),
		(int)json_int(msg, "rows", 24), &x->master_fd, e) == -1)
		return err_prefix(e, "exec");
	if (fd_pipe(&x->report_fd, &write_fd, e) == -1 ||
	    fd_set_nonblock(x->report_fd, 1) == -1) {
		fd_close(&x->master_fd);
		fd_close(&x->report_fd);
		return limit_error(e, "pipe");
	}
	plan.report_fd = write_fd;
	plan.master_fd = x->master_fd;
	if (f->nfds == CHILD_FDS)
		memcpy(plan.fds, f->fds, sizeof(plan.fds));
	x->pid = init_fork();
	if (x->pid == 0)
		child_run(&plan);
	if (x->pid == -1) {
		(void)limit_error(e, "fork");
		fd_close(&x->master_fd);
		fd_close(&x->report_fd);
		return -1;
	}
	exec_watch(x);
	return 0;
}

void
exec_request(struct init *in, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	struct exec *x = NULL;
	struct err e;

	if (exec_check(in, id, msg, f->nfds, &e) == -1)
		goto fail;
	x = calloc(1, sizeof(*x));
	if (x == NULL) {
		(void)limit_error(&e, "memory");
		goto fail;
	}
	x->in = in;
	x->id = id;
	x->timeout_ms = json_int(msg, "timeout_ms", 0);
	x->report_fd = x->master_fd = -1;
	if (exec_fork(x, msg, f, &e) == -1)
		goto fail;
	return;
fail:
	free(x);
	(void)chan_reply_err(in->ch, id, &e);
}
