/*
 * Who keeps a shared process, and the socket where it is met; see share.h. Runs
 * in the keeper, and in those that would be it.
 *
 * Whoever holds the lock beside the socket is the keeper. The lock goes with
 * its process, however that ends, so a socket that nobody serves is never in
 * the way for long. Other processes of the sandbox's user can hold the lock:
 * then nobody can share anything, which is told when a session tries.
 */
#include "session/share.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOCK_MS 10000
#define PAUSE_NS 20000000
#define WAITING_MAX 64 /* connections that are not looked at yet */

/* True: the lock is ours, and the one that others will look at. */
static bool
lock(struct share_door *d)
{
	struct stat mine, there;

	fd_close(&d->lock_fd);
	d->lock_fd =
	    open(d->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return d->lock_fd != -1 && flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0 &&
	       fstat(d->lock_fd, &mine) == 0 && stat(d->lock, &there) == 0 &&
	       mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

/* Wait for the keeper that there is to go, or to be good. */
static bool
become_keeper(struct share_door *d)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int64_t until = now_monotonic_ms() + LOCK_MS;
	char place[SHARE_PATH_MAX];
	int fd;

	while (now_monotonic_ms() < until) {
		if (share_place(place, NULL) == 0 && lock(d))
			return true;
		fd = share_connect(d->socket);
		if (fd != -1) {
			(void)close(fd);
			return false;
		}
		(void)nanosleep(&pause, NULL);
	}
	return false;
}

bool
share_door_open(struct share_door *d, const char *socket_path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	autofd int fd = -1;

	*d = (struct share_door){ .lock_fd = -1, .listen_fd = -1 };
	d->socket = xstrdup(socket_path);
	d->lock = xasprintf("%s.lock", socket_path);
	d->keeper = become_keeper(d);
	if (!d->keeper)
		return false;
	(void)unlink(d->socket); /* of one that was killed */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1 ||
	    str_copy(sun.sun_path, sizeof(sun.sun_path), d->socket) == -1 ||
	    bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, WAITING_MAX) == -1)
		return false;
	d->listen_fd = fd_steal(&fd);
	return true;
}

void
share_door_shut(struct share_door *d)
{
	if (d->listen_fd != -1)
		(void)unlink(d->socket);
	fd_close(&d->listen_fd);
}

void
share_door_leave(struct share_door *d)
{
	char place[SHARE_PATH_MAX];

	share_door_shut(d);
	if (d->keeper)
		(void)unlink(d->lock); /* it is still ours */
	/* Others may have theirs there; and who wants it makes it again. */
	if (d->keeper && share_place(place, NULL) == 0)
		(void)rmdir(place);
	fd_close(&d->lock_fd);
	free(STEAL(d->socket));
	free(STEAL(d->lock));
}
