/*
 * Connections of HTTP clients: libmicrohttpd on our loop, what we accept, what
 * a connection may cost, and when it has lasted too long.
 */
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include "gateway/gateway.h"

/* CERT and KEY are PEM texts, both NULL without TLS; not kept. */
int
http_open(struct gateway *gw, const char *cert, const char *key, struct err *e);

/* Accept on FD (taken), a listening socket. */
int http_listen(
    struct gateway *gw, const char *name, int fd, bool secure, struct err *e);
bool http_unlisten(struct gateway *gw, const char *name);
/* Accept no more; DONE is called once nobody is connected, or after MS. Who is
 * quiet is disconnected after IDLE_MS, others with their next answer. */
void http_finish(struct gateway *gw, int64_t ms, int64_t idle_ms,
    void (*done)(void *), void *ctx);

#endif
