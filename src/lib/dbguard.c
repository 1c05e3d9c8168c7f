/*
 * See dbguard.h. Runs in the store, and in gateways before they are confined.
 *
 * A lock of the directory, not of LMDB's lock file: whoever closes any
 * descriptor of that file loses the lock that LMDB holds on it for the process.
 */
#include "dbguard.h"

#include "fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

static int
guard(const char *dir, int operation)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r, saved;

	if (fd == -1)
		return -1;
	do
		r = flock(fd, operation);
	while (r == -1 && errno == EINTR);
	if (r == -1) {
		saved = errno;
		fd_close(&fd);
		errno = saved;
	}
	return fd;
}

int
dbguard_share(const char *dir)
{
	return guard(dir, LOCK_SH);
}

int
dbguard_alone(const char *dir)
{
	return guard(dir, LOCK_EX | LOCK_NB);
}
