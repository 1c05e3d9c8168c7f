/*
 * Programs of the host; see hostprog.h. Runs in the supervisor at its start,
 * and in children of its that do nothing else: it waits.
 */
#include "lib/hostprog.h"

#include "lib/fdio.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

static int
actions_fill(posix_spawn_file_actions_t *fa, int err_fd)
{
	int rc;

	rc = posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);
	rc |= posix_spawn_file_actions_addopen(fa, 1, "/dev/null", O_WRONLY, 0);
	if (err_fd != -1)
		rc |= posix_spawn_file_actions_adddup2(fa, err_fd, 2);
	else
		rc |= posix_spawn_file_actions_addopen(
		    fa, 2, "/dev/null", O_WRONLY, 0);
	rc |= posix_spawn_file_actions_addclosefrom_np(fa, 3);
	return rc;
}

int
hostprog_start(const char *path, char *const argv[], char *const envp[],
    int err_fd, pid_t *pid_out)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, all;
	int rc;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	rc = posix_spawn_file_actions_init(&fa);
	if (rc == 0 && (rc = posix_spawnattr_init(&at)) != 0)
		(void)posix_spawn_file_actions_destroy(&fa);
	if (rc != 0) {
		errno = rc;
		return -1;
	}
	rc = actions_fill(&fa, err_fd);
	rc |= posix_spawnattr_setsigmask(&at, &none);
	rc |= posix_spawnattr_setsigdefault(&at, &all);
	rc |= posix_spawnattr_setflags(
	    &at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	/* PRIV: ours until the exec, and after it the program's. */
	rc =
	    rc != 0 ? ENOMEM : posix_spawn(pid_out, path, &fa, &at, argv, envp);
	(void)posix_spawnattr_destroy(&at);
	(void)posix_spawn_file_actions_destroy(&fa);
	errno = rc;
	return rc == 0 ? 0 : -1;
}

bool
hostprog_wait(pid_t pid, int64_t until_ms, int *status_out)
{
	autofd int fd = pidfd_open(pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t left;
	int status;

	while (fd != -1 && (left = until_ms - now_monotonic_ms()) > 0 &&
	       poll(&p, 1, (int)left) == -1 && errno == EINTR)
		continue;
	if (p.revents == 0)
		(void)kill(pid, SIGKILL); /* ours, and not waited for yet */
	*status_out = -1;
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return false;
	if (p.revents != 0)
		*status_out = status;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
