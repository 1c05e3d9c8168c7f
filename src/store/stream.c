/*
 * Writing to control clients. Runs in the store; nothing is read from a
 * client here, and what it does with its end costs only its own stream.
 *
 * Connections stand in an epoll set of their own, for two reasons. A client
 * may have shut down its writing side (`echo … | nc`): asking libev for
 * "readable" would never rest, while an empty event mask still reports that
 * both sides are closed. And the supervisor holds the same open connection: a
 * descriptor that is closed here without an explicit EPOLL_CTL_DEL would stay
 * in the set.
 */
#include "store/stream.h"

#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define SHARE_MS 2 /* of each turn of the loop, for all running streams */
#define SCRATCH_CAP (4u << 20) /* a chunk, an event or record, their frame */
#define SCRATCH_KEEP (256u << 10)
#define READY_MAX 64

static void
stream_unlink(struct store *st, struct stream *x)
{
	if (x->state == STREAM_RUNNING)
		TAILQ_REMOVE(&st->streams->running, x, run);
	if (x->state == STREAM_WAITING)
		TAILQ_REMOVE(&x->serve.s->followers, x, follow);
	x->state = STREAM_BLOCKED;
}

static void
stream_free(struct store *st, struct stream *x)
{
	stream_unlink(st, x);
	LIST_REMOVE(x, link);
	st->streams->n--;
	/* It is in the set from stream_new on, so this cannot fail. */
	(void)epoll_ctl(st->streams->epoll_fd, EPOLL_CTL_DEL, x->fd, NULL);
	fd_close(&x->fd);
	free(x->request);
	buf_free(&x->out);
	serve_free(&x->serve);
	free(x);
}

/* The stream is over: the supervisor goes on with the connection. */
static void
stream_end(struct store *st, struct stream *x, bool gone)
{
	struct jw *w;

	if (st->super != NULL) {
		w = chan_reply(st->super, x->id);
		jw_kbool(w, "gone", gone);
		jw_object_end(w);
		if (chan_end(st->super, NULL, 0) == -1)
			log_error("store", "answer to serve lost");
	}
	stream_free(st, x);
}

static void
stream_run_later(struct store *st, struct stream *x)
{
	stream_unlink(st, x);
	x->state = STREAM_RUNNING;
	TAILQ_INSERT_TAIL(&st->streams->running, x, run);
	store_stay_busy(st);
}

void
stream_wake(struct store *st, struct stream *x)
{
	stream_run_later(st, x);
}

static void
stream_watch(struct store *st, struct stream *x, bool writable)
{
	struct epoll_event ev = { .events = writable ? EPOLLOUT : 0,
		.data.ptr = x };

	/* The descriptor is in the set: this cannot fail. */
	(void)epoll_ctl(st->streams->epoll_fd, EPOLL_CTL_MOD, x->fd, &ev);
}

/* Bytes taken, or -1 when the client has gone. */
static ssize_t
client_send(const struct stream *x, const char *p, size_t n)
{
	size_t done = 0;
	ssize_t rc;

	while (done < n) {
		rc = send(
		    x->fd, p + done, n - done, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (rc > 0)
			done += (size_t)rc;
		else if (rc == -1 && errno == EINTR)
			continue;
		else if (rc == -1 && (errno == EAGAIN || errno == ENOBUFS))
			break;
		else
			return -1;
	}
	return (ssize_t)done;
}

/* One share of a running stream. It may be gone afterwards. */
static void
stream_step(struct store *st, struct stream *x, MDB_txn *txn)
{
	struct buf *b = &st->streams->scratch;
	enum stream_step step;
	ssize_t n;

	buf_clear(b);
	step = x->serve.fill(x, st, txn, b);
	if (b->failed) { /* no memory: the client sees a cut-off line */
		stream_end(st, x, true);
		return;
	}
	n = client_send(x, b->data, b->len);
	if (n == -1) {
		stream_end(st, x, true);
		return;
	}
	x->last = step == STEP_END;
	if ((size_t)n < b->len) {
		if (buf_add(&x->out, b->data + n, b->len - (size_t)n) == -1) {
			stream_end(st, x, true);
			return;
		}
		stream_unlink(st, x);
		stream_watch(st, x, true);
		return;
	}
	if (step == STEP_END) {
		stream_end(st, x, false);
	} else if (step == STEP_WAIT) {
		stream_unlink(st, x);
		x->state = STREAM_WAITING;
		TAILQ_INSERT_TAIL(&x->serve.s->followers, x, follow);
	} else {
		stream_run_later(st, x);
	}
}

void
streams_run(struct store *st)
{
	struct streams *ss = st->streams;
	struct stream *x;
	MDB_txn *txn;
	struct err e;
	int64_t start_ms;

	if (TAILQ_EMPTY(&ss->running))
		return;
	if (db_read(&st->db, &txn, &e) == -1) {
		log_error("store", "cannot read", LOG_STR("detail", e.text));
		return;
	}
	start_ms = now_monotonic_ms();
	while ((x = TAILQ_FIRST(&ss->running)) != NULL &&
	       now_monotonic_ms() - start_ms < SHARE_MS)
		stream_step(st, x, txn);
	db_read_done(&st->db);
	buf_clear(&ss->scratch);
	buf_trim(&ss->scratch, SCRATCH_KEEP);
	if (!TAILQ_EMPTY(&ss->running))
		store_stay_busy(st);
}

/* The client takes again what was left over. */
static void
stream_writable(struct store *st, struct stream *x)
{
	ssize_t n = client_send(x, x->out.data, x->out.len);

	if (n == -1) {
		stream_end(st, x, true);
		return;
	}
	buf_consume(&x->out, (size_t)n);
	if (x->out.len > 0)
		return;
	buf_free(&x->out); /* one that follows slowly is most often idle */
	stream_watch(st, x, false);
	if (x->last)
		stream_end(st, x, false);
	else
		stream_run_later(st, x);
}

static void
on_ready(struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents ATTR_UNUSED)
{
	struct store *st = io->data;
	struct epoll_event ready[READY_MAX];
	struct stream *x;
	int i, n;

	/* Each connection is named once at most, and handling one frees no
	 * other. */
	n = epoll_wait(st->streams->epoll_fd, ready, READY_MAX, 0);
	for (i = 0; i < n; i++) {
		x = ready[i].data.ptr;
		if (ready[i].events & (EPOLLHUP | EPOLLERR))
			stream_end(st, x, true);
		else if (ready[i].events & EPOLLOUT)
			stream_writable(st, x);
	}
}

int
streams_open(struct store *st, struct err *e)
{
	struct streams *ss = xcalloc(1, sizeof(*ss));

	TAILQ_INIT(&ss->running);
	LIST_INIT(&ss->all);
	buf_init(&ss->scratch, SCRATCH_CAP);
	ss->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ss->epoll_fd == -1) {
		(void)err_sys(e, "epoll_create1");
		free(ss);
		return -1;
	}
	ev_io_init(&ss->io, on_ready, ss->epoll_fd, EV_READ);
	ss->io.data = st;
	ev_io_start(st->loop, &ss->io);
	st->streams = ss;
	return 0;
}

void
streams_close(struct store *st)
{
	struct stream *x;

	if (st->streams == NULL)
		return;
	while ((x = LIST_FIRST(&st->streams->all)) != NULL)
		stream_free(st, x);
	ev_io_stop(st->loop, &st->streams->io);
	fd_close(&st->streams->epoll_fd);
	buf_free(&st->streams->scratch);
	free(STEAL(st->streams));
}

int
stream_new(struct store *st, int fd, int64_t id, const char *request,
    const struct serve *serve, struct err *e)
{
	struct stream *x = xcalloc(1, sizeof(*x));
	struct epoll_event ev = { .events = 0, .data.ptr = x };

	x->fd = fd;
	x->id = id;
	x->serve = *serve;
	if (epoll_ctl(st->streams->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == -1) {
		(void)err_sys(e, "watch the connection");
		(void)close(fd);
		serve_free(&x->serve);
		free(x);
		return -1;
	}
	x->request = xstrdup(request);
	buf_init(&x->out, SCRATCH_CAP);
	x->state = STREAM_BLOCKED;
	LIST_INSERT_HEAD(&st->streams->all, x, link);
	st->streams->n++;
	stream_run_later(st, x);
	return 0;
}
