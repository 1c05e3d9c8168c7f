/*
 * Locks beside LMDB's own on its lock file; see dbguard.h. Runs in the store
 * and in gateways, before they are confined.
 *
 * LMDB's users hold byte 0, as processes; these locks are of descriptors, so
 * that they exclude also what the same process holds through LMDB, and no
 * close of another descriptor drops them. The guard itself is a byte that no
 * lock file has: LMDB's way of learning whether it is the first stays as it is.
 */
#include "dbguard.h"

#include "fdio.h"
#include "strutil.h"
#include <errno.h>
#include <fcntl.h>

#define GUARD_BYTE ((off_t)1 << 40)

static int
guard(const char *dir, int flags, int command, struct flock l)
{
	char path[4096];
	int fd, r, saved;

	if (str_format(path, sizeof(path), "%s/%s", dir, DBGUARD_FILE) == -1) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return -1;
	do
		r = fcntl(fd, command, &l);
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
	return guard(dir, O_RDONLY, F_OFD_SETLKW,
	    (struct flock){ .l_type = F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = GUARD_BYTE,
		.l_len = 1 });
}

int
dbguard_alone(const char *dir)
{
	/* From the first byte to the end of all files: LMDB's and the guard. */
	return guard(dir, O_RDWR, F_OFD_SETLK,
	    (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET });
}
