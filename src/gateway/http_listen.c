/*
 * Listening sockets and what is accepted on them. Runs in sandboxd-gateway;
 * the sockets are the supervisor's and shared by all gateways, so another may
 * have taken a connection that we were told of.
 */
#include "gateway/http_priv.h"
#include "gateway/metrics.h"
#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* So many before others have their turn. */
#define ACCEPTS_MAX 32
#define PAUSE_S 0.1
/* Times ACCEPTS_MAX: who may wait at a socket that is closed. */
#define LINE_TURNS 256

/* One write and gone: there may be many of these. */
static void
refuse(struct http *h, int fd)
{
	static const char text[] =
	    "HTTP/1.1 503 Service Unavailable\r\n"
	    "content-type: application/problem+json\r\n"
	    "connection: close\r\n"
	    "retry-after: 1\r\n"
	    "content-length: 137\r\n\r\n"
	    "{\"type\":\"urn:sandbox-agent:error:unavailable\","
	    "\"title\":\"Unavailable\",\"status\":503,"
	    "\"detail\":\"unavailable: too many connections, try again\"}";

	/* Who does not get it finds the connection closed. */
	(void)send(fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	linger_begin(h, fd);
}

static void
accepted(struct listener *l, int fd, const struct sockaddr *sa, socklen_t len)
{
	struct http *h = l->http;
	struct mhd *m = l->secure ? &h->tls : &h->plain;
	const int on = 1;

	if (!conn_allowed(h, sa)) {
		metrics_refused(h->gw, REFUSED_CONNECTIONS);
		if (l->secure)
			(void)close(fd); /* no words before the handshake */
		else
			refuse(h, fd);
		return;
	}
	if (sa->sa_family != AF_UNIX)
		/* Answers are written whole: never wait to add to them. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	h->accepting = sa;
	(void)MHD_add_connection(m->daemon, fd, sa, len); /* closes it if not */
	h->accepting = NULL;
}

/* Take who waits, ACCEPTS_MAX at most. False: nobody does any more. */
static bool
accept_some(struct listener *l)
{
	union {
		struct sockaddr sa;
		struct sockaddr_storage all;
	} from;
	socklen_t len;
	int fd, i, n = 0;

	for (i = 0; i < ACCEPTS_MAX; i++) {
		len = sizeof(from);
		memset(&from, 0, sizeof(from.sa));
		fd = accept4(
		    l->fd, &from.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			accepted(l, fd, &from.sa, len);
			n++;
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			ev_io_stop(l->http->gw->loop, &l->io);
			ev_timer_again(l->http->gw->loop, &l->pause);
		}
		if (errno != ECONNABORTED && errno != EINTR)
			break;
	}
	if (n > 0)
		http_run(l->secure ? &l->http->tls : &l->http->plain);
	return i == ACCEPTS_MAX;
}

static void
on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	(void)accept_some(io->data);
}

static void
on_pause(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct listener *l = timer->data;

	(void)revents;
	ev_timer_stop(loop, timer);
	ev_io_start(loop, &l->io);
}

int
http_listen(
    struct gateway *gw, const char *name, int fd, bool secure, struct err *e)
{
	struct http *h = gw->http;
	struct listener *l;

	if (secure && !h->has_tls) {
		(void)close(fd);
		return err_set(
		    e, ERR_BAD_REQUEST, "%s: TLS without a certificate", name);
	}
	if (fd_set_nonblock(fd, 1) == -1) {
		(void)err_sys(e, "%s", name);
		(void)close(fd);
		return -1;
	}
	(void)http_unlisten(gw, name);
	l = xcalloc(1, sizeof(*l));
	l->http = h;
	l->name = xstrdup(name);
	l->fd = fd;
	l->secure = secure;
	LIST_INSERT_HEAD(&h->listeners, l, link);
	ev_io_init(&l->io, on_accept, fd, EV_READ);
	l->io.data = l;
	ev_io_start(gw->loop, &l->io);
	ev_timer_init(&l->pause, on_pause, 0., PAUSE_S);
	l->pause.data = l;
	return 0;
}

static void
listener_free(struct listener *l)
{
	ev_io_stop(l->http->gw->loop, &l->io);
	ev_timer_stop(l->http->gw->loop, &l->pause);
	LIST_REMOVE(l, link);
	fd_close(&l->fd);
	free(l->name);
	free(l);
}

bool
http_unlisten(struct gateway *gw, const char *name)
{
	struct listener *l;

	LIST_FOREACH (l, &gw->http->listeners, link) {
		if (strcmp(l->name, name) == 0) {
			/* Who is in line has come in time. No more than a
			 * line may hold: it could be joined as we take. */
			for (int i = 0; i < LINE_TURNS && accept_some(l); i++)
				;
			listener_free(l);
			return true;
		}
	}
	return false;
}

void
listen_close(struct http *h)
{
	while (!LIST_EMPTY(&h->listeners))
		listener_free(LIST_FIRST(&h->listeners));
}
