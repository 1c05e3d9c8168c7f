/*
 * Preloaded into a supervisor: while the file $FAULTS exists, calls fail now
 * and then, as if the system were out of descriptors, space or memory, or a
 * signal had come. Counts what it has done into $FAULTS.count when the file
 * goes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long calls, hits;

static int
fault(unsigned one_in)
{
	/* A copy: the supervisor wipes where its environment came in. */
	static char path[480], name[512];
	static int on;
	const char *p;

	if (path[0] == '\0') {
		if ((p = getenv("FAULTS")) == NULL)
			return 0;
		for (int i = 0; p[i] != '\0' && i < 479; i++)
			path[i] = p[i];
	}
	if (calls++ % 16 == 0) {
		int now = syscall(SYS_access, path, F_OK) == 0;

		if (on && !now) {
			int fd,
			    n = snprintf(name, sizeof(name), "%s.count", path);
			char text[32];

			(void)n;
			fd = (int)syscall(SYS_openat, AT_FDCWD, name,
			    O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
			n = snprintf(text, sizeof(text), "%lu\n", hits);
			if (fd >= 0) {
				(void)!syscall(SYS_write, fd, text, n);
				(void)syscall(SYS_close, fd);
			}
		}
		on = now;
	}
	if (!on || (unsigned)random() % one_in != 0)
		return 0;
	hits++;
	return 1;
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

#define MEMORY(n)               \
	if (fault(n)) {         \
		errno = ENOMEM; \
		return NULL;    \
	}

void *
malloc(size_t n)
{
	MEMORY(30)
	return __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	MEMORY(30)
	return __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	MEMORY(30)
	return __libc_realloc(p, n);
}

#define FAIL(n, e)           \
	if (fault(n)) {      \
		errno = (e); \
		return -1;   \
	}
#define REAL(type, name, ...)             \
	static type (*real)(__VA_ARGS__); \
	if (real == NULL)                 \
	real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

int
accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
	REAL(int, accept4, int, struct sockaddr *, socklen_t *, int);
	FAIL(3, EMFILE)
	return real(fd, a, len, flags);
}

int
socketpair(int d, int t, int p, int fds[2])
{
	REAL(int, socketpair, int, int, int, int[2]);
	FAIL(3, EMFILE)
	return real(d, t, p, fds);
}

int
pipe2(int fds[2], int flags)
{
	REAL(int, pipe2, int[2], int);
	FAIL(3, EMFILE)
	return real(fds, flags);
}

int
openat(int dir, const char *path, int flags, ...)
{
	REAL(int, openat, int, const char *, int, ...);
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	FAIL(4, EMFILE)
	return real(dir, path, flags, mode);
}

int
mkdirat(int dir, const char *path, mode_t mode)
{
	REAL(int, mkdirat, int, const char *, mode_t);
	FAIL(4, ENOSPC)
	return real(dir, path, mode);
}

/* What the kernel never fails for: counters and the like, which libev wakes
 * itself with, have no type among files. */
static int
plain(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) != 0;
}

ssize_t
write(int fd, const void *p, size_t n)
{
	REAL(ssize_t, write, int, const void *, size_t);
	if (plain(fd))
		FAIL(6, random() % 2 ? EINTR : ENOSPC)
	return real(fd, p, n);
}

ssize_t
read(int fd, void *p, size_t n)
{
	REAL(ssize_t, read, int, void *, size_t);
	if (plain(fd))
		FAIL(6, EINTR)
	return real(fd, p, n);
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	REAL(ssize_t, sendmsg, int, const struct msghdr *, int);
	FAIL(8, random() % 2 ? EINTR : ENOBUFS)
	return real(fd, m, flags);
}

ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
	REAL(ssize_t, recvmsg, int, struct msghdr *, int);
	FAIL(8, EINTR)
	return real(fd, m, flags);
}

int
epoll_wait(int fd, struct epoll_event *ev, int n, int ms)
{
	REAL(int, epoll_wait, int, struct epoll_event *, int, int);
	FAIL(5, EINTR)
	return real(fd, ev, n, ms);
}

pid_t
fork(void)
{
	REAL(pid_t, fork, void);
	FAIL(3, EAGAIN)
	return real();
}
