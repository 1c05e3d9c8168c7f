/*
 * TLS connections that were upgraded. MHD forwards those by itself, through a
 * pair of sockets, but has no memory left for it and so goes byte by byte.
 */
#ifndef GATEWAY_HTTP_TLS_H
#define GATEWAY_HTTP_TLS_H

#include "gateway/http_priv.h"

struct tls_carrier;

/* Carry the bytes of the session between the network and *FD_OUT, which is the
 * caller's, who closes it and then says tls_close(). DONE is called some time
 * after that, when the client has got all. NULL: no descriptors are left, MHD
 * goes on by itself. */
struct tls_carrier *tls_carry(struct conn *c, struct MHD_Connection *mc,
    int *fd_out, void (*done)(void *ctx), void *ctx);
void tls_close(struct tls_carrier *t);

#endif
