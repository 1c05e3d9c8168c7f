/*
 * What proxy.c (the exchange) and proxy_send.c (the request that the server in
 * the sandbox gets) share.
 */
#ifndef GATEWAY_PROXY_PRIV_H
#define GATEWAY_PROXY_PRIV_H

#include "gateway/proxy.h"
#include "gateway/proxy_parse.h"

#define PROXY_REQUEST_MAX (256u << 10) /* bytes of its line and headers */

/* Write the line and the headers for R into B. *UPGRADE_OUT: it asks for
 * another protocol; *CHUNKED_OUT: its body goes out in chunks. -1: R cannot be
 * passed on, and E says why. */
int proxy_write_request(struct buf *b, struct req *r, int64_t port,
    const char *rest, const struct proxy_options *opt, bool *upgrade_out,
    bool *chunked_out, struct err *e);
/* True when R has a body, be it empty by chunks. */
bool proxy_has_body(const struct req *r);

#endif
