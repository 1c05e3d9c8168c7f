/*
 * Operations whose answer is a stream of bytes: a tar archive, lines of JSON,
 * what a process has printed. Runs in sandboxd-gateway. Who writes into the
 * pipe may be hostile; it can write what it likes, for ever or not at all, to
 * the client that asked and nobody else.
 *
 * A refusal before the first byte is a problem like any other. Behind the last
 * byte stands what the control socket would have answered, as the trailer
 * x-answer, for those who look at trailers; for others a stream that failed is
 * cut, so that they do not take it for whole.
 */
#include "gateway/doors/files.h"
#include "gateway/doors/operations.h"
#include "lib/fdio.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <string.h>

#define FIRST_BYTES 16384
#define ANSWER_MAX 4096

struct out {
	struct req *r; /* held */
	int fd;	       /* owned; -1 behind its end */
	ev_io io;
	char first[FIRST_BYTES]; /* read before the answer began */
	size_t first_len, first_at;
	bool asked; /* the supervisor has not answered */
	bool begun; /* we have begun to */
	bool over;  /* nobody hears any more */
	bool failed;
	struct buf answer; /* the supervisor's, for the trailer */
};

static void
free_if_over(struct out *o)
{
	struct req *r = o->r;

	if (!o->over || o->asked)
		return;
	ev_io_stop(r->gw->loop, &o->io);
	fd_close(&o->fd);
	buf_free(&o->answer);
	free(o);
	r->ctx = NULL;
	req_release(r);
}

/* --- the stream ---------------------------------------------------------- */

static ssize_t
end(struct out *o)
{
	bool told =
	    !o->answer.failed && req_trailer(o->r, "x-answer", o->answer.data);

	return o->failed && !told ? -2 : -1;
}

static ssize_t
fill(void *ctx, char *dst, size_t max)
{
	struct out *o = ctx;
	ssize_t n;

	if (o->first_at < o->first_len) {
		n = (ssize_t)MIN(max, o->first_len - o->first_at);
		memcpy(dst, o->first + o->first_at, (size_t)n);
		o->first_at += (size_t)n;
		return n;
	}
	n = o->fd == -1 ? 0 : read(o->fd, dst, max);
	if (n > 0)
		return n;
	if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
		ev_io_start(o->r->gw->loop, &o->io);
		return 0;
	}
	fd_close(&o->fd);
	return o->asked ? 0 : end(o);
}

static void
on_sent(void *ctx)
{
	struct out *o = ctx;

	o->over = true;
	ev_io_stop(o->r->gw->loop, &o->io);
	fd_close(&o->fd); /* who still writes hears that nobody reads */
	free_if_over(o);
}

static void
begin(struct out *o)
{
	static const struct req_stream ops = { fill, on_sent };

	o->begun = true;
	req_reply_stream(o->r, 200, "application/octet-stream", -1, &ops, o);
}

/* --- before it ----------------------------------------------------------- */

static void
on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct out *o = io->data;
	ssize_t n;

	(void)revents;
	ev_io_stop(loop, io);
	if (o->begun) {
		req_wake(o->r);
		return;
	}
	n = read(o->fd, o->first, sizeof(o->first));
	if (n > 0) {
		o->first_len = (size_t)n;
		begin(o);
	} else if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
		ev_io_start(loop, io);
	} else {
		fd_close(&o->fd); /* the supervisor says why */
	}
}

static void
keep_answer(struct out *o, const struct json *result, const struct err *e)
{
	struct jw w;

	jw_init(&w, &o->answer);
	jw_object(&w);
	if (result != NULL) {
		jw_kvalue(&w, "ok", result);
	} else {
		jw_key(&w, "error");
		jw_object(&w);
		jw_kstr(&w, "code", err_wire(e->code));
		jw_kstr(&w, "detail", e->text);
		jw_object_end(&w);
	}
	jw_object_end(&w);
}

static void
on_answer(void *ctx, const struct json *result, const struct err *e)
{
	struct out *o = ctx;

	o->asked = false;
	o->failed = result == NULL;
	if (o->over) {
		free_if_over(o);
		return;
	}
	keep_answer(o, result, e);
	if (o->begun) {
		req_wake(o->r);
	} else if (o->failed) {
		o->over = true;
		operation_fail(o->r, e);
		free_if_over(o);
	} else {
		ev_io_stop(o->r->gw->loop, &o->io);
		begin(o);
	}
}

static void
on_gone(struct req *r)
{
	struct out *o = r->ctx;

	if (o != NULL && !o->begun)
		on_sent(o);
}

void
operation_out(struct req *r, const char *op, const struct buf *args)
{
	struct out *o = xcalloc(1, sizeof(*o));
	struct err e;
	int fd;

	if (files_pipe(false, &o->fd, &fd) == -1) {
		(void)err_sys(&e, "a pipe");
		operation_fail(r, &e);
		free(o);
		return;
	}
	o->r = r;
	o->asked = true;
	buf_init(&o->answer, ANSWER_MAX);
	ev_io_init(&o->io, on_readable, o->fd, EV_READ);
	o->io.data = o;
	ev_io_start(r->gw->loop, &o->io);
	r->ctx = o;
	r->on_gone = on_gone;
	req_hold(r);
	super_call_pipe(r->gw, op, args, fd, on_answer, o);
}
