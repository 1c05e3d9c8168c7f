/*
 * Requests from their first line to when nobody needs them. Runs in
 * sandboxd-gateway. Requests are kept for the next ones: most need no memory
 * of their own.
 */
#include "gateway/accesslog.h"
#include "gateway/metrics.h"
#include "gateway/req_priv.h"
#include "lib/xalloc.h"

#include <string.h>
#include <strings.h>

#define BODY_KEPT 16384

/* A proxy's form names the host again; ours is the only one. */
static const char *
authority_skip(const char *target)
{
	const char *p = strstr(target, "://");

	if (p == NULL || (strncasecmp(target, "http://", 7) != 0 &&
			     strncasecmp(target, "https://", 8) != 0))
		return target;
	p += 3;
	return p + strcspn(p, "/?");
}

static void
target_set(struct hreq *q, const char *target)
{
	size_t len;
	char *query;

	q->target_len = strlen(target);
	if (target[0] != '/')
		target = authority_skip(target);
	len = strlen(target);

	if (len + 1 > q->target_room) {
		if (q->target != q->fixed)
			free(q->target);
		/* MHD bounds it by its memory for a connection. */
		q->target = xmalloc(2 * (len + 1));
		q->target_room = len + 1;
	}
	q->arena = q->target + q->target_room;
	memcpy(q->target, target, len + 1);
	query = strchr(q->target, '?');
	if (query != NULL)
		*query++ = '\0';
	else
		query = q->target + len;
	q->r.path = q->target;
	q->r.query = query;
}

struct hreq *
hreq_new(struct http *h, struct MHD_Connection *mc, const char *target)
{
	struct hreq *q = h->spare;

	if (q != NULL) {
		h->spare = q->next_spare;
		h->nspare--;
	} else {
		q = xcalloc(1, sizeof(*q));
		q->target = q->fixed;
		q->target_room = TARGET_ROOM;
		buf_init(&q->body, JSON_BODY_MAX);
		buf_init(&q->extra, 65536);
		buf_init(&q->query_text, 1 << 20);
	}
	q->r.gw = h->gw;
	q->r.sandbox = "default";
	q->r.caller = q->caller;
	q->r.content_length = -1;
	q->mc = mc;
	q->conn = conn_of(mc);
	q->conn->req = q;
	q->conn->first = false;
	q->nth = ++q->conn->nreqs;
	q->r.secure = q->conn->mhd->secure;
	q->began = ev_now(h->gw->loop);
	target_set(q, target);
	conn_phase(q->conn, CONN_HEAD);
	return q;
}

/* Everything as hreq_new found it, memory apart. */
static void
hreq_reset(struct hreq *q)
{
	struct buf body = q->body, extra = q->extra, text = q->query_text;

	q->r.gw->http->buffered -= q->buffered;
	json_free(q->root);
	free(q->caller_sandbox);
	buf_free(&q->late);
	if (q->target != q->fixed)
		free(q->target);
	buf_clear(&body);
	buf_clear(&extra);
	buf_clear(&text);
	buf_trim(&body, BODY_KEPT);
	buf_trim(&extra, 1024);
	buf_trim(&text, 1024);
	memset(q, 0, offsetof(struct hreq, fixed));
	q->body = body;
	q->extra = extra;
	q->query_text = text;
	q->target = q->fixed;
	q->target_room = TARGET_ROOM;
}

static void
hreq_free(struct hreq *q)
{
	buf_free(&q->body);
	buf_free(&q->extra);
	buf_free(&q->query_text);
	free(q);
}

/* It is used again, unless somebody holds it. */
static void
hreq_drop(struct hreq *q)
{
	struct http *h = q->r.gw->http;

	if (q->holds > 0 || !q->over)
		return;
	hreq_reset(q);
	if (h->nspare == HREQ_SPARE_MAX) {
		hreq_free(q);
		return;
	}
	q->next_spare = h->spare;
	h->spare = q;
	h->nspare++;
}

void
req_hold(struct req *r)
{
	hreq_of(r)->holds++;
}

void
req_release(struct req *r)
{
	struct hreq *q = hreq_of(r);

	q->holds--;
	hreq_drop(q);
}

/* Let MHD go on with it. */
void
hreq_wake(struct hreq *q)
{
	if (q->mc == NULL)
		return;
	if (q->inside) {
		q->woken = true;
		return;
	}
	if (!q->suspended)
		return;
	q->suspended = false;
	MHD_resume_connection(q->mc);
	/* It is looked at when MHD runs next: soon. */
	ev_feed_event(q->r.gw->loop, &q->conn->mhd->io, EV_READ);
}

void
req_wake(struct req *r)
{
	hreq_wake(hreq_of(r));
}

void
req_body_resume(struct req *r)
{
	struct hreq *q = hreq_of(r);

	q->body_held = false;
	if (q->conn != NULL && q->conn->phase == CONN_WAIT)
		conn_phase(q->conn, CONN_BODY); /* it is the client's turn */
	hreq_wake(q);
}

void
req_body_drop(struct req *r)
{
	struct hreq *q = hreq_of(r);

	r->body = NULL;
	r->body_len = 0;
	r->gw->http->buffered -= q->buffered;
	q->buffered = 0;
	buf_clear(&q->body);
	buf_trim(&q->body, BODY_KEPT);
}

static void
count(struct hreq *q)
{
	double took = ev_time() - q->began;

	if (q->status == 0)
		return; /* it left before */
	metrics_request(q->r.gw, q->r.route != NULL ? q->r.route->id : ROUTE_N,
	    q->status, took, q->body_seen, q->sent);
	accesslog_write(q, took);
}

void
req_completed(void *cls, struct MHD_Connection *mc, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
	struct hreq *q = *con_cls;

	(void)cls;
	(void)mc;
	*con_cls = NULL;
	if (q == NULL)
		return;
	q->conn->req = NULL;
	conn_phase(q->conn, CONN_IDLE);
	if (q->conn->half_since != 0)
		conn_kill(q->conn); /* nothing more will come */
	q->r.gone = why != MHD_REQUEST_TERMINATED_COMPLETED_OK;
	count(q);
	if (q->resp != NULL && !q->queued && !q->shared)
		MHD_destroy_response(q->resp); /* ends a stream, too */
	q->resp = NULL;
	q->mc = NULL;
	q->conn = NULL;
	q->over = true;
	q->holds++;
	if (q->called && !q->upgraded && q->r.on_gone != NULL)
		q->r.on_gone(&q->r);
	req_release(&q->r);
}
