/*
 * Asking the supervisor: the operations of lib/ops.def, on behalf of an HTTP
 * client. What is sent was parsed and checked here and is checked again there.
 */
#ifndef GATEWAY_CALL_H
#define GATEWAY_CALL_H

#include "gateway/gateway.h"
#include "lib/buf.h"

/* RESULT is what the operation answers ("ok" of the control socket), borrowed
 * for the call; NULL with E set when it failed. */
typedef void
call_done(void *ctx, const struct json *result, const struct err *e);

/* Ask OP with ARGS, an object as JSON text (NULL: {}). DONE comes exactly once,
 * never before super_call returns, also when the supervisor goes silent. */
void super_call(struct gateway *gw, const char *op, const struct buf *args,
    call_done *done, void *ctx);

/* The same, with FD (taken): the sandbox's end of a pipe, for an operation that
 * reads from it or writes to it. Takes as long as the client does. */
void super_call_pipe(struct gateway *gw, const char *op, const struct buf *args,
    int fd, call_done *done, void *ctx);

/* The descriptor that MSG_GATEWAY_CONNECT brings, -1 with E set. */
typedef void connect_done(void *ctx, int fd, const struct err *e);
void super_connect(struct gateway *gw, const char *kind, const char *id,
    connect_done *done, void *ctx);

int calls_open(struct gateway *gw, struct err *e);
void calls_close(struct gateway *gw);
/* A reply from the supervisor came (main.c hands it on). */
void calls_reply(
    struct gateway *gw, const struct proto_in *in, const struct chan_frame *f);

#endif
