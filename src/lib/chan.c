/*
 * Frames over a stream socket on a libev loop: life and receiving; sending is
 * in chan_send.c. Runs in every daemon process of
 * ours; the peer at the other end may be hostile. A breach costs it the
 * channel: what arrived before is delivered, then CHAN_CLOSED, then nothing.
 *
 * Reading goes through one buffer for all channels, so that an idle channel
 * holds no memory; only the beginning of a frame that is not yet whole is kept
 * with its channel. One read of at most READ_MAX is made each time the socket
 * becomes ready: a busy peer takes its turn like the others.
 *
 * Callbacks may free the channel. `busy` counts the functions of ours that
 * still stand on it; the last to leave gives the memory back.
 */
#include "chan_priv.h"
#include "frame.h"
#include "log.h"
#include "xalloc.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define READ_MAX (32u << 10) /* bytes in one turn */
#define QUEUE_MAX (4u << 20)

static void on_readable(struct ev_loop *loop, ev_io *w, int revents);

struct chan *
chan_new(struct ev_loop *loop, int fd, const char *name, chan_cb *cb, void *ctx)
{
	struct chan *ch;

	ch = xcalloc(1, sizeof(*ch));
	ch->loop = loop;
	ch->fd = fd;
	(void)snprintf(ch->name, sizeof(ch->name), "%s", name); /* cut */
	ch->cb = cb;
	ch->ctx = ctx;
	ch->max_bytes = FRAME_MAX;
	ch->queue_bytes = QUEUE_MAX;
	ch->depth = JSON_DEPTH_CONTROL;
	buf_init(&ch->rx, SIZE_MAX);
	buf_init(&ch->tx, SIZE_MAX);
	/* On failure the first read or write says so. */
	(void)fd_set_nonblock(fd, 1);
	ev_io_init(&ch->rio, on_readable, fd, EV_READ);
	ev_io_init(&ch->wio, chan_on_writable, fd, EV_WRITE);
	ch->rio.data = ch;
	ch->wio.data = ch;
	ev_io_start(loop, &ch->rio);
	return ch;
}

/* Let go of the socket and of all descriptors; the received bytes stay, since
 * a frame in them may be just being looked at. */
static void
chan_shut(struct chan *ch)
{
	if (ch->fd == -1)
		return;
	ev_io_stop(ch->loop, &ch->rio);
	ev_io_stop(ch->loop, &ch->wio);
	ev_clear_pending(ch->loop, &ch->rio);
	fd_close(&ch->fd);
	fd_close_all(ch->rx_fds, ch->nrx_fds);
	ch->nrx_fds = 0;
	chan_tx_drop(ch);
}

void
chan_leave(struct chan *ch)
{
	if (--ch->busy > 0 || !ch->doomed)
		return;
	buf_free(&ch->rx);
	free(ch);
}

void
chan_free(struct chan *ch)
{
	if (ch == NULL || ch->doomed)
		return;
	ch->doomed = true;
	chan_shut(ch);
	chan_forget_builds(ch);
	ch->busy++;
	chan_leave(ch);
}

void
chan_hang_up(struct chan *ch)
{
	if (ch->fd != -1)
		(void)shutdown(ch->fd, SHUT_RDWR); /* or it has ended */
}

/* The one CHAN_CLOSED of CH. */
static void
chan_end_life(struct chan *ch, const char *why)
{
	chan_shut(ch);
	ch->cb(ch, CHAN_CLOSED, NULL, why, ch->ctx);
}

static void
chan_breach(struct chan *ch, const char *why)
{
	log_warn("chan", "breach", LOG_STR("channel", ch->name),
	    LOG_STR("cause", why));
	/* The sink of log lines may have been this channel's owner. */
	if (ch->fd != -1)
		chan_end_life(ch, why);
}

void
chan_set_raw(struct chan *ch, int on)
{
	ch->raw = on != 0;
}

void
chan_set_depth(struct chan *ch, unsigned depth)
{
	ch->depth = depth;
}

void
chan_set_max(struct chan *ch, size_t max_bytes)
{
	ch->max_bytes = max_bytes;
}

void
chan_set_queue(struct chan *ch, size_t max_bytes)
{
	ch->queue_bytes = max_bytes;
}

void
chan_on_drain(struct chan *ch, void (*fn)(struct chan *, void *))
{
	ch->drained = fn;
}

void
chan_pause(struct chan *ch)
{
	ch->paused = true;
	if (ch->fd != -1)
		ev_io_stop(ch->loop, &ch->rio);
}

void
chan_resume(struct chan *ch)
{
	if (!ch->paused)
		return;
	ch->paused = false;
	if (ch->fd == -1)
		return;
	ev_io_start(ch->loop, &ch->rio);
	/* Whole frames may lie in our buffer, of which the socket knows
	 * nothing. */
	if (ch->rx.len > 0)
		ev_feed_event(ch->loop, &ch->rio, EV_READ);
}

size_t
chan_queued(const struct chan *ch)
{
	return ch->tx.len - ch->tx_at;
}

bool
chan_mute(const struct chan *ch)
{
	return ch->mute;
}

/* --- receiving ----------------------------------------------------------- */

/* How many descriptors F announces, or -1. */
static int
announced(const struct json *msg)
{
	const struct json *v = json_get(msg, "fds");
	int64_t n;

	if (v == NULL)
		return 0;
	if (json_number_int(v, &n) == -1 || n < 0 || n > FDIO_MAX_FDS)
		return -1;
	return (int)n;
}

/* Take the first N waiting descriptors. False if the frame that has just
 * moved rx_pos cannot own them all, or one can have no owner any more. */
static bool
fds_take(struct chan *ch, size_t n, int *fds)
{
	if (n > ch->nrx_fds)
		return false;
	memcpy(fds, ch->rx_fds, n * sizeof(*fds));
	ch->nrx_fds -= n;
	memmove(ch->rx_fds, ch->rx_fds + n, ch->nrx_fds * sizeof(*fds));
	memmove(ch->rx_until, ch->rx_until + n,
	    ch->nrx_fds * sizeof(*ch->rx_until));
	if (ch->nrx_fds > 0 && ch->rx_until[0] <= ch->rx_pos) {
		fd_close_all(fds, n);
		return false;
	}
	return true;
}

/* Hand one frame to the callback. Whether the channel lives is for the caller
 * to see. */
static void
frame_deliver(struct chan *ch, const char *body, size_t len)
{
	struct chan_frame f = { .text = body, .len = len };
	struct json *msg = NULL;
	int fds[FDIO_MAX_FDS];
	char why[ERR_TEXT_MAX];
	struct err e;
	int n = 0;

	ch->rx_pos += FRAME_HEADER + len;
	if (!ch->raw) {
		if (json_parse(body, len, ch->depth, &msg, &e) == -1) {
			memcpy(why, e.text, sizeof(why));
			chan_breach(ch, why);
			return;
		}
		n = msg->type == JSON_OBJECT ? announced(msg) : -1;
	}
	if (n == -1) {
		chan_breach(ch, "frame is no object, or its fds no number");
	} else if (!fds_take(ch, (size_t)n, fds)) {
		chan_breach(ch, "descriptors are not as announced");
	} else {
		f.msg = msg;
		f.fds = fds;
		f.nfds = (size_t)n;
		ch->cb(ch, CHAN_FRAME, &f, NULL, ch->ctx);
		fd_close_all(fds, (size_t)n);
	}
	json_free(msg);
}

/* Deliver the whole frames in P[0..n). Returns the bytes they took. */
static size_t
frames_deliver(struct chan *ch, const char *p, size_t n)
{
	const char *body;
	size_t at = 0, len;
	int r;

	while (ch->fd != -1 && !ch->paused) {
		r = frame_peek(p + at, n - at, ch->max_bytes, &body, &len);
		if (r == 0)
			break;
		if (r == -1) {
			chan_breach(ch, "frame is empty or too long");
			break;
		}
		at += FRAME_HEADER + len;
		frame_deliver(ch, body, len);
	}
	return at;
}

static void
rx_deliver(struct chan *ch)
{
	size_t used;

	used = frames_deliver(ch, ch->rx.data, ch->rx.len);
	buf_consume(&ch->rx, used);
	buf_trim(&ch->rx, 0);
}

/* Note descriptors that came with bytes up to rx_total. */
static bool
fds_note(struct chan *ch, int *fds, size_t n)
{
	size_t i;

	if (n > RX_FDS_MAX - ch->nrx_fds) {
		fd_close_all(fds, n);
		return false;
	}
	for (i = 0; i < n; i++) {
		ch->rx_fds[ch->nrx_fds] = fds[i];
		ch->rx_until[ch->nrx_fds++] = ch->rx_total;
	}
	return true;
}

static void
received(struct chan *ch, const char *p, size_t n)
{
	size_t used = 0;

	if (ch->rx.len == 0)
		used = frames_deliver(ch, p, n);
	if (ch->fd == -1)
		return;
	if (used < n && buf_add(&ch->rx, p + used, n - used) == -1) {
		chan_breach(ch, "no memory for a frame");
		return;
	}
	if (used == 0 && ch->rx.len > 0)
		rx_deliver(ch);
}

static bool in_use; /* receive()'s buffer, by a channel further up the stack */

void
chan_forked(void)
{
	in_use = false;
	chan_forget_builds(NULL);
}

static void
receive(struct chan *ch)
{
	static char scratch[READ_MAX];
	int fds[FDIO_MAX_FDS];
	size_t nfds;
	ssize_t n;

	assert(!in_use); /* no callback may run the loop */
	n = fd_recv(ch->fd, scratch, sizeof(scratch), fds, &nfds);
	if (n == -1) {
		if (errno == EAGAIN)
			return;
		if (errno == EPROTO)
			chan_breach(ch, "too many descriptors at once");
		else
			chan_end_life(ch, errno == ECONNRESET
					      ? CHAN_WHY_PEER
					      : strerror(errno));
		return;
	}
	if (n == 0) {
		chan_end_life(ch, ch->rx.len > 0
				      ? "closed by peer inside a frame"
				      : CHAN_WHY_PEER);
		return;
	}
	ch->rx_total += (size_t)n;
	if (!fds_note(ch, fds, nfds)) {
		chan_breach(ch, "too many descriptors");
		return;
	}
	in_use = true;
	received(ch, scratch, (size_t)n);
	in_use = false;
}

static void
on_readable(struct ev_loop *loop ATTR_UNUSED, ev_io *w, int revents ATTR_UNUSED)
{
	struct chan *ch = w->data;

	ch->busy++;
	if (ch->rx.len > 0)
		rx_deliver(ch); /* left from before a pause */
	if (ch->fd != -1 && !ch->paused)
		receive(ch);
	chan_leave(ch);
}
