/*
 * A load generator for HTTP servers on loopback, for figures that wrk does not
 * give. Plain HTTP/1.1, one thread, epoll.
 *
 *	bench_http post PORT TOTAL CLIENTS PATH BODY
 *		TOTAL posts over CLIENTS connections: rate and latencies.
 *	bench_http sse PORT CLIENTS EVENTS SSE_PATH POST_PATH BODY [STUCK]
 *		CLIENTS event streams are opened, one post starts the burst,
 *		and each stream is read until EVENTS events came or nothing
 *		comes for five seconds. With STUCK the first so many clients
 *		never read.
 *	bench_http first PORT PATH
 *		Time from a request to the first byte of the body.
 *	bench_http get PORT PATH | put PORT PATH BYTES
 *		One transfer: rate, time to the first byte.
 *
 * One JSON object on standard output.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUIET_S 5.0
#define CLIENTS_MAX 4096
#define READ_BYTES (256u << 10)

/* Reading an answer, byte by byte where it matters. */
enum where {
	HEAD,
	SIZE,
	CHUNK,
	CHUNK_END,
	BODY,
	DONE
};

struct client {
	int fd;
	enum where where;
	char head[8192];
	size_t head_len;
	uint64_t left; /* of a chunk or of the body */
	uint64_t events;
	unsigned at; /* of "\ndata:" */
	double sent, first, last;
	int status;
};

static char buffer[READ_BYTES];
static const char *token;

static double
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	perror(what);
	exit(111);
}

static int
dial(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd == -1 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		die("connect");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void
write_all(int fd, const char *p, size_t n)
{
	ssize_t k;

	while (n > 0) {
		k = write(fd, p, n);
		if (k == -1 && errno == EINTR)
			continue;
		if (k <= 0)
			die("write");
		p += k;
		n -= (size_t)k;
	}
}

static void
request(struct client *c, const char *method, const char *path,
    const char *type, const char *body, uint64_t len)
{
	char head[4096];
	int n = snprintf(head, sizeof(head),
	    "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s%s%s%s%s"
	    "Content-Length: %llu\r\n\r\n",
	    method, path, token ? "Authorization: Bearer " : "",
	    token ? token : "", token ? "\r\n" : "",
	    type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "",
	    (unsigned long long)len);

	c->where = HEAD;
	c->head_len = 0;
	c->first = 0;
	c->sent = now();
	write_all(c->fd, head, (size_t)n);
	if (body != NULL)
		write_all(c->fd, body, len);
}

static void
count_events(struct client *c, const char *p, size_t n)
{
	static const char mark[] = "\ndata:";

	for (size_t i = 0; i < n; i++) {
		if (p[i] == mark[c->at]) {
			if (mark[++c->at] == '\0') {
				c->events++;
				c->at = 0;
			}
		} else {
			c->at = p[i] == '\n' ? 1 : 0;
		}
	}
}

static void
head_done(struct client *c)
{
	char *p;

	c->head[c->head_len] = '\0';
	c->status = atoi(c->head + 9);
	for (p = c->head; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	p = strstr(c->head, "\ncontent-length:");
	if (p != NULL) {
		c->left = strtoull(p + 16, NULL, 10);
		c->where = c->left > 0 ? BODY : DONE;
	} else if (strstr(c->head, "\ntransfer-encoding: chunked")) {
		c->where = SIZE;
		c->head_len = 0;
	} else {
		c->left = UINT64_MAX;
		c->where = c->status == 204 ? DONE : BODY;
	}
	c->at = 1; /* the body begins a line */
}

/* One byte of a head or of a chunk's size line. */
static void
take_byte(struct client *c, char ch)
{
	if (c->head_len < sizeof(c->head) - 1)
		c->head[c->head_len++] = ch;
	if (c->where == HEAD) {
		if (c->head_len >= 4 &&
		    memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4) == 0)
			head_done(c);
		return;
	}
	if (ch != '\n')
		return;
	if (c->where == CHUNK_END) {
		c->where = SIZE;
	} else {
		c->head[c->head_len] = '\0';
		c->left = strtoull(c->head, NULL, 16);
		c->where = c->left > 0 ? CHUNK : DONE;
	}
	c->head_len = 0;
}

static void
feed(struct client *c, const char *p, size_t n)
{
	size_t k;

	while (n > 0 && c->where != DONE) {
		if (c->where != CHUNK && c->where != BODY) {
			take_byte(c, *p++);
			n--;
			continue;
		}
		if (c->first == 0)
			c->first = now();
		k = n < c->left ? n : (size_t)c->left;
		count_events(c, p, k);
		p += k;
		n -= k;
		c->left -= k;
		if (c->left == 0)
			c->where = c->where == CHUNK ? CHUNK_END : DONE;
	}
}

/* 0 at the end of the stream. */
static ssize_t
pull(struct client *c, int flags)
{
	ssize_t n = recv(c->fd, buffer, sizeof(buffer), flags);

	if (n > 0)
		feed(c, buffer, (size_t)n);
	return n;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int
run_post(int port, unsigned total, unsigned clients, const char *path,
    const char *body)
{
	struct client *cs = calloc(clients, sizeof(*cs)), *c;
	double *took = calloc(total, sizeof(*took)), began;
	unsigned sent = 0, done = 0, bad = 0;
	int ep = epoll_create1(EPOLL_CLOEXEC), n;
	struct epoll_event ev, got[64];

	if (cs == NULL || took == NULL || ep == -1)
		die("set up");
	began = now();
	for (unsigned i = 0; i < clients; i++) {
		cs[i].fd = dial(port);
		ev = (struct epoll_event){ EPOLLIN, { .ptr = &cs[i] } };
		(void)epoll_ctl(ep, EPOLL_CTL_ADD, cs[i].fd, &ev);
		if (sent < total && ++sent)
			request(&cs[i], "POST", path, "application/json", body,
			    strlen(body));
	}
	while (done < total) {
		n = epoll_wait(ep, got, 64, 30000);
		if (n <= 0)
			break;
		for (int i = 0; i < n; i++) {
			c = got[i].data.ptr;
			if (pull(c, MSG_DONTWAIT) == 0) {
				(void)fprintf(stderr, "closed early\n");
				return 1;
			}
			if (c->where != DONE)
				continue;
			bad += c->status / 100 != 2;
			took[done++] = now() - c->sent;
			if (sent < total && ++sent)
				request(c, "POST", path, "application/json",
				    body, strlen(body));
		}
	}
	began = now() - began;
	qsort(took, done, sizeof(*took), compare);
	(void)printf("{\"done\":%u,\"bad\":%u,\"seconds\":%.4f,\"rate\":%.1f,"
		     "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
	    done, bad, began, done / began, done ? took[done / 2] * 1e3 : 0,
	    done ? took[done * 99 / 100] * 1e3 : 0);
	return done < total || bad > 0;
}

static int
run_sse(int port, unsigned clients, uint64_t events, const char *sse,
    const char *path, const char *body, unsigned stuck)
{
	struct client *cs = calloc(clients, sizeof(*cs)), start, *c;
	double began, last, mine;
	unsigned complete = 0;
	uint64_t sum = 0, least = UINT64_MAX;
	int ep = epoll_create1(EPOLL_CLOEXEC), n;
	struct epoll_event ev, got[64];

	memset(&start, 0, sizeof(start));
	if (cs == NULL || ep == -1)
		die("set up");
	for (unsigned i = 0; i < clients; i++) {
		cs[i].fd = dial(port);
		request(&cs[i], "GET", sse, NULL, NULL, 0);
		while (cs[i].where == HEAD)
			if (pull(&cs[i], 0) <= 0)
				die("event stream");
		if (cs[i].status != 200) {
			(void)fprintf(stderr, "stream %u of %u: status %d\n",
			    i + 1, clients, cs[i].status);
			return 1;
		}
		if (i < stuck)
			continue;
		ev = (struct epoll_event){ EPOLLIN, { .ptr = &cs[i] } };
		(void)epoll_ctl(ep, EPOLL_CTL_ADD, cs[i].fd, &ev);
	}
	start.fd = dial(port);
	began = last = now();
	request(&start, "POST", path, "application/json", body, strlen(body));
	while (complete < clients - stuck && now() - last < QUIET_S) {
		n = epoll_wait(ep, got, 64, 100);
		for (int i = 0; i < n; i++) {
			c = got[i].data.ptr;
			if (pull(c, MSG_DONTWAIT) <= 0) {
				(void)epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
				continue;
			}
			last = c->last = now();
			if (c->events >= events) {
				(void)epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
				complete++;
			}
		}
	}
	mine = last - began;
	for (unsigned i = stuck; i < clients; i++) {
		sum += cs[i].events;
		least = cs[i].events < least ? cs[i].events : least;
	}
	(void)printf("{\"clients\":%u,\"complete\":%u,\"events\":%llu,"
		     "\"least\":%llu,\"seconds\":%.4f,\"rate\":%.0f}\n",
	    clients - stuck, complete, (unsigned long long)sum,
	    (unsigned long long)least, mine,
	    (double)sum / (mine > 0 ? mine : 1));
	return 0;
}

static int
run_get(int port, const char *path, int only_first)
{
	struct client c = { 0 };
	uint64_t bytes = 0;
	ssize_t n;
	double end;
	int skip;

	c.fd = dial(port);
	request(&c, "GET", path, NULL, NULL, 0);
	while (c.where != DONE && !(only_first && c.first > 0)) {
		/* Most of it is thrown away unread: the server is measured. */
		skip =
		    c.where == BODY && c.first > 0 && c.left > sizeof(buffer);
		n = skip ? recv(c.fd, buffer, sizeof(buffer), MSG_TRUNC)
			 : pull(&c, 0);
		if (n <= 0)
			break;
		if (skip)
			c.left -= (uint64_t)n;
		bytes += (uint64_t)n;
	}
	end = now();
	(void)printf("{\"status\":%d,\"bytes\":%llu,\"first_ms\":%.3f,"
		     "\"seconds\":%.4f,\"mb_s\":%.1f}\n",
	    c.status, (unsigned long long)bytes, (c.first - c.sent) * 1e3,
	    end - c.sent, (double)bytes / 1e6 / (end - c.sent));
	return c.status / 100 != 2;
}

static int
run_put(int port, const char *path, uint64_t len)
{
	struct client c = { 0 };
	uint64_t left = len;
	size_t k;
	ssize_t n;
	double end;

	c.fd = dial(port);
	request(&c, "PUT", path, "application/octet-stream", NULL, len);
	memset(buffer, 'x', sizeof(buffer));
	while (left > 0) {
		k = left < sizeof(buffer) ? (size_t)left : sizeof(buffer);
		n = send(c.fd, buffer, k, MSG_NOSIGNAL);
		if (n <= 0)
			break; /* refused: the answer says so */
		left -= (uint64_t)n;
	}
	while (c.where != DONE && pull(&c, 0) > 0)
		;
	end = now();
	(void)printf("{\"status\":%d,\"sent\":%llu,\"seconds\":%.4f,"
		     "\"mb_s\":%.1f}\n",
	    c.status, (unsigned long long)(len - left), end - c.sent,
	    (double)(len - left) / 1e6 / (end - c.sent));
	return 0;
}

int
main(int argc, char *argv[])
{
	const char *mode = argc > 1 ? argv[1] : "";
	int port = argc > 2 ? atoi(argv[2]) : 0;
	struct rlimit fds;

	token = getenv("BENCH_TOKEN");
	if (getrlimit(RLIMIT_NOFILE, &fds) == 0) {
		fds.rlim_cur = fds.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &fds); /* else fewer clients */
	}
	if (strcmp(mode, "post") == 0 && argc == 7)
		return run_post(port, (unsigned)atoi(argv[3]),
		    (unsigned)atoi(argv[4]), argv[5], argv[6]);
	if (strcmp(mode, "sse") == 0 && (argc == 8 || argc == 9))
		return run_sse(port, (unsigned)atoi(argv[3]),
		    strtoull(argv[4], NULL, 10), argv[5], argv[6], argv[7],
		    argc == 9 ? (unsigned)atoi(argv[8]) : 0);
	if (strcmp(mode, "first") == 0 && argc == 4)
		return run_get(port, argv[3], 1);
	if (strcmp(mode, "get") == 0 && argc == 4)
		return run_get(port, argv[3], 0);
	if (strcmp(mode, "put") == 0 && argc == 5)
		return run_put(port, argv[3], strtoull(argv[4], NULL, 10));
	(void)fprintf(stderr, "usage: see the top of bench_http.c\n");
	return 100;
}
