/*
 * POST /v1/processes/exec: a command whose output is seen as it comes, as
 * server-sent events. Runs in sandboxd-gateway. Nothing is read from the
 * command before the client has taken what came before, so a slow client slows
 * its command and costs no memory. A client that leaves ends the command.
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

#define START_MS 60000
#define CHUNK 8192
#define EVENT_MAX (CHUNK * 6 + 512) /* a chunk with every byte escaped */
#define LAST_BYTES (1u << 20)	    /* after its end a pipe holds no more */
/* Short, since who has left is found out by telling him something. */
#define KEEP_ALIVE_S 5.

static const char *const names[2] = { "stdout", "stderr" };

struct xstream {
	int fd; /* owned; -1 at its end */
	ev_io io;
	char cut[4]; /* of a character whose end has not come */
	size_t ncut;
	size_t last; /* read since the end */
};

struct xexec {
	struct req *r; /* held */
	uint64_t call; /* not yet answered; 0 */
	uint64_t pin;
	int64_t run; /* its number, once it runs */
	struct xstream s[2];
	int end_fd; /* owned */
	ev_io end;
	ev_timer alive;
	struct buf event; /* being sent */
	size_t at;
	int64_t started_ms;
	struct proclog_exit how;
	bool ended, lost, told, ping, turn;
};

static void
xexec_free(struct xexec *x)
{
	struct gateway *gw = x->r->gw;
	size_t i;

	for (i = 0; i < 2; i++) {
		ev_io_stop(gw->loop, &x->s[i].io);
		fd_close(&x->s[i].fd);
	}
	ev_io_stop(gw->loop, &x->end);
	ev_timer_stop(gw->loop, &x->alive);
	fd_close(&x->end_fd);
	link_unpin(gw, x->pin);
	buf_free(&x->event);
	x->r->ctx = NULL;
	req_release(x->r);
	free(x);
}

/*
 * Events
 */

static void
event_output(struct xexec *x, size_t i, const char *p, size_t n)
{
	char code[BASE64_LEN(CHUNK + 4)];
	struct jw w;

	(void)buf_addf(&x->event, "event: %s\ndata: ", names[i]);
	jw_init(&w, &x->event);
	jw_object(&w);
	jw_key(&w, "data");
	if (utf8_valid_prefix(p, n) == n) {
		jw_strn(&w, p, n);
	} else {
		base64_put(code, p, n);
		jw_strn(&w, code, BASE64_LEN(n));
		jw_kstr(&w, "encoding", "base64");
	}
	jw_object_end(&w);
	(void)buf_adds(&x->event, "\n\n");
}

static void
event_exit(struct xexec *x)
{
	struct jw w;

	(void)buf_adds(&x->event, "event: exit\ndata: ");
	jw_init(&w, &x->event);
	jw_object(&w);
	if (x->lost || x->how.code == -1)
		jw_knull(&w, "exitCode");
	else
		jw_kint(&w, "exitCode", x->how.code);
	if (!x->lost && x->how.sig != 0)
		jw_kint(&w, "signal", x->how.sig);
	jw_kbool(&w, "timedOut", x->how.timed_out);
	jw_kint(&w, "durationMs", now_monotonic_ms() - x->started_ms);
	if (x->lost)
		jw_kstr(&w, "error", "the sandbox ended");
	jw_object_end(&w);
	(void)buf_adds(&x->event, "\n\n");
}

/* An event out of what stream I has now. False: it has nothing. */
static bool
stream_take(struct xexec *x, size_t i)
{
	struct xstream *s = &x->s[i];
	char chunk[CHUNK + sizeof(s->cut)];
	size_t all, tail;
	ssize_t n;

	if (s->fd == -1 || (x->ended && s->last > LAST_BYTES))
		return false;
	memcpy(chunk, s->cut, s->ncut);
	n = read(s->fd, chunk + s->ncut, CHUNK);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0)
		fd_close(&s->fd);
	if (x->ended)
		s->last += (size_t)MAX(n, 0);
	all = s->ncut + (size_t)MAX(n, 0);
	s->ncut = 0;
	/* Half a character waits for its other half. */
	tail = n > 0 ? utf8_incomplete_tail(chunk, all) : 0;
	if (tail > 0 && utf8_valid_prefix(chunk, all) == all - tail) {
		all -= tail;
		memcpy(s->cut, chunk + all, tail);
		s->ncut = tail;
	}
	if (all > 0)
		event_output(x, i, chunk, all);
	return true;
}

/* Halves whose other half never comes. */
static void
streams_finish(struct xexec *x)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		if (x->s[i].ncut > 0)
			event_output(x, i, x->s[i].cut, x->s[i].ncut);
		x->s[i].ncut = 0;
	}
}

static void
watch(struct xexec *x)
{
	struct ev_loop *loop = x->r->gw->loop;
	size_t i;

	for (i = 0; i < 2; i++)
		if (x->s[i].fd != -1)
			ev_io_start(loop, &x->s[i].io);
	if (!x->ended)
		ev_io_start(loop, &x->end);
}

static void
unwatch(struct xexec *x)
{
	struct ev_loop *loop = x->r->gw->loop;

	ev_io_stop(loop, &x->s[0].io);
	ev_io_stop(loop, &x->s[1].io);
	ev_io_stop(loop, &x->end);
}

/* The next thing to say into the empty buffer. False: nothing now. */
static bool
event_next(struct xexec *x)
{
	int r;

	if (!x->ended) {
		/* Looked at first: what it printed is in the pipes then. */
		r = process_read_exit(x->end_fd, &x->how);
		x->ended = r != 0;
		x->lost = r == -1;
	}
	x->turn = !x->turn; /* neither keeps the other from being seen */
	if (stream_take(x, x->turn) || stream_take(x, !x->turn))
		return true;
	if (x->ended) {
		streams_finish(x);
		event_exit(x);
		x->told = true;
		return true;
	}
	if (!x->ping)
		return false;
	x->ping = false;
	(void)buf_adds(&x->event, ":\n\n");
	return true;
}

static ssize_t
fill(void *ctx, char *dst, size_t max)
{
	struct xexec *x = ctx;
	size_t n;

	unwatch(x);
	while (x->at == x->event.len) {
		x->at = 0;
		buf_clear(&x->event);
		if (x->told)
			return -1;
		if (!event_next(x)) {
			watch(x);
			return 0;
		}
		if (x->event.failed)
			return -2;
	}
	n = MIN(max, x->event.len - x->at);
	memcpy(dst, x->event.data + x->at, n);
	x->at += n;
	return (ssize_t)n;
}

/* The answer is over: so is the command, if it is not already. */
static void
done(void *ctx)
{
	struct xexec *x = ctx;
	struct buf b;

	if (!x->ended) {
		buf_init(&b, 64);
		(void)buf_addf(&b, "{\"run\":%lld}", (long long)x->run);
		link_notice(
		    x->r->gw, LINK_INIT, x->r->sandbox, MSG_PROC_CANCEL, &b);
		buf_free(&b);
	}
	xexec_free(x);
}

static const struct req_stream stream_ops = { fill, done };

static void
on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	struct xexec *x = io->data;

	(void)loop;
	(void)revents;
	unwatch(x);
	req_wake(x->r);
}

static void
on_alive(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct xexec *x = w->data;

	(void)loop;
	(void)revents;
	x->ping = true;
	req_wake(x->r);
}

/*
 * Beginning
 */

static void
xexec_start(struct xexec *x, int *fds)
{
	struct req *r = x->r;
	struct xstream *s;
	size_t i;

	for (i = 0; i < 2; i++) {
		s = &x->s[i];
		s->fd = fd_steal(&fds[i]);
		(void)fd_set_nonblock(s->fd, 1); /* a pipe can always */
		ev_io_init(&s->io, on_io, s->fd, EV_READ);
		s->io.data = x;
	}
	x->end_fd = fd_steal(&fds[2]);
	(void)fd_set_nonblock(x->end_fd, 1);
	ev_io_init(&x->end, on_io, x->end_fd, EV_READ);
	x->end.data = x;
	ev_timer_init(&x->alive, on_alive, KEEP_ALIVE_S, KEEP_ALIVE_S);
	x->alive.data = x;
	ev_timer_start(r->gw->loop, &x->alive);
	x->started_ms = now_monotonic_ms();
	x->pin = link_pin(r->gw, LINK_INIT, r->sandbox);
	r->on_gone = NULL; /* the stream's end tells */
	req_add_header(r, "cache-control", "no-cache");
	req_reply_stream(r, 200, "text/event-stream", -1, &stream_ops, x);
}

static void
on_started(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct xexec *x = ctx;

	x->call = 0;
	if (ok != NULL && nfds == 3) {
		x->run = json_int(ok, "run", 0);
		xexec_start(x, fds);
		return;
	}
	if (ok == NULL)
		process_fail(x->r, e, "failed to spawn process");
	else
		req_problem(x->r, PROBLEM_UNAVAILABLE, "no pipes came");
	xexec_free(x);
}

/* The client has left before anything ran. */
static void
on_gone(struct req *r)
{
	struct xexec *x = r->ctx;

	if (x == NULL || x->call == 0)
		return;
	link_cancel(r->gw, x->call);
	xexec_free(x);
}

/* -1: the answer is given. *FD_OUT -1: it has none. */
static int
stdin_make(struct req *r, int *fd_out)
{
	const struct json *in = json_get(r->json, "stdin");
	char why[INPUT_WHY_MAX];
	struct buf bytes;
	struct err e;
	int rc;

	*fd_out = -1;
	if (in == NULL || in->type == JSON_NULL)
		return 0;
	if (in->type != JSON_STRING) {
		req_problem(r, PROBLEM_BAD_BODY, "stdin: not a string");
		return -1;
	}
	buf_init(&bytes, in->len + 1);
	if (process_decode(&bytes, in->str, in->len,
		json_str(r->json, "stdinEncoding", NULL), "text", why) == -1) {
		buf_free(&bytes);
		req_problem(r, PROBLEM_INVALID_REQUEST, "stdin: %s", why);
		return -1;
	}
	rc = fd_sealed("stdin", bytes.data == NULL ? "" : bytes.data, bytes.len,
	    fd_out, &e);
	buf_free(&bytes);
	if (rc == -1)
		req_fail(r, &e);
	return rc;
}

void
route_process_exec(struct req *r)
{
	struct xexec *x;
	struct buf b;
	struct jw w;
	int fd = -1;

	buf_init(&b, proto_table[MSG_PROC_RUN].max_bytes);
	jw_init(&w, &b);
	jw_object(&w);
	if (process_command(r, &w, false) == -1 || stdin_make(r, &fd) == -1) {
		buf_free(&b);
		return;
	}
	jw_kint(&w, "timeout_ms", json_int(r->json, "timeoutMs", 0));
	jw_kbool(&w, "tied", true);
	jw_object_end(&w);
	x = xcalloc(1, sizeof(*x));
	x->r = r;
	x->turn = true; /* output first */
	x->end_fd = x->s[0].fd = x->s[1].fd = -1;
	buf_init(&x->event, EVENT_MAX);
	r->ctx = x;
	r->on_gone = on_gone;
	req_hold(r);
	x->call = link_call(r->gw, LINK_INIT, r->sandbox, MSG_PROC_RUN, &b, &fd,
	    fd == -1 ? 0 : 1, START_MS, on_started, x);
	buf_free(&b);
}
