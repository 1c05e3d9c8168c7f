/*
 * Answers that come in pieces, and connections that become something else.
 * Runs in sandboxd-gateway.
 *
 * A stream with nothing to say rests: MHD does not look at it until
 * req_wake(). While it has something MHD asks only when the client's socket
 * takes more, so that a slow client costs no memory.
 */
#include "gateway/http_tls.h"
#include "gateway/metrics.h"
#include "gateway/req_priv.h"
#include "lib/fdio.h"
#include "lib/xalloc.h"
#include <string.h>

/* What MHD keeps for a stream. A chunked answer is written straight into the
 * connection's own memory: thousands of silent ones must not cost a block
 * each, which the library would clear, and so touch, as a whole. */
#define STREAM_BLOCK 32768
#define STREAM_BLOCK_CHUNKED 512
#define SECOND_TURN_S 0.01

struct streamer {
	struct hreq *q;
	const struct req_stream *ops;
	void *ctx;
	struct http *http;
};

static ssize_t
stream_read(void *cls, uint64_t pos, char *dst, size_t max)
{
	struct streamer *s = cls;
	struct hreq *q = s->q;
	bool was_inside = q->inside;
	ssize_t n;

	(void)pos;
	if (q->conn == NULL || q->conn->kill)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	q->inside = true;
	q->woken = false;
	n = s->ops->fill(s->ctx, dst, max);
	q->inside = was_inside;
	if (n > 0) {
		if (q->conn->phase != CONN_SEND)
			conn_phase(q->conn, CONN_SEND);
		q->sent += (uint64_t)n;
		return n;
	}
	if (n == -1)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!q->woken) {
		conn_phase(q->conn, CONN_WAIT);
		q->suspended = true;
		MHD_suspend_connection(q->mc);
	}
	q->woken = false;
	return 0;
}

static void
stream_done(void *cls)
{
	struct streamer *s = cls;

	metrics_streams(s->q->r.gw, -1);
	s->q->chunked = NULL;
	if (s->ops->done != NULL)
		s->ops->done(s->ctx);
	req_release(&s->q->r);
	free(s);
}

void
req_reply_stream(struct req *r, unsigned status, const char *content_type,
    int64_t len, const struct req_stream *ops, void *ctx)
{
	struct hreq *q = hreq_of(r);
	struct MHD_Response *resp;
	struct streamer *s;

	if (q->mc == NULL || q->answered) {
		if (ops->done != NULL)
			ops->done(ctx);
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->q = q;
	s->ops = ops;
	s->ctx = ctx;
	metrics_streams(r->gw, 1);
	req_hold(r);
	resp = q->chunked = MHD_create_response_from_callback(
	    len < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)len,
	    len < 0 && !q->old ? STREAM_BLOCK_CHUNKED : STREAM_BLOCK,
	    stream_read, s, stream_done);
	if (resp == NULL)
		stream_done(s);
	req_answer(q, status, content_type, resp);
}

bool
req_trailer(struct req *r, const char *name, const char *value)
{
	struct hreq *q = hreq_of(r);
	const char *te = req_header(r, "TE");

	/* RFC 9110, 6.5.1: to those who say that they look at it. */
	return q->chunked != NULL && !q->old && te != NULL &&
	       strcasestr(te, "trailers") != NULL &&
	       MHD_add_response_footer(q->chunked, name, value) == MHD_YES;
}

/*
 * Upgrades
 */

struct req_upgrade {
	struct MHD_UpgradeResponseHandle *urh;
	struct mhd *mhd;
	struct tls_carrier *tls; /* NULL without TLS */
	int fd;			 /* with it: what the callee got */
};

static void
upgrade_over(void *ctx)
{
	struct req_upgrade *up = ctx;
	struct mhd *m = up->mhd;

	(void)MHD_upgrade_action(up->urh, MHD_UPGRADE_ACTION_CLOSE);
	free(up);
	/* It closes the connection when it runs next; over TLS it first sees
	 * the end of its pair, and asks for no second turn. */
	ev_feed_event(m->http->gw->loop, &m->io, EV_READ);
	if (m->secure && !ev_is_active(&m->timer)) {
		ev_timer_set(&m->timer, SECOND_TURN_S, 0.);
		ev_timer_start(m->http->gw->loop, &m->timer);
	}
}

static void
on_upgrade(void *cls, struct MHD_Connection *mc, void *con_cls,
    const char *extra, size_t len, MHD_socket fd,
    struct MHD_UpgradeResponseHandle *urh)
{
	struct hreq *q = con_cls;
	struct req_upgrade *up = xcalloc(1, sizeof(*up));

	(void)cls;
	up->urh = urh;
	up->mhd = q->conn->mhd;
	up->fd = -1;
	q->upgraded = true;
	conn_phase(q->conn, CONN_AWAY);
	hup_forget(q->conn);
	if (up->mhd->secure)
		up->tls = tls_carry(q->conn, mc, &up->fd, upgrade_over, up);
	if (up->tls != NULL)
		fd = up->fd;
	(void)fd_set_nonblock(fd, 1); /* as it was */
	q->upgrade(q->upgrade_ctx, fd, extra, len, up);
}

void
req_upgrade(struct req *r, req_upgraded *cb, void *ctx)
{
	struct hreq *q = hreq_of(r);

	q->upgrade = cb;
	q->upgrade_ctx = ctx;
	if (q->mc != NULL)
		req_answer(q, MHD_HTTP_SWITCHING_PROTOCOLS, NULL,
		    MHD_create_response_for_upgrade(on_upgrade, NULL));
}

void
req_upgrade_close(struct req_upgrade *up)
{
	if (up->tls == NULL) {
		upgrade_over(up);
		return;
	}
	fd_close(&up->fd);
	tls_close(up->tls);
}
