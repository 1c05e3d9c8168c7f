/*
 * A WebSocket (RFC 6455) from the client's side, over a connection that
 * libcurl made: the handshake, masked frames out, whole messages in.
 */
#ifndef CTL_HTTP_WS_H
#define CTL_HTTP_WS_H

#include "ctl/http/http.h"

#define WS_MESSAGE_MAX (16u << 20)

enum ws_kind {
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10
};

struct ws {
	CURL *easy;	  /* owned */
	curl_socket_t fd; /* borrowed from it; to poll */
	struct buf in;	  /* bytes that are no whole frame yet */
	struct buf message;
	enum ws_kind kind; /* of the message that is being put together */
	bool in_message;
	bool left;	 /* the server takes nothing more */
	char accept[32]; /* what the server must answer to our key */
};

/* Connect and shake hands on PATH. A refusal is -1, with the problem that came
 * in E. */
int
ws_open(struct ws *s, const struct target *t, const char *path, struct err *e);
void ws_close(struct ws *s); /* also for a zeroed one */

/* Read what is there. -1: the connection is gone or breaks the rules. */
int ws_fill(struct ws *s, struct err *e);
/* The next whole message, if one is here: 1 and s->message, s->kind; 0 none;
 * -1. Pings are answered and never shown. */
int ws_next(struct ws *s, struct err *e);
/* One message; waits until it is out. To a server that has left it is lost,
 * which is no error: what that said before is still to be read. */
int ws_send(
    struct ws *s, enum ws_kind kind, const char *p, size_t n, struct err *e);

#endif
