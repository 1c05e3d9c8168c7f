/*
 * One HTTP request, as the doors see it.
 *
 * A door is a function route_<symbol>() of routes.def. It is called when the
 * caller may do this, the query fits its table, and the body is there (JSON) or
 * about to come (STREAM). It answers by exactly one of the req_reply_*,
 * req_problem or req_upgrade calls, at once or later from the loop; until then
 * the connection rests.
 *
 * A request that is answered later is held with req_hold() and let go with
 * req_release(), once each. Its client may leave meanwhile: then `gone` is set,
 * on_gone was called, and answers go nowhere; they may still be given.
 */
#ifndef GATEWAY_REQ_H
#define GATEWAY_REQ_H

#include "gateway/gateway.h"
#include "lib/buf.h"
#include "lib/json.h"

enum method {
	M_GET,
	M_POST,
	M_PUT,
	M_DELETE,
	M_PATCH,
	M_ANY, /* in routes.def only: a proxy */
	M_N
};

enum problem {
#define PROBLEM(sym, urn, status, title, prefix, help) PROBLEM_##sym,
#include "gateway/problems.def"
	PROBLEM_N
};

enum route_id {
#define ROUTE(sym, method, path, scope, who, body, limit, help) ROUTE_##sym,
#include "gateway/routes.def"
	ROUTE_N
};

#define REQ_PARAMS_MAX 4

struct req;

/* What a streamed answer is made of. */
struct req_stream {
	/* Write at most MAX bytes to DST: how many; 0: nothing now, req_wake()
	 * will tell; -1: that was the end; -2: it is broken, cut the
	 * connection so that the client sees it. */
	ssize_t (*fill)(void *ctx, char *dst, size_t max);
	/* Over, in any way; called once. */
	void (*done)(void *ctx);
};

struct req {
	struct gateway *gw; /* borrowed */
	const struct route *route;
	enum method method;	 /* HEAD is M_GET with `head` */
	const char *method_name; /* as it came */
	bool head;
	const char *sandbox; /* `default`, or the {sandbox} of /i/… ; decoded */
	/* {params} of the path, decoded, in order, UTF-8 and without NULs;
	 * {*rest} is the last one, not decoded. */
	const char *params[REQ_PARAMS_MAX];
	size_t nparams;
	const char *path;  /* as it came, without the query */
	const char *query; /* as it came, without "?"; "" when there is none */
	/* JSON bodies: checked against the route's BODY rows; NULL when the
	 * body may be missing and is. */
	const struct json *json;
	const char *body; /* its text; WHOLE: all of it, unchecked */
	size_t body_len;
	int64_t content_length; /* STREAM: -1 when it is not known */
	const char *caller;	/* token id, or "" without one */
	bool secure;		/* it came over TLS */
	bool gone;		/* the client has left */
	bool own_cors;		/* set by a door: the answer says for itself
				   which origins may read it */

	bool body_later; /* STREAM, set by a door: the body is not to come (nor
			    100-continue to be said) before
			    req_body_resume() or an answer that refuses it */

	/* STREAM: set by the door before it returns. Returns how many bytes it
	 * took; less than LEN: it takes more after req_body_resume(). */
	size_t (*on_body)(struct req *r, const char *p, size_t len);
	void (*on_body_end)(struct req *r);
	/* The client left, or all is sent; the last call, may be NULL. Not
	 * after an upgrade. */
	void (*on_gone)(struct req *r);
	void *ctx; /* the door's own */
};

void req_hold(struct req *r);
void req_release(struct req *r);

/* The values of the query by the route's QUERY rows. DEF when it is missing. */
const char *req_query(const struct req *r, const char *name, const char *def);
int64_t req_query_int(const struct req *r, const char *name, int64_t def);
bool req_query_bool(const struct req *r, const char *name, bool def);
/* All values of a parameter that may be repeated: calls EACH for each. */
void req_query_each(const struct req *r, const char *name,
    void (*each)(void *ctx, const char *value), void *ctx);
/* A header of the request, NULL when missing. Any case. */
const char *req_header(const struct req *r, const char *name);
/* Every header, in order. */
void req_headers(const struct req *r,
    void (*each)(void *ctx, const char *name, const char *value), void *ctx);
/* The peer's address as text, "unix" for a local socket. */
const char *req_peer(const struct req *r);

/* A header of the answer; before the reply. */
void req_add_header(struct req *r, const char *name, const char *value);

/* Answers. BODY is taken over (left empty). */
void req_reply_json(struct req *r, unsigned status, struct buf *body);
void req_reply(
    struct req *r, unsigned status, const char *content_type, struct buf *body);
void req_reply_empty(struct req *r, unsigned status);
/* The same for everybody: TEXT is static. */
void req_reply_text(
    struct req *r, unsigned status, const char *content_type, const char *text);
/* LEN bytes of FD (taken) from OFFSET, by sendfile. */
void req_reply_fd(struct req *r, unsigned status, const char *content_type,
    int fd, uint64_t offset, uint64_t len);
/* LEN -1: unknown, chunked. OPS must be static. */
void req_reply_stream(struct req *r, unsigned status, const char *content_type,
    int64_t len, const struct req_stream *ops, void *ctx);
/* From fill, before it says -1: a line behind the last chunk, for a client that
 * asks for such; false: it cannot be told. */
bool req_trailer(struct req *r, const char *name, const char *value);
void req_wake(struct req *r); /* fill has something again */
void req_body_resume(struct req *r);
/* WHOLE: the body is not needed any more, though the answer may be far off. */
void req_body_drop(struct req *r);

/* Problem documents (RFC 7807); on routes of the OpenSandbox dialect
 * {"code","message"} instead. The detail gets the type's prefix. */
void req_problem(struct req *r, enum problem p, const char *fmt, ...)
    ATTR_PRINTF(3, 4);
/* The same with extension members: EXT is the text of members, such as
 * "\"sessionId\":\"x\"", or NULL. */
void req_problem_ext(struct req *r, enum problem p, const char *ext,
    const char *fmt, ...) ATTR_PRINTF(4, 5);
/* The same, with CODE instead of the type's where {"code","message"} is sent.
 */
void req_problem_code(struct req *r, enum problem p, const char *code,
    const char *fmt, ...) ATTR_PRINTF(4, 5);
/* What one of ours has refused: the problem that fits the code. */
void req_fail(struct req *r, const struct err *e);
void req_fail_ext(struct req *r, const struct err *e, const char *ext);

/* 101 with the headers added so far, then the bare connection: FD is the
 * callee's, EXTRA what the client sent already. UP to be closed by
 * req_upgrade_close(), which closes FD. Over TLS FD is one side of a pair. */
struct req_upgrade;
typedef void req_upgraded(
    void *ctx, int fd, const char *extra, size_t len, struct req_upgrade *up);
void req_upgrade(struct req *r, req_upgraded *cb, void *ctx);
void req_upgrade_close(struct req_upgrade *up);

/* The doors. */
#define ROUTE(sym, method, path, scope, who, body, limit, help) \
	void route_##sym(struct req *r);
#include "gateway/routes.def"

#endif
