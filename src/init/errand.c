/*
 * Forks the children of errand.h and reports what they say. Runs in init.
 *
 * A child has three descriptors: the caller's, a pipe for its result, and one
 * more where the kind needs it. It walks what the sandbox wrote, so its result
 * is checked like any other hostile input. Never blocks.
 */
#include "init/errand.h"
#include "init/child.h"
#include "init/stop.h"
#include "lib/fdio.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ERRANDS_MAX 16
#define ERRAND_NICE 10
#define NEW_FILES_UMASK 022

/* What the child tells on its pipe, once, as its last act. */
struct result {
	struct errand_counts n; /* entries -1: failed, as e says */
	struct err e;
};
_Static_assert(sizeof(struct result) <= PIPE_BUF, "one atomic write");

struct kind {
	const char *name; /* in errors */
	errand_fn *fn;
	/* Where extra_fd comes from; NULL: init's own /proc, or nothing. */
	int (*extra)(
	    const struct init *in, const struct json *msg, struct err *e);
	double limit_s; /* 0: as long as somebody is at the other end */
	enum msg_type type;
	bool proc;   /* extra_fd is /proc */
	bool counts; /* bytes and skipped are told as well */
};

static const struct kind kinds[] = {
	{ "changes", errand_changes, diff_upper, 600, MSG_INIT_CHANGES, false,
	    false },
	{ "copy in", errand_copy_in, NULL, 0, MSG_INIT_COPY_IN, false, true },
	{ "copy out", errand_copy_out, NULL, 0, MSG_INIT_COPY_OUT, false,
	    true },
	{ "processes", errand_processes, NULL, 60, MSG_INIT_PROCESSES, true,
	    false },
	{ "log", errand_log, errand_log_fd, 600, MSG_INIT_LOG, false, true },
};

struct errand {
	struct errands *owner; /* borrowed */
	const struct kind *kind;
	int64_t id;    /* 0: free */
	int pidfd;     /* owned */
	int result_fd; /* owned */
	ev_io io;
	ev_timer timer;
};

struct errands {
	struct init *in; /* borrowed */
	struct errand slot[ERRANDS_MAX];
};

int
errands_open(struct init *in, struct err *e)
{
	in->errands = calloc(1, sizeof(*in->errands));
	if (in->errands == NULL)
		return err_sys(e, "errands");
	in->errands->in = in;
	return 0;
}

/* Answer and free the slot. The child is reaped with all others, whenever it
 * ends; nothing here waits for that. */
static void
errand_finish(struct errand *x, const struct result *r)
{
	struct init *in = x->owner->in;
	struct jw *w;

	if (r->n.entries < 0) {
		(void)chan_reply_err(in->ch, x->id, &r->e);
	} else {
		w = chan_reply(in->ch, x->id);
		jw_kint(w, "entries", r->n.entries);
		if (x->kind->counts) {
			jw_kint(w, "bytes", r->n.bytes);
			jw_kint(w, "skipped", r->n.skipped);
		}
		jw_object_end(w);
		(void)chan_end(in->ch, NULL, 0);
	}
	ev_io_stop(in->loop, &x->io);
	ev_timer_stop(in->loop, &x->timer);
	fd_close(&x->result_fd);
	fd_close(&x->pidfd);
	x->id = 0;
}

static void
on_result(struct ev_loop *loop, ev_io *io, int revents)
{
	struct errand *x = io->data;
	struct result r;
	ssize_t n = read(x->result_fd, &r, sizeof(r));

	(void)loop;
	(void)revents;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(r)) {
		r.n.entries = -1;
		(void)err_set(&r.e, ERR_SYSTEM, "%s: its process was killed",
		    x->kind->name);
	} else if (r.n.entries < 0 &&
		   ((unsigned)r.e.code >= ERR_N || r.e.code == ERR_NONE ||
		       memchr(r.e.text, 0, sizeof(r.e.text)) == NULL)) {
		(void)err_set(
		    &r.e, ERR_INTERNAL, "%s: damaged result", x->kind->name);
	} else if (r.n.bytes < 0 || r.n.skipped < 0) {
		r.n.bytes = r.n.skipped = 0;
	}
	errand_finish(x, &r);
	init_awake(x->owner->in);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct errand *x = w->data;
	struct result r = { .n.entries = -1 };

	(void)loop;
	(void)revents;
	if (x->pidfd != -1)
		(void)syscall(
		    SYS_pidfd_send_signal, x->pidfd, SIGKILL, NULL, 0);
	(void)err_set(&r.e, ERR_TIMEOUT, "%s: not done after %d s",
	    x->kind->name, (int)x->kind->limit_s);
	errand_finish(x, &r);
}

static void errand_run(
    const struct kind *k, struct errand_child *c, int result_fd) ATTR_NORETURN;

/* PRIV: a copy of init, with its rights, and it stays that: what it does is
 * what the sandbox's root may do. Not dumpable, as init is. */
static void
errand_run(const struct kind *k, struct errand_child *c, int result_fd)
{
	struct result r = { .n.entries = -1 };
	int rest[3] = { c->fd, result_fd, c->extra_fd };
	size_t n = c->extra_fd == -1 ? 2 : 3;

	init_signals_default();
	/* A reader that goes away is an error to report, not an end. */
	(void)signal(SIGPIPE, SIG_IGN);
	log_sink(NULL, NULL); /* its channel is init's */
	err_clear(&r.e);
	(void)setsid();
	(void)umask(NEW_FILES_UMASK);
	(void)setpriority(PRIO_PROCESS, 0, ERRAND_NICE);
	if (child_keep_fds(NULL, 0, rest, n) == -1 ||
	    fd_set_nonblock(rest[0], 0) == -1) {
		(void)err_sys(&r.e, "%s: descriptors", k->name);
	} else {
		c->fd = rest[0];
		c->extra_fd = n == 3 ? rest[2] : -1;
		if (k->fn(c, &r.e) == 0)
			r.n = c->n;
		else
			(void)err_prefix(&r.e, "%s", k->name);
	}
	(void)!write(rest[1], &r, sizeof(r)); /* else init sees the end */
	_exit(0);
}

static int
errand_start(struct errand *x, const struct json *msg, int fd, int extra_fd,
    struct err *e)
{
	struct init *in = x->owner->in;
	struct errand_child c = {
		.in = in, .msg = msg, .fd = fd, .extra_fd = extra_fd
	};
	autofd int write_fd = -1;
	pid_t pid;

	if (fd_pipe(&x->result_fd, &write_fd, e) == -1)
		return err_prefix(e, "%s", x->kind->name);
	pid = fd_set_nonblock(x->result_fd, 1) == -1 ? -1 : init_fork();
	if (pid == 0)
		errand_run(x->kind, &c, write_fd);
	if (pid == -1) {
		(void)err_sys(e, "%s: fork", x->kind->name);
		if (errno == EAGAIN || errno == ENOMEM)
			e->code = ERR_LIMIT;
		fd_close(&x->result_fd);
		return -1;
	}
	/* Not reaped yet, so the number is still the child's. Without one the
	 * deadline frees the slot and leaves the child to `stop`. */
	x->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	ev_io_init(&x->io, on_result, x->result_fd, EV_READ);
	x->io.data = x;
	ev_io_start(in->loop, &x->io);
	ev_init(&x->timer, on_deadline);
	x->timer.data = x;
	if (x->kind->limit_s > 0) {
		ev_now_update(in->loop);
		ev_timer_set(&x->timer, x->kind->limit_s, 0.);
		ev_timer_start(in->loop, &x->timer);
	}
	return 0;
}

static struct errand *
slot_find(struct init *in, const struct kind *k, int64_t id, struct err *e)
{
	struct errand *x = NULL;
	size_t i;

	for (i = 0; i < ERRANDS_MAX && x == NULL; i++)
		if (in->errands->slot[i].id == 0)
			x = &in->errands->slot[i];
	if (x == NULL) {
		(void)err_set(e, ERR_LIMIT,
		    "%s: %d copies and lists are being made", k->name,
		    ERRANDS_MAX);
		return NULL;
	}
	*x = (struct errand){
		.owner = in->errands,
		.kind = k,
		.id = id,
		.pidfd = -1,
		.result_fd = -1,
	};
	return x;
}

void
errand_request(struct init *in, int64_t id, enum msg_type type,
    const struct json *msg, const struct chan_frame *f)
{
	const struct kind *k = kinds;
	struct errand *x = NULL;
	int extra_fd = -1;
	struct err e;

	while (k->type != type)
		k++; /* main.c sends us no other */
	if (k->proc)
		extra_fd = in->proc_fd;
	if (stop_begun(in))
		(void)err_set(&e, ERR_SANDBOX_STATE, "the sandbox is stopping");
	else if (f->nfds != 1)
		(void)err_set(&e, ERR_BAD_REQUEST, "fds: one is needed");
	else if (k->proc && extra_fd == -1)
		(void)err_set(&e, ERR_SYSTEM, "there is no /proc here");
	else if (k->extra == NULL || (extra_fd = k->extra(in, msg, &e)) != -1)
		x = slot_find(in, k, id, &e);
	if (x != NULL) {
		if (errand_start(x, msg, f->fds[0], extra_fd, &e) == 0)
			return;
		x->id = 0;
	}
	(void)chan_reply_err(in->ch, id, &e);
}
