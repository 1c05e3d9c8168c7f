/*
 * Carrying bytes between two sockets; see tunnel.h. Runs in the gateway; looks
 * at no byte. One side is read only while the other takes what came before, so
 * that neither can make us hold more than one buffer; an idle tunnel holds
 * none.
 */
#include "gateway/tunnel.h"

#include "lib/fdio.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define PIECE_BYTES 65536
#define PIECES_MAX 4 /* then others have their turn */

struct half { /* one direction */
	struct tunnel *t;
	int from, to;
	ev_io rd;    /* of FROM, while there is nothing to be written */
	ev_io wr;    /* of TO, while there is */
	char *waits; /* owned; NULL: nothing */
	size_t at, len;
	bool over; /* FROM has ended, and TO was told */
};

struct tunnel {
	struct ev_loop *loop;
	struct half ab, ba;
	ev_timer idle;
	double last, limit_s; /* 0: no limit */
	tunnel_done *done;
	void *ctx;
};

static void
half_close(struct half *h)
{
	ev_io_stop(h->t->loop, &h->rd);
	ev_io_stop(h->t->loop, &h->wr);
	free(STEAL(h->waits));
}

static void
tunnel_end(struct tunnel *t)
{
	half_close(&t->ab);
	half_close(&t->ba);
	ev_timer_stop(t->loop, &t->idle);
	t->done(t->ctx);
	free(t);
}

static void
on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct tunnel *t = w->data;
	double left = t->last + t->limit_s - ev_now(loop);

	(void)revents;
	if (left <= 0) {
		tunnel_end(t);
		return;
	}
	ev_timer_set(w, left, 0.);
	ev_timer_start(loop, w);
}

/* As much of P as TO takes now; the rest is kept. -1: TO takes no more. */
static int
give(struct half *h, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(h->to, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno != EAGAIN)
			return -1;
		if (n == -1)
			break;
		p += n;
		len -= (size_t)n;
	}
	if (len == 0)
		return 0;
	h->waits = xmalloc(len);
	memcpy(h->waits, p, len);
	h->at = 0;
	h->len = len;
	ev_io_stop(h->t->loop, &h->rd);
	ev_io_start(h->t->loop, &h->wr);
	return 0;
}

/* FROM has ended and all of it was written. */
static void
finish(struct half *h)
{
	struct tunnel *t = h->t;

	h->over = true;
	ev_io_stop(t->loop, &h->rd);
	if (t->ab.over && t->ba.over)
		tunnel_end(t);
	else
		(void)shutdown(h->to, SHUT_WR); /* it may have gone */
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	static char piece[PIECE_BYTES];
	struct half *h = w->data;
	struct tunnel *t = h->t;
	ssize_t n;
	int i;

	(void)revents;
	t->last = ev_now(loop);
	for (i = 0; i < PIECES_MAX && h->waits == NULL; i++) {
		n = recv(h->from, piece, sizeof(piece), MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n == 0) {
			finish(h);
			return;
		}
		if (n == -1 || give(h, piece, (size_t)n) == -1) {
			tunnel_end(t);
			return;
		}
		if ((size_t)n < sizeof(piece))
			return;
	}
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct half *h = w->data;
	struct tunnel *t = h->t;
	ssize_t n;

	(void)revents;
	t->last = ev_now(loop);
	n = send(h->to, h->waits + h->at, h->len - h->at,
	    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1) {
		tunnel_end(t);
		return;
	}
	h->at += (size_t)n;
	if (h->at < h->len)
		return;
	free(STEAL(h->waits));
	ev_io_stop(loop, &h->wr);
	ev_io_start(loop, &h->rd);
}

static void
half_open(struct tunnel *t, struct half *h, int from, int to)
{
	h->t = t;
	h->from = from;
	h->to = to;
	ev_io_init(&h->rd, on_readable, from, EV_READ);
	ev_io_init(&h->wr, on_writable, to, EV_WRITE);
	h->rd.data = h->wr.data = h;
}

/* What was read before there was a tunnel: written by the loop, so that DONE
 * cannot come early. */
static void
half_start(struct half *h, const char *first, size_t len)
{
	if (len == 0) {
		ev_io_start(h->t->loop, &h->rd);
		return;
	}
	h->waits = xmalloc(len);
	memcpy(h->waits, first, len);
	h->len = len;
	ev_io_start(h->t->loop, &h->wr);
}

void
tunnel_start(struct gateway *gw, int a_fd, int b_fd, const char *to_a,
    size_t to_a_len, const char *to_b, size_t to_b_len, tunnel_done *done,
    void *ctx)
{
	struct tunnel *t = xcalloc(1, sizeof(*t));
	const int one = 1;

	t->loop = gw->loop;
	t->done = done;
	t->ctx = ctx;
	t->last = ev_now(t->loop);
	t->limit_s = (double)gw->limits.tunnel_ms / 1000.;
	/* Fails on sockets that are not TCP, where it is not needed. */
	(void)setsockopt(a_fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)fd_set_nonblock(a_fd, 1); /* every call says so as well */
	(void)fd_set_nonblock(b_fd, 1);
	half_open(t, &t->ab, a_fd, b_fd);
	half_open(t, &t->ba, b_fd, a_fd);
	half_start(&t->ab, to_b, to_b_len);
	half_start(&t->ba, to_a, to_a_len);
	ev_timer_init(&t->idle, on_idle, t->limit_s, 0.);
	t->idle.data = t;
	if (t->limit_s > 0)
		ev_timer_start(t->loop, &t->idle);
}
