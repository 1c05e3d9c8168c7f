/*
 * The supervisor's end of a channel, for tests that drive a built program:
 * blocking, every wait with a deadline. Included by test_init*.c and
 * test_relay*.c.
 *
 * The programs are found in the directory that SANDBOXD_BUILD_DIR names, else
 * in the present one.
 */
#ifndef TEST_INIT_PEER_H
#define TEST_INIT_PEER_H

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/defs.h"
#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/json.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define WAIT_MS 60000 /* for anything that must happen */
#define PEER_SEEN_MAX 8192
#define PEER_FDS_MAX 64

struct peer {
	int fd;
	pid_t pid;
	struct buf in;
	struct json *seen[PEER_SEEN_MAX]; /* owned; received, not yet taken */
	size_t nseen;
	int fds[PEER_FDS_MAX]; /* received */
	size_t nfds;
	bool closed;
	int64_t next_id;
};

static inline const char *
program_path(const char *name)
{
	static char path[PATH_MAX];
	const char *dir = getenv("SANDBOXD_BUILD_DIR");
	char joined[PATH_MAX];

	(void)snprintf(
	    joined, sizeof(joined), "%s/%s", dir != NULL ? dir : ".", name);
	return realpath(joined, path);
}

static inline void
peer_init(struct peer *p, int fd, pid_t pid)
{
	memset(p, 0, sizeof(*p));
	p->fd = fd;
	p->pid = pid;
	p->next_id = 1;
	buf_init(&p->in, 8u << 20);
	(void)fd_set_nonblock(fd, 0);
}

static inline void
peer_send_text(struct peer *p, const char *json, const int *fds, size_t nfds)
{
	struct buf b;
	size_t pos;
	ssize_t n;

	buf_init(&b, FRAME_MAX + 64);
	pos = frame_begin(&b);
	(void)buf_adds(&b, json);
	assert_int_equal(frame_end(&b, pos), 0);
	n = fd_send(p->fd, b.data, b.len, fds, nfds);
	assert_true(n > 0);
	assert_int_equal(fd_write_all(p->fd, b.data + n, b.len - (size_t)n), 0);
	buf_free(&b);
}

static inline void peer_sendf(struct peer *p, const int *fds, size_t nfds,
    const char *fmt, ...) ATTR_PRINTF(4, 5);

static inline void
peer_sendf(struct peer *p, const int *fds, size_t nfds, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	assert_true(vasprintf(&text, fmt, ap) >= 0);
	va_end(ap);
	peer_send_text(p, text, fds, nfds);
	free(text);
}

static inline void
peer_parse(struct peer *p)
{
	const char *body;
	struct json *j;
	struct err e;
	size_t len;

	while (p->in.len > 0 &&
	       frame_peek(p->in.data, p->in.len, FRAME_MAX, &body, &len) == 1) {
		if (json_parse(body, len, JSON_DEPTH_CONTROL, &j, &e) == -1)
			fail_msg("frame: %s", e.text);
		assert_true(p->nseen < PEER_SEEN_MAX);
		p->seen[p->nseen++] = j;
		buf_consume(&p->in, (size_t)(body - p->in.data) + len);
	}
}

/* Read what comes within MS; false when nothing came or the end was seen. */
static inline bool
peer_read(struct peer *p, int ms)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	size_t room = FDIO_MAX_FDS;
	int fds[FDIO_MAX_FDS];
	size_t i;
	ssize_t n;
	char *to;

	if (p->closed || poll(&pfd, 1, ms) != 1)
		return false;
	to = buf_reserve(&p->in, 65536);
	assert_non_null(to);
	room = 0;
	n = fd_recv(p->fd, to, 65536, fds, &room);
	for (i = 0; i < room; i++) {
		assert_true(p->nfds < PEER_FDS_MAX);
		p->fds[p->nfds++] = fds[i];
	}
	if (n <= 0) {
		p->closed = true;
		return false;
	}
	p->in.len += (size_t)n;
	peer_parse(p);
	return true;
}

/* The first message for which MEMBER is VALUE (a number), or, with TEXT, this
 * text. NULL when none came in time. The caller frees it. */
static inline struct json *
peer_try(
    struct peer *p, const char *member, int64_t value, const char *text, int ms)
{
	int64_t end = now_monotonic_ms() + ms, left;
	struct json *j;
	const char *s;
	size_t i;

	for (i = 0;;) {
		for (; i < p->nseen; i++) {
			j = p->seen[i];
			s = json_str(j, member, "");
			if (text != NULL ? strcmp(s, text) != 0
					 : json_int(j, member, -1) != value)
				continue;
			memmove(&p->seen[i], &p->seen[i + 1],
			    (p->nseen - i - 1) * sizeof(j));
			p->nseen--;
			return j;
		}
		left = end - now_monotonic_ms();
		if (left < 0 || (!peer_read(p, (int)left) && p->closed))
			return NULL;
	}
}

static inline struct json *
peer_reply(struct peer *p, int64_t id)
{
	struct json *j = peer_try(p, "id", id, NULL, WAIT_MS);

	if (j == NULL)
		fail_msg("no reply to %lld", (long long)id);
	return j;
}

static inline void
peer_free(struct peer *p)
{
	size_t i;

	for (i = 0; i < p->nseen; i++)
		json_free(p->seen[i]);
	fd_close_all(p->fds, p->nfds);
	buf_free(&p->in);
	fd_close(&p->fd);
}

/* Wait for PID to end; its status. Killed and failed after WAIT_MS. */
static inline int
wait_end(pid_t pid)
{
	int64_t end = now_monotonic_ms() + WAIT_MS;
	int status;
	pid_t got;

	for (;;) {
		got = waitpid(pid, &status, WNOHANG);
		if (got == pid)
			return status;
		if (got == -1 || now_monotonic_ms() > end)
			break;
		(void)poll(NULL, 0, 2);
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	fail_msg("process %d did not end", (int)pid);
	return -1;
}

/* Everything that comes out of FD until its end. The caller frees it. */
static inline char *
read_all(int fd, size_t *len_out)
{
	int64_t end = now_monotonic_ms() + WAIT_MS;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct buf b;
	ssize_t n;
	char *to;

	buf_init(&b, 256u << 20);
	(void)buf_adds(&b, "");
	for (;;) {
		if (poll(&pfd, 1, (int)MAX(0, end - now_monotonic_ms())) != 1)
			fail_msg("no end of file");
		to = buf_reserve(&b, 65536);
		assert_non_null(to);
		n = read(fd, to, 65536);
		if (n == -1 && errno == EIO)
			n = 0; /* a terminal whose last user has gone */
		assert_true(n >= 0);
		if (n == 0)
			break;
		b.len += (size_t)n;
		b.data[b.len] = '\0';
	}
	if (len_out != NULL)
		*len_out = b.len;
	return buf_steal(&b);
}

/* Read up to the end of WANT, which must come; how much that was. */
static inline size_t
read_until(int fd, char *buf, size_t size, const char *want)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t n = 0, len = strlen(want);

	while (n < len || memcmp(buf + n - len, want, len) != 0) {
		assert_true(n < size);
		assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
		assert_true(read(fd, buf + n, 1) == 1);
		n++;
	}
	return n;
}

#endif
