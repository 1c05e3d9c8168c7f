/*
 * A connection's bytes. Runs in the proxy; both ends are strangers. What waits
 * for a slow end is bounded: the other end is not read meanwhile.
 */
#include "egress/proxy.h"

#include "lib/xalloc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define READ_MAX 65536
#define LINGER_MS 2000

static void on_io(struct ev_loop *loop, ev_io *io, int revents);

/* --- its life ------------------------------------------------------------- */

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct conn *c = t->data;
	int64_t now = now_monotonic_ms();
	int64_t end = c->deadline_ms != 0
			  ? c->deadline_ms
			  : c->moved_ms + c->box->p->set.idle_ms;

	if (now < end) {
		ev_timer_set(t, (double)(end - now + 1) / 1000.0, 0.);
		ev_timer_start(c->box->p->loop, t);
		return;
	}
	c->busy = true;
	if (c->state == CONN_HEAD || c->state == CONN_SOCKS) {
		conn_refuse(c, 408, "it took too long to say what it wants");
	} else if (c->state == CONN_WAIT) {
		conn_refuse(c, 504, "it took too long to connect");
	} else {
		conn_end(c, c->state == CONN_LINGER ? "closed" : "idle");
	}
	conn_leave(c);
}

static void
arm(struct conn *c, int64_t ms)
{
	ev_timer_stop(c->box->p->loop, &c->timer);
	ev_timer_set(&c->timer, (double)ms / 1000.0, 0.);
	ev_timer_start(c->box->p->loop, &c->timer);
}

void
conn_deadline(struct conn *c, int64_t ms)
{
	c->moved_ms = now_monotonic_ms();
	c->deadline_ms = ms != 0 ? c->moved_ms + ms : 0;
	arm(c, ms != 0 ? ms : c->box->p->set.idle_ms);
}

void
conn_new(struct box *b, int fd)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	int one = 1;

	c->box = b;
	c->number = ++b->p->last_conn;
	c->began_ms = now_monotonic_ms();
	for (int i = 0; i < SIDES; i++) {
		c->side[i].fd = -1;
		ev_init(&c->side[i].io, on_io);
		c->side[i].io.data = c;
		buf_init(&c->side[i].out, 2 * CONN_BUF_MAX + HTTP_ANSWER_MAX);
	}
	c->side[CLIENT].fd = fd;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	buf_init(&c->in, CONN_BUF_MAX);
	buf_init(&c->head, 2 * HTTP_HEAD_MAX);
	buf_init(&c->answer, HTTP_ANSWER_MAX);
	ev_init(&c->timer, on_timer);
	c->timer.data = c;
	LIST_INSERT_HEAD(&b->conns, c, link);
	b->nconns++;
	b->p->nconns++;
	conn_deadline(c, b->p->set.header_ms);
	conn_leave(c);
}

void
conn_free(struct conn *c)
{
	struct box *b = c->box;

	if (c->lookup != NULL)
		resolve_cancel(c->lookup);
	if (c->dial != NULL)
		dial_cancel(c->dial);
	ev_timer_stop(b->p->loop, &c->timer);
	for (int i = 0; i < SIDES; i++) {
		ev_io_stop(b->p->loop, &c->side[i].io);
		fd_close(&c->side[i].fd);
		buf_free(&c->side[i].out);
	}
	buf_free(&c->in);
	buf_free(&c->head);
	buf_free(&c->answer);
	LIST_REMOVE(c, link);
	b->nconns--;
	b->p->nconns--;
	free(c);
}

void
conn_end(struct conn *c, const char *why)
{
	if (c->gone)
		return;
	note_end(c, why);
	c->gone = true; /* freed by conn_leave() */
}

/* --- writing ---------------------------------------------------------------
 */

static void
shut_if_said(struct conn *c, enum side to)
{
	if (!c->side[to].end || c->side[to].shut || c->side[to].out.len > 0 ||
	    c->side[to].fd == -1)
		return;
	c->side[to].shut = true;
	if (c->state == CONN_LINGER)
		conn_deadline(c, LINGER_MS);
	(void)shutdown(c->side[to].fd, SHUT_WR); /* or it has gone */
}

/* What the socket takes; -1: the other end has gone. */
static ssize_t
write_some(struct conn *c, enum side to, const char *s, size_t n)
{
	ssize_t w = send(c->side[to].fd, s, n, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (w == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (w > 0) {
		c->side[to].bytes += w;
		c->moved_ms = now_monotonic_ms();
	}
	return w;
}

void
conn_say(struct conn *c, enum side to, const char *s, size_t n)
{
	ssize_t w = 0;

	if (c->gone || c->side[to].end || n == 0)
		return;
	if (c->side[to].out.len == 0 && c->side[to].fd != -1)
		w = write_some(c, to, s, n);
	if (w == -1) {
		conn_end(c, "closed");
		return;
	}
	if ((size_t)w < n &&
	    buf_add(&c->side[to].out, s + w, n - (size_t)w) == -1)
		conn_end(c, "no memory");
}

void
conn_say_end(struct conn *c, enum side to)
{
	c->side[to].end = true;
	shut_if_said(c, to);
}

static void
flush(struct conn *c, enum side to)
{
	struct buf *b = &c->side[to].out;
	ssize_t w;

	if (b->len == 0)
		return;
	w = write_some(c, to, b->data, b->len);
	if (w == -1) {
		conn_end(c, "closed");
		return;
	}
	buf_consume(b, (size_t)w);
	buf_trim(b, 0);
	shut_if_said(c, to);
}

void
conn_linger(struct conn *c)
{
	c->state = CONN_LINGER;
	ev_io_stop(c->box->p->loop, &c->side[SERVER].io);
	fd_close(&c->side[SERVER].fd);
	conn_deadline(c, 0);
	conn_say_end(c, CLIENT);
}

/* --- reading ---------------------------------------------------------------
 */

static void
input(struct conn *c, enum side from, const char *s, size_t n)
{
	switch (c->state) {
	case CONN_HEAD:
	case CONN_SOCKS:
		if (buf_add(&c->in, s, n) == -1)
			conn_refuse(c, 431, "what it wants is too long");
		else
			conn_begin_input(c);
		break;
	case CONN_SNIFF:
	case CONN_TUNNEL:
	case CONN_REQUEST:
		conn_talk_input(c, from, s, n);
		break;
	default: /* nobody listens any more */
		break;
	}
}

static void
eof(struct conn *c, enum side from)
{
	c->side[from].eof = true;
	if (c->state == CONN_SNIFF || c->state == CONN_TUNNEL ||
	    c->state == CONN_REQUEST)
		conn_talk_eof(c, from);
	else
		conn_end(c, "closed");
}

static void
read_some(struct conn *c, enum side from)
{
	static char chunk[READ_MAX]; /* we have one thread */
	size_t room = sizeof(chunk);
	ssize_t n;

	if (c->state == CONN_HEAD || c->state == CONN_SOCKS)
		room = CONN_BUF_MAX - c->in.len;
	n = recv(c->side[from].fd, chunk, room, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	c->moved_ms = now_monotonic_ms();
	if (n > 0)
		input(c, from, chunk, (size_t)n);
	else if (n == 0)
		eof(c, from);
	else
		conn_end(c, "reset");
}

/* Is there room for what that side may say? */
static bool
listens(const struct conn *c, enum side from)
{
	enum side to = from == CLIENT ? SERVER : CLIENT;

	if (c->side[from].fd == -1 || c->side[from].eof)
		return false;
	switch (c->state) {
	case CONN_HEAD:
	case CONN_SOCKS:
	case CONN_LINGER:
		return from == CLIENT;
	case CONN_SNIFF:
	case CONN_TUNNEL:
		return c->side[to].out.len < CONN_BUF_MAX;
	case CONN_REQUEST:
		if (from == CLIENT && c->body_done)
			return false; /* whatever follows is not served */
		return c->side[to].out.len < CONN_BUF_MAX;
	default:
		return false;
	}
}

static void
watch(struct conn *c)
{
	for (enum side i = CLIENT; i < SIDES; i++) {
		int events = (listens(c, i) ? EV_READ : 0) |
			     (c->side[i].out.len > 0 ? EV_WRITE : 0);
		ev_io *io = &c->side[i].io;

		if (c->side[i].fd == -1)
			continue;
		if (ev_is_active(io) && io->fd == c->side[i].fd &&
		    (io->events & (EV_READ | EV_WRITE)) == events)
			continue;
		ev_io_stop(c->box->p->loop, io);
		if (events == 0)
			continue;
		ev_io_set(io, c->side[i].fd, events);
		ev_io_start(c->box->p->loop, io);
	}
}

void
conn_leave(struct conn *c)
{
	struct box *b = c->box;

	if (c->state == CONN_TUNNEL && c->side[CLIENT].eof &&
	    c->side[SERVER].eof && c->side[CLIENT].out.len == 0 &&
	    c->side[SERVER].out.len == 0)
		conn_end(c, "closed");
	c->busy = false;
	if (!c->gone) {
		watch(c);
		return;
	}
	conn_free(c);
	box_room(b);
}

static void
on_io(struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents)
{
	struct conn *c = io->data;
	enum side s = io == &c->side[CLIENT].io ? CLIENT : SERVER;

	c->busy = true;
	if ((revents & EV_WRITE) != 0)
		flush(c, s);
	if ((revents & EV_READ) != 0 && !c->gone && listens(c, s))
		read_some(c, s);
	conn_leave(c);
}
