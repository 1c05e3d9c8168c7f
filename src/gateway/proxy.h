/*
 * A request for a port of a sandbox, passed on as HTTP/1.1 over a connection
 * that the sandbox's init has made, and its answer passed back.
 */
#ifndef GATEWAY_PROXY_H
#define GATEWAY_PROXY_H

#include "gateway/req.h"

struct proxy_options {
	/* For X-Forwarded-Prefix: what stands before REST in the path as the
	 * client sent it, without the last slash. Copied. */
	const char *prefix;
	/* Never pass on Authorization, Cookie and OPEN-SANDBOX-API-KEY. Else
	 * only what was used to get in here is kept back. */
	bool strict;
};

/* Answer R, a request of a STREAM route, by the server that listens on PORT of
 * SANDBOX. REST is the path for it, as it came, without the first slash; the
 * query is the request's. Holds and releases R by itself; uses R->ctx,
 * on_body, on_body_end and on_gone. */
void proxy_request(struct req *r, const char *sandbox, int64_t port,
    const char *rest, const struct proxy_options *opt);

/* May R use the port although it brings no token: it was exposed to all? For
 * a route whose params are {port} and what follows. */
bool proxy_is_public(struct req *r);

#endif
