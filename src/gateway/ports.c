/*
 * Exposed ports: listening sockets of the host that stand for a port of a
 * sandbox; see ports.h. Runs in the gateway. The supervisor has bound the
 * sockets, the sandbox's init makes the connections inside; here bytes go from
 * one to the other.
 *
 * All gateways share a socket. One that has as many connections as it may have
 * accepts no more for a while, and the rest waits in the socket's queue.
 */
#include "gateway/ports.h"

#include "gateway/link.h"
#include "gateway/tunnel.h"
#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define LISTENERS_MAX 4096
#define ACCEPTS_MAX 16 /* at one go */
#define DIAL_MS 12000
#define PAUSE_S 0.1 /* when there are no descriptors */

struct port_listener {
	LIST_ENTRY(port_listener) link;
	struct gateway *gw;
	char *name; /* owned */
	char sandbox[SANDBOX_ID_MAX + 1];
	unsigned port;
	int fd; /* owned */
	ev_io io;
};

struct port_conn {
	struct gateway *gw;
	int client_fd, server_fd; /* owned */
};

struct ports {
	LIST_HEAD(, port_listener) listeners;
	size_t nlisteners, nconns;
	bool full; /* nobody accepts */
	ev_timer pause;
};

static void
accept_all(struct gateway *gw, bool on)
{
	struct port_listener *l;

	gw->ports->full = !on;
	LIST_FOREACH (l, &gw->ports->listeners, link) {
		if (on)
			ev_io_start(gw->loop, &l->io);
		else
			ev_io_stop(gw->loop, &l->io);
	}
}

/* --- connections ---------------------------------------------------------- */

static void
conn_free(struct port_conn *c)
{
	struct ports *ps = c->gw->ports;

	ps->nconns--;
	fd_close(&c->client_fd);
	fd_close(&c->server_fd);
	if (ps->full && !ev_is_active(&ps->pause))
		accept_all(c->gw, true);
	free(c);
}

static void
on_tunnel_over(void *ctx)
{
	conn_free(ctx);
}

static void
on_dialled(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct port_conn *c = ctx;

	if (ok == NULL || nfds != 1) {
		log_debug("ports", "no connection",
		    LOG_STR("cause", e != NULL ? e->text : "no descriptor"));
		conn_free(c);
		return;
	}
	c->server_fd = fd_steal(&fds[0]);
	tunnel_start(c->gw, c->client_fd, c->server_fd, NULL, 0, NULL, 0,
	    on_tunnel_over, c);
}

static void
conn_begin(struct port_listener *l, int fd)
{
	struct port_conn *c = xcalloc(1, sizeof(*c));
	struct buf args;

	c->gw = l->gw;
	c->client_fd = fd;
	c->server_fd = -1;
	l->gw->ports->nconns++;
	buf_init(&args, 64);
	(void)buf_addf(&args, "{\"port\":%u}", l->port);
	(void)link_call(l->gw, LINK_INIT, l->sandbox, MSG_PORT_DIAL, &args,
	    NULL, 0, DIAL_MS, on_dialled, c);
	buf_free(&args);
}

/* --- listeners ------------------------------------------------------------ */

static void
on_pause_over(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct gateway *gw = t->data;

	(void)loop;
	(void)revents;
	if (gw->ports->nconns < gw->limits.max_connections)
		accept_all(gw, true);
}

static void
on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct port_listener *l = w->data;
	struct ports *ps = l->gw->ports;
	int i, fd;

	(void)revents;
	for (i = 0; i < ACCEPTS_MAX; i++) {
		if (ps->nconns >= l->gw->limits.max_connections) {
			accept_all(l->gw, false);
			return;
		}
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd != -1) {
			conn_begin(l, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			accept_all(l->gw, false);
			ev_timer_set(&ps->pause, PAUSE_S, 0.);
			ev_timer_start(loop, &ps->pause);
			return;
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return; /* another gateway was faster */
	}
}

static void
listener_free(struct port_listener *l)
{
	LIST_REMOVE(l, link);
	l->gw->ports->nlisteners--;
	ev_io_stop(l->gw->loop, &l->io);
	fd_close(&l->fd);
	free(l->name);
	free(l);
}

int
ports_listen(struct gateway *gw, const char *name, int listen_fd,
    const char *sandbox, unsigned port, struct err *e)
{
	struct port_listener *l;

	ports_unlisten(gw, name);
	if (gw->ports->nlisteners >= LISTENERS_MAX) {
		(void)close(listen_fd); /* it is the supervisor's, too */
		return err_set(e, ERR_LIMIT, "too many exposed ports");
	}
	l = xcalloc(1, sizeof(*l));
	if (str_copy(l->sandbox, sizeof(l->sandbox), sandbox) == -1) {
		(void)close(listen_fd);
		free(l);
		return err_set(e, ERR_BAD_REQUEST, "not a sandbox's name");
	}
	l->gw = gw;
	l->name = xstrdup(name);
	l->port = port;
	l->fd = listen_fd;
	(void)fd_set_nonblock(listen_fd, 1); /* it is already */
	ev_io_init(&l->io, on_accept, listen_fd, EV_READ);
	l->io.data = l;
	if (!gw->ports->full)
		ev_io_start(gw->loop, &l->io);
	LIST_INSERT_HEAD(&gw->ports->listeners, l, link);
	gw->ports->nlisteners++;
	return 0;
}

void
ports_unlisten(struct gateway *gw, const char *name)
{
	struct port_listener *l, *next;

	for (l = LIST_FIRST(&gw->ports->listeners); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		if (strcmp(l->name, name) == 0)
			listener_free(l);
	}
}

void
ports_unlisten_all(struct gateway *gw)
{
	struct port_listener *l;

	while ((l = LIST_FIRST(&gw->ports->listeners)) != NULL)
		listener_free(l);
}

/* --- life ----------------------------------------------------------------- */

int
ports_open(struct gateway *gw, struct err *e)
{
	gw->ports = calloc(1, sizeof(*gw->ports));
	if (gw->ports == NULL)
		return err_sys(e, "memory");
	LIST_INIT(&gw->ports->listeners);
	ev_timer_init(&gw->ports->pause, on_pause_over, PAUSE_S, 0.);
	gw->ports->pause.data = gw;
	return 0;
}
