/*
 * Pipes between us and the file server of a sandbox. Runs in sandboxd-gateway.
 * Who writes at the other end may be hostile; it can write what it likes, for
 * ever or not at all, to the client that asked and nobody else.
 */
#include "gateway/doors/files.h"
#include "lib/fdio.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* What is there when the answer begins; if that is all its length is known. */
#define FIRST_BYTES 65536

struct pipe_stream {
	struct req *r; /* held by the stream */
	int fd;	       /* owned */
	ev_io io;
	struct buf first; /* read before the answer began */
	size_t first_at;
	char end, last; /* what the last byte must be, and was */
	uint64_t pin;	/* who writes lives as long as its channel */
};

int
files_pipe(bool writing, int *ours_out, int *theirs_out)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1)
		return -1;
	*ours_out = fds[writing ? 1 : 0];
	*theirs_out = fds[writing ? 0 : 1];
	if (fd_set_nonblock(*ours_out, 1) == 0)
		return 0;
	fd_close_all(fds, 2);
	return -1;
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct pipe_stream *s = io->data;

	(void)revents;
	ev_io_stop(loop, io);
	req_wake(s->r);
}

static ssize_t
pipe_fill(void *ctx, char *dst, size_t max)
{
	struct pipe_stream *s = ctx;
	ssize_t n;

	if (s->first_at < s->first.len) {
		n = (ssize_t)MIN(max, s->first.len - s->first_at);
		memcpy(dst, s->first.data + s->first_at, (size_t)n);
		s->first_at += (size_t)n;
		if (s->first_at == s->first.len)
			buf_free(&s->first);
		return n;
	}
	n = read(s->fd, dst, max);
	if (n > 0) {
		s->last = dst[n - 1];
		return n;
	}
	if (n == 0)
		return s->last == s->end ? -1 : -2;
	if (errno != EAGAIN && errno != EINTR)
		return -2;
	ev_io_start(s->r->gw->loop, &s->io);
	return 0;
}

static void
pipe_done(void *ctx)
{
	struct pipe_stream *s = ctx;

	ev_io_stop(s->r->gw->loop, &s->io);
	link_unpin(s->r->gw, s->pin);
	fd_close(&s->fd);
	buf_free(&s->first);
	free(s);
}

/* Read what is there. True when that was all. */
static bool
read_first(int fd, struct buf *b)
{
	char *to;
	ssize_t n;

	buf_init(b, FIRST_BYTES);
	while (b->len < FIRST_BYTES) {
		to = buf_reserve(b, FIRST_BYTES - b->len);
		if (to == NULL)
			return false;
		n = read(fd, to, FIRST_BYTES - b->len);
		if (n == 0)
			return true;
		if (n == -1)
			return false;
		b->len += (size_t)n;
	}
	return false;
}

void
files_reply_pipe(struct req *r, int fd, char end)
{
	static const struct req_stream ops = { pipe_fill, pipe_done };
	struct pipe_stream *s;
	struct buf b;
	bool whole = read_first(fd, &b);
	char last = b.len > 0 ? b.data[b.len - 1] : '\0';

	if (whole && last == end) {
		(void)close(fd);
		req_reply_json(r, 200, &b);
		return;
	}
	if (whole) {
		(void)close(fd);
		buf_free(&b);
		req_problem(r, PROBLEM_STREAM_ERROR, "the answer was cut off");
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->r = r;
	s->fd = fd;
	s->first = b;
	s->end = end;
	s->last = last;
	s->pin = link_pin(r->gw, LINK_FILES, r->sandbox);
	ev_io_init(&s->io, on_readable, fd, EV_READ);
	s->io.data = s;
	req_reply_stream(r, 200, "application/json", -1, &ops, s);
}
