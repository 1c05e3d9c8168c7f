/*
 * Reaping; see children.h. Runs in the session worker. Only processes that are
 * our unreaped children are ever signalled, so that a number cannot have
 * passed to a stranger.
 */
#include "session/children.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#define SWEEP_MAX 4096 /* bytes of pids looked at in one sweep */
#define END_ROUNDS 50
#define END_PAUSE_NS 4000000

static TAILQ_HEAD(, child) watched = TAILQ_HEAD_INITIALIZER(watched);
static ev_signal sigchld;

static struct child *
child_find(pid_t pid)
{
	struct child *c;

	TAILQ_FOREACH (c, &watched, link)
		if (c->pid == pid)
			return c;
	return NULL;
}

static void
child_forget(struct child *c)
{
	TAILQ_REMOVE(&watched, c, link);
	fd_close(&c->pidfd);
	c->pid = 0;
}

/* Kill every child that is not watched. Their children become ours in turn
 * and are met when we are told of these deaths. */
static void
sweep(void)
{
	char path[64], pids[SWEEP_MAX], *s, *end;
	autofd int fd = -1;
	ssize_t n;
	long pid;

	if (str_format(path, sizeof(path), "/proc/self/task/%d/children",
		(int)gettid()) == -1)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || (n = read(fd, pids, sizeof(pids) - 1)) <= 0)
		return;
	pids[n] = '\0';
	if (n == SWEEP_MAX - 1) /* the last one may be cut */
		*(strrchr(pids, ' ') != NULL ? strrchr(pids, ' ') : pids) =
		    '\0';
	for (s = pids; (pid = strtol(s, &end, 10)) > 0 && end != s; s = end)
		if (child_find((pid_t)pid) == NULL)
			(void)kill((pid_t)pid, SIGKILL); /* may be a zombie */
}

static void
reap_one(const siginfo_t *si)
{
	struct child *c = child_find(si->si_pid);
	siginfo_t gone;

	/* Before it is reaped its group's number is still its own. */
	if (c != NULL)
		(void)kill(-si->si_pid, SIGKILL); /* none left: fine */
	(void)waitid(P_PID, (id_t)si->si_pid, &gone, WEXITED | WNOHANG);
	if (c == NULL)
		return;
	child_forget(c);
	c->code = si->si_code;
	c->status = si->si_status;
	if (TAILQ_EMPTY(&watched))
		sweep();
	c->exited(c);
}

static bool
reap(void)
{
	siginfo_t si;
	bool any = false;

	for (;;) {
		memset(&si, 0, sizeof(si));
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == -1 ||
		    si.si_pid == 0)
			return any;
		reap_one(&si);
		any = true;
	}
}

static void
on_sigchld(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	if (reap() && TAILQ_EMPTY(&watched))
		sweep();
}

void
children_init(struct ev_loop *loop)
{
	ev_signal_init(&sigchld, on_sigchld, SIGCHLD);
	ev_signal_start(loop, &sigchld);
}

void
children_end(void)
{
	const struct timespec pause = { .tv_nsec = END_PAUSE_NS };
	siginfo_t si;
	int i;

	for (i = 0; i < END_ROUNDS; i++) {
		sweep();
		memset(&si, 0, sizeof(si));
		while (waitid(P_ALL, 0, &si, WEXITED | WNOHANG) == 0 &&
		       si.si_pid != 0)
			memset(&si, 0, sizeof(si));
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == -1)
			return; /* ECHILD: nobody is left */
		(void)nanosleep(&pause, NULL);
	}
	log_warn("session", "processes of the agent do not die");
}

void
child_watch(struct child *c, pid_t pid, void (*exited)(struct child *c))
{
	c->pid = pid;
	c->exited = exited;
	c->pidfd = pidfd_open(pid, 0);
	TAILQ_INSERT_TAIL(&watched, c, link);
}

void
child_signal(const struct child *c, int signal_no, bool group)
{
	if (c->pid == 0)
		return;
	/* A child that has no group of its own yet is met by itself. Failure
	 * means that it is dead already; we are told soon. */
	if (group && kill(-c->pid, signal_no) == 0)
		return;
	if (c->pidfd != -1)
		(void)pidfd_send_signal(c->pidfd, signal_no, NULL, 0);
	else
		(void)kill(c->pid, signal_no);
}

void
child_abandon(struct child *c)
{
	if (c->pid == 0)
		return;
	child_signal(c, SIGKILL, true);
	child_forget(c);
}
