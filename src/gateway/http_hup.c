/*
 * Clients that leave while nobody reads from them: MHD does not look at a
 * connection that rests, so that work for somebody who has gone would go on.
 * Runs in sandboxd-gateway.
 *
 * Only the end of a connection is waited for, never data, so that a client
 * which sends its next request early costs nothing.
 */
#include "gateway/http_priv.h"

#include <sys/epoll.h>

#define EVENTS_MAX 64

static void
on_hup(struct ev_loop *loop, ev_io *io, int revents)
{
	struct epoll_event ev[EVENTS_MAX];
	struct http *h = io->data;
	struct conn *c;
	int i, n;

	(void)loop;
	(void)revents;
	/* Those that are killed here are freed by MHD later, so that no event
	 * of this batch is about one that is no more. */
	n = epoll_wait(h->hup_fd, ev, EVENTS_MAX, 0);
	for (i = 0; i < n; i++) {
		c = ev[i].data.ptr;
		if ((ev[i].events & (EPOLLHUP | EPOLLERR)) != 0)
			conn_kill(c);
		else if (c->half_since == 0)
			c->half_since = http_now(h);
	}
}

int
hup_open(struct http *h, struct err *e)
{
	h->hup_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->hup_fd == -1)
		return err_sys(e, "epoll");
	ev_io_init(&h->hup, on_hup, h->hup_fd, EV_READ);
	h->hup.data = h;
	ev_io_start(h->gw->loop, &h->hup);
	return 0;
}

void
hup_watch(struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLET };

	if (c->watched)
		return;
	ev.data.ptr = c;
	/* Ends with the descriptor. Out of memory: then as without it. */
	c->watched = epoll_ctl(c->http->hup_fd, EPOLL_CTL_ADD, c->fd, &ev) == 0;
}

void
hup_forget(struct conn *c)
{
	if (c->watched)
		(void)epoll_ctl(c->http->hup_fd, EPOLL_CTL_DEL, c->fd, NULL);
	c->watched = false;
}
