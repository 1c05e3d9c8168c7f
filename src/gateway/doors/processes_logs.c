/*
 * GET /v1/processes/{id}/logs: out of the pipe that init fills, as JSON or as
 * server-sent events. Runs in sandboxd-gateway. Read only as fast as the client
 * takes it; init keeps what waits, in the log.
 */
#include "gateway/doors/processes.h"
#include "lib/base64.h"
#include "lib/fdio.h"
#include "lib/proclog.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CALL_MS 30000
#define READ_BYTES (16u << 10)
#define KEEP_ALIVE_S 15.
/* One record in base64 with what stands around it. */
#define ENTRY_MAX (BASE64_LEN(PROCLOG_DATA_MAX) + 512)

struct logs {
	struct req *r; /* held */
	bool follow;
	char stream[16];
	int fd; /* owned; -1 at the end */
	ev_io io;
	ev_timer alive;
	struct buf in; /* read, not yet told */
	size_t in_at;
	struct buf out; /* being sent */
	size_t out_at;
	bool begun, some, finished, broken, ping;
};

static void
logs_free(struct logs *l)
{
	struct ev_loop *loop = l->r->gw->loop;

	ev_io_stop(loop, &l->io);
	ev_timer_stop(loop, &l->alive);
	fd_close(&l->fd);
	buf_free(&l->in);
	buf_free(&l->out);
	req_release(l->r);
	free(l);
}

static void
entry_put(struct logs *l, const struct proclog *rec, const char *data)
{
	char code[BASE64_LEN(PROCLOG_DATA_MAX)];
	struct jw w;

	if (l->follow)
		(void)buf_addf(&l->out, "event: log\nid: %llu\ndata: ",
		    (unsigned long long)rec->sequence);
	else if (l->some)
		(void)buf_addc(&l->out, ',');
	l->some = true;
	base64_put(code, data, rec->len);
	jw_init(&w, &l->out);
	jw_object(&w);
	jw_kint(&w, "sequence", (int64_t)rec->sequence);
	jw_kstr(&w, "stream", proclog_stream_name(rec->stream));
	jw_kint(&w, "timestampMs", rec->time_ms);
	jw_key(&w, "data");
	jw_strn(&w, code, BASE64_LEN(rec->len));
	jw_kstr(&w, "encoding", "base64");
	jw_object_end(&w);
	if (l->follow)
		(void)buf_adds(&l->out, "\n\n");
}

static void
begin_put(struct logs *l)
{
	struct jw w;

	l->begun = true;
	if (l->follow)
		return;
	jw_init(&w, &l->out);
	jw_object(&w);
	jw_kstr(&w, "processId", l->r->params[0]);
	jw_kstr(&w, "stream", l->stream);
	(void)buf_adds(&l->out, ",\"entries\":[");
}

/* More of the pipe. 1: something came; 0: nothing now; -1: that was all. */
static int
logs_read(struct logs *l)
{
	char *room;
	ssize_t n;

	if (l->fd == -1)
		return -1;
	buf_consume(&l->in, l->in_at);
	l->in_at = 0;
	room = buf_reserve(&l->in, READ_BYTES);
	n = room == NULL ? -1 : read(l->fd, room, READ_BYTES);
	if (room != NULL && n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		l->broken = room == NULL;
		fd_close(&l->fd);
		return -1;
	}
	l->in.len += (size_t)n;
	return 1;
}

/* Put the next thing into the empty buffer. False: nothing now. */
static bool
logs_next(struct logs *l)
{
	struct proclog rec;
	int r;

	if (!l->begun) {
		begin_put(l);
		return true;
	}
	for (;;) {
		r = proclog_get(
		    l->in.data + l->in_at, l->in.len - l->in_at, &rec);
		if (r == 1) {
			entry_put(
			    l, &rec, l->in.data + l->in_at + PROCLOG_HEADER);
			l->in_at += PROCLOG_HEADER + rec.len;
			return true;
		}
		if (r == -1) {
			l->broken = true;
			return true;
		}
		r = logs_read(l);
		if (r == -1)
			break;
		if (r == 0) {
			if (!l->ping)
				return false;
			l->ping = false;
			(void)buf_adds(&l->out, ":\n\n");
			return true;
		}
	}
	if (!l->follow)
		(void)buf_adds(&l->out, "]}");
	l->finished = true;
	return true;
}

static ssize_t
fill(void *ctx, char *dst, size_t max)
{
	struct logs *l = ctx;
	size_t n;

	ev_io_stop(l->r->gw->loop, &l->io);
	while (l->out_at == l->out.len) {
		l->out_at = 0;
		buf_clear(&l->out);
		if (l->finished)
			return l->broken ? -2 : -1;
		if (!logs_next(l)) {
			ev_io_start(l->r->gw->loop, &l->io);
			return 0;
		}
		if (l->broken || l->out.failed)
			return -2;
	}
	n = MIN(max, l->out.len - l->out_at);
	memcpy(dst, l->out.data + l->out_at, n);
	l->out_at += n;
	return (ssize_t)n;
}

static void
done(void *ctx)
{
	logs_free(ctx);
}

static const struct req_stream logs_ops = { fill, done };

static void
on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	struct logs *l = io->data;

	(void)revents;
	ev_io_stop(loop, io);
	req_wake(l->r);
}

static void
on_alive(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct logs *l = w->data;

	(void)loop;
	(void)revents;
	l->ping = true;
	req_wake(l->r);
}

static void
logs_start(struct logs *l, int fd)
{
	struct ev_loop *loop = l->r->gw->loop;

	l->fd = fd;
	(void)fd_set_nonblock(fd, 1); /* a pipe can always */
	ev_io_init(&l->io, on_io, fd, EV_READ);
	l->io.data = l;
	ev_init(&l->alive, on_alive);
	l->alive.repeat = KEEP_ALIVE_S;
	l->alive.data = l;
	if (!l->follow) {
		req_reply_stream(
		    l->r, 200, "application/json", -1, &logs_ops, l);
		return;
	}
	ev_timer_again(loop, &l->alive);
	req_add_header(l->r, "cache-control", "no-cache");
	req_reply_stream(l->r, 200, "text/event-stream", -1, &logs_ops, l);
}

static void
on_logs(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct logs *l = ctx;

	if (ok == NULL) {
		process_fail(l->r, e, "logs");
	} else if (nfds != 1 || str_copy(l->stream, sizeof(l->stream),
				    json_str(ok, "stream", "")) == -1) {
		req_problem(l->r, PROBLEM_UNAVAILABLE, "no pipe came");
	} else {
		logs_start(l, fd_steal(&fds[0]));
		return;
	}
	logs_free(l);
}

static void
fields_put(struct req *r, struct buf *b, int64_t id)
{
	const char *stream = req_query(r, "stream", NULL);
	const char *last = req_header(r, "last-event-id");
	int64_t since = req_query_int(r, "since", 0), after;
	struct jw w;

	buf_init(b, 512);
	jw_init(&w, b);
	jw_object(&w);
	jw_kint(&w, "process", id);
	if (stream != NULL)
		jw_kstr(&w, "stream", stream);
	/* Where a client that was cut off goes on. */
	if (req_query_bool(r, "follow", false) && last != NULL &&
	    str_to_int(last, 0, INT64_MAX, &after) == 0)
		since = MAX(since, after);
	jw_kint(&w, "since", since);
	if (req_query(r, "tail", NULL) != NULL)
		jw_kint(&w, "tail", req_query_int(r, "tail", 0));
	jw_kbool(&w, "follow", req_query_bool(r, "follow", false));
	jw_object_end(&w);
}

void
route_process_logs(struct req *r)
{
	static const char *const streams[] = { "stdout", "stderr", "combined",
		"pty" };
	const char *stream = req_query(r, "stream", "combined");
	struct logs *l;
	struct buf b;
	int64_t id;
	size_t i;

	for (i = 0; i < countof(streams); i++)
		if (strcmp(stream, streams[i]) == 0)
			break;
	if (i == countof(streams)) {
		req_problem(r, PROBLEM_INVALID_REQUEST,
		    "stream must be one of: stdout, stderr, combined, pty");
		return;
	}
	id = process_id(r);
	if (id == 0)
		return;
	fields_put(r, &b, id);
	l = xcalloc(1, sizeof(*l));
	l->r = r;
	l->fd = -1;
	l->follow = req_query_bool(r, "follow", false);
	buf_init(&l->in, READ_BYTES + PROCLOG_MAX);
	buf_init(&l->out, ENTRY_MAX);
	req_hold(r);
	(void)link_call(r->gw, LINK_INIT, r->sandbox, MSG_PROC_LOGS, &b, NULL,
	    0, CALL_MS, on_logs, l);
	buf_free(&b);
}
