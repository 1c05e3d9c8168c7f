/*
 * WebSockets (RFC 6455, version 13) that end here. No extensions, no
 * subprotocols. Bad frames close the socket with the status that the RFC has
 * for them.
 */
#ifndef GATEWAY_WS_H
#define GATEWAY_WS_H

#include "gateway/req.h"

#define WS_MESSAGE_MAX (1u << 20)
/* Enough waits to be sent: say nothing more until `room`. */
#define WS_QUEUE_BYTES (256u << 10)

struct ws;

struct ws_ops {
	/* A whole message; TEXT is UTF-8. */
	void (*message)(void *ctx, bool text, const char *p, size_t n);
	/* What waited to be sent has gone. */
	void (*room)(void *ctx);
	/* Over, in any way; once, and WS with it. */
	void (*closed)(void *ctx);
	/* The socket is open: the first call. */
	void (*open)(void *ctx, struct ws *ws);
};

/* Are these the headers of a client that wants a WebSocket? False: it was told
 * what is wrong. */
bool ws_wanted(struct req *r);
/* Answer 101. OPS must be static. `closed` comes also when nothing was ever
 * opened, perhaps before this returns. R is held meanwhile. */
void ws_accept(struct req *r, const struct ws_ops *ops, void *ctx);

void ws_text(struct ws *ws, const char *p, size_t n);
void ws_binary(struct ws *ws, const char *p, size_t n);
bool ws_full(const struct ws *ws);
/* Take no more messages for a while; a few that are here already still come. */
void ws_pause(struct ws *ws, bool on);
/* Say that it is over, without a status, once all is sent. `closed` follows. */
void ws_close(struct ws *ws);

#endif
