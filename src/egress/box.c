/*
 * A sandbox as the proxy sees it: a socket that listens inside, and rules. Runs
 * in the proxy. Whoever connects comes from inside the sandbox, where nobody
 * else can.
 */
#include "egress/proxy.h"

#include "lib/log.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define AT_ONCE 32  /* taken before others are served */
#define LATER_S 0.2 /* when there is no descriptor */

static bool
has_room(const struct box *b)
{
	return b->nconns < b->p->set.max_per_sandbox &&
	       b->p->nconns < b->p->most;
}

static void
on_accept(struct ev_loop *loop, ev_io *io, int revents ATTR_UNUSED)
{
	struct box *b = io->data;
	int fd;

	for (int i = 0; i < AT_ONCE; i++) {
		/* The rest wait in the socket's queue; see box_room(). */
		if (!has_room(b)) {
			ev_io_stop(loop, io);
			return;
		}
		fd = accept4(b->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1)
			break;
		conn_new(b, fd);
	}
	if (fd == -1 && (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM)) {
		ev_io_stop(loop, io);
		ev_timer_start(loop, &b->later);
	}
}

static void
on_later(struct ev_loop *loop, ev_timer *t, int revents ATTR_UNUSED)
{
	struct box *b = t->data;

	ev_timer_stop(loop, t);
	ev_timer_set(t, LATER_S, 0.);
	if (has_room(b))
		ev_io_start(loop, &b->io);
}

/* Others may have waited for the place that B has left. */
void
box_room(struct box *b)
{
	struct proxy *p = b->p;

	LIST_FOREACH (b, &p->boxes, link) {
		if (!ev_is_active(&b->io) && !ev_is_active(&b->later) &&
		    has_room(b))
			ev_io_start(p->loop, &b->io);
	}
}

void
box_new(struct proxy *p, const char *id, int fd, int log_fd,
    struct netpolicy *policy)
{
	struct box *b = xcalloc(1, sizeof(*b));

	b->p = p;
	(void)!str_copy(b->id, sizeof(b->id), id); /* bounded by proto.def */
	b->fd = fd;
	b->policy = *policy;
	memset(policy, 0, sizeof(*policy));
	LIST_INIT(&b->conns);
	b->notes = notes_new(b, log_fd);
	ev_io_init(&b->io, on_accept, fd, EV_READ);
	ev_timer_init(&b->later, on_later, LATER_S, 0.);
	b->io.data = b->later.data = b;
	LIST_INSERT_HEAD(&p->boxes, b, link);
	ev_io_start(p->loop, &b->io);
}

struct box *
box_find(struct proxy *p, const char *id)
{
	struct box *b;

	LIST_FOREACH (b, &p->boxes, link) {
		if (strcmp(b->id, id) == 0)
			return b;
	}
	return NULL;
}

void
box_free(struct box *b)
{
	struct proxy *p = b->p;
	struct conn *c;

	while ((c = LIST_FIRST(&b->conns)) != NULL) {
		note_end(c, "the sandbox has ended");
		conn_free(c);
	}
	ev_io_stop(p->loop, &b->io);
	ev_timer_stop(p->loop, &b->later);
	LIST_REMOVE(b, link);
	notes_free(b->notes);
	netpolicy_free(&b->policy);
	fd_close(&b->fd);
	free(b);
	if ((b = LIST_FIRST(&p->boxes)) != NULL)
		box_room(b);
}
