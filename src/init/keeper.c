/*
 * The keeper of a sandbox that has no pid namespace: what the kernel does when
 * the first process of such a namespace ends, a process has to do here. Parent
 * of the sandbox's init and, as a subreaper, of whatever outlives that. When
 * init ends, or the supervisor says TERM or dies, it ends the whole tree and
 * then itself.
 *
 * Runs with the supervisor's own rights, outside of the sandbox's Landlock
 * domain, so that nobody inside can signal or trace it. Trusts nobody: it has
 * no channel, reads nothing but /proc, and signals its descendants only. If it
 * is killed all the same, the supervisor closes init's channel, and init ends
 * the tree.
 */
#include "init/keeper.h"
#include "lib/err.h"
#include "lib/proctitle.h"
#include "lib/proctree.h"
#include "lib/strutil.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS 1000 /* of this long each; */
#define ROUND_NS 5000000

bool
keeper_asked(int argc, char *const argv[])
{
	return argc == 4 && strcmp(argv[1], "--keep") == 0;
}

/* True when INIT has ended; its status is then in *STATUS. */
static bool
reap(pid_t init, int *status)
{
	bool ended = false;
	int st;
	pid_t pid;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		if (pid != init)
			continue;
		ended = true;
		*status = st;
	}
	return ended;
}

/* What hangs in the kernel dies when the kernel lets it; we do not wait. */
static void
end_all(int proc_fd, pid_t init, int *status)
{
	const struct timespec nap = { .tv_nsec = ROUND_NS };

	for (int i = 0; i < ROUNDS; i++) {
		if (proctree_end(proc_fd, getpid(), SIGKILL) <= 0)
			break;
		(void)reap(init, status);
		(void)nanosleep(&nap, NULL);
	}
	(void)reap(init, status);
}

void
keeper_run(int argc, char *argv[])
{
	char id[SANDBOX_ID_MAX + 1];
	int status = 0, proc_fd;
	int64_t init = 0;
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	proc_fd = proctree_open();
	if (argc != 4 || proc_fd == -1 || !sandbox_id_valid(argv[2]) ||
	    str_copy(id, sizeof(id), argv[2]) == -1 ||
	    str_to_int(argv[3], 1, INT32_MAX, &init) == -1)
		_exit(EXIT_USAGE);
	proctitle_init(argc, argv);
	proctitle_set("sandboxd-keeper", "sandboxd-keeper %s", id);
	(void)sigemptyset(&all);
	(void)sigaddset(&all, SIGCHLD);
	(void)sigaddset(&all, SIGTERM);
	/* It may have ended before any signal was held back. */
	while (!reap((pid_t)init, &status))
		if (sigwaitinfo(&all, NULL) == SIGTERM)
			break;
	end_all(proc_fd, (pid_t)init, &status);
	_exit(
	    WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
