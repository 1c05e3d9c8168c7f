/*
 * How long a sandbox takes: create, run `true`, destroy, over the control
 * socket as any client does it, against bubblewrap starting `true` with all its
 * namespaces. Both in turn, so that a busy machine slows both.
 *
 *	bench_create SOCKET N
 *
 * Prints one JSON line. Trusts the daemon no more than to answer: every wait
 * has an end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_MAX 10000
#define WAIT_MS 20000
#define LINE_BYTES 65536

extern char **environ;

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("bench_create: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	exit(111);
}

static double
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* --- the control socket -------------------------------------------------- */

static int
connect_to(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(un.sun_path))
		die("%s: too long", path);
	memcpy(un.sun_path, path, strlen(path) + 1);
	if (fd == -1 || connect(fd, (struct sockaddr *)&un, sizeof(un)) == -1)
		die("%s: %s", path, strerror(errno));
	return fd;
}

/* Read up to the final line of the answer; items are passed over. */
static void
await_answer(int fd, const char *what)
{
	static char line[LINE_BYTES];
	size_t len = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char *nl;
		ssize_t n;

		if (poll(&p, 1, WAIT_MS) != 1)
			die("%s: no answer in time", what);
		n = read(fd, line + len, sizeof(line) - 1 - len);
		if (n <= 0)
			die("%s: the daemon hung up", what);
		len += (size_t)n;
		line[len] = '\0';
		while ((nl = strchr(line, '\n')) != NULL) {
			*nl = '\0';
			if (strncmp(line, "{\"id\":1,\"ok\":", 13) == 0)
				return;
			if (strncmp(line, "{\"id\":1,\"item\":", 15) != 0)
				die("%s: %s", what, line);
			len -= (size_t)(nl + 1 - line);
			memmove(line, nl + 1, len + 1);
		}
		if (len == sizeof(line) - 1)
			die("%s: a very long line", what);
	}
}

static void
ask(int fd, const char *op, const char *args)
{
	char line[512];
	int n = snprintf(line, sizeof(line),
	    "{\"id\":1,\"op\":\"%s\",\"args\":{%s}}\n", op, args);

	if (n < 0 || (size_t)n >= sizeof(line) ||
	    write(fd, line, (size_t)n) != n)
		die("%s: cannot send", op);
	await_answer(fd, op);
}

/* As sandboxctl does it: the command gets descriptors of ours, like the one
 * that bubblewrap runs. */
static void
ask_exec(int fd, int null_fd)
{
	static char line[] = "{\"id\":1,\"op\":\"sandbox.exec\",\"args\":{"
			     "\"id\":\"bench\",\"command\":[\"/bin/true\"],"
			     "\"fds\":3}}\n";
	const int fds[3] = { null_fd, null_fd, null_fd };
	union {
		char bytes[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { line, sizeof(line) - 1 };
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cm;

	memset(&control, 0, sizeof(control));
	cm = CMSG_FIRSTHDR(&mh);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(cm), fds, sizeof(fds));
	if (sendmsg(fd, &mh, 0) != (ssize_t)iov.iov_len)
		die("sandbox.exec: cannot send");
	await_answer(fd, "sandbox.exec");
}

static double
ours_once(int fd, int null_fd)
{
	double t = now_ms();

	ask(fd, "sandbox.create", "\"id\":\"bench\"");
	ask_exec(fd, null_fd);
	ask(fd, "sandbox.destroy", "\"id\":\"bench\"");
	return now_ms() - t;
}

/* --- the peer ------------------------------------------------------------ */

static double
bwrap_once(void)
{
	static char *const argv[] = { "bwrap", "--unshare-all", "--ro-bind",
		"/", "/", "--proc", "/proc", "--dev", "/dev", "/bin/true",
		NULL };
	double t = now_ms();
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		die("bwrap cannot be run");
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	if (status != 0)
		die("bwrap failed: %d", status);
	return now_ms() - t;
}

/* --- figures ------------------------------------------------------------- */

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
at(double *v, int n, double share)
{
	int i = (int)((double)(n - 1) * share);

	qsort(v, (size_t)n, sizeof(*v), by_size);
	return v[i];
}

int
main(int argc, char *argv[])
{
	static double ours[N_MAX], theirs[N_MAX];
	int n, fd, null_fd;

	n = argc == 3 ? atoi(argv[2]) : 0;
	if (n < 1 || n > N_MAX) {
		(void)fputs("usage: bench_create SOCKET N\n", stderr);
		return 100;
	}
	fd = connect_to(argv[1]);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd == -1)
		die("/dev/null: %s", strerror(errno));
	for (int i = 0; i < 3; i++) { /* what is only paid once */
		(void)ours_once(fd, null_fd);
		(void)bwrap_once();
	}
	for (int i = 0; i < n; i++) {
		ours[i] = ours_once(fd, null_fd);
		theirs[i] = bwrap_once();
	}
	printf("{\"figure\":\"create_true_destroy\",\"unit\":\"ms\",\"n\":%d,"
	       "\"median\":%.3f,\"p99\":%.3f,\"peer\":\"bwrap --unshare-all\","
	       "\"peer_median\":%.3f,\"peer_p99\":%.3f,\"ratio\":%.3f,"
	       "\"goal\":\"ratio below 1\"}\n",
	    n, at(ours, n, 0.5), at(ours, n, 0.99), at(theirs, n, 0.5),
	    at(theirs, n, 0.99), at(ours, n, 0.5) / at(theirs, n, 0.5));
	return 0;
}
