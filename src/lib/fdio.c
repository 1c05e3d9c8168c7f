/*
 * Descriptors. Runs in every process of ours. A peer may send descriptors we
 * did not ask for: every one that arrives is either handed to the caller or
 * closed here, whatever else goes wrong.
 */
#include "fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#ifndef MFD_EXEC
#	define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

int
fd_socketpair(int *a_out, int *b_out, struct err *e)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		sv) == -1)
		return err_sys(e, "socketpair");
	*a_out = sv[0];
	*b_out = sv[1];
	return 0;
}

int
fd_pipe(int *read_out, int *write_out, struct err *e)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) == -1)
		return err_sys(e, "pipe");
	*read_out = p[0];
	*write_out = p[1];
	return 0;
}

int
fd_set_nonblock(int fd, int on)
{
	int flags = fcntl(fd, F_GETFL);
	int want;

	if (flags == -1)
		return -1;
	want = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return want == flags ? 0 : fcntl(fd, F_SETFL, want);
}

int
fd_set_cloexec(int fd, int on)
{
	int flags = fcntl(fd, F_GETFD);
	int want;

	if (flags == -1)
		return -1;
	want = on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC;
	return want == flags ? 0 : fcntl(fd, F_SETFD, want);
}

int
fd_inherit(int64_t number)
{
	int flags;

	if (number < 3 || number > INT32_MAX)
		return -1;
	flags = fcntl((int)number, F_GETFD);
	if (flags == -1 || (flags & FD_CLOEXEC) != 0)
		return -1;
	return fcntl((int)number, F_SETFD, flags | FD_CLOEXEC) == -1
		   ? -1
		   : (int)number;
}

static int
wait_for(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int n;

	do {
		n = poll(&pfd, 1, -1);
	} while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : 0;
}

int
fd_write_all(int fd, const void *p, size_t n)
{
	const char *at = p;
	ssize_t put;

	while (n > 0) {
		put = write(fd, at, n);
		if (put == -1) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN && wait_for(fd, POLLOUT) == 0)
				continue;
			return -1;
		}
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

/* Room for exactly as many descriptors as we ever accept; the kernel drops
 * the others and says MSG_CTRUNC. */
union control {
	struct cmsghdr align;
	char data[CMSG_SPACE(sizeof(int) * FDIO_MAX_FDS)];
};

ssize_t
fd_send(int fd, const void *p, size_t n, const int *fds, size_t nfds)
{
	union control control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t put;

	if (nfds > FDIO_MAX_FDS || (nfds > 0 && n == 0)) {
		errno = EINVAL;
		return -1;
	}
	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.data;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do {
		put = sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (put == -1 && errno == EINTR);
	return put;
}

/* Move what a control message holds to FDS; surplus ones are closed. Returns
 * false if there were any. */
static bool
control_take(const struct cmsghdr *c, int *fds, size_t *nfds)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool all = true;
	size_t i;
	int one;

	for (i = 0; i < n; i++) {
		memcpy(&one, CMSG_DATA(c) + i * sizeof(one), sizeof(one));
		if (*nfds < FDIO_MAX_FDS) {
			fds[(*nfds)++] = one;
			continue;
		}
		fd_close(&one);
		all = false;
	}
	return all;
}

ssize_t
fd_recv(int fd, void *p, size_t n, int *fds, size_t *nfds_out)
{
	union control control;
	struct iovec iov = { .iov_base = p, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.data,
		.msg_controllen = sizeof(control.data) };
	struct cmsghdr *c;
	bool all = true;
	ssize_t got;

	*nfds_out = 0;
	/* Close-on-exec from the call on: a window before a later fcntl would
	 * be one in which a child could inherit them. */
	do {
		got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	} while (got == -1 && errno == EINTR);
	if (got == -1)
		return -1;
	for (c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		    !control_take(c, fds, nfds_out))
			all = false;
	}
	if (!all || (msg.msg_flags & MSG_CTRUNC) != 0) {
		fd_close_all(fds, *nfds_out);
		*nfds_out = 0;
		errno = EPROTO;
		return -1;
	}
	return got;
}

void
fd_close_all(int *fds, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		fd_close(&fds[i]);
}

int
fd_seal(int fd)
{
	/* With SEAL_SEAL nobody can add a seal that would surprise a reader. */
	return fcntl(fd, F_ADD_SEALS,
	    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

static int
filled_memfd(
    const char *name, const void *p, size_t n, int *fd_out, struct err *e)
{
	const char *at = p;
	size_t done = 0;
	autofd int fd = -1;
	ssize_t put;

	/* The file may hold a program; kernels that know MFD_EXEC want to be
	 * told, older ones refuse the flag. */
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd == -1 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return err_sys(e, "memfd %s", name);
	while (done < n) {
		/* pwrite leaves the offset at 0 for whoever reads it. */
		put = pwrite(fd, at + done, n - done, (off_t)done);
		if (put == -1 && errno == EINTR)
			continue;
		if (put == -1)
			return err_sys(e, "write memfd %s", name);
		done += (size_t)put;
	}
	*fd_out = fd_steal(&fd);
	return 0;
}

int
fd_sealed(const char *name, const void *p, size_t n, int *fd_out, struct err *e)
{
	autofd int fd = -1;

	for (int i = 0; i < FD_SEAL_TRIES; i++) {
		fd_close(&fd);
		if (filled_memfd(name, p, n, &fd, e) == -1)
			return -1;
		if (!GUARD(seals) || fd_seal(fd) == 0) {
			*fd_out = fd_steal(&fd);
			return 0;
		}
		if (errno != EBUSY)
			break; /* else another copy has other pages */
	}
	return err_sys(e, "seal memfd %s", name);
}

int
fd_slurp(int fd, size_t max, char **data_out, size_t *len_out, struct err *e)
{
	autofree char *data = NULL;
	size_t len = 0, room = 0;
	struct stat st;
	ssize_t got;
	char *p;

	/* The size is a hint only: /proc says 0, and files grow. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		room = MIN((size_t)st.st_size, max);
	for (;;) {
		if (data == NULL || len == room + 1) {
			if (data != NULL)
				room = room < max / 2 ? room * 2 : max;
			room = MAX(room, MIN(max, (size_t)4096));
			p = realloc(data, room + 1);
			if (p == NULL)
				return err_sys(e, "read");
			data = p;
		}
		/* One byte more than MAX tells "too long" from "just fits";
		 * it is also the place of the NUL. */
		got = read(fd, data + len, room + 1 - len);
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1 && errno == EAGAIN && wait_for(fd, POLLIN) == 0)
			continue;
		if (got == -1)
			return err_sys(e, "read");
		if (got == 0)
			break;
		len += (size_t)got;
		if (len > max)
			return err_set(
			    e, ERR_TOO_LARGE, "longer than %zu bytes", max);
	}
	data[len] = '\0';
	*data_out = STEAL(data);
	if (len_out != NULL)
		*len_out = len;
	return 0;
}
