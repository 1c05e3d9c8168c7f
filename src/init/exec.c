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
#include "init/exec_priv.h"
#include "init/gate.h"
#include "init/pty.h"
#include "init/sweep.h"
#include "lib/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define START_S 10.0	/* from fork to exec */
#define STARTING_MAX 64 /* then no further request is read for a while */
#define SPARE_FDS 30	/* of init and of a child on its way to exec */

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
	struct exec *x = xs->bucket[(unsigned)pid % EXEC_BUCKETS];

	while (x != NULL && x->pid != pid)
		x = x->next;
	return x;
}

/* Requests wait in the socket while too many children are on their way to
 * exec: each of those costs a descriptor, a running command none. Gateways wait
 * first, so that they cannot keep the supervisor waiting. */
static void
starting_count(struct init *in, int by)
{
	struct execs *xs = in->execs;
	size_t share = MAX(xs->starting_max * 3 / 4, 1);

	xs->starting = by > 0 ? xs->starting + 1 : xs->starting - 1;
	if (xs->starting == share && by > 0)
		gates_pause(in, true);
	else if (xs->starting == share - 1 && by < 0)
		gates_pause(in, false);
	if (xs->starting == xs->starting_max && by > 0)
		chan_pause(in->ch);
	else if (xs->starting == xs->starting_max - 1 && by < 0)
		chan_resume(in->ch);
}

static void
exec_free(struct exec *x)
{
	struct execs *xs = x->in->execs;
	struct exec **p = &xs->bucket[(unsigned)x->pid % EXEC_BUCKETS];

	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	xs->live--;
	ev_io_stop(x->in->loop, &x->report);
	ev_timer_stop(x->in->loop, &x->timer);
	fd_close(&x->report_fd);
	fd_close(&x->master_fd);
	fd_close(&x->super_fd);
	free(x->session);
	if (x->sweep != NULL)
		sweep_let(x->sweep);
	free(x);
}

/*
 * Reporting
 */

void
exec_settle(struct exec *x)
{
	if (x->state == EXEC_STARTING || !x->ended || x->sweep != NULL)
		return;
	if (x->state == EXEC_RUNNING)
		x->ops->ended(x);
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
	ev_timer_stop(x->in->loop, &x->timer);
	if (x->timeout_ms > 0 && !x->ended) {
		ev_timer_init(
		    &x->timer, on_timeout, (double)x->timeout_ms / 1e3, 0.);
		x->timer.data = x;
		ev_timer_start(x->in->loop, &x->timer);
	}
	x->ops->started(x);
}

static void
exec_failed(struct exec *x, const struct err *e)
{
	x->state = EXEC_FAILED;
	starting_count(x->in, -1);
	ev_timer_stop(x->in->loop, &x->timer);
	x->ops->failed(x, e);
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

	for (i = 0; i < EXEC_BUCKETS; i++) {
		for (x = in->execs->bucket[i]; x != NULL; x = next) {
			next = x->next;
			if (x->report_fd != -1)
				exec_read_report(x);
			if (x->sweep != NULL)
				sweep_let(x->sweep);
			x->sweep = NULL;
			exec_settle(x);
		}
	}
}

/*
 * Starting
 */

static void
exec_watch(struct exec *x)
{
	struct execs *xs = x->in->execs;

	session_forget(xs, x->pid);
	x->next = xs->bucket[(unsigned)x->pid % EXEC_BUCKETS];
	xs->bucket[(unsigned)x->pid % EXEC_BUCKETS] = x;
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
exec_fork(struct exec *x, const struct exec_how *how, struct err *e)
{
	struct child_plan plan = how->plan;
	autofd int write_fd = -1;

	if (how->tty &&
	    pty_open(how->columns, how->rows, &x->master_fd, e) == -1)
		return err_prefix(e, "exec");
	if (fd_pipe(&x->report_fd, &write_fd, e) == -1 ||
	    fd_set_nonblock(x->report_fd, 1) == -1) {
		fd_close(&x->master_fd);
		fd_close(&x->report_fd);
		return limit_error(e, "pipe");
	}
	plan.report_fd = write_fd;
	plan.master_fd = x->master_fd;
	plan.null_fd = x->in->null_fd;
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

int
exec_start(struct init *in, const struct exec_how *how,
    const struct exec_ops *ops, void *ctx, struct exec **x_out, struct err *e)
{
	struct exec *x;

	if (in->execs->live >= EXECS_MAX)
		return err_set(
		    e, ERR_LIMIT, "exec: %d commands are running", EXECS_MAX);
	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return limit_error(e, "memory");
	x->in = in;
	x->ops = ops;
	x->ctx = ctx;
	x->id = how->id;
	x->timeout_ms = how->timeout_ms;
	x->keep = how->keep;
	x->report_fd = x->master_fd = x->super_fd = -1;
	if (exec_fork(x, how, e) == -1) {
		free(x);
		return -1;
	}
	if (how->session != NULL && (x->session = strdup(how->session)) != NULL)
		x->super_fd = fcntl(how->super_fd, F_DUPFD_CLOEXEC, 3);
	if (x_out != NULL)
		*x_out = x;
	return 0;
}

void
exec_signal(struct exec *x, int sig)
{
	if (sig == SIGKILL)
		sweep_start(x->in, x->pid, NULL);
	else
		(void)sweep_session(x->in->proc_fd, x->pid, sig);
}

void
exec_put_end(const struct exec *x, struct jw *w)
{
	jw_kint(w, x->code == CLD_EXITED ? "code" : "signal", x->value);
	jw_kbool(w, "timed_out", x->timed_out);
}
