/*
 * What takes long runs in forked children of the file server: one that walks a
 * million files, waits for a slow reader or is led astray by a hostile archive
 * holds up nothing else. They have no more rights than the file server, die
 * with it, and are killed after their time.
 *
 * A child tells once, on a pipe of its own, how it went; nothing else of what
 * it does is believed.
 */
#include "init/child.h"
#include "init/files_priv.h"
#include "init/init.h"
#include "lib/fdio.h"
#include "lib/frame.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define JOBS_MAX 32	      /* that end by themselves */
#define WATCHES_MAX 48	      /* that do not */
#define JOB_MEMORY (1u << 30) /* address space; patterns can be greedy */

struct result {
	struct err e; /* ERR_NONE: it went well */
};
_Static_assert(sizeof(struct result) <= PIPE_BUF, "one atomic write");

struct job {
	struct files *fs; /* borrowed */
	bool used;
	bool watch;
	int64_t id;    /* 0: answered */
	int result_fd; /* owned, -1 once it has told */
	pid_t pid;     /* ours to reap */
	int pidfd;     /* owned */
	int reply_fd;  /* owned, -1 without one */
	char *reply;   /* owned, members as JSON text */
	ev_io told;
	ev_io gone;
	ev_timer limit;
};

struct jobs {
	struct job slot[JOBS_MAX + WATCHES_MAX];
};

int
jobs_open(struct files *fs, struct err *e)
{
	fs->jobs = calloc(1, sizeof(*fs->jobs));
	return fs->jobs == NULL ? err_sys(e, "jobs") : 0;
}

static void
job_answer(struct job *j, const struct err *e)
{
	struct files *fs = j->fs;
	struct jw *w;

	if (j->id == 0)
		return;
	if (e->code != ERR_NONE) {
		fd_close(&j->reply_fd);
		(void)chan_reply_err(fs->ch, j->id, e);
	} else {
		w = chan_begin(fs->ch);
		jw_kint(w, "id", j->id);
		jw_key(w, "ok");
		jw_raw(w, j->reply, strlen(j->reply));
		(void)chan_end(fs->ch, &j->reply_fd, j->reply_fd == -1 ? 0 : 1);
		j->reply_fd = -1;
	}
	j->id = 0;
}

static void
job_untell(struct job *j)
{
	ev_io_stop(j->fs->loop, &j->told);
	fd_close(&j->result_fd);
}

static void
on_told(struct ev_loop *loop, ev_io *io, int revents)
{
	struct job *j = io->data;
	struct result r;
	ssize_t n = read(j->result_fd, &r, sizeof(r));

	(void)loop;
	(void)revents;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(r))
		(void)err_set(&r.e, ERR_SYSTEM, "the worker was killed");
	else if ((unsigned)r.e.code >= ERR_N ||
		 memchr(r.e.text, 0, sizeof(r.e.text)) == NULL)
		(void)err_set(&r.e, ERR_INTERNAL, "damaged result");
	job_answer(j, &r.e);
	job_untell(j);
}

/* The child has ended: nothing of it is left, what it told is in the pipe. */
static void
on_gone(struct ev_loop *loop, ev_io *io, int revents)
{
	struct job *j = io->data;

	(void)revents;
	if (j->result_fd != -1)
		on_told(loop, &j->told, EV_READ);
	ev_io_stop(loop, &j->gone);
	ev_timer_stop(loop, &j->limit);
	(void)waitpid(j->pid, NULL, 0); /* it has ended, so this is at once */
	fd_close(&j->pidfd);
	fd_close(&j->reply_fd);
	free(STEAL(j->reply));
	j->used = false;
}

static void
on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct job *j = w->data;
	struct err e;

	(void)loop;
	(void)revents;
	(void)err_set(&e, ERR_TIMEOUT, "not done in time");
	job_answer(j, &e);
	(void)syscall(SYS_pidfd_send_signal, j->pidfd, SIGKILL, NULL, 0);
}

/*
 * The child
 */

static void
tell(struct job_child *c, const struct err *e)
{
	struct result r;

	if (c->told)
		return;
	c->told = true;
	memset(&r, 0, sizeof(r));
	r.e = *e;
	/* else the parent sees the end */
	(void)!write(c->result_fd, &r, sizeof(r));
	fd_close(&c->result_fd);
}

void
job_tell(struct job_child *c)
{
	struct err none;

	err_clear(&none);
	tell(c, &none);
}

static void job_run(
    struct files *fs, const struct job_spec *s, int result_fd) ATTR_NORETURN;

static void
job_run(struct files *fs, const struct job_spec *s, int result_fd)
{
	const struct rlimit mem = { JOB_MEMORY, JOB_MEMORY };
	struct job_child c = { .ctx = s->ctx };
	int keep[3], rest[1 + JOB_FDS_MAX];
	struct err e;
	size_t i;

	init_signals_default();
	(void)signal(SIGPIPE, SIG_IGN);
	err_clear(&e);
	/* A sanitizer's shadow needs more than any limit. */
#if !defined(__SANITIZE_ADDRESS__)
	(void)setrlimit(RLIMIT_AS, &mem);
#else
	(void)mem;
#endif
	keep[0] = keep[1] = keep[2] = fs->null_fd;
	rest[0] = result_fd;
	for (i = 0; i < s->nfds; i++)
		rest[1 + i] = s->fds[i];
	/* PRIV: as the file server, the sandbox's user; its channel and its
	 * uploads are closed here, and it cannot be outlived. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1 ||
	    child_keep_fds(keep, 3, rest, 1 + s->nfds) == -1)
		_exit(EXIT_SYS);
	c.result_fd = rest[0];
	for (i = 0; i < s->nfds; i++)
		c.fds[i] = rest[1 + i];
	if (s->fn(&c, &e) == 0)
		job_tell(&c);
	else
		tell(&c, &e);
	_exit(EXIT_OK);
}

/*
 * The parent
 */

static struct job *
job_free_slot(struct jobs *jobs, bool watch)
{
	size_t i, n = 0, max = watch ? WATCHES_MAX : JOBS_MAX;
	struct job *found = NULL;

	for (i = 0; i < countof(jobs->slot); i++) {
		if (!jobs->slot[i].used)
			found = &jobs->slot[i];
		else if (jobs->slot[i].watch == watch)
			n++;
	}
	return n < max ? found : NULL;
}

static int
job_fork(
    struct files *fs, const struct job_spec *s, struct job *j, struct err *e)
{
	autofd int write_fd = -1;

	if (fd_pipe(&j->result_fd, &write_fd, e) == -1)
		return -1;
	if (fd_set_nonblock(j->result_fd, 1) == -1)
		return files_oserr(e);
	j->pid = init_fork();
	if (j->pid == 0)
		job_run(fs, s, write_fd);
	if (j->pid == -1)
		return err_set(
		    e, ERR_LIMIT, "no more processes: %s", strerror(errno));
	/* Not reaped yet, so the number is still the child's. */
	j->pidfd = (int)syscall(SYS_pidfd_open, j->pid, 0);
	if (j->pidfd == -1) {
		(void)files_oserr(e);
		(void)kill(j->pid, SIGKILL);
		(void)waitpid(j->pid, NULL, 0);
		return -1;
	}
	return 0;
}

int
files_job(struct files *fs, const struct job_spec *s, struct err *e)
{
	struct job *j = job_free_slot(fs->jobs, s->watch);
	int reply_fd = s->reply_fd;

	if (j == NULL) {
		fd_close(&reply_fd);
		return err_set(e, ERR_LIMIT, "too many at one time");
	}
	*j = (struct job){ .fs = fs,
		.watch = s->watch,
		.id = s->id,
		.result_fd = -1,
		.pidfd = -1,
		.reply_fd = reply_fd };
	j->reply = strdup(s->reply == NULL ? "{}" : s->reply);
	if (j->reply == NULL)
		(void)err_sys(e, "memory");
	if (j->reply == NULL || job_fork(fs, s, j, e) == -1) {
		fd_close(&j->result_fd);
		fd_close(&j->reply_fd);
		free(STEAL(j->reply));
		return -1;
	}
	j->used = true;
	ev_io_init(&j->told, on_told, j->result_fd, EV_READ);
	ev_io_init(&j->gone, on_gone, j->pidfd, EV_READ);
	ev_timer_init(&j->limit, on_limit, s->limit_s, 0.);
	j->told.data = j->gone.data = j->limit.data = j;
	ev_io_start(fs->loop, &j->told);
	ev_io_start(fs->loop, &j->gone);
	if (s->limit_s > 0.)
		ev_timer_start(fs->loop, &j->limit);
	return 0;
}
