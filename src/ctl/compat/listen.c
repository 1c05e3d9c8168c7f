/*
 * Ports, ours and those we look at; see listen.h. Runs as the caller. Addresses
 * are numbers: no resolver runs here. Of what a server answers one number is
 * read.
 */
#include "ctl/compat/listen.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define BACKLOG 4096 /* the system cuts it to its own limit */

union any {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static int
parse_host(const char *host, int port, union any *a, socklen_t *len_out)
{
	char plain[INET6_ADDRSTRLEN];
	size_t n = strlen(host);

	memset(a, 0, sizeof(*a));
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (n > 2 && host[0] == '[' && host[n - 1] == ']' &&
	    n - 2 < sizeof(plain)) {
		memcpy(plain, host + 1, n - 2);
		plain[n - 2] = '\0';
		host = plain;
	}
	if (inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons((uint16_t)port);
		*len_out = sizeof(a->in);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons((uint16_t)port);
		*len_out = sizeof(a->in6);
		return 0;
	}
	return -1;
}

/* In the words that scripts look for. */
static int
io_error(struct err *e)
{
	int number = errno;

	(void)err_set(e, ERR_SYSTEM, "io error: %s (os error %d)",
	    number == EADDRINUSE ? "Address in use" : strerror(number), number);
	e->sys = number;
	return -1;
}

int
listen_tcp(const char *host, int *port, int *fd_out, struct err *e)
{
	autofd int fd = -1;
	socklen_t len;
	const int on = 1;
	union any a;

	if (parse_host(host, *port, &a, &len) == -1)
		return err_set(e, ERR_SYSTEM,
		    "io error: '%.80s' is no address such as 127.0.0.1", host);
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return io_error(e);
	/* Failing costs a little comfort only. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (a.sa.sa_family == AF_INET6)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &a.sa, len) == -1 || listen(fd, BACKLOG) == -1 ||
	    getsockname(fd, &a.sa, &len) == -1)
		return io_error(e);
	/* The same place in both kinds of address. */
	*port = ntohs(a.in.sin_port);
	*fd_out = fd_steal(&fd);
	return 0;
}

/* --- asking -------------------------------------------------------------- */

bool
poll_until(int fd, short events, int64_t end_ms)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		int64_t left = end_ms - now_monotonic_ms();
		int r = poll(&p, 1, left < 0 ? 0 : (int)left);

		if (r != -1 || errno != EINTR)
			return r == 1;
	}
}

static int
connect_until(const char *host, int port, int64_t end)
{
	autofd int fd = -1;
	int bad = 0;
	socklen_t n = sizeof(bad);
	socklen_t len;
	union any a;

	/* Whoever listens on all addresses is found on the nearest. */
	if (strcmp(host, "0.0.0.0") == 0)
		host = "127.0.0.1";
	else if (strcmp(host, "::") == 0 || strcmp(host, "[::]") == 0)
		host = "::1";
	if (parse_host(host, port, &a, &len) == -1)
		return -1;
	fd = socket(
	    a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, &a.sa, len) == -1 &&
	    (errno != EINPROGRESS || !poll_until(fd, POLLOUT, end) ||
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &bad, &n) == -1 ||
		bad != 0))
		return -1;
	return fd_steal(&fd);
}

/* "HTTP/1.1 200 OK" */
static int
read_status(int fd, int64_t end)
{
	char text[13];
	size_t got = 0;
	int64_t status;

	while (got < sizeof(text) - 1) {
		ssize_t n;

		if (!poll_until(fd, POLLIN, end))
			return 0;
		n = read(fd, text + got, sizeof(text) - 1 - got);
		if (n <= 0 && !(n == -1 && errno == EAGAIN))
			return 0;
		got += n > 0 ? (size_t)n : 0;
	}
	text[got] = '\0';
	if (!str_starts(text, "HTTP/1.1 ") ||
	    str_to_int(text + strlen("HTTP/1.1 "), 100, 599, &status) == -1)
		return 0;
	return (int)status;
}

int
health_ask(const char *host, int port, const char *token, int timeout_ms)
{
	int64_t end = now_monotonic_ms() + timeout_ms;
	autofd int fd = connect_until(host, port, end);
	autofree char *text = NULL;
	bool has_token =
	    token != NULL && *token != '\0' && strpbrk(token, "\r\n") == NULL;

	if (fd == -1)
		return 0;
	text = xasprintf("GET /v1/health HTTP/1.1\r\nHost: localhost\r\n"
			 "%s%s%sConnection: close\r\n\r\n",
	    has_token ? "Authorization: Bearer " : "", has_token ? token : "",
	    has_token ? "\r\n" : "");
	if (fd_write_all(fd, text, strlen(text)) == -1)
		return 0;
	return read_status(fd, end);
}
