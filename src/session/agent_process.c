/*
 * Running the agent's program; see agent_process.h. Runs in the session
 * worker. The program is hostile: it may print without end or without a
 * newline, never read its input, hand its pipes to a daemon, or die at any
 * moment. Every buffer has a cap and no call here waits for it.
 *
 * A process is signalled through its pidfd, its group only while its leader is
 * not reaped: until then no other group can have that number.
 */
#include "session/agent_process.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/children.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define READ_BYTES (32u << 10)
#define KEEP_BYTES 4096 /* of a line that is too long */
#define GRACE_S 1.0	/* for pipes that somebody else keeps open */

enum start_stage {
	START_SESSION,
	START_DIRECTORY,
	START_EXEC,
	START_N
};
struct start_report {
	uint32_t stage;
	int32_t sys;
};

struct process {
	struct child child; /* first: children.c knows it by this */
	struct ev_loop *loop;
	const struct process_ops *ops;
	void *ctx;
	char *program; /* owned, for messages */
	int stdin_fd, stdout_fd, stderr_fd, report_fd;
	ev_io in_io, out_io, err_io;
	ev_timer grace;
	struct buf in;	/* to its stdin */
	struct buf out; /* from its stdout, not yet split */
	size_t scanned; /* of `out`: no newline before */
	size_t skipped; /* bytes of an over-long line so far, or 0 */
	char *head;	/* owned: start of that line, or of stderr … */
	char *err_head, *err_tail;
	size_t err_head_len, err_tail_len;
	int64_t err_bytes, err_lines;
	bool finish_input, paused, told;
	unsigned busy; /* in a callback: do not free yet */
	bool dead;
};

/* --- the child ----------------------------------------------------------- */

static void
start_failed(int fd, enum start_stage stage)
{
	const struct start_report r = { .stage = stage, .sys = errno };

	/* Nobody is left to tell if this fails. */
	(void)!write(fd, &r, sizeof(r));
	_exit(127);
}

/* FD becomes the one descriptor besides the usual ones that the program has. */
static bool
pass(int fd, int *report_fd)
{
	if (*report_fd == PROCESS_PASSED_FD)
		*report_fd =
		    fcntl(*report_fd, F_DUPFD_CLOEXEC, PROCESS_PASSED_FD + 1);
	if (*report_fd == -1)
		return false;
	if (fd == PROCESS_PASSED_FD)
		return fcntl(fd, F_SETFD, 0) == 0;
	return dup2(fd, PROCESS_PASSED_FD) != -1;
}

/* PRIV: the sandbox's user before and after, without any capability. Only
 * async-signal-safe calls from here on. */
static void
run_child(const char *path, const struct process_spec *spec, pid_t parent,
    const int fds[3], int report_fd)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;
	int i;

	/* A group of its own, to be ended as a whole, in our session, by which
	 * init ends what is left of it when we are killed. */
	if (setpgid(0, 0) == -1 || prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		start_failed(report_fd, START_SESSION);
	if (getppid() != parent)
		_exit(127); /* it died before we asked to die with it */
	for (i = 1; i < NSIG; i++)
		(void)sigaction(i, &dfl, NULL); /* KILL, STOP: refused */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (i = 0; i < 3; i++)
		if (dup2(fds[i], i) == -1)
			start_failed(report_fd, START_SESSION);
	(void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* they are already */
	if (spec->pass_fd != NULL && !pass(*spec->pass_fd, &report_fd))
		start_failed(report_fd, START_SESSION);
	if (chdir(spec->directory) == -1)
		start_failed(report_fd, START_DIRECTORY);
	(void)execve(path, spec->argv, spec->env);
	start_failed(report_fd, START_EXEC);
}

static int
read_report(struct process *p, struct err *e)
{
	struct start_report r;

	if (read(p->report_fd, &r, sizeof(r)) != (ssize_t)sizeof(r))
		return 0;
	errno = r.sys;
	if (r.stage == START_EXEC && (r.sys == ENOENT || r.sys == EACCES))
		return err_set(e, ERR_AGENT_NOT_INSTALLED, "execute %s: %s",
		    p->program, strerror(r.sys));
	return err_set(e, ERR_EXEC_FAILED, "%s %s: %s",
	    r.stage == START_EXEC	 ? "execute"
	    : r.stage == START_DIRECTORY ? "enter the directory for"
					 : "prepare",
	    p->program, strerror(r.sys));
}

/* --- its end ------------------------------------------------------------- */

static void
process_really_free(struct process *p)
{
	ev_io_stop(p->loop, &p->in_io);
	ev_io_stop(p->loop, &p->out_io);
	ev_io_stop(p->loop, &p->err_io);
	ev_timer_stop(p->loop, &p->grace);
	ev_clear_pending(p->loop, &p->out_io);
	fd_close(&p->stdin_fd);
	fd_close(&p->stdout_fd);
	fd_close(&p->stderr_fd);
	fd_close(&p->report_fd);
	buf_free(&p->in);
	buf_free(&p->out);
	free(p->head);
	free(p->err_head);
	free(p->err_tail);
	free(p->program);
	free(p);
}

static void
leave_callback(struct process *p)
{
	if (--p->busy == 0 && p->dead)
		process_really_free(p);
}

/* Tell the end once the process is reaped and its output is read. */
static void
maybe_exited(struct process *p, bool grace_over)
{
	struct err e;
	int failed;

	if (p->told || p->dead || p->child.pid != 0 || p->paused)
		return;
	if (!grace_over && (p->stdout_fd != -1 || p->stderr_fd != -1)) {
		if (!ev_is_active(&p->grace)) {
			ev_timer_set(&p->grace, GRACE_S, 0.);
			ev_timer_start(p->loop, &p->grace);
		}
		return;
	}
	p->told = true;
	failed = read_report(p, &e);
	p->busy++;
	p->ops->exited(p, failed == -1 ? &e : NULL, p->ctx);
	leave_callback(p);
}

static void
on_grace(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	maybe_exited(w->data, true);
}

static void
on_child_exit(struct child *c)
{
	maybe_exited((struct process *)c, false);
}

void
process_free(struct process *p)
{
	if (p == NULL || p->dead)
		return;
	p->dead = true;
	child_abandon(&p->child);
	if (p->busy == 0)
		process_really_free(p);
}

/* --- output -------------------------------------------------------------- */

static void
give_line(struct process *p, const char *line, size_t len, size_t total)
{
	if (!p->dead)
		p->ops->line(p, line, len, total, p->ctx);
}

/* The newline is at END of `out`: give the line that ends there. */
static void
end_line(struct process *p, size_t from, size_t end)
{
	if (p->skipped > 0) {
		give_line(p, p->head, strlen(p->head), p->skipped + end - from);
		free(STEAL(p->head));
		p->skipped = 0;
		return;
	}
	p->out.data[end] = '\0';
	give_line(p, p->out.data + from, end - from, end - from);
}

static void
skip_long_line(struct process *p)
{
	size_t keep = MIN(p->out.len, (size_t)KEEP_BYTES);

	if (p->skipped == 0) {
		p->head = xstrndup(p->out.data, keep);
		p->skipped = 0;
	}
	p->skipped += p->out.len;
	buf_clear(&p->out);
	p->scanned = 0;
}

static void
split_lines(struct process *p)
{
	size_t from = 0;
	char *nl;

	while (!p->paused && !p->dead && p->scanned < p->out.len) {
		nl = memchr(
		    p->out.data + p->scanned, '\n', p->out.len - p->scanned);
		if (nl == NULL) {
			p->scanned = p->out.len;
			break;
		}
		p->scanned = (size_t)(nl - p->out.data) + 1;
		end_line(p, from, p->scanned - 1);
		from = p->scanned;
	}
	if (p->dead)
		return;
	buf_consume(&p->out, from);
	p->scanned -= from;
	if (p->out.len > LINE_BYTES_MAX || (p->skipped > 0 && !p->paused))
		skip_long_line(p);
	buf_trim(&p->out, 0);
}

static void
stdout_ended(struct process *p)
{
	ev_io_stop(p->loop, &p->out_io);
	fd_close(&p->stdout_fd);
	/* A last line without a newline. */
	if (p->out.len > 0 || p->skipped > 0)
		(void)buf_addc(&p->out, '\n');
}

static void
on_stdout(struct ev_loop *loop, ev_io *w, int revents)
{
	struct process *p = w->data;
	ssize_t n = -1;
	char *room;

	(void)loop;
	(void)revents;
	if (p->paused)
		return;
	p->busy++;
	if (p->stdout_fd != -1) {
		room = buf_reserve(&p->out, READ_BYTES);
		if (room == NULL)
			fatal("process", "no memory for the agent's output");
		n = read(p->stdout_fd, room, READ_BYTES);
		if (n > 0)
			p->out.len += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			stdout_ended(p);
	}
	split_lines(p);
	if (n <= 0 && p->stdout_fd == -1)
		maybe_exited(p, false);
	leave_callback(p);
}

static void
keep_stderr(struct process *p, const char *s, size_t n)
{
	size_t take = MIN(n, STDERR_HEAD_BYTES - p->err_head_len), i;

	if (p->err_head == NULL) {
		p->err_head = xmalloc(STDERR_HEAD_BYTES);
		p->err_tail = xmalloc(STDERR_TAIL_BYTES + 1);
	}
	for (i = 0; i < n; i++)
		p->err_lines += s[i] == '\n' ? 1 : 0;
	p->err_bytes += (int64_t)n;
	memcpy(p->err_head + p->err_head_len, s, take);
	p->err_head_len += take;
	if (n > STDERR_TAIL_BYTES) {
		s += n - STDERR_TAIL_BYTES;
		n = STDERR_TAIL_BYTES;
	}
	take = p->err_tail_len + n > STDERR_TAIL_BYTES
		   ? p->err_tail_len + n - STDERR_TAIL_BYTES
		   : 0;
	memmove(p->err_tail, p->err_tail + take, p->err_tail_len - take);
	p->err_tail_len -= take;
	memcpy(p->err_tail + p->err_tail_len, s, n);
	p->err_tail_len += n;
	p->err_tail[p->err_tail_len] = '\0';
}

static void
on_stderr(struct ev_loop *loop, ev_io *w, int revents)
{
	struct process *p = w->data;
	char chunk[2048];
	ssize_t n;

	(void)revents;
	n = read(p->stderr_fd, chunk, sizeof(chunk));
	if (n > 0) {
		keep_stderr(p, chunk, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		ev_io_stop(loop, &p->err_io);
		fd_close(&p->stderr_fd);
		maybe_exited(p, false);
	}
}

void
process_pause(struct process *p, bool on)
{
	if (p->paused == on)
		return;
	p->paused = on;
	if (on) {
		ev_io_stop(p->loop, &p->out_io);
		return;
	}
	if (p->stdout_fd != -1)
		ev_io_start(p->loop, &p->out_io);
	/* Lines may be waiting in `out` already. */
	ev_feed_event(p->loop, &p->out_io, EV_READ);
}

/* --- input --------------------------------------------------------------- */

static void
close_stdin(struct process *p)
{
	ev_io_stop(p->loop, &p->in_io);
	fd_close(&p->stdin_fd);
	buf_free(&p->in);
}

static void
on_stdin(struct ev_loop *loop, ev_io *w, int revents)
{
	struct process *p = w->data;
	ssize_t n;

	(void)revents;
	while (p->in.len > 0) {
		n = write(p->stdin_fd, p->in.data, p->in.len);
		if (n > 0) {
			buf_consume(&p->in, (size_t)n);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			close_stdin(p); /* its exit tells the rest */
		return;
	}
	ev_io_stop(loop, &p->in_io);
	buf_trim(&p->in, 0);
	if (p->finish_input)
		close_stdin(p);
}

int
process_write(struct process *p, const char *s, size_t n)
{
	if (p->stdin_fd == -1 || p->finish_input)
		return 0; /* it reads no more: its exit follows */
	if (p->in.len + n > STDIN_BYTES_MAX || buf_add(&p->in, s, n) == -1)
		return -1;
	ev_io_start(p->loop, &p->in_io);
	return 0;
}

size_t
process_waiting(const struct process *p)
{
	return p->in.len;
}

void
process_finish_input(struct process *p)
{
	p->finish_input = true;
	if (p->stdin_fd != -1 && p->in.len == 0)
		close_stdin(p);
}

/* --- start --------------------------------------------------------------- */

static int
make_pipes(const struct process_spec *spec, int ours[3], int theirs[3],
    int report[2], struct err *e)
{
	if (spec->quiet) {
		theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (theirs[0] == -1)
			return err_sys(e, "open /dev/null");
	} else if (fd_pipe(&theirs[0], &ours[0], e) == -1) {
		return -1;
	}
	if (fd_pipe(&ours[1], &theirs[1], e) == -1)
		return -1;
	if (spec->merge) {
		theirs[2] = fcntl(theirs[1], F_DUPFD_CLOEXEC, 3);
		if (theirs[2] == -1)
			return err_sys(e, "duplicate a pipe");
	} else if (fd_pipe(&ours[2], &theirs[2], e) == -1) {
		return -1;
	}
	return fd_pipe(&report[0], &report[1], e);
}

static struct process *
process_new(struct ev_loop *loop, const struct process_ops *ops, void *ctx,
    int ours[3], int report_fd, char *program)
{
	struct process *p = xcalloc(1, sizeof(*p));
	int i;

	for (i = 0; i < 3; i++)
		if (ours[i] != -1)
			(void)fd_set_nonblock(ours[i], 1);
	(void)fd_set_nonblock(report_fd, 1);
	p->loop = loop;
	p->ops = ops;
	p->ctx = ctx;
	p->program = program;
	p->stdin_fd = fd_steal(&ours[0]);
	p->stdout_fd = fd_steal(&ours[1]);
	p->stderr_fd = fd_steal(&ours[2]);
	p->report_fd = report_fd;
	buf_init(&p->in, STDIN_BYTES_MAX);
	buf_init(&p->out, LINE_BYTES_MAX + 2 * READ_BYTES);
	ev_io_init(&p->in_io, on_stdin, p->stdin_fd, EV_WRITE);
	ev_io_init(&p->out_io, on_stdout, p->stdout_fd, EV_READ);
	ev_io_init(&p->err_io, on_stderr, p->stderr_fd, EV_READ);
	ev_timer_init(&p->grace, on_grace, 0., 0.);
	p->in_io.data = p->out_io.data = p->err_io.data = p->grace.data = p;
	ev_io_start(loop, &p->out_io);
	if (p->stderr_fd != -1)
		ev_io_start(loop, &p->err_io);
	return p;
}

int
process_start(struct ev_loop *loop, const struct process_spec *spec,
    const struct process_ops *ops, void *ctx, struct process **p_out,
    struct err *e)
{
	int ours[3] = { -1, -1, -1 }, theirs[3] = { -1, -1, -1 };
	int report[2] = { -1, -1 }, rc = -1;
	char *path = NULL;
	pid_t pid, self = getpid();

	if (process_find(spec->argv[0], spec->env, &path, e) == -1)
		return -1;
	if (make_pipes(spec, ours, theirs, report, e) == 0) {
		pid = fork();
		if (pid == 0)
			run_child(path, spec, self, theirs, report[1]);
		if (pid == -1) {
			(void)err_sys(e, "fork");
		} else {
			*p_out = process_new(
			    loop, ops, ctx, ours, fd_steal(&report[0]), path);
			path = NULL;
			child_watch(&(*p_out)->child, pid, on_child_exit);
			rc = 0;
		}
	}
	fd_close_all(ours, 3);
	fd_close_all(theirs, 3);
	fd_close_all(report, 2);
	free(path);
	return rc;
}

/* --- asking and telling -------------------------------------------------- */

void
process_signal(struct process *p, int signal_no, bool group)
{
	child_signal(&p->child, signal_no, group);
}

int
process_exit_code(const struct process *p)
{
	return p->child.code == CLD_EXITED ? p->child.status : -1;
}

int
process_exit_signal(const struct process *p)
{
	return p->child.code == CLD_EXITED ? 0 : p->child.status;
}

void
process_describe(const struct process *p, struct jw *w)
{
	bool cut = p->err_bytes > STDERR_HEAD_BYTES;

	if (process_exit_code(p) != -1)
		jw_kint(w, "exit_code", process_exit_code(p));
	else
		jw_kint(w, "signal", process_exit_signal(p));
	if (p->err_bytes == 0)
		return;
	jw_key(w, "stderr");
	jw_object(w);
	jw_key(w, "head");
	jw_strn(w, p->err_head, p->err_head_len);
	if (cut) {
		jw_key(w, "tail");
		jw_strn(w, p->err_tail, p->err_tail_len);
	}
	jw_kbool(w, "truncated",
	    p->err_bytes > STDERR_HEAD_BYTES + STDERR_TAIL_BYTES);
	jw_kint(w, "total_lines", p->err_lines);
	jw_object_end(w);
}

const char *
process_last_words(struct process *p)
{
	char *end, *line;

	if (p->err_tail == NULL)
		return NULL;
	end = p->err_tail + p->err_tail_len;
	while (end > p->err_tail && strchr(" \t\r\n", end[-1]) != NULL)
		*--end = '\0';
	p->err_tail_len = (size_t)(end - p->err_tail);
	line = strrchr(p->err_tail, '\n');
	line = line != NULL ? line + 1 : p->err_tail;
	return *line != '\0' ? line : NULL;
}
