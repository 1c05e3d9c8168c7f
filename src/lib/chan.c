/*
 * Frames over a stream socket on a libev loop. Runs in every daemon process of
 * ours; the peer at the other end may be hostile. A breach costs it the
 * channel: what arrived before is delivered, then CHAN_CLOSED, then nothing.
 *
 * Reading goes through one buffer for all channels, so that an idle channel
 * holds no memory; only the beginning of a frame that is not yet whole is kept
 * with its channel. One read of at most READ_MAX is made each time the socket
 * becomes ready: a busy peer takes its turn like the others.
 *
 * Callbacks may free the channel. `busy` counts the functions of this file
 * that still stand on it; the last to leave gives the memory back.
 */
#include "chan.h"
#include "frame.h"
#include "log.h"
#include "xalloc.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define READ_MAX (32u << 10)   /* bytes in one turn */
#define WRITE_MAX (256u << 10) /* bytes in one turn, when they had to wait */
#define QUEUE_MAX (4u << 20)
#define RX_FDS_MAX 16	 /* descriptors whose frame has not arrived yet */
#define TX_FDS_MAX 64	 /* frames with descriptors that wait to be sent */
#define BUILD_KEEP 4096u /* kept of a frame's memory for the next one */
#define BUILD_N 8	 /* frames that may be in the making at once */

/* Descriptors that go with the byte at POS of all that was ever sent. */
struct tx_fds {
	uint64_t pos;
	size_t n;
	int fds[FDIO_MAX_FDS]; /* owned */
};

struct chan {
	struct ev_loop *loop; /* borrowed, outlives us */
	ev_io rio, wio;
	int fd; /* owned, -1 once closed */
	char name[48];
	chan_cb *cb;
	void *ctx; /* borrowed, handed to the callbacks */
	void (*drained)(struct chan *, void *);
	size_t max_bytes, queue_bytes;
	unsigned depth;
	bool raw, paused;
	bool doomed; /* chan_free was called; callbacks are over */
	bool mute;   /* sending has failed; reading goes on to the end */
	unsigned busy;

	struct buf rx;	   /* a frame that is not whole yet, or a pause's */
	uint64_t rx_pos;   /* of the next frame, in all that came */
	uint64_t rx_total; /* all that came */
	int rx_fds[RX_FDS_MAX];	       /* owned, in order of arrival */
	uint64_t rx_until[RX_FDS_MAX]; /* their frame begins before this */
	size_t nrx_fds;

	struct buf tx; /* waits for the socket, from TX_AT on */
	size_t tx_at;
	uint64_t tx_pos;       /* of the byte at TX_AT, in all that went */
	struct tx_fds *tx_fds; /* owned array */
	size_t ntx_fds;
};

/* Frames in the making. Not in struct chan, since hardly any channel is
 * making one; more than one, since a log line may become a frame of its own
 * while another is begun. */
static struct build {
	const struct chan *ch; /* borrowed; NULL when free */
	uint64_t number;       /* tells which of one channel began last */
	struct buf b;
	struct jw w;
} builds[BUILD_N];

static void on_readable(struct ev_loop *loop, ev_io *w, int revents);
static void on_writable(struct ev_loop *loop, ev_io *w, int revents);

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
	ev_io_init(&ch->wio, on_writable, fd, EV_WRITE);
	ch->rio.data = ch;
	ch->wio.data = ch;
	ev_io_start(loop, &ch->rio);
	return ch;
}

/* Forget what waits to be sent. */
static void
tx_drop(struct chan *ch)
{
	size_t i;

	for (i = 0; i < ch->ntx_fds; i++)
		fd_close_all(ch->tx_fds[i].fds, ch->tx_fds[i].n);
	free(ch->tx_fds);
	ch->tx_fds = NULL;
	ch->ntx_fds = 0;
	buf_free(&ch->tx);
	ch->tx_at = 0;
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
	tx_drop(ch);
}

static void
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
	size_t i;

	if (ch == NULL || ch->doomed)
		return;
	ch->doomed = true;
	chan_shut(ch);
	for (i = 0; i < BUILD_N; i++) {
		if (builds[i].ch == ch)
			builds[i].ch = NULL;
	}
	ch->busy++;
	chan_leave(ch);
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

/* --- receiving ---------------------------------------------------------- */

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

static void
receive(struct chan *ch)
{
	static char scratch[READ_MAX];
	static bool in_use; /* by a channel further up the stack */
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
					      ? "closed by peer"
					      : strerror(errno));
		return;
	}
	if (n == 0) {
		chan_end_life(ch, ch->rx.len > 0
				      ? "closed by peer inside a frame"
				      : "closed by peer");
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

/* --- sending ------------------------------------------------------------ */

/* Sending is over. What the peer said before it left is still to be read, and
 * the end of that is what closes the channel. */
static void
tx_fail(struct chan *ch)
{
	ch->mute = true;
	tx_drop(ch);
	ev_io_stop(ch->loop, &ch->wio);
	(void)shutdown(
	    ch->fd, SHUT_RDWR); /* makes the end come, whoever lives */
}

/* One sendmsg of P[0..n), with the descriptors that belong to its first byte;
 * never beyond the first byte of the next frame that has some. Returns the
 * bytes that went. */
static size_t
tx_some(struct chan *ch, const char *p, size_t n)
{
	struct tx_fds *next = ch->ntx_fds > 0 ? &ch->tx_fds[0] : NULL;
	struct tx_fds *mine = NULL;
	ssize_t put;

	if (next != NULL && next->pos == ch->tx_pos) {
		mine = next;
		next = ch->ntx_fds > 1 ? next + 1 : NULL;
	}
	if (next != NULL && next->pos - ch->tx_pos < n)
		n = (size_t)(next->pos - ch->tx_pos);
	put = fd_send(ch->fd, p, n, mine != NULL ? mine->fds : NULL,
	    mine != NULL ? mine->n : 0);
	if (put == -1) {
		if (errno != EAGAIN)
			tx_fail(ch);
		return 0;
	}
	if (mine != NULL) {
		fd_close_all(mine->fds, mine->n);
		ch->ntx_fds--;
		memmove(ch->tx_fds, ch->tx_fds + 1,
		    ch->ntx_fds * sizeof(*ch->tx_fds));
	}
	ch->tx_pos += (size_t)put;
	return (size_t)put;
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int revents ATTR_UNUSED)
{
	struct chan *ch = w->data;
	size_t put, turn = 0;

	do {
		put = tx_some(ch, ch->tx.data + ch->tx_at, chan_queued(ch));
		if (ch->mute)
			return;
		ch->tx_at += put;
		turn += put;
	} while (put > 0 && chan_queued(ch) > 0 && turn < WRITE_MAX);
	if (chan_queued(ch) > 0)
		return;
	ev_io_stop(loop, &ch->wio);
	buf_free(&ch->tx);
	ch->tx_at = 0;
	free(ch->tx_fds);
	ch->tx_fds = NULL;
	if (ch->drained != NULL) {
		ch->busy++;
		ch->drained(ch, ch->ctx);
		chan_leave(ch);
	}
}

/* Let P[0..n) wait. Moves what waits to the front of its memory only when at
 * least half of that is free, so that the work stays proportional. */
static int
tx_wait(struct chan *ch, const char *p, size_t n)
{
	if (ch->tx_at > ch->tx.len / 2) {
		buf_consume(&ch->tx, ch->tx_at);
		ch->tx_at = 0;
	}
	if (buf_add(&ch->tx, p, n) == -1) {
		ch->tx.failed = false;
		return -1;
	}
	ev_io_start(ch->loop, &ch->wio);
	return 0;
}

/* Note that the next byte to be queued brings FDS. */
static int
tx_note(struct chan *ch, const int *fds, size_t nfds)
{
	struct tx_fds *t;

	if (nfds == 0)
		return 0;
	if (ch->ntx_fds == TX_FDS_MAX)
		return -1;
	ch->tx_fds = xreallocarray(ch->tx_fds, ch->ntx_fds + 1, sizeof(*t));
	t = &ch->tx_fds[ch->ntx_fds++];
	t->pos = ch->tx_pos + chan_queued(ch);
	t->n = nfds;
	memcpy(t->fds, fds, nfds * sizeof(*fds));
	return 0;
}

/* Send or queue one whole frame. On failure nothing of it goes; FDS are the
 * channel's in any case. */
static int
tx_frame(struct chan *ch, const char *p, size_t n, int *fds, size_t nfds)
{
	size_t waiting = chan_queued(ch);
	size_t put = 0;

	if (ch->fd == -1 || ch->mute ||
	    (waiting > 0 && (waiting >= ch->queue_bytes ||
				n > ch->queue_bytes - waiting)) ||
	    tx_note(ch, fds, nfds) == -1) {
		fd_close_all(fds, nfds);
		return -1;
	}
	if (waiting == 0) {
		put = tx_some(ch, p, n);
		if (ch->mute)
			return -1;
		if (put == n) {
			free(ch->tx_fds);
			ch->tx_fds = NULL;
			return 0;
		}
	}
	if (tx_wait(ch, p + put, n - put) == -1) {
		/* Half a frame cannot be taken back. */
		tx_fail(ch);
		return -1;
	}
	return 0;
}

struct jw *
chan_begin(struct chan *ch)
{
	static uint64_t number;
	struct build *m = NULL;
	size_t i;

	for (i = 0; i < BUILD_N && m == NULL; i++) {
		if (builds[i].ch == NULL)
			m = &builds[i];
	}
	assert(m != NULL); /* a chan_begin without its chan_end */
	m->ch = ch;
	m->number = ++number;
	if (m->b.cap == 0)
		buf_init(&m->b, FRAME_HEADER + FRAME_MAX);
	buf_clear(&m->b);
	(void)frame_begin(&m->b); /* always at 0 */
	jw_init(&m->w, &m->b);
	jw_object(&m->w);
	return &m->w;
}

int
chan_end(struct chan *ch, const int *fds, size_t nfds)
{
	struct build *m = NULL;
	int own[FDIO_MAX_FDS];
	size_t i;
	int one, r;

	/* The one begun last: frames of a channel nest. */
	for (i = 0; i < BUILD_N; i++) {
		if (builds[i].ch == ch &&
		    (m == NULL || builds[i].number > m->number))
			m = &builds[i];
	}
	assert(m != NULL); /* a chan_end without its chan_begin */
	if (nfds > FDIO_MAX_FDS) {
		for (i = 0; i < nfds; i++) {
			one = fds[i];
			fd_close(&one);
		}
		nfds = 0;
		m->b.failed = true;
	}
	if (nfds > 0) {
		memcpy(own, fds, nfds * sizeof(*fds));
		jw_kint(&m->w, "fds", (int64_t)nfds);
	}
	jw_object_end(&m->w);
	r = frame_end(&m->b, 0);
	if (r == 0)
		r = tx_frame(ch, m->b.data, m->b.len, own, nfds);
	else
		fd_close_all(own, nfds);
	buf_clear(&m->b);
	buf_trim(&m->b, BUILD_KEEP);
	m->ch = NULL;
	return r;
}

/* --- replies ------------------------------------------------------------ */

int
chan_reply_ok(struct chan *ch, int64_t id)
{
	struct jw *w = chan_begin(ch);

	jw_kint(w, "id", id);
	jw_key(w, "ok");
	jw_object(w);
	jw_object_end(w);
	return chan_end(ch, NULL, 0);
}

int
chan_reply_err(struct chan *ch, int64_t id, const struct err *e)
{
	struct jw *w = chan_begin(ch);

	jw_kint(w, "id", id);
	jw_key(w, "error");
	jw_object(w);
	jw_kstr(w, "code", err_wire(e->code));
	jw_kstr(w, "detail", e->text);
	jw_object_end(w);
	return chan_end(ch, NULL, 0);
}

int
chan_reply_to_err(const struct json *reply, struct err *e)
{
	const struct json *error = json_get(reply, "error");

	if (error == NULL)
		error = reply;
	return err_set(e, err_from_wire(json_str(error, "code", "")), "%s",
	    json_str(error, "detail", "no detail"));
}
