/*
 * WebSockets on wslay over an upgraded connection. Runs in sandboxd-gateway, on
 * bytes that anybody sent.
 *
 * A client that does not read is not read either: so neither its pings nor what
 * it asks for can fill our memory. Callbacks may close the socket; it is freed
 * when nothing of ours stands on it any more.
 */
#include "gateway/ws.h"
#include "lib/base64.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <sha1.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#define ACCEPT_MAX (BASE64_LEN(SHA1_DIGEST_LENGTH) + 1)
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define TURN_BYTES (64u << 10) /* read at one go; then others */
#define KILL_BYTES (4u << 20)  /* waiting to be sent: something is wrong */
#define LINGER_S 2.	       /* for the client to close as well */

struct ws {
	struct req *r; /* held */
	const struct ws_ops *ops;
	void *ctx;
	struct req_upgrade *up;	   /* owned; NULL before the upgrade */
	int fd;			   /* up's */
	wslay_event_context_ptr w; /* owned */
	struct buf extra;	   /* came with the request */
	size_t extra_at, turn;
	ev_io rio, wio;
	ev_timer linger;
	unsigned busy; /* functions of ours on the stack */
	bool paused, closing, doomed, eof, broken;
};

/*
 * Handshake
 */

/* Does the list VALUE hold WORD? */
static bool
list_has(const char *value, const char *word)
{
	size_t n, len = strlen(word);

	while (value != NULL && *value != '\0') {
		value += strspn(value, ", \t");
		n = strcspn(value, ", \t");
		if (n == len && strncasecmp(value, word, n) == 0)
			return true;
		value += n;
	}
	return false;
}

bool
ws_wanted(struct req *r)
{
	const char *version = req_header(r, "sec-websocket-version");
	const char *why = NULL;

	if (!list_has(req_header(r, "connection"), "upgrade"))
		why = "Connection header did not include 'upgrade'";
	else if (!list_has(req_header(r, "upgrade"), "websocket"))
		why = "`Upgrade` header did not include 'websocket'";
	else if (version == NULL || strcmp(version, "13") != 0)
		why = "`Sec-WebSocket-Version` header did not include '13'";
	else if (req_header(r, "sec-websocket-key") == NULL)
		why = "`Sec-WebSocket-Key` header missing";
	if (why != NULL)
		req_problem(r, PROBLEM_INVALID_REQUEST, "%s", why);
	return why == NULL;
}

/* The value of Sec-WebSocket-Accept for a key. */
static void
ws_accept_value(char dst[ACCEPT_MAX], const char *key)
{
	uint8_t digest[SHA1_DIGEST_LENGTH];
	SHA1_CTX sha;

	SHA1Init(&sha);
	SHA1Update(&sha, (const uint8_t *)key, strlen(key));
	SHA1Update(&sha, (const uint8_t *)GUID, sizeof(GUID) - 1);
	SHA1Final(digest, &sha);
	base64_put(dst, digest, sizeof(digest));
	dst[BASE64_LEN(sizeof(digest))] = '\0';
}

/*
 * Life
 */

static void
ws_leave(struct ws *ws)
{
	struct ev_loop *loop = ws->r->gw->loop;

	if (--ws->busy > 0 || !ws->doomed)
		return;
	ws->ops->closed(ws->ctx);
	ev_io_stop(loop, &ws->rio);
	ev_io_stop(loop, &ws->wio);
	ev_timer_stop(loop, &ws->linger);
	if (ws->up != NULL)
		req_upgrade_close(ws->up);
	wslay_event_context_free(ws->w); /* accepts NULL */
	buf_free(&ws->extra);
	req_release(ws->r);
	free(ws);
}

static void
ws_doom(struct ws *ws)
{
	ws->doomed = true;
	ws->busy++;
	ws_leave(ws);
}

/* For functions that others call, who may not expect that WS goes. */
static void
ws_leave_later(struct ws *ws)
{
	if (--ws->busy > 0 || !ws->doomed)
		return;
	ev_timer_stop(ws->r->gw->loop, &ws->linger);
	ev_timer_set(&ws->linger, 0., 0.);
	ev_timer_start(ws->r->gw->loop, &ws->linger);
}

bool
ws_full(const struct ws *ws)
{
	return wslay_event_get_queued_msg_length(ws->w) >= WS_QUEUE_BYTES;
}

/* All is said: wait a moment for the client to say so, too. A close with bytes
 * unread would take the last of ours from it. */
static void
ws_finish(struct ws *ws)
{
	struct ev_loop *loop = ws->r->gw->loop;

	if (ws->closing)
		return;
	ws->closing = true;
	(void)shutdown(ws->fd, SHUT_WR);
	if (ws->eof) {
		ws->doomed = true;
		return;
	}
	ev_io_stop(loop, &ws->wio);
	ev_io_start(loop, &ws->rio);
	ev_timer_start(loop, &ws->linger);
}

/* Which events are of use now. */
static void
ws_watch(struct ws *ws)
{
	struct ev_loop *loop = ws->r->gw->loop;

	if (ws->doomed || ws->closing)
		return;
	if (wslay_event_want_write(ws->w))
		ev_io_start(loop, &ws->wio);
	else
		ev_io_stop(loop, &ws->wio);
	if (wslay_event_want_read(ws->w) && !ws->paused && !ws_full(ws)) {
		ev_io_start(loop, &ws->rio);
		/* Of this the socket knows nothing. */
		if (ws->extra_at < ws->extra.len)
			ev_feed_event(loop, &ws->rio, EV_READ);
	} else {
		ev_io_stop(loop, &ws->rio);
	}
	if (!wslay_event_want_write(ws->w) &&
	    (wslay_event_get_close_sent(ws->w) ||
		!wslay_event_want_read(ws->w)))
		ws_finish(ws);
}

static void
ws_flush(struct ws *ws)
{
	if (!ws->doomed && !ws->closing && wslay_event_send(ws->w) != 0)
		ws->doomed = true;
}

/*
 * wslay's callbacks
 */

static ssize_t
cb_recv(
    wslay_event_context_ptr w, uint8_t *buf, size_t len, int flags, void *user)
{
	struct ws *ws = user;
	size_t have = ws->extra.len - ws->extra_at;
	ssize_t n;

	(void)flags;
	if (ws->doomed || ws->turn >= TURN_BYTES) {
		wslay_event_set_error(w, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (have > 0) {
		n = (ssize_t)MIN(len, have);
		memcpy(buf, ws->extra.data + ws->extra_at, (size_t)n);
		ws->extra_at += (size_t)n;
		return n;
	}
	n = recv(ws->fd, buf, len, 0);
	if (n > 0) {
		ws->turn += (size_t)n;
		return n;
	}
	if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
		wslay_event_set_error(w, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	ws->eof = n == 0;
	ws->broken = true;
	wslay_event_set_error(w, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static ssize_t
cb_send(wslay_event_context_ptr w, const uint8_t *data, size_t len, int flags,
    void *user)
{
	struct ws *ws = user;
	ssize_t n = send(ws->fd, data, len, MSG_NOSIGNAL);

	(void)flags;
	if (n == -1)
		wslay_event_set_error(w, errno == EAGAIN || errno == EINTR
					     ? WSLAY_ERR_WOULDBLOCK
					     : WSLAY_ERR_CALLBACK_FAILURE);
	return n;
}

static void
cb_message(wslay_event_context_ptr w,
    const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
	struct ws *ws = user;

	if (wslay_is_ctrl_frame(arg->opcode)) {
		/* Pongs are queued by now; they count like the rest. */
		if (wslay_event_get_queued_msg_length(w) > KILL_BYTES)
			ws->doomed = true;
		return;
	}
	if (!ws->doomed && !wslay_event_get_close_sent(w))
		ws->ops->message(ws->ctx, arg->opcode == WSLAY_TEXT_FRAME,
		    (const char *)arg->msg, arg->msg_length);
	/* What comes behind waits until this is dealt with. */
	if (ws->paused || ws_full(ws))
		ws->turn = TURN_BYTES;
}

/*
 * Events
 */

static void
linger_read(struct ws *ws)
{
	char scratch[4096];
	ssize_t n = recv(ws->fd, scratch, sizeof(scratch), 0);

	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		ws->doomed = true;
}

/* A frame that breaks the protocol. For some of them wslay has queued a close
 * without a status, which is replaced where nothing else is being sent. */
static void
ws_refuse(struct ws *ws)
{
	static const char close_1002[] = { '\x88', 2, 3, '\xea' };

	if (wslay_event_get_queued_msg_count(ws->w) > 1)
		return;
	if (send(ws->fd, close_1002, sizeof(close_1002), MSG_NOSIGNAL) !=
	    sizeof(close_1002))
		ws->doomed = true;
	else
		ws_finish(ws);
}

static void
ws_read(struct ws *ws)
{
	ws->turn = 0;
	if (wslay_event_recv(ws->w) != 0) {
		if (ws->broken) /* the socket, not what it said */
			ws->doomed = true;
		else
			ws_refuse(ws);
	}
	ws_flush(ws);
	ws_watch(ws);
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct ws *ws = io->data;

	(void)loop;
	(void)revents;
	ws->busy++;
	if (ws->closing)
		linger_read(ws);
	else
		ws_read(ws);
	ws_leave(ws);
}

static void
on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct ws *ws = io->data;
	bool was_full = ws_full(ws);

	(void)loop;
	(void)revents;
	ws->busy++;
	ws_flush(ws);
	if (!ws->doomed && was_full && !ws_full(ws) && ws->ops->room != NULL)
		ws->ops->room(ws->ctx);
	ws_watch(ws);
	ws_leave(ws);
}

static void
on_linger(struct ev_loop *loop, ev_timer *t, int revents)
{
	(void)loop;
	(void)revents;
	ws_doom(t->data);
}

static void
on_upgraded(
    void *ctx, int fd, const char *extra, size_t len, struct req_upgrade *up)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = cb_recv,
		.send_callback = cb_send,
		.on_msg_recv_callback = cb_message,
	};
	struct ws *ws = ctx;
	int on = 1;

	ws->up = up;
	ws->fd = fd;
	ws->r->on_gone = NULL;
	/* A peer that vanished is found out some day; not a TCP socket: it
	 * cannot vanish. */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	ws->busy++;
	if (wslay_event_context_server_init(&ws->w, &callbacks, ws) != 0 ||
	    (len > 0 && buf_add(&ws->extra, extra, len) == -1)) {
		ws->doomed = true;
		ws_leave(ws);
		return;
	}
	wslay_event_config_set_max_recv_msg_length(ws->w, WS_MESSAGE_MAX);
	ev_io_init(&ws->rio, on_readable, fd, EV_READ);
	ev_io_init(&ws->wio, on_writable, fd, EV_WRITE);
	ws->rio.data = ws->wio.data = ws;
	ws->ops->open(ws->ctx, ws);
	ws_read(ws); /* what came with the request */
	ws_leave(ws);
}

/* The client left before it was told 101. */
static void
on_gone(struct req *r)
{
	struct ws *ws = r->ctx;

	if (ws != NULL && ws->up == NULL)
		ws_doom(ws);
}

void
ws_accept(struct req *r, const struct ws_ops *ops, void *ctx)
{
	struct ws *ws = xcalloc(1, sizeof(*ws));
	char accept[ACCEPT_MAX];

	ws->r = r;
	ws->ops = ops;
	ws->ctx = ctx;
	ws->fd = -1;
	buf_init(&ws->extra, WS_MESSAGE_MAX);
	ev_timer_init(&ws->linger, on_linger, LINGER_S, 0.);
	ws->linger.data = ws;
	req_hold(r);
	if (r->gone) {
		ws_doom(ws);
		return;
	}
	r->ctx = ws;
	r->on_gone = on_gone;
	ws_accept_value(accept, req_header(r, "sec-websocket-key"));
	req_add_header(r, "upgrade", "websocket");
	req_add_header(r, "sec-websocket-accept", accept);
	req_upgrade(r, on_upgraded, ws);
}

/*
 * Saying
 */

static void
ws_send(struct ws *ws, uint8_t opcode, const char *p, size_t n)
{
	const struct wslay_event_msg m = {
		.opcode = opcode,
		.msg = (const uint8_t *)p,
		.msg_length = n,
	};

	if (ws->doomed || ws->closing)
		return;
	ws->busy++;
	/* After a close frame nothing is taken, and nobody misses it. */
	if (wslay_event_queue_msg(ws->w, &m) == WSLAY_ERR_NOMEM)
		ws->doomed = true;
	ws_flush(ws);
	ws_watch(ws);
	ws_leave_later(ws);
}

void
ws_text(struct ws *ws, const char *p, size_t n)
{
	ws_send(ws, WSLAY_TEXT_FRAME, p, n);
}

void
ws_binary(struct ws *ws, const char *p, size_t n)
{
	ws_send(ws, WSLAY_BINARY_FRAME, p, n);
}

void
ws_pause(struct ws *ws, bool on)
{
	ws->paused = on;
	ws->busy++;
	ws_watch(ws);
	ws_leave_later(ws);
}

void
ws_close(struct ws *ws)
{
	if (ws->doomed || ws->closing)
		return;
	ws->busy++;
	(void)wslay_event_queue_close(ws->w, 0, NULL, 0);
	ws_flush(ws);
	ws_watch(ws);
	ws_leave_later(ws);
}
