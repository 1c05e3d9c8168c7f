/*
 * In place of a sandbox's init or of a session's worker: a program that breaks
 * the rules of its channel (descriptor 3) in one way, which it is told by its
 * first argument, else by the file /tmp/lie. Whoever is taken over in a sandbox
 * can do all of this. Where /opt/honest is a program, that is executed instead.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL 3
#define FDS_MAX 253

static const char *role;
static char hello[256];

static void
put(const void *p, size_t n)
{
	const char *c = p;
	ssize_t k;

	for (; n > 0; c += k, n -= (size_t)k)
		if ((k = send(CHANNEL, c, n, MSG_NOSIGNAL)) <= 0)
			return;
}

static void
frame(const char *text)
{
	uint32_t n = htonl((uint32_t)strlen(text));

	put(&n, sizeof(n));
	put(text, strlen(text));
}

static void
descriptors(const char *text, int count)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} c;
	uint32_t n = htonl((uint32_t)strlen(text));
	char all[4096];
	struct iovec v = { all, sizeof(n) + strlen(text) };
	struct msghdr m = { .msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &c,
		.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count) };
	int fds[FDS_MAX];

	for (int i = 0; i < count; i++)
		fds[i] = 0;
	memcpy(all, &n, sizeof(n));
	memcpy(all + sizeof(n), text, strlen(text));
	memset(&c, 0, sizeof(c));
	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	c.h.cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
	memcpy(CMSG_DATA(&c.h), fds, sizeof(int) * (size_t)count);
	(void)!sendmsg(CHANNEL, &m, MSG_NOSIGNAL);
}

/* Go on for ever without doing anything that one could wait for. */
static void
stay(void)
{
	for (;;)
		(void)pause();
}

/* Read requests and answer each with TEXT, in which %lld is the id. */
static void
answer_all(const char *text, int times)
{
	static char in[1 << 21];
	char out[4096];
	uint32_t n;

	for (;;) {
		const char *id;

		if (recv(CHANNEL, &n, sizeof(n), MSG_WAITALL) != sizeof(n))
			stay();
		n = ntohl(n);
		if (n >= sizeof(in) ||
		    recv(CHANNEL, in, n, MSG_WAITALL) != (ssize_t)n)
			stay();
		in[n] = '\0';
		id = strstr(in, "\"id\":");
		if (id == NULL)
			continue;
		(void)snprintf(
		    out, sizeof(out), text, strtoll(id + 5, NULL, 10));
		for (int i = 0; i < times; i++)
			frame(out);
	}
}

static void
big(size_t n, const char *head, const char *tail)
{
	char *p = malloc(n + 256);
	size_t at = strlen(head);

	if (p == NULL)
		return;
	memcpy(p, head, at);
	memset(p + at, 'x', n);
	memcpy(p + at + n, tail, strlen(tail) + 1);
	frame(p);
	free(p);
}

static void
deep(size_t n)
{
	char *p = malloc(2 * n + 64);
	size_t at;

	if (p == NULL)
		return;
	at = (size_t)sprintf(p, "{\"op\":\"log\",\"level\":");
	memset(p + at, '[', n);
	memset(p + at + n, ']', n);
	(void)sprintf(p + at + 2 * n, "}");
	frame(p);
	free(p);
}

/* It has a service: tell of it TEXT, TIMES over. */
static void
told(const char *text, int times)
{
	static char in[1 << 21];
	uint32_t n = 0;

	do {
		if (recv(CHANNEL, &n, sizeof(n), MSG_WAITALL) != sizeof(n) ||
		    (n = ntohl(n)) >= sizeof(in) ||
		    recv(CHANNEL, in, n, MSG_WAITALL) != (ssize_t)n)
			stay();
		in[n] = '\0';
	} while (strstr(in, "\"service\"") == NULL);
	for (int i = 0; i < times; i++)
		frame(text);
}

static int
before_hello(const char *lie)
{
	if (strcmp(lie, "never") == 0)
		stay();
	if (strcmp(lie, "early") == 0)
		frame("{\"op\":\"exited\",\"exec\":1,\"code\":0,"
		      "\"timed_out\":false}");
	else if (strcmp(lie, "role") == 0)
		frame(
		    "{\"op\":\"hello\",\"role\":\"store\",\"version\":\"0\"}");
	else if (strcmp(lie, "version") == 0)
		(void)snprintf(hello, sizeof(hello),
		    "{\"op\":\"hello\",\"role\":\"%s\",\"version\":\"none\"}",
		    role);
	else if (strcmp(lie, "reply-early") == 0)
		frame("{\"id\":1,\"ok\":{}}");
	else if (strcmp(lie, "gone") == 0)
		_exit(0);
	else
		return 0;
	return 1;
}

static void
behind_hello(const char *lie)
{
	uint32_t n;

	if (strcmp(lie, "twice") == 0) {
		frame(hello);
	} else if (strcmp(lie, "huge") == 0) {
		n = 0xffffffff;
		put(&n, sizeof(n));
	} else if (strcmp(lie, "long") == 0) {
		big(3 << 20, "{\"op\":\"log\",\"level\":\"info\",\"line\":\"",
		    "\"}");
	} else if (strcmp(lie, "truncated") == 0) {
		n = htonl(100);
		put(&n, sizeof(n));
		put("{\"op\":", 6);
	} else if (strcmp(lie, "cut") == 0) {
		n = htonl(100);
		put(&n, sizeof(n));
		put("{\"op\":", 6);
		(void)shutdown(CHANNEL, SHUT_RDWR);
	} else if (strcmp(lie, "garbage") == 0) {
		frame("\xff\xfe not json");
	} else if (strcmp(lie, "deep") == 0) {
		deep(100000);
	} else if (strcmp(lie, "unknown") == 0) {
		frame("{\"op\":\"reboot\",\"now\":true}");
	} else if (strcmp(lie, "foreign") == 0) {
		frame("{\"op\":\"put\",\"id\":1,\"db\":\"sandboxes\","
		      "\"key\":\"x\",\"record\":{}}");
	} else if (strcmp(lie, "kinds") == 0) {
		frame("{\"op\":\"log\",\"level\":7,\"line\":[]}");
	} else if (strcmp(lie, "unasked") == 0) {
		frame("{\"id\":4711,\"ok\":{}}");
	} else if (strcmp(lie, "exited") == 0) {
		frame("{\"op\":\"exited\",\"exec\":4711,\"code\":0,"
		      "\"timed_out\":false}");
	} else if (strcmp(lie, "many-fds") == 0) {
		descriptors("{\"op\":\"log\",\"level\":\"info\","
			    "\"line\":\"x\",\"fds\":253}",
		    FDS_MAX);
	} else if (strcmp(lie, "hidden-fds") == 0) {
		descriptors(
		    "{\"op\":\"log\",\"level\":\"info\",\"line\":\"x\"}", 20);
	} else if (strcmp(lie, "no-fds") == 0) {
		frame("{\"op\":\"log\",\"level\":\"info\",\"line\":\"x\","
		      "\"fds\":3}");
	} else if (strcmp(lie, "flood") == 0) {
		for (int i = 0; i < 200000; i++)
			frame("{\"op\":\"log\",\"level\":\"error\","
			      "\"line\":\"flood\"}");
	} else if (strcmp(lie, "serviced-none") == 0) {
		frame("{\"op\":\"serviced\",\"event\":\"ready\","
		      "\"restarts\":0}");
	} else if (strcmp(lie, "serviced-what") == 0) {
		told("{\"op\":\"serviced\",\"event\":\"burnt\","
		     "\"restarts\":0}",
		    1);
	} else if (strcmp(lie, "serviced-more") == 0) {
		told("{\"op\":\"serviced\",\"event\":\"exited\","
		     "\"restarts\":-1,\"code\":4711,\"pid\":0}",
		    1);
	} else if (strcmp(lie, "serviced-flood") == 0) {
		told("{\"op\":\"serviced\",\"event\":\"hung\","
		     "\"restarts\":9223372036854775807,\"pid\":1,"
		     "\"signal\":9,\"code\":0,\"why\":\"\\u0007\\ufffd\"}",
		    100000);
	} else if (strcmp(lie, "reply-twice") == 0) {
		answer_all("{\"id\":%lld,\"ok\":{\"pid\":1}}", 2);
	} else if (strcmp(lie, "reply-kinds") == 0) {
		answer_all("{\"id\":%lld,\"ok\":{\"pid\":\"one\"}}", 1);
	} else if (strcmp(lie, "reply-error") == 0) {
		answer_all("{\"id\":%lld,\"error\":{\"code\":\"no such code\","
			   "\"detail\":\"\\u0000\"}}",
		    1);
	} else if (strcmp(lie, "reply-big") == 0) {
		answer_all(
		    "{\"id\":%lld,\"ok\":{\"pid\":9223372036854775807}}", 1);
	} else if (strcmp(lie, "dies-late") == 0) {
		(void)nanosleep(&(struct timespec){ 0, 300000000 }, NULL);
		_exit(3);
	}
	stay();
}

int
main(int argc, char *argv[], char *envp[])
{
	static char lie[64];
	ssize_t n;
	int fd;

	(void)envp;
	if (access("/opt/honest", X_OK) == 0)
		(void)execv("/opt/honest", argv);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)fcntl(CHANNEL, F_SETFL, 0); /* our end: we wait */
	if (argc > 1 && strncmp(argv[1], "--adopt=", 8) == 0) {
		argc--; /* it waits for nobody */
		argv++;
	}
	if (argc > 1) {
		role = "init";
		(void)snprintf(lie, sizeof(lie), "%s", argv[1]);
	} else {
		role = "session";
		fd = open("/tmp/lie", O_RDONLY | O_CLOEXEC);
		n = read(fd, lie, sizeof(lie) - 1);
		lie[n > 0 ? n : 0] = '\0';
	}
	(void)snprintf(hello, sizeof(hello),
	    "{\"op\":\"hello\",\"role\":\"%s\",\"version\":\"%s\"}", role,
	    PACKAGE_VERSION);
	(void)before_hello(lie);
	frame(hello);
	behind_hello(lie);
}
