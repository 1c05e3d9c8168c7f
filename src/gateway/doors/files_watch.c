/*
 * GET /v1/fs/watch: lines of JSON from the file server become server-sent
 * events. Runs in sandboxd-gateway. A client that does not read fills its pipe,
 * which makes the file server's events overflow, and nothing else wait.
 */
#include "gateway/doors/files.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <string.h>

#define LINE_BYTES                                                \
	(256u << 10) /* paths are long when every byte is escaped \
		      */
#define READ_BYTES 16384u

struct watching {
	struct req *r;
	int fd; /* owned */
	ev_io io;
	struct buf in;	/* of the pipe, up to a line's end */
	struct buf out; /* of the stream, from out_at on */
	size_t out_at;
	uint64_t pin; /* who watches lives as long as its channel */
};

static void
on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct watching *s = io->data;

	(void)revents;
	ev_io_stop(loop, io);
	req_wake(s->r);
}

static const char *
event_name(const char *line)
{
	if (str_starts(line, "{\"type\":\"ready\""))
		return "ready";
	if (str_starts(line, "{\"type\":\"overflow\""))
		return "overflow";
	return "change";
}

/* Whole lines of S->in become events in S->out. */
static void
lines_take(struct watching *s)
{
	char *line = s->in.data, *end = line + s->in.len, *nl;

	while (line < end &&
	       (nl = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		*nl = '\0';
		if (nl == line)
			(void)buf_adds(&s->out, ": heartbeat\n\n");
		else
			(void)buf_addf(&s->out, "event: %s\ndata: %s\n\n",
			    event_name(line), line);
		line = nl + 1;
	}
	/* Once: many short lines are not to be moved for each of them. */
	buf_consume(&s->in, (size_t)(line - s->in.data));
}

/* Read a piece: 1 something came, 0 nothing now, -1 no more. */
static int
piece_read(struct watching *s)
{
	char *to = buf_reserve(&s->in, READ_BYTES);
	ssize_t n;

	if (to == NULL)
		return -1; /* a line without end */
	n = read(s->fd, to, READ_BYTES);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	s->in.len += (size_t)n;
	s->in.data[s->in.len] = '\0';
	return 1;
}

static ssize_t
watch_fill(void *ctx, char *dst, size_t max)
{
	struct watching *s = ctx;
	size_t n;
	int got;

	while (s->out_at == s->out.len) {
		buf_clear(&s->out);
		s->out_at = 0;
		got = piece_read(s);
		if (got == -1)
			return -1;
		if (got == 0) {
			ev_io_start(s->r->gw->loop, &s->io);
			return 0;
		}
		lines_take(s);
		if (s->out.failed)
			return -2;
	}
	n = MIN(max, s->out.len - s->out_at);
	memcpy(dst, s->out.data + s->out_at, n);
	s->out_at += n;
	return (ssize_t)n;
}

static void
watch_done(void *ctx)
{
	struct watching *s = ctx;

	ev_io_stop(s->r->gw->loop, &s->io);
	link_unpin(s->r->gw, s->pin);
	fd_close(&s->fd);
	buf_free(&s->in);
	buf_free(&s->out);
	free(s);
}

static void
on_watch(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	static const struct req_stream ops = { watch_fill, watch_done };
	struct watching *s = ctx;
	struct req *r = s->r;

	(void)ok;
	(void)fds;
	(void)nfds;
	if (e != NULL) {
		files_fail(r, e);
		watch_done(s);
	} else {
		s->pin = link_pin(r->gw, LINK_FILES, r->sandbox);
		req_add_header(r, "cache-control", "no-cache");
		req_reply_stream(r, 200, "text/event-stream", -1, &ops, s);
	}
	req_release(r);
}

void
route_fs_watch(struct req *r)
{
	int64_t poll_ms = req_query_int(r, "poll", 0);
	struct watching *s = xcalloc(1, sizeof(*s));
	struct buf b;
	struct jw w;
	int theirs;

	s->r = r;
	buf_init(&s->in, LINE_BYTES);
	buf_init(&s->out, 4 * LINE_BYTES);
	if (files_pipe(false, &s->fd, &theirs) == -1) {
		files_fail_errno(r, errno);
		free(s);
		return;
	}
	ev_io_init(&s->io, on_readable, s->fd, EV_READ);
	s->io.data = s;
	files_fields(&b, &w, r);
	jw_kbool(&w, "recursive", req_query_bool(r, "recursive", false));
	if (poll_ms > 0)
		jw_kint(&w, "poll_ms", poll_ms);
	jw_object_end(&w);
	req_hold(r);
	(void)link_call(r->gw, LINK_FILES, r->sandbox, MSG_FS_WATCH, &b,
	    &theirs, 1, FILES_CALL_MS, on_watch, s);
	buf_free(&b);
}
