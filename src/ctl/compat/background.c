/*
 * Servers in the background; see background.h. Runs as the caller.
 */
#include "ctl/compat/background.h"

#include "ctl/compat/listen.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define START_MS 15000
#define TERM_MS 10000
#define KILL_MS 5000

/* In the child: detached, and then the server. What goes wrong goes to the log,
 * as all that comes later does. */
static void
become_server(struct server *s)
{
	struct err e;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setsid();
	if (null != -1)
		(void)dup2(null, STDIN_FILENO);
	(void)server_exec(s, &e);
	(void)dprintf(s->log_fd, "sandbox-agent: %s\n", e.text);
	_exit(EXIT_SYS);
}

/* The newline that comes when it serves. */
static int
wait_ready(int fd, struct err *e)
{
	char byte;

	if (!poll_until(fd, POLLIN, now_monotonic_ms() + START_MS))
		return err_set(e, ERR_SYSTEM, "the server does not come up");
	if (read(fd, &byte, 1) != 1)
		return err_set(
		    e, ERR_SYSTEM, "the server ended before it was ready");
	return 0;
}

int
background_start(struct server *s, pid_t *pid_out, struct err *e)
{
	autofd int in = -1;
	pid_t pid;

	if (fd_pipe(&in, &s->ready_fd, e) == -1)
		return -1;
	/* PRIV: none before, none after. */
	pid = fork();
	if (pid == -1)
		return err_sys(e, "fork");
	if (pid == 0)
		become_server(s);
	fd_close(&s->ready_fd);
	fd_close(&s->listen_fd);
	if (wait_ready(in, e) == 0) {
		*pid_out = pid;
		return 0;
	}
	/* All else of it ends with it. */
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
		;
	return -1;
}

static bool
is_gone(int pidfd, int timeout_ms)
{
	return poll_until(pidfd, POLLIN, now_monotonic_ms() + timeout_ms);
}

int
background_stop(const struct place *p, pid_t pid, struct err *e)
{
	autofd int pidfd = pidfd_open(pid, 0);

	if (pidfd == -1)
		return errno == ESRCH ? 0 : err_sys(e, "find process %d", pid);
	/* Looked up again now that the number cannot change hands. */
	if (place_owner(p) != pid)
		return 0;
	if (pidfd_send_signal(pidfd, SIGTERM, NULL, 0) == -1 && errno != ESRCH)
		return err_sys(e, "end process %d", pid);
	if (!is_gone(pidfd, TERM_MS) &&
	    pidfd_send_signal(pidfd, SIGKILL, NULL, 0) == -1 && errno != ESRCH)
		return err_sys(e, "kill process %d", pid);
	if (!is_gone(pidfd, KILL_MS))
		return err_set(
		    e, ERR_SYSTEM, "process %d does not end", (int)pid);
	(void)waitpid(pid, NULL, WNOHANG); /* it may be a child of ours */
	return 0;
}
