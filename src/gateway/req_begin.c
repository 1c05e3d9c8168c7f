/*
 * What MHD calls for a request: its line, its headers, its body in pieces, its
 * end, and again whenever it was woken. Runs in sandboxd-gateway, on bytes that
 * anybody sent.
 *
 * MHD takes an answer only at the call for the headers (then it closes the
 * connection, for the body was not read) or after the whole body. An answer
 * that is ready in the midst of a body waits for the end of it, as long as that
 * is near.
 */
#include "gateway/req_priv.h"

#include <string.h>

/* MHD would keep a record of each parameter, which may fill a connection's
 * memory before it can answer; so behind the path it finds nothing. URI lies in
 * what it has read, and is changed by it next. */
void *
req_uri(void *cls, const char *uri, struct MHD_Connection *mc)
{
	struct hreq *q = hreq_new(cls, mc, uri);
	char *query = strchr(uri, '?');

	if (query != NULL && query[1] != '\0')
		query[1] = '\0';
	return q;
}

/* Rest until hreq_wake(). */
static enum MHD_Result
rest(struct hreq *q)
{
	if (q->woken) {
		q->woken = false;
		return MHD_YES;
	}
	q->suspended = true;
	MHD_suspend_connection(q->mc);
	return MHD_YES;
}

static bool
body_comes(const struct hreq *q)
{
	return q->r.content_length > 0 || q->transfer != NULL;
}

/* A body is not to be read: refuse it, so that the client need not send it. */
static enum MHD_Result
refuse_body(struct hreq *q)
{
	q->refuse = true;
	conn_phase(q->conn, CONN_BODY);
	/* What is short is read, and the connection goes on. */
	if (q->expect == NULL && q->r.content_length >= 0 &&
	    q->r.content_length <= DRAIN_MAX)
		return MHD_YES;
	q->conn->linger = true;
	return req_queue(q);
}

/* Before the body, and before a client that waits for it is told to go on. The
 * door looks whether it wants one: MHD asks again when it was woken. */
static enum MHD_Result
on_head_held(struct hreq *q)
{
	if (q->answered) {
		q->head_held = false;
		return refuse_body(q);
	}
	if (q->body_held) {
		conn_phase(q->conn, CONN_WAIT);
		return rest(q);
	}
	q->head_held = false;
	conn_phase(q->conn, CONN_BODY);
	return MHD_YES;
}

static enum MHD_Result
on_head(
    struct hreq *q, const char *url, const char *method, const char *version)
{
	q->begun = true;
	if (req_check_head(q, url, method, version)) {
		if (body_comes(q))
			conn_phase(q->conn, CONN_BODY);
		/* A streaming door sets itself up before the first byte. */
		if (q->r.route->body == BODY_STREAM && body_comes(q)) {
			q->called = true;
			q->r.route->door(&q->r);
		}
	}
	if (!q->answered && q->called && q->r.body_later) {
		q->head_held = q->body_held = true;
		return on_head_held(q);
	}
	if (!q->answered)
		return MHD_YES;
	if (!body_comes(q))
		return MHD_YES; /* the next call takes it */
	return refuse_body(q);
}

static enum MHD_Result
on_stream_data(struct hreq *q, const char *data, size_t *size)
{
	size_t took;

	if (q->r.on_body == NULL)
		took = *size;
	else if (q->body_held)
		took = 0;
	else
		took = q->r.on_body(&q->r, data, *size);
	if (took > 0)
		conn_progress(q->conn, took);
	*size -= MIN(took, *size);
	if (*size == 0 || q->answered)
		return MHD_YES;
	q->body_held = !q->woken;
	conn_phase(q->conn, CONN_WAIT);
	return rest(q);
}

static enum MHD_Result
on_data(struct hreq *q, const char *data, size_t *size)
{
	struct http *h = q->r.gw->http;
	size_t n = *size;

	if (q->answered || q->refuse) {
		*size = 0;
		conn_progress(q->conn, n);
		q->body_seen += n;
		if (q->body_seen > DRAIN_MAX + q->limit) {
			q->conn->linger = true;
			req_raw_answer(q);
			return MHD_NO;
		}
		return MHD_YES;
	}
	if (q->limit > 0 && q->body_seen + n > q->limit) {
		req_problem(&q->r, PROBLEM_TOO_LARGE,
		    "the body is longer than %llu bytes",
		    (unsigned long long)q->limit);
		return on_data(q, data, size);
	}
	if (q->r.route->body == BODY_STREAM)
		return on_stream_data(q, data, size);
	q->body_seen += n;
	*size = 0;
	conn_progress(q->conn, n);
	if (q->r.route->body == BODY_NONE)
		return MHD_YES;
	if (h->buffered + n > BODIES_MAX || buf_add(&q->body, data, n) == -1) {
		req_problem(
		    &q->r, PROBLEM_UNAVAILABLE, "too many bodies at one time");
		return MHD_YES;
	}
	q->buffered += n;
	h->buffered += n;
	return MHD_YES;
}

static void
on_body_end(struct hreq *q)
{
	q->body_done = true;
	conn_phase(q->conn, CONN_WAIT);
	if (q->answered)
		return;
	if (q->r.route->body == BODY_STREAM && q->called) {
		if (q->r.on_body_end != NULL)
			q->r.on_body_end(&q->r);
		return;
	}
	if ((q->r.route->body == BODY_JSON ||
		q->r.route->body == BODY_JSON_OPT) &&
	    !req_check_json(q))
		return;
	if (q->r.route->body == BODY_WHOLE) {
		q->r.body = q->body.len > 0 ? q->body.data : "";
		q->r.body_len = q->body.len;
	}
	q->called = true;
	q->r.route->door(&q->r);
	if (q->r.route->body == BODY_STREAM && !q->answered &&
	    q->r.on_body_end != NULL)
		q->r.on_body_end(&q->r);
}

enum MHD_Result
req_access(void *cls, struct MHD_Connection *mc, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **con_cls)
{
	struct hreq *q = *con_cls;
	enum MHD_Result rc;

	(void)cls;
	(void)mc;
	if (q == NULL || q->conn->kill)
		return MHD_NO;
	q->inside = true;
	if (q->begun && !q->answered)
		(void)req_check_lines(q); /* answers, if they are bad */
	if (!q->begun)
		rc = on_head(q, url, method, version);
	else if (q->head_held)
		rc = on_head_held(q);
	else if (*size > 0)
		rc = on_data(q, data, size);
	else {
		if (!q->body_done)
			on_body_end(q);
		rc = q->answered ? req_queue(q) : rest(q);
	}
	q->inside = false;
	q->woken = false;
	return rc;
}
