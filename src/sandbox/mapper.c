/*
 * The child that has a sandbox's ids mapped; see mapper.h. It is a copy of the
 * supervisor of an ordinary user with two of its descriptors: the one that lets
 * the sandbox go on, and the one that tells what went wrong. It runs two
 * programs, waits for them, and ends; nobody waits for it (the loop reaps it),
 * since all that it has to say is said by those two.
 */
#include "sandbox/mapper.h"

#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#define MAP_MS 10000
#define GO_FD 3
#define REPORT_FD 4

static void ATTR_NORETURN
map(const struct setup *s, pid_t pid)
{
	struct start_report r = { .stage = STAGE_IDS };
	const struct subids *si = &s->host->subids;
	const struct plan *p = s->plan;
	struct id_map uids, gids;

	subids_slice_map(&uids, p->lent.uid, p->lent.count, s->own_uid, p->uid);
	subids_slice_map(&gids, p->lent.gid, p->lent.count, s->own_gid, p->gid);
	if (subids_map(si, pid, &uids, &gids, now_monotonic_ms() + MAP_MS,
		r.why, sizeof(r.why)) == 0) {
		(void)!write(GO_FD, "", 1); /* or it is dead already */
		_exit(0);
	}
	/* Before the end of GO_FD, by which the sandbox ends. */
	(void)!write(REPORT_FD, &r, sizeof(r));
	_exit(1);
}

int
mapper_start(const struct setup *s, pid_t pid, int go_fd, struct err *e)
{
	sigset_t none;
	pid_t mapper;
	int sig;

	/* PRIV: an ordinary user before and after. What the programs may map,
	 * they decide themselves; see subids_map(). */
	mapper = fork();
	if (mapper == -1)
		return err_sys(e, "start a process that maps ids");
	if (mapper != 0)
		return 0;
	for (sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL); /* fails for KILL, STOP */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* Out of the way of the numbers that they get. Nothing else of the
	 * supervisor's may stay open here: ends of channels tell its death. */
	int go = fcntl(go_fd, F_DUPFD_CLOEXEC, 16);
	int report = fcntl(s->report_fd, F_DUPFD_CLOEXEC, 16);

	if (go == -1 || report == -1 || dup3(go, GO_FD, O_CLOEXEC) == -1 ||
	    dup3(report, REPORT_FD, O_CLOEXEC) == -1 ||
	    close_range(REPORT_FD + 1, ~0u, 0) == -1)
		_exit(1);
	map(s, pid);
}
