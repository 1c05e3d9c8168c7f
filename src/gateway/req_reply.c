/*
 * Answers. Runs in sandboxd-gateway.
 *
 * An answer that is the same for everybody is made once and only counted up
 * for each request; health checks need nothing else.
 */
#include "gateway/cors.h"
#include "gateway/req_priv.h"
#include "lib/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define SHARED_MAX 16
#define VARY                                      \
	"origin, access-control-request-method, " \
	"access-control-request-headers"

static struct shared {
	const char *text;
	unsigned status;
	struct MHD_Response *resp;
} shared[SHARED_MAX];

void
req_add_header(struct req *r, const char *name, const char *value)
{
	struct hreq *q = hreq_of(r);

	/* A line end would begin a header, or the body. */
	if (strpbrk(name, "\r\n") != NULL || strpbrk(value, "\r\n") != NULL) {
		log_warn("http", "a header of an answer holds a line end");
		return;
	}
	if (q->extra.len + strlen(name) + strlen(value) + 2 > q->extra.cap)
		return;
	(void)buf_add(&q->extra, name, strlen(name) + 1);
	(void)buf_add(&q->extra, value, strlen(value) + 1);
}

static void
headers_add(struct hreq *q, struct MHD_Response *resp)
{
	const char *p = q->extra.data, *end = p + q->extra.len, *value;

	for (; p != NULL && p < end; p = value + strlen(value) + 1) {
		value = p + strlen(p) + 1;
		(void)MHD_add_response_header(resp, p, value);
	}
}

/* The client's own name for the request comes back; OpenSandbox's clients
 * get one anyway. */
static void
request_id_add(struct hreq *q)
{
	char text[33];
	uint8_t b[16];
	size_t i;

	if (q->request_id != NULL && q->request_id[0] != '\0' &&
	    strlen(q->request_id) <= REQUEST_ID_MAX) {
		req_add_header(&q->r, "x-request-id", q->request_id);
		return;
	}
	if (!q->osb || getrandom(b, sizeof(b), 0) != sizeof(b))
		return;
	for (i = 0; i < sizeof(b); i++)
		(void)snprintf(text + 2 * i, 3, "%02x", b[i]);
	req_add_header(&q->r, "x-request-id", text);
}

/* The answer is there: queue it at once, or have MHD ask for it. */
static void
answer_set(struct hreq *q, unsigned status, struct MHD_Response *resp)
{
	q->answered = true;
	q->status = status;
	q->resp = resp;
	hreq_wake(q);
}

void
req_answer(struct hreq *q, unsigned status, const char *content_type,
    struct MHD_Response *resp)
{
	if (resp == NULL) {
		log_error("http", "no memory for an answer");
		if (q->conn != NULL)
			conn_kill(q->conn);
		return;
	}
	if (q->answered || q->mc == NULL) {
		if (q->answered && q->mc != NULL)
			log_error("http", "a request was answered twice");
		MHD_destroy_response(resp);
		return;
	}
	if (content_type != NULL)
		(void)MHD_add_response_header(
		    resp, "content-type", content_type);
	(void)MHD_add_response_header(resp, "vary", VARY);
	if (!q->r.own_cors)
		cors_answer(q);
	request_id_add(q);
	headers_add(q, resp);
	answer_set(q, status, resp);
}

enum MHD_Result
req_queue(struct hreq *q)
{
	enum MHD_Result rc;

	if (q->queued)
		return MHD_YES;
	conn_phase(q->conn, CONN_SEND);
	/* Of a connection that is closed without a word the client's next
	 * request may be under way. */
	if (q->conn->http->finishing &&
	    q->status != MHD_HTTP_SWITCHING_PROTOCOLS &&
	    MHD_get_response_header(q->resp, "connection") == NULL)
		(void)MHD_add_response_header(q->resp, "connection", "close");
	rc = MHD_queue_response(q->mc, q->status, q->resp);
	if (rc == MHD_NO)
		return MHD_NO;
	q->queued = true;
	if (!q->shared)
		MHD_destroy_response(q->resp); /* ours; MHD has its own */
	q->resp = NULL;
	return rc;
}

static struct MHD_Response *
shared_get(unsigned status, const char *content_type, const char *text)
{
	struct shared *s;

	for (s = shared; s < shared + SHARED_MAX; s++) {
		if (s->text == text && s->status == status)
			return s->resp;
		if (s->text == NULL)
			break;
	}
	if (s == shared + SHARED_MAX)
		return NULL;
	s->resp = MHD_create_response_from_buffer(
	    strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
	if (s->resp == NULL)
		return NULL;
	(void)MHD_add_response_header(s->resp, "content-type", content_type);
	(void)MHD_add_response_header(s->resp, "vary", VARY);
	s->text = text;
	s->status = status;
	return s->resp;
}

void
req_reply_text(
    struct req *r, unsigned status, const char *content_type, const char *text)
{
	struct hreq *q = hreq_of(r);
	struct MHD_Response *resp = NULL;

	if (q->mc != NULL && !q->answered && q->origin == NULL &&
	    q->request_id == NULL && !q->osb && q->extra.len == 0 &&
	    !cors_always(q->r.gw))
		resp = shared_get(status, content_type, text);
	q->sent = strlen(text);
	if (resp != NULL) {
		q->shared = true;
		answer_set(q, status, resp);
		return;
	}
	req_answer(q, status, content_type,
	    MHD_create_response_from_buffer(
		strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT));
}

void
req_reply(
    struct req *r, unsigned status, const char *content_type, struct buf *body)
{
	struct hreq *q = hreq_of(r);
	struct MHD_Response *resp;
	size_t len = body->len;
	char *text;

	if (body->failed || q->mc == NULL || q->answered) {
		bool failed = body->failed;

		buf_free(body);
		if (failed && !q->answered)
			req_problem(r, PROBLEM_UNAVAILABLE, "no memory");
		return;
	}
	q->sent = len;
	text = len > 0 ? buf_steal(body) : NULL;
	buf_free(body);
	if (text == NULL)
		resp = MHD_create_response_from_buffer(
		    0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
	else {
		resp = MHD_create_response_from_buffer_with_free_callback(
		    len, text, free);
		if (resp == NULL)
			free(text);
	}
	req_answer(q, status, content_type, resp);
}

void
req_reply_json(struct req *r, unsigned status, struct buf *body)
{
	req_reply(r, status, "application/json", body);
}

void
req_reply_empty(struct req *r, unsigned status)
{
	if (hreq_of(r)->mc == NULL)
		return;
	req_answer(hreq_of(r), status, NULL,
	    MHD_create_response_from_buffer(
		0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT));
}

void
req_reply_fd(struct req *r, unsigned status, const char *content_type, int fd,
    uint64_t offset, uint64_t len)
{
	struct hreq *q = hreq_of(r);
	struct MHD_Response *resp;

	if (q->mc == NULL || q->answered || len == 0) {
		(void)close(fd); /* was only read */
		if (len == 0)
			req_answer(q, status, content_type,
			    MHD_create_response_from_buffer(0,
				(void *)(uintptr_t) "",
				MHD_RESPMEM_PERSISTENT));
		return;
	}
	q->sent = len;
	resp = MHD_create_response_from_fd_at_offset64(len, fd, offset);
	if (resp == NULL)
		(void)close(fd);
	req_answer(q, status, content_type, resp);
}

/* A client that goes on sending what was refused is told so on the bare
 * socket: MHD takes no answer in the midst of a body. */
void
req_raw_answer(struct hreq *q)
{
	struct buf b;

	if (q->conn->mhd->secure || q->late.len == 0)
		return;
	buf_init(&b, q->late.len + 1024);
	(void)buf_addf(&b,
	    "HTTP/1.1 %u %s\r\ncontent-type: %s\r\nvary: " VARY
	    "\r\nconnection: close\r\ncontent-length: %zu\r\n\r\n",
	    q->status, MHD_get_reason_phrase_for(q->status),
	    q->osb ? "application/json" : "application/problem+json",
	    q->late.len);
	(void)buf_add(&b, q->late.data, q->late.len);
	/* Who does not take it finds the connection closed. */
	if (!b.failed)
		(void)send(
		    q->conn->fd, b.data, b.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_free(&b);
}
