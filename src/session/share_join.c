/*
 * The stand-in for a shared agent; see share.h. Runs as the child of a session
 * worker, in the agent's place. It hands what it has from the worker to the
 * keeper and waits for its word; it reads nothing of the agent's.
 */
#include "session/share.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define JOIN_MS 15000 /* for a keeper to be there */
#define PAUSE_NS 10000000

extern char **environ;

static int
fail(const char *why)
{
	(void)fprintf(stderr, "%s\n", why);
	return 1;
}

/* A byte of the keeper's; 0: it has gone. */
static unsigned char
hear(int fd)
{
	unsigned char c = 0;
	ssize_t n;

	do {
		n = read(fd, &c, 1);
	} while (n == -1 && errno == EINTR);
	return n == 1 ? c : 0;
}

/* One that is just leaving may close the door after us: try the next. */
static unsigned char
knock(const char *socket, const int fds[SHARE_FDS], int *fd_out)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int64_t until = now_monotonic_ms() + JOIN_MS;
	unsigned char said = 0;

	for (;;) {
		*fd_out = share_connect(socket);
		if (*fd_out != -1 &&
		    fd_send(*fd_out, "", 1, fds, SHARE_FDS) == 1)
			said = hear(*fd_out);
		if (said != 0 || now_monotonic_ms() > until)
			return said;
		fd_close(fd_out);
		(void)nanosleep(&pause, NULL);
	}
}

int
share_join(const char *socket, const char *directory, char *const *argv)
{
	int fds[SHARE_FDS] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, -1 };
	unsigned char said, status;
	autofd int fd = -1;
	struct buf what;
	struct err e;
	ssize_t n;

	share_identity(&what, directory, argv, environ);
	if (what.failed ||
	    fd_sealed("what", what.data, what.len, &fds[3], &e) == -1)
		return fail("the environment is too large to be shared");
	buf_free(&what);
	said = knock(socket, fds, &fd);
	fd_close(&fds[3]);
	if (said == SHARE_OTHER)
		return fail("another process is shared by this name");
	if (said != SHARE_JOINED)
		return fail("the shared process cannot be reached");
	/* The pipes are the keeper's from here on, and end with it. */
	(void)close(STDIN_FILENO);
	(void)close(STDOUT_FILENO);
	do {
		n = read(fd, &status, 1);
	} while (n == -1 && errno == EINTR);
	return n == 1 ? status : fail("the shared process was lost");
}
