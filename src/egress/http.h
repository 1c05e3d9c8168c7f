/*
 * The little of HTTP/1 that a proxy reads: heads of requests and answers, and
 * where a request's body ends. Strict: what two readers could understand in two
 * ways is refused.
 */
#ifndef EGRESS_HTTP_H
#define EGRESS_HTTP_H

#include "egress/target.h"
#include "lib/buf.h"

#define HTTP_HEAD_MAX 32768 /* bytes of a request's head */
#define HTTP_ANSWER_MAX 65536
#define HTTP_FIELDS_MAX 128

enum http_body {
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED
};

struct http_request {
	bool connect;
	bool upgrade; /* to a WebSocket */
	struct target target;
	enum http_body body;
	int64_t length; /* BODY_LENGTH */
};

/* Length of the head that S[0..n) begins with, its empty line included; 0: not
 * all of it is there; -1: no head, whatever follows. */
ssize_t http_head_end(const char *s, size_t n);

/* A whole head of N bytes. TUNNEL: it came in a tunnel to there (NULL: to the
 * proxy itself). What the server is to get (nothing for CONNECT) is added to
 * HEAD. 0, or -1 and *WHY_OUT: static words. */
int http_request_parse(const char *s, size_t n, const struct target *tunnel,
    struct http_request *r_out, struct buf *head, const char **why_out);

/* The head of an answer: the status, or -1. What the client is to get is added
 * to HEAD; it is told that the connection ends. UPGRADE: it was asked for. */
int http_answer_parse(const char *s, size_t n, bool upgrade, struct buf *head);
/* As http_head_end(), but a server may end lines as it likes. */
ssize_t http_answer_end(const char *s, size_t n);

/* Following a body. */
struct http_follow {
	enum http_body body;
	int64_t left; /* of the body, or of the chunk */
	int state;
	unsigned digits;
};
void http_follow_init(struct http_follow *f, const struct http_request *r);
/* How many of these bytes belong to the body; *DONE_OUT: it ends there. -1: it
 * is malformed. */
ssize_t http_follow_take(
    struct http_follow *f, const char *s, size_t n, bool *done_out);

#endif
