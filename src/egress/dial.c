/*
 * See dial.h. Runs in the proxy. Whoever calls has had each address allowed:
 * what is dialled here is those very bytes.
 */
#include "egress/dial.h"

#include "lib/xalloc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define SHARE_MIN_MS 1500

struct dial {
	struct ev_loop *loop;
	dial_cb *cb;
	void *ctx;
	uint8_t addrs[DIAL_ADDRS_MAX][NETADDR_BYTES];
	size_t n, at;
	uint16_t port;
	int64_t share_ms;
	int fd, error;
	ev_io io;
	ev_timer timer;
};

static socklen_t
to_sockaddr(struct sockaddr_storage *ss, const uint8_t addr[NETADDR_BYTES],
    uint16_t port)
{
	struct sockaddr_in *sin = (void *)ss;
	struct sockaddr_in6 *sin6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (netaddr_is_v4(addr)) {
		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		memcpy(&sin->sin_addr, addr + 12, 4);
		return sizeof(*sin);
	}
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(port);
	memcpy(&sin6->sin6_addr, addr, NETADDR_BYTES);
	return sizeof(*sin6);
}

bool
dial_is_ours(const uint8_t addr[NETADDR_BYTES])
{
	struct sockaddr_storage to, from;
	socklen_t n = to_sockaddr(&to, addr, 9), m = sizeof(from);
	autofd int fd =
	    socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* Without a route nothing can be reached there either. */
	if (fd == -1 || connect(fd, (void *)&to, n) == -1 ||
	    getsockname(fd, (void *)&from, &m) == -1)
		return false;
	if (to.ss_family == AF_INET)
		return memcmp(&((struct sockaddr_in *)(void *)&from)->sin_addr,
			   addr + 12, 4) == 0;
	return memcmp(&((struct sockaddr_in6 *)(void *)&from)->sin6_addr, addr,
		   NETADDR_BYTES) == 0;
}

static void
give_up(struct dial *d)
{
	ev_io_stop(d->loop, &d->io);
	ev_timer_stop(d->loop, &d->timer);
	fd_close(&d->fd);
}

/* From the timer or the socket, never from dial_start(). */
static void
end(struct dial *d)
{
	int fd = fd_steal(&d->fd);

	give_up(d);
	d->cb(d->ctx, fd, fd == -1 ? NULL : d->addrs[d->at], d->error);
	free(d);
}

/* The next address, from D->at on. When there is none the timer tells. */
static void
try_next(struct dial *d)
{
	struct sockaddr_storage ss;
	socklen_t n;
	int one = 1;

	give_up(d);
	for (; d->at < d->n; d->at++) {
		n = to_sockaddr(&ss, d->addrs[d->at], d->port);
		d->fd = socket(ss.ss_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (d->fd == -1) {
			d->error = errno;
			continue;
		}
		/* Small messages of tunnels are not to wait. */
		(void)setsockopt(
		    d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (connect(d->fd, (void *)&ss, n) == 0 ||
		    errno == EINPROGRESS) {
			ev_io_set(&d->io, d->fd, EV_WRITE);
			ev_io_start(d->loop, &d->io);
			ev_timer_set(
			    &d->timer, (double)d->share_ms / 1000.0, 0.);
			ev_timer_start(d->loop, &d->timer);
			return;
		}
		d->error = errno;
		fd_close(&d->fd);
	}
	ev_timer_set(&d->timer, 0., 0.);
	ev_timer_start(d->loop, &d->timer);
}

static void
on_io(struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents ATTR_UNUSED)
{
	struct dial *d = io->data;
	socklen_t n = sizeof(d->error);

	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &d->error, &n) == -1)
		d->error = errno;
	if (d->error == 0) {
		end(d);
		return;
	}
	d->at++;
	try_next(d);
}

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct dial *d = t->data;

	if (d->fd == -1) {
		end(d);
		return;
	}
	d->error = ETIMEDOUT;
	d->at++;
	try_next(d);
}

struct dial *
dial_start(struct ev_loop *loop, const uint8_t (*addrs)[NETADDR_BYTES],
    size_t n, uint16_t port, int64_t ms, dial_cb *cb, void *ctx)
{
	struct dial *d = xcalloc(1, sizeof(*d));

	d->loop = loop;
	d->cb = cb;
	d->ctx = ctx;
	d->n = MIN(n, DIAL_ADDRS_MAX);
	memcpy(d->addrs, addrs, d->n * NETADDR_BYTES);
	d->port = port;
	d->share_ms = MAX(ms / (int64_t)MAX(d->n, 1), SHARE_MIN_MS);
	d->fd = -1;
	d->error = ENETUNREACH;
	ev_init(&d->io, on_io);
	ev_init(&d->timer, on_timer);
	d->io.data = d->timer.data = d;
	try_next(d);
	return d;
}

void
dial_cancel(struct dial *d)
{
	give_up(d);
	free(d);
}
