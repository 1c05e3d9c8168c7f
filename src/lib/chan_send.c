/*
 * The sending half of a channel. Runs in every daemon process of ours. What
 * the socket does not take at once waits in a queue with a bound, so that a
 * peer that reads slowly, or never, costs us that much and no more.
 *
 * Nothing here calls CHAN_CLOSED: the caller of chan_end stands in the middle
 * of its own work. A failure to send makes the channel mute, and its reading
 * half comes to the end by itself.
 */
#include "chan_priv.h"
#include "frame.h"
#include "xalloc.h"
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define WRITE_MAX (256u << 10) /* bytes in one turn, when they had to wait */
#define BUILD_KEEP 4096u       /* kept of a frame's memory for the next one */
#define BUILD_N 8	       /* frames that may be in the making at once */

/* Frames in the making. Not in struct chan, since hardly any channel is
 * making one; more than one, since a log line may become a frame of its own
 * while another is begun. */
static struct build {
	const struct chan *ch; /* borrowed; NULL when free */
	uint64_t number;       /* tells which of one channel began last */
	struct buf b;
	struct jw w;
} builds[BUILD_N];

void
chan_tx_drop(struct chan *ch)
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

void
chan_forget_builds(const struct chan *ch)
{
	size_t i;

	for (i = 0; i < BUILD_N; i++) {
		if (ch == NULL || builds[i].ch == ch)
			builds[i].ch = NULL;
	}
}

/* Sending is over. What the peer said before it left is still to be read, and
 * the end of that is what closes the channel. */
static void
tx_fail(struct chan *ch)
{
	ch->mute = true;
	chan_tx_drop(ch);
	ev_io_stop(ch->loop, &ch->wio);
	/* Makes the end come, whoever still holds the other side. */
	(void)shutdown(ch->fd, SHUT_RDWR);
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

void
chan_on_writable(struct ev_loop *loop, ev_io *w, int revents ATTR_UNUSED)
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

/* --- replies ------------------------------------------------------------- */

struct jw *
chan_reply(struct chan *ch, int64_t id)
{
	struct jw *w = chan_begin(ch);

	jw_kint(w, "id", id);
	jw_key(w, "ok");
	jw_object(w);
	return w;
}

int
chan_reply_ok(struct chan *ch, int64_t id)
{
	jw_object_end(chan_reply(ch, id));
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
