/*
 * Requests of a client: libcurl's multi interface behind a few calls, so that
 * a stream may run while other requests go out, and other descriptors are
 * watched meanwhile.
 *
 * The server is trusted as far as its endpoint was chosen; what it sends is
 * bounded and parsed strictly by whoever uses it.
 */
#ifndef CTL_HTTP_HTTP_H
#define CTL_HTTP_HTTP_H

#include "ctl/http/target.h"
#include "lib/json.h"
#include <curl/curl.h>

#define HTTP_BODY_MAX (256u << 20) /* of an answer that is kept */
#define HTTP_HEADERS 8
#define HTTP_WANTED 3
#define HTTP_VALUE_MAX 4096

struct http {
	CURLM *multi;		     /* owned */
	const struct target *target; /* borrowed */
	/* Borrowed; a socket to whom we work for. When he hangs up there is
	 * nothing left to do, and the process ends. -1: none. */
	int peer_fd;
};

struct http_call {
	/* The request. All borrowed until http_end(). */
	const char *method;
	const char *path; /* with its query, escaped */
	const char *body; /* NULL: none */
	size_t body_len;
	const char *content_type;	   /* of the body; NULL: JSON */
	int upload_fd;			   /* the body comes from here; -1 */
	int64_t upload_len;		   /* -1: not known */
	const char *headers[HTTP_HEADERS]; /* "Name: value", up to NULL */
	/* With it a good answer is handed over as it comes, not kept. Returns
	 * 0, or -1 to hang up. */
	int (*on_data)(void *ctx, const char *p, size_t n);
	void *ctx;

	/* The answer. */
	bool is_done;
	bool is_stopped; /* on_data wanted no more */
	CURLcode result;
	long status; /* 0 until there is one */
	struct buf body_in;
	char content_type_in[128];
	/* Headers and trailers of the answer that the caller wants to see,
	 * named in lower case, up to NULL; and what they said, "" when they
	 * were missing. */
	const char *wanted[HTTP_WANTED];
	char values[HTTP_WANTED][HTTP_VALUE_MAX];

	/* Inside. */
	CURL *easy; /* owned; NULL: not started */
	struct curl_slist *list;
	char error[CURL_ERROR_SIZE];
};

int http_open(struct http *h, const struct target *t, struct err *e);
void http_close(struct http *h);

/* A call for METHOD on PATH, to be filled in further before http_do(). */
void http_call_init(struct http_call *c, const char *method, const char *path);
/* The call is over, finished or not: its connection may be used again. */
void http_end(struct http *h, struct http_call *c);

/* Start: it goes on while others are waited for, until C's is_done. http_end()
 * is the caller's in any case. */
int http_begin(struct http *h, struct http_call *c, struct err *e);
/* Start, wait, look: 0 when an answer came, of any status. http_end() is still
 * the caller's. */
int http_do(struct http *h, struct http_call *c, struct err *e);

/* A connection for other than HTTP: connected (and encrypted), nothing sent.
 * To be freed by curl_easy_cleanup(). */
CURL *http_connect(const struct target *t, struct err *e);

/* problem.c: the refusal that is in C's answer as an error of ours. -1. */
int http_problem(const struct http_call *c, struct err *e);
/* "404 Not Found" */
const char *http_status_text(long status);

#endif
