/*
 * Requests for a port of a sandbox; see proxy.h. Runs in the gateway, between
 * a client that anybody may be and a server that anybody may be.
 *
 * One connection for each request, made by the sandbox's init and handed to
 * us. What either side sends is held in one bounded buffer each way, and read
 * no further while that is full. An answer is begun when the request's body is
 * over: the HTTP library takes none before.
 *
 * Must never pass on a byte of framing that it did not write itself.
 */
#include "gateway/proxy.h"

#include "gateway/link.h"
#include "gateway/proxy_parse.h"
#include "gateway/proxy_priv.h"
#include "gateway/touch.h"
#include "gateway/tunnel.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define DIAL_MS 12000
#define OUT_BYTES 65536 /* of a body that wait for the server */
#define IN_BYTES 32768	/* read at one time */
#define INTERIM_MAX 32	/* answers before the answer */
#define CHUNK_LINE_MAX 24

struct proxy {
	struct req *r; /* held */
	struct gateway *gw;
	int64_t port;
	uint64_t call; /* the dial under way, or 0 */
	int fd;	       /* owned; to the server, -1 before and after */
	ev_io rd, wr;
	ev_timer timer; /* of the server's silence */
	struct buf out; /* to the server */
	struct buf in;	/* from it, not looked at */
	size_t scanned;
	unsigned interims;
	bool head_request, want_upgrade, chunked;
	bool body_over;	 /* the client's */
	bool body_waits; /* on_body has refused some */
	bool deaf;	 /* the server reads no more */
	bool answer;	 /* head is set */
	bool answered;
	bool streaming; /* the stream's done() is to come */
	bool gone;	/* on_gone() came, or never will */
	struct proxy_head head;
	struct proxy_body body;
	struct req_upgrade *up;
};

static void proxy_answer(struct proxy *p);
static void send_out(struct proxy *p);

/* --- its end -------------------------------------------------------------- */

static void
server_close(struct proxy *p)
{
	ev_io_stop(p->gw->loop, &p->rd);
	ev_io_stop(p->gw->loop, &p->wr);
	ev_timer_stop(p->gw->loop, &p->timer);
	fd_close(&p->fd);
	if (p->call != 0)
		link_cancel(p->gw, p->call);
	p->call = 0;
}

static void
proxy_free_if_over(struct proxy *p)
{
	struct req *r = p->r;

	if (!p->gone || p->streaming)
		return;
	server_close(p);
	buf_free(&p->out);
	buf_free(&p->in);
	free(p);
	req_release(r);
}

static void
on_gone(struct req *r)
{
	struct proxy *p = r->ctx;

	server_close(p);
	p->gone = true;
	proxy_free_if_over(p);
}

static void
proxy_fail(struct proxy *p, enum problem problem, const char *why)
{
	server_close(p);
	if (p->answered)
		return;
	p->answered = true;
	req_problem(p->r, problem, "port %d: %s", (int)p->port, why);
}

/* --- waiting for the server ----------------------------------------------- */

static void
on_silence(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct proxy *p = t->data;

	(void)loop;
	(void)revents;
	if (!p->answer) {
		proxy_fail(p, PROBLEM_TIMEOUT, "the server does not answer");
		return;
	}
	/* It has answered, and does not want the rest of the body. */
	p->deaf = true;
	send_out(p);
}

/* The server's turn begins anew, or it is not its turn. */
static void
watch_silence(struct proxy *p)
{
	ev_timer_stop(p->gw->loop, &p->timer);
	if (p->fd == -1 || p->answered ||
	    (p->out.len == 0 && (p->answer || !p->body_over)))
		return;
	ev_timer_set(&p->timer, (double)p->gw->limits.proxy_ms / 1000., 0.);
	ev_timer_start(p->gw->loop, &p->timer);
}

/* --- to the server -------------------------------------------------------- */

static void
send_out(struct proxy *p)
{
	size_t at = 0;
	ssize_t n;

	while (at < p->out.len && !p->deaf) {
		n = send(p->fd, p->out.data + at, p->out.len - at,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1)
			p->deaf = true; /* it may still have answered */
		else
			at += (size_t)n;
	}
	if (p->deaf)
		buf_clear(&p->out);
	else
		buf_consume(&p->out, at);
	if (p->out.len > 0)
		ev_io_start(p->gw->loop, &p->wr);
	else
		ev_io_stop(p->gw->loop, &p->wr);
	if (p->body_over)
		buf_trim(&p->out, 0);
	watch_silence(p);
	if (p->body_waits && p->out.len < OUT_BYTES / 2) {
		p->body_waits = false;
		req_body_resume(p->r);
	}
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	send_out(w->data);
}

static void
add_body(struct proxy *p, const char *data, size_t len)
{
	if (p->chunked)
		(void)buf_addf(&p->out, "%zx\r\n", len);
	(void)buf_add(&p->out, data, len);
	if (p->chunked)
		(void)buf_adds(&p->out, "\r\n");
}

static size_t
on_body(struct req *r, const char *data, size_t len)
{
	struct proxy *p = r->ctx;
	size_t take = p->out.len < OUT_BYTES ? OUT_BYTES - p->out.len : 0;

	if (p->answered || p->deaf)
		return len; /* nobody wants it */
	take = MIN(take, len);
	if (take > 0)
		add_body(p, data, take);
	p->body_waits = take < len;
	if (p->fd != -1)
		send_out(p);
	return take;
}

static void
on_body_end(struct req *r)
{
	struct proxy *p = r->ctx;

	p->body_over = true;
	if (p->answered)
		return;
	if (p->chunked && !p->deaf)
		(void)buf_adds(&p->out, "0\r\n\r\n");
	if (p->answer)
		proxy_answer(p);
	else if (p->fd != -1)
		send_out(p);
}

/* --- the answer ----------------------------------------------------------- */

/* What of the body there is without reading: like fill. */
static ssize_t
body_state(struct proxy *p)
{
	if (p->body.state == PB_DONE)
		return -1;
	return p->body.state == PB_BROKEN ? -2 : 0;
}

/* Once at its end: -1 or -2. */
static ssize_t
body_eof(struct proxy *p)
{
	return proxy_body_eof(&p->body) ? -1 : -2;
}

/* Out of what was read before. */
static ssize_t
take_in(struct proxy *p, char *dst, size_t max)
{
	size_t used, made;

	made =
	    proxy_body_decode(&p->body, p->in.data, p->in.len, &used, dst, max);
	buf_consume(&p->in, used);
	return made > 0 ? (ssize_t)made : body_state(p);
}

static ssize_t
fill(void *ctx, char *dst, size_t max)
{
	struct proxy *p = ctx;
	bool chunked = p->body.framing == PROXY_CHUNKED;
	ssize_t n, made;
	size_t used;
	char *room;
	int i;

	if (p->in.len > 0 && (made = take_in(p, dst, max)) != 0)
		return made;
	/* Where there are no chunks: straight to where it goes. */
	for (i = 0; i < 4 && p->body.state != PB_DONE && p->fd != -1; i++) {
		room = chunked ? buf_reserve(&p->in, IN_BYTES) : dst;
		if (room == NULL)
			return -2;
		n = recv(p->fd, room, chunked ? IN_BYTES : max, MSG_DONTWAIT);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == 0)
			return body_eof(p);
		if (n == -1)
			return -2; /* cut short: never a good end */
		if (chunked) {
			p->in.len += (size_t)n;
			made = take_in(p, dst, max);
		} else {
			made = (ssize_t)proxy_body_decode(
			    &p->body, dst, (size_t)n, &used, dst, max);
		}
		if (made != 0)
			return made;
	}
	if (body_state(p) != 0 || p->fd == -1)
		return p->body.state == PB_DONE ? -1 : -2;
	buf_trim(&p->in, 0); /* it may rest for long */
	ev_io_start(p->gw->loop, &p->rd);
	return 0;
}

static void
fill_done(void *ctx)
{
	struct proxy *p = ctx;

	p->streaming = false;
	server_close(p);
	proxy_free_if_over(p);
}

static const struct req_stream stream_ops = { .fill = fill, .done = fill_done };

static void
on_tunnel_over(void *ctx)
{
	struct proxy *p = ctx;

	req_upgrade_close(STEAL(p->up));
	proxy_free_if_over(p);
}

/* The client's side is a bare connection now; on_gone() will not come. */
static void
on_upgraded(
    void *ctx, int fd, const char *extra, size_t len, struct req_upgrade *up)
{
	struct proxy *p = ctx;

	p->up = up;
	p->gone = true;
	ev_io_stop(p->gw->loop, &p->rd);
	ev_io_stop(p->gw->loop, &p->wr);
	/* A server may change the protocol before it has read it all. */
	(void)buf_add(&p->out, extra, len);
	tunnel_start(p->gw, fd, p->fd, p->in.data, p->in.len, p->out.data,
	    p->out.len, on_tunnel_over, p);
	buf_free(&p->in);
	buf_free(&p->out);
}

static void
add_headers(struct proxy *p)
{
	size_t i;

	for (i = 0; i < p->head.nheaders; i++) {
		const struct proxy_header *h = &p->head.headers[i];

		/* Two answers to one question count as none. */
		if (strcasecmp(h->name, "Access-Control-Allow-Origin") == 0)
			p->r->own_cors = true;
		req_add_header(p->r, h->name, h->value);
	}
}

/* The head is here, and the request's body is over. */
static void
proxy_answer(struct proxy *p)
{
	struct proxy_head *h = &p->head;
	char *text = STEAL(p->in.data); /* what HEAD points into */
	size_t len = p->in.len, used = p->scanned;

	/* The head is at the front of what came; the rest is body. */
	memset(&p->in, 0, sizeof(p->in));
	buf_init(&p->in, PROXY_HEAD_MAX + IN_BYTES);
	(void)buf_add(&p->in, text + used, len - used);
	add_headers(p);
	p->answered = true;
	if (h->status == 101) {
		req_add_header(p->r, "Upgrade", h->upgrade);
		req_upgrade(p->r, on_upgraded, p);
	} else if (h->framing == PROXY_NO_BODY &&
		   (!p->head_request || h->status == 204 || h->status == 304)) {
		server_close(p);
		req_reply_empty(p->r, h->status);
	} else {
		proxy_body_begin(&p->body, h);
		p->streaming = true;
		req_reply_stream(
		    p->r, h->status, NULL, h->length, &stream_ops, p);
	}
	free(text);
}

/* All of a head of LEN bytes is at the front of what came. False: it was an
 * interim one, or it failed. */
static bool
take_head(struct proxy *p, size_t len)
{
	struct err e;

	if (proxy_head_parse(p->in.data, len, p->head_request, &p->head, &e) ==
	    -1) {
		proxy_fail(p, PROBLEM_STREAM_ERROR, e.text);
		return false;
	}
	if (p->head.status == 101) {
		if (p->want_upgrade && p->head.upgrade != NULL)
			return true;
		proxy_fail(p, PROBLEM_STREAM_ERROR,
		    "it changes to a protocol that nobody asked for");
		return false;
	}
	if (p->head.status >= 200)
		return true;
	buf_consume(&p->in, len);
	p->scanned = 0;
	if (++p->interims > INTERIM_MAX)
		proxy_fail(p, PROBLEM_STREAM_ERROR, "too many interim answers");
	return false;
}

static void
look_for_head(struct proxy *p)
{
	size_t len;

	while (p->fd != -1 &&
	       (len = proxy_head_end(p->in.data, p->in.len, &p->scanned)) > 0) {
		if (len > PROXY_HEAD_MAX)
			break;
		if (!take_head(p, len))
			continue;
		p->answer = true;
		p->scanned = len;
		ev_io_stop(p->gw->loop, &p->rd);
		watch_silence(p);
		if (p->body_over)
			proxy_answer(p);
		return;
	}
	if (p->fd != -1 && p->in.len >= PROXY_HEAD_MAX)
		proxy_fail(p, PROBLEM_STREAM_ERROR,
		    "the headers of its answer are too long");
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct proxy *p = w->data;
	char *room;
	ssize_t n;

	(void)revents;
	if (p->answer) {
		ev_io_stop(loop, w);
		req_wake(p->r);
		return;
	}
	room = buf_reserve(&p->in, PROXY_HEAD_MAX);
	if (room == NULL) {
		proxy_fail(p, PROBLEM_UNAVAILABLE, "no memory");
		return;
	}
	n = recv(p->fd, room, PROXY_HEAD_MAX, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		proxy_fail(p, PROBLEM_STREAM_ERROR,
		    "the server hung up without an answer");
		return;
	}
	p->in.len += (size_t)n;
	look_for_head(p);
}

/* --- the beginning -------------------------------------------------------- */

static void
on_dialled(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct proxy *p = ctx;

	p->call = 0;
	if (ok != NULL && nfds == 1) {
		p->fd = fd_steal(&fds[0]);
		ev_io_init(&p->rd, on_readable, p->fd, EV_READ);
		ev_io_init(&p->wr, on_writable, p->fd, EV_WRITE);
		p->rd.data = p->wr.data = p;
		ev_io_start(p->gw->loop, &p->rd);
		send_out(p);
		return;
	}
	if (p->answered)
		return;
	p->answered = true;
	if (e == NULL || e->code == ERR_SYSTEM || e->code == ERR_PORT_CLOSED)
		req_problem(p->r, PROBLEM_STREAM_ERROR, "%s",
		    e != NULL ? e->text : "there was no connection");
	else
		req_fail(p->r, e);
}

void
proxy_request(struct req *r, const char *sandbox, int64_t port,
    const char *rest, const struct proxy_options *opt)
{
	struct proxy *p;
	struct buf args;
	struct err e;

	touch_sandbox(r->gw, sandbox);
	p = xcalloc(1, sizeof(*p));
	buf_init(&p->out, PROXY_REQUEST_MAX + OUT_BYTES + CHUNK_LINE_MAX);
	buf_init(&p->in, 2 * PROXY_HEAD_MAX);
	if (proxy_write_request(&p->out, r, port, rest, opt, &p->want_upgrade,
		&p->chunked, &e) == -1) {
		req_problem(r, PROBLEM_INVALID_REQUEST, "%s", e.text);
		buf_free(&p->out);
		free(p);
		return;
	}
	p->r = r;
	p->gw = r->gw;
	p->port = port;
	p->fd = -1;
	p->head_request = r->head;
	p->body_over = !proxy_has_body(r);
	ev_init(&p->rd, on_readable);
	ev_init(&p->wr, on_writable);
	ev_timer_init(&p->timer, on_silence, 0., 0.);
	p->timer.data = p;
	req_hold(r);
	r->ctx = p;
	r->on_body = on_body;
	r->on_body_end = on_body_end;
	r->on_gone = on_gone;
	buf_init(&args, 64);
	(void)buf_addf(&args, "{\"port\":%d}", (int)port);
	p->call = link_call(p->gw, LINK_INIT, sandbox, MSG_PORT_DIAL, &args,
	    NULL, 0, DIAL_MS, on_dialled, p);
	buf_free(&args);
}
