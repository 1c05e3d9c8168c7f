/*
 * See client.h. Trusts the daemon no more than to answer: every wait has an
 * end.
 */
#include "client.h"

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

#define WAIT_MS 60000

extern char **environ;

void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("bench: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	exit(111);
}

double
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* --- the control socket -------------------------------------------------- */

void
client_open(struct client *c, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c->len = 0;
	if (strlen(path) >= sizeof(un.sun_path))
		die("%s: too long", path);
	memcpy(un.sun_path, path, strlen(path) + 1);
	if (c->fd == -1 ||
	    connect(c->fd, (struct sockaddr *)&un, sizeof(un)) == -1)
		die("%s: %s", path, strerror(errno));
}

void
client_close(struct client *c)
{
	(void)close(c->fd);
	c->fd = -1;
}

void
client_send(struct client *c, const char *op, const char *args)
{
	char line[512];
	int n = snprintf(line, sizeof(line),
	    "{\"id\":1,\"op\":\"%s\",\"args\":{%s}}\n", op, args);

	if (n < 0 || (size_t)n >= sizeof(line) ||
	    write(c->fd, line, (size_t)n) != n)
		die("%s: cannot send", op);
}

void
client_send_true(struct client *c, const char *id, int null_fd)
{
	const int fds[3] = { null_fd, null_fd, null_fd };
	union {
		char bytes[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control;
	char line[256];
	struct iovec iov = { .iov_base = line };
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cm;
	int n = snprintf(line, sizeof(line),
	    "{\"id\":1,\"op\":\"sandbox.exec\",\"args\":{\"id\":\"%s\","
	    "\"command\":[\"/bin/true\"],\"fds\":3}}\n",
	    id);

	if (n < 0 || (size_t)n >= sizeof(line))
		die("%s: too long", id);
	iov.iov_len = (size_t)n;
	memset(&control, 0, sizeof(control));
	cm = CMSG_FIRSTHDR(&mh);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(cm), fds, sizeof(fds));
	if (sendmsg(c->fd, &mh, 0) != n)
		die("sandbox.exec: cannot send");
}

bool
client_answered(struct client *c, const char *what)
{
	bool answered = false;
	char *nl;
	ssize_t n;

	n = read(c->fd, c->line + c->len, sizeof(c->line) - 1 - c->len);
	if (n <= 0)
		die("%s: the daemon hung up", what);
	c->len += (size_t)n;
	c->line[c->len] = '\0';
	while ((nl = strchr(c->line, '\n')) != NULL) {
		*nl = '\0';
		if (strncmp(c->line, "{\"id\":1,\"ok\":", 13) == 0)
			answered = true;
		else if (strncmp(c->line, "{\"id\":1,\"item\":", 15) != 0)
			die("%s: %s", what, c->line);
		c->len -= (size_t)(nl + 1 - c->line);
		memmove(c->line, nl + 1, c->len + 1);
	}
	if (c->len == sizeof(c->line) - 1)
		die("%s: a very long line", what);
	return answered;
}

void
client_await(struct client *c, const char *what)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	do {
		if (poll(&p, 1, WAIT_MS) != 1)
			die("%s: no answer in time", what);
	} while (!client_answered(c, what));
}

void
client_ask(struct client *c, const char *op, const char *args)
{
	client_send(c, op, args);
	client_await(c, op);
}

/* --- peers --------------------------------------------------------------- */

int
null_open(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd == -1)
		die("/dev/null: %s", strerror(errno));
	return fd;
}

int
peer_start(char *const argv[])
{
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		die("%s cannot be run", argv[0]);
	return pid;
}

void
peer_await(int pid, const char *name)
{
	int status;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	if (status != 0)
		die("%s failed: %d", name, status);
}

/* --- figures ------------------------------------------------------------- */

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
quantile(double *v, size_t n, double share)
{
	qsort(v, n, sizeof(*v), by_size);
	return v[(size_t)((double)(n - 1) * share)];
}
