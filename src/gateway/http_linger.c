/*
 * Closing a connection on which a body still comes: closed at once, the
 * kernel would answer the rest with a reset, and our answer be lost with it.
 * So what comes is thrown away for a short while. Runs in sandboxd-gateway.
 */
#include "gateway/http_priv.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <sys/socket.h>

#define LINGERS_MAX 256
#define LINGER_MS 2000
#define LINGER_BYTES (8LL << 20)

struct lingering {
	LIST_ENTRY(lingering) link;
	struct http *http;
	int fd;
	ev_io io;
	int64_t until;
	int64_t left;
};

static void
linger_end(struct lingering *l)
{
	ev_io_stop(l->http->gw->loop, &l->io);
	LIST_REMOVE(l, link);
	l->http->nlingers--;
	fd_close(&l->fd);
	free(l);
}

static void
on_data(struct ev_loop *loop, ev_io *io, int revents)
{
	static char waste[65536];
	struct lingering *l = io->data;
	ssize_t n;

	(void)loop;
	(void)revents;
	n = recv(l->fd, waste, sizeof(waste), MSG_DONTWAIT);
	l->left -= n > 0 ? n : 0;
	if (n == 0 || l->left <= 0 ||
	    (n == -1 && errno != EAGAIN && errno != EINTR))
		linger_end(l);
}

void
linger_begin(struct http *h, int fd)
{
	struct lingering *l;

	if (fd == -1)
		return;
	if (h->nlingers == LINGERS_MAX) {
		(void)close(fd);
		return;
	}
	(void)shutdown(fd, SHUT_WR); /* it may be gone */
	l = xcalloc(1, sizeof(*l));
	l->http = h;
	l->fd = fd;
	l->until = http_now(h) + LINGER_MS;
	l->left = LINGER_BYTES;
	LIST_INSERT_HEAD(&h->lingers, l, link);
	h->nlingers++;
	ev_io_init(&l->io, on_data, fd, EV_READ);
	l->io.data = l;
	ev_io_start(h->gw->loop, &l->io);
}

void
linger_tick(struct http *h)
{
	int64_t now = http_now(h);
	struct lingering *l, *next;

	for (l = LIST_FIRST(&h->lingers); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (now >= l->until)
			linger_end(l);
	}
}
