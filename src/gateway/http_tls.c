/*
 * TLS: the bytes of sessions that were upgraded, and what http_scan.c has to
 * see of the others. Runs in sandboxd-gateway; looks at no byte of the first.
 *
 * MHD reads a session by gnutls_record_recv(), which this one replaces while
 * the program is linked. Of a session that we carry it is told that nothing
 * came, and it is given nothing to send, so that it rests until the connection
 * is closed through it. What we read and write ourselves goes by other calls of
 * the same library.
 *
 * As in tunnel.c one side is read only while the other takes what came before,
 * and a carrier that is idle holds no buffer.
 */
#include "gateway/http_tls.h"
#include "lib/fdio.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/socket.h>

#define PIECE_BYTES 16384 /* the longest record */
#define PIECES_MAX 16	  /* then others have their turn */
/* For what was said last to be taken, once nobody adds to it. */
#define CLOSE_S 5.

struct tls_carrier {
	struct ev_loop *loop;
	gnutls_session_t session;
	int fd; /* owned: our side of the pair */
	ev_io net_rd, net_wr, fd_rd, fd_wr;
	ev_timer timer; /* after tls_close() */
	char *in;	/* owned: from the client, FD does not take it yet */
	size_t in_at, in_len;
	char *out; /* owned: for the client */
	size_t out_at, out_len;
	bool out_half; /* the session keeps a record that is to be sent on */
	bool in_over;  /* the client has ended */
	bool out_over; /* our side has ended, and the client is told */
	bool out_ends; /* our side has ended */
	bool closed;   /* tls_close() was called */
	void (*done)(void *ctx);
	void *ctx;
};

ssize_t
gnutls_record_recv(gnutls_session_t session, void *p, size_t n)
{
	struct conn *c = recv_conn(gnutls_transport_get_int(session));
	unsigned char seq[8];
	ssize_t got;

	if (c != NULL && c->carried)
		return GNUTLS_E_AGAIN;
	got = gnutls_record_recv_seq(session, p, n, seq);
	if (got > 0 && c != NULL)
		scan_bytes(&c->scan, p, (size_t)got);
	return got;
}

static void
carrier_free(struct tls_carrier *t)
{
	ev_io_stop(t->loop, &t->net_rd);
	ev_io_stop(t->loop, &t->net_wr);
	ev_io_stop(t->loop, &t->fd_rd);
	ev_io_stop(t->loop, &t->fd_wr);
	ev_timer_stop(t->loop, &t->timer);
	fd_close(&t->fd);
	free(t->in);
	free(t->out);
	t->done(t->ctx);
	free(t);
}

/* Nothing more goes either way. The other side of FD sees that, but it is not
 * ours: all is over when it was closed, too. */
static void
carrier_break(struct tls_carrier *t)
{
	t->in_over = t->out_over = true;
	free(STEAL(t->in));
	free(STEAL(t->out));
	t->out_half = false;
	(void)shutdown(t->fd, SHUT_RDWR);
}

/* Which events are of use now; T may be gone after this. */
static void
carrier_watch(struct tls_carrier *t)
{
	bool writes =
	    t->out != NULL || t->out_half || (t->out_ends && !t->out_over);

	if (t->closed && t->out_over) {
		carrier_free(t);
		return;
	}
	if (!t->in_over && t->in == NULL)
		ev_io_start(t->loop, &t->net_rd);
	else
		ev_io_stop(t->loop, &t->net_rd);
	if (t->in != NULL)
		ev_io_start(t->loop, &t->fd_wr);
	else
		ev_io_stop(t->loop, &t->fd_wr);
	if (writes)
		ev_io_start(t->loop, &t->net_wr);
	else
		ev_io_stop(t->loop, &t->net_wr);
	if (!writes && !t->out_ends && !t->out_over)
		ev_io_start(t->loop, &t->fd_rd);
	else
		ev_io_stop(t->loop, &t->fd_rd);
	/* Of what the session has read the socket knows nothing. */
	if (ev_is_active(&t->net_rd) &&
	    gnutls_record_check_pending(t->session) > 0)
		ev_feed_event(t->loop, &t->net_rd, EV_READ);
}

/*
 * From the client
 */

/* What FD does not take of P is kept. False: nobody reads it any more. */
static bool
in_give(struct tls_carrier *t, const char *p, size_t n)
{
	ssize_t put = send(t->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (put == -1 && errno != EAGAIN && errno != EINTR)
		return false;
	put = MAX(put, 0);
	if ((size_t)put == n)
		return true;
	t->in = xmalloc(n - (size_t)put);
	memcpy(t->in, p + put, n - (size_t)put);
	t->in_at = 0;
	t->in_len = n - (size_t)put;
	return true;
}

/* The rest is thrown away: it is for nobody. */
static void
in_end(struct tls_carrier *t)
{
	t->in_over = true;
	free(STEAL(t->in));
	(void)shutdown(t->fd, SHUT_WR); /* the other side may be closed */
}

/* Many end without a word of TLS, and still want an answer: the session, if it
 * saw that, would send no more. */
static bool
said_its_last(struct tls_carrier *t)
{
	char byte;

	return gnutls_record_check_pending(t->session) == 0 &&
	       recv(t->net_rd.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void
on_net_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	static char piece[PIECE_BYTES];
	struct tls_carrier *t = io->data;
	unsigned char seq[8];
	ssize_t n;
	int i;

	(void)loop;
	(void)revents;
	for (i = 0; i < PIECES_MAX && t->in == NULL && !t->in_over; i++) {
		if (said_its_last(t)) {
			in_end(t);
			break;
		}
		n = gnutls_record_recv_seq(
		    t->session, piece, sizeof(piece), seq);
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			break;
		if (n < 0 && gnutls_error_is_fatal((int)n) == 0)
			continue; /* it wants a handshake: no */
		if (n < 0) {
			carrier_break(t);
			break;
		}
		if (n == 0 || !in_give(t, piece, (size_t)n))
			in_end(t);
	}
	carrier_watch(t);
}

static void
on_fd_writable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct tls_carrier *t = io->data;
	ssize_t n = send(t->fd, t->in + t->in_at, t->in_len - t->in_at,
	    MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)loop;
	(void)revents;
	if (n > 0)
		t->in_at += (size_t)n;
	else if (n == -1 && errno != EAGAIN && errno != EINTR)
		in_end(t);
	if (t->in != NULL && t->in_at == t->in_len)
		free(STEAL(t->in));
	carrier_watch(t);
}

/*
 * To the client
 */

/* Of P as much as the session takes: how many bytes, -1: the client has left.
 * A record that has not gone out whole is kept by the session. */
static ssize_t
out_send(struct tls_carrier *t, const char *p, size_t n)
{
	ssize_t put;

	if (t->out_half)
		put = gnutls_record_send(t->session, NULL, 0);
	else
		put = gnutls_record_send(t->session, p, n);
	t->out_half = put == GNUTLS_E_AGAIN || put == GNUTLS_E_INTERRUPTED;
	return t->out_half ? 0 : put < 0 ? -1 : put;
}

static void
out_end(struct tls_carrier *t)
{
	int rc = gnutls_bye(t->session, GNUTLS_SHUT_WR);

	if (rc != GNUTLS_E_AGAIN && rc != GNUTLS_E_INTERRUPTED)
		t->out_over = true; /* who has left need not be told */
}

static void
out_give(struct tls_carrier *t, const char *p, size_t n)
{
	ssize_t put = 0;
	size_t at = 0;

	while (at < n && !t->out_half && put >= 0) {
		put = out_send(t, p + at, n - at);
		at += (size_t)MAX(put, 0);
	}
	if (put < 0) {
		carrier_break(t);
		return;
	}
	if (at == n)
		return;
	t->out = xmalloc(n - at);
	memcpy(t->out, p + at, n - at);
	t->out_at = 0;
	t->out_len = n - at;
}

static void
on_fd_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	static char piece[PIECE_BYTES];
	struct tls_carrier *t = io->data;
	ssize_t n;
	int i;

	(void)loop;
	(void)revents;
	for (i = 0; i < PIECES_MAX && t->out == NULL && !t->out_over; i++) {
		n = recv(t->fd, piece, sizeof(piece), MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			t->out_ends = true;
			out_end(t);
			break;
		}
		out_give(t, piece, (size_t)n);
	}
	carrier_watch(t);
}

static void
on_net_writable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct tls_carrier *t = io->data;
	ssize_t n;

	(void)loop;
	(void)revents;
	while (t->out != NULL) {
		n = out_send(t, t->out + t->out_at, t->out_len - t->out_at);
		if (n == -1) {
			carrier_break(t);
			break;
		}
		t->out_at += (size_t)n;
		if (t->out_at == t->out_len)
			free(STEAL(t->out));
		if (t->out_half)
			break;
	}
	if (t->out == NULL && t->out_ends && !t->out_over)
		out_end(t);
	carrier_watch(t);
}

/*
 * Life
 */

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	carrier_free(timer->data);
}

struct tls_carrier *
tls_carry(struct conn *c, struct MHD_Connection *mc, int *fd_out,
    void (*done)(void *ctx), void *ctx)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(mc, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	struct tls_carrier *t;
	struct err e;
	int fd;

	if (info == NULL || fd_socketpair(&fd, fd_out, &e) == -1)
		return NULL;
	t = xcalloc(1, sizeof(*t));
	t->loop = c->http->gw->loop;
	t->session = info->tls_session;
	t->fd = fd;
	t->done = done;
	t->ctx = ctx;
	c->carried = true;
	ev_io_init(&t->net_rd, on_net_readable, c->fd, EV_READ);
	ev_io_init(&t->net_wr, on_net_writable, c->fd, EV_WRITE);
	ev_io_init(&t->fd_rd, on_fd_readable, fd, EV_READ);
	ev_io_init(&t->fd_wr, on_fd_writable, fd, EV_WRITE);
	ev_timer_init(&t->timer, on_timer, CLOSE_S, 0.);
	t->net_rd.data = t->net_wr.data = t->fd_rd.data = t->fd_wr.data = t;
	t->timer.data = t;
	carrier_watch(t);
	return t;
}

void
tls_close(struct tls_carrier *t)
{
	t->closed = true;
	ev_timer_start(t->loop, &t->timer);
	carrier_watch(t);
}
