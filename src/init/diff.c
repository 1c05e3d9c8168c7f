/*
 * Runs changes_write() in a forked child with three descriptors: the upper
 * directory, the reader's pipe, and a pipe for the result. The child walks what
 * the sandbox wrote; its result is checked like any other hostile input.
 */
#include "init/diff.h"
#include "init/child.h"
#include "init/stop.h"
#include "lib/fdio.h"
#include "sandbox/changes.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define DIFFS_MAX 4
#define DIFF_S 600.0
#define DIFF_NICE 10

/* What the child tells on its pipe, once, as its last act. */
struct result {
	int64_t entries; /* -1: failed, as e says */
	struct err e;
};
_Static_assert(sizeof(struct result) <= PIPE_BUF, "one atomic write");

struct diff {
	struct diffs *owner; /* borrowed */
	int64_t id;	     /* 0: free */
	int pidfd;	     /* owned */
	int result_fd;	     /* owned */
	ev_io io;
	ev_timer timer;
};

struct diffs {
	struct init *in; /* borrowed */
	struct diff slot[DIFFS_MAX];
};

int
diffs_open(struct init *in, struct err *e)
{
	in->diffs = calloc(1, sizeof(*in->diffs));
	if (in->diffs == NULL)
		return err_sys(e, "changes");
	in->diffs->in = in;
	return 0;
}

/* Answer and free the slot. The child is reaped with all others, whenever it
 * ends; nothing here waits for that. */
static void
diff_finish(struct diff *d, const struct result *r)
{
	struct init *in = d->owner->in;
	struct jw *w;

	if (r->entries < 0) {
		(void)chan_reply_err(in->ch, d->id, &r->e);
	} else {
		w = chan_reply(in->ch, d->id);
		jw_kint(w, "entries", r->entries);
		jw_object_end(w);
		(void)chan_end(in->ch, NULL, 0);
	}
	ev_io_stop(in->loop, &d->io);
	ev_timer_stop(in->loop, &d->timer);
	fd_close(&d->result_fd);
	fd_close(&d->pidfd);
	d->id = 0;
}

static void
on_result(struct ev_loop *loop, ev_io *io, int revents)
{
	struct diff *d = io->data;
	struct result r;
	ssize_t n = read(d->result_fd, &r, sizeof(r));

	(void)loop;
	(void)revents;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(r)) {
		r.entries = -1;
		(void)err_set(&r.e, ERR_SYSTEM,
		    "changes: the writer was "
		    "killed");
	} else if (r.entries < 0 &&
		   ((unsigned)r.e.code >= ERR_N || r.e.code == ERR_NONE ||
		       memchr(r.e.text, 0, sizeof(r.e.text)) == NULL)) {
		(void)err_set(&r.e, ERR_INTERNAL, "changes: damaged result");
	}
	diff_finish(d, &r);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct diff *d = w->data;
	struct result r = { .entries = -1 };

	(void)loop;
	(void)revents;
	if (d->pidfd != -1)
		(void)syscall(
		    SYS_pidfd_send_signal, d->pidfd, SIGKILL, NULL, 0);
	(void)err_set(
	    &r.e, ERR_TIMEOUT, "changes: not done after %d s", (int)DIFF_S);
	diff_finish(d, &r);
}

static void diff_child(int upper_fd, int out_fd, int result_fd) ATTR_NORETURN;

static void
diff_child(int upper_fd, int out_fd, int result_fd)
{
	struct result r = { .entries = -1 };
	int rest[3] = { upper_fd, out_fd, result_fd };

	init_signals_default();
	/* A reader that goes away is an error to report, not an end. */
	(void)signal(SIGPIPE, SIG_IGN);
	err_clear(&r.e);
	(void)setsid();
	(void)setpriority(PRIO_PROCESS, 0, DIFF_NICE);
	if (child_keep_fds(NULL, 0, rest, countof(rest)) == -1 ||
	    fd_set_nonblock(rest[1], 0) == -1) {
		(void)err_sys(&r.e, "changes: descriptors");
	} else if (changes_write(rest[0], rest[1], &r.entries, &r.e) == -1) {
		(void)err_prefix(&r.e, "changes");
		r.entries = -1;
	}
	(void)!write(rest[2], &r, sizeof(r)); /* else init sees the end */
	_exit(0);
}

static const struct upper *
upper_find(const struct init *in, const char *target)
{
	size_t i;

	for (i = 0; i < in->nuppers; i++)
		if (strcmp(in->uppers[i].target, target) == 0)
			return &in->uppers[i];
	return NULL;
}

static int
diff_start(struct diff *d, const struct upper *u, int out_fd, struct err *e)
{
	struct init *in = d->owner->in;
	autofd int write_fd = -1;
	pid_t pid;

	if (fd_pipe(&d->result_fd, &write_fd, e) == -1)
		return err_prefix(e, "changes");
	pid = fd_set_nonblock(d->result_fd, 1) == -1 ? -1 : init_fork();
	if (pid == 0)
		diff_child(u->fd, out_fd, write_fd);
	if (pid == -1) {
		(void)err_sys(e, "changes: fork");
		if (errno == EAGAIN || errno == ENOMEM)
			e->code = ERR_LIMIT;
		fd_close(&d->result_fd);
		return -1;
	}
	/* Not reaped yet, so the number is still the child's. Without one the
	 * deadline frees the slot and leaves the child to `stop`. */
	d->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	ev_io_init(&d->io, on_result, d->result_fd, EV_READ);
	d->io.data = d;
	ev_io_start(in->loop, &d->io);
	ev_timer_init(&d->timer, on_deadline, DIFF_S, 0.);
	d->timer.data = d;
	ev_timer_start(in->loop, &d->timer);
	return 0;
}

void
diff_request(struct init *in, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	const struct upper *u = upper_find(in, json_str(msg, "target", ""));
	struct diff *d = NULL;
	struct err e;
	size_t i;

	for (i = 0; i < DIFFS_MAX && d == NULL; i++)
		if (in->diffs->slot[i].id == 0)
			d = &in->diffs->slot[i];
	if (stop_begun(in))
		(void)err_set(&e, ERR_SANDBOX_STATE, "the sandbox is stopping");
	else if (u == NULL)
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "target: no copy-on-write mount there");
	else if (f->nfds != 1)
		(void)err_set(&e, ERR_BAD_REQUEST, "fds: one is needed");
	else if (d == NULL)
		(void)err_set(
		    &e, ERR_LIMIT, "changes: %d are being written", DIFFS_MAX);
	else {
		*d = (struct diff){
			.owner = in->diffs,
			.id = id,
			.pidfd = -1,
			.result_fd = -1,
		};
		if (diff_start(d, u, f->fds[0], &e) == 0)
			return;
		d->id = 0;
	}
	(void)chan_reply_err(in->ch, id, &e);
}
