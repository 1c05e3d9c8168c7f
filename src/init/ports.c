/*
 * Ports of the sandbox; see ports.h. Runs in init, inside the sandbox's
 * network namespace, at the word of a gateway, which speaks for anybody on the
 * network.
 *
 * In a namespace of its own everything that listens is the sandbox's. In one
 * that it shares with the host, clients of the sandbox must not get at the
 * host's services: there only ports that this sandbox alone listens on are
 * listed, and dialled.
 *
 * Never blocks and never sends a byte: a dial is a connect whose end the loop
 * waits for.
 */
#include "init/ports.h"

#include "init/gate.h"
#include "init/ports_scan.h"
#include "sandbox/plan.h"
#include "lib/strutil.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define DIALS_MAX 32	 /* at one time; each has a descriptor */
#define WAITING_MAX 4096 /* more wait for one of those to end */
#define DIAL_S 10.0
#define PID_BY_USER ((pid_t)-1) /* one of ours, whichever */
#define COMMAND_MAX 64

struct dial {
	TAILQ_ENTRY(dial) link;
	struct gate *g; /* borrowed */
	int64_t id;
	uint16_t port;
	int fd;	  /* owned */
	bool six; /* what is tried now; 127.0.0.1 comes first */
	bool begun;
	bool may[2]; /* whether 127.0.0.1 and ::1 may be tried */
	ev_io io;
	ev_timer timer;
};

static TAILQ_HEAD(, dial) dials = TAILQ_HEAD_INITIALIZER(dials); /* in order */
static size_t ndials, nbegun;

static void dials_step(void);
static void dial_try(struct dial *d);

/* --- what is there -------------------------------------------------------- */

/* The listeners that count as the sandbox's, with their holders as far as they
 * can be seen; the number, or -1. V is the caller's to free. */
static ssize_t
own_listeners(const struct gate *g, struct listener **v_out, struct err *e)
{
	struct listener *v = calloc(LISTENERS_MAX, sizeof(*v));
	bool own_ids, all;
	ssize_t n, i, kept = 0;

	*v_out = v;
	if (v == NULL)
		return err_sys(e, "memory");
	n = listeners_scan(g->in->proc_fd, v);
	if (n == -1)
		return err_sys(e, "read the sandbox's /proc/net");
	all = listeners_owners(g->in->proc_fd, v, (size_t)n) == 0;
	if (!g->defaults.host_network) {
		/* The proxy's is held outside, and no service of anybody's. */
		for (i = 0; i < n; i++)
			if (v[i].port != PLAN_PROXY_PORT || v[i].pid != 0)
				v[kept++] = v[i];
		return kept;
	}
	own_ids = ids_are_our_own(g->in->proc_fd);
	for (i = 0; i < n; i++)
		if (v[i].pid != 0 || (own_ids && v[i].uid < UID_UNKNOWN))
			v[kept++] = v[i];
	if (kept == 0 && n > 0 && !all)
		return err_set(e, ERR_LIMIT,
		    "too many descriptors are open to tell whose the ports "
		    "are");
	return kept;
}

static void
write_address(struct jw *w, const struct listener *l)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(l->six ? AF_INET6 : AF_INET, l->addr, text,
		sizeof(text)) != NULL)
		jw_str(w, text);
}

/* The name of process PID, which may be gone by now. */
static void
write_command(struct jw *w, const struct gate *g, pid_t pid)
{
	char path[32], name[COMMAND_MAX];
	autofd int fd = -1;
	ssize_t n;

	if (str_format(path, sizeof(path), "%d/comm", (int)pid) == -1)
		return;
	fd = openat(g->in->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || (n = read(fd, name, sizeof(name))) <= 0)
		return;
	if (name[n - 1] == '\n')
		n--;
	jw_key(w, "command");
	jw_strn(w, name, (size_t)n);
}

static int
by_port(const void *a, const void *b)
{
	const struct listener *x = a, *y = b;

	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	return (int)x->six - (int)y->six;
}

/* One port: V[0..n) are its sockets. */
static void
write_port(
    struct jw *w, const struct gate *g, const struct listener *v, size_t n)
{
	pid_t pid = 0;
	size_t i;

	jw_object(w);
	jw_kint(w, "port", v->port);
	jw_key(w, "addresses");
	jw_array(w);
	for (i = 0; i < n; i++) {
		/* SO_REUSEPORT: several on one address. */
		if (i == 0 || v[i].six != v[i - 1].six ||
		    memcmp(v[i].addr, v[i - 1].addr, sizeof(v->addr)) != 0)
			write_address(w, &v[i]);
		if (pid == 0)
			pid = v[i].pid;
	}
	jw_array_end(w);
	if (pid != 0) {
		jw_kint(w, "pid", pid);
		write_command(w, g, pid);
	}
	jw_object_end(w);
}

static void
port_list(struct gate *g, int64_t id)
{
	autofree struct listener *v = NULL;
	ssize_t n, i, next;
	struct err e;
	struct jw *w;

	n = own_listeners(g, &v, &e);
	if (n == -1) {
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	qsort(v, (size_t)n, sizeof(*v), by_port);
	w = chan_reply(g->ch, id);
	jw_key(w, "ports");
	jw_array(w);
	for (i = 0; i < n; i = next) {
		next = i + 1;
		while (next < n && v[next].port == v[i].port)
			next++;
		write_port(w, g, &v[i], (size_t)(next - i));
	}
	jw_array_end(w);
	jw_object_end(w);
	(void)chan_end(g->ch, NULL, 0);
}

/* --- dialling ------------------------------------------------------------- */

static void
dial_free(struct dial *d)
{
	struct ev_loop *loop = d->g->in->loop;

	struct dial *next;

	TAILQ_REMOVE(&dials, d, link);
	ndials--;
	if (d->begun)
		nbegun--;
	ev_io_stop(loop, &d->io);
	ev_timer_stop(loop, &d->timer);
	fd_close(&d->fd);
	free(d);
	if (ndials == nbegun || nbegun >= DIALS_MAX)
		return;
	TAILQ_FOREACH (next, &dials, link) {
		if (next->begun)
			continue;
		/* From the loop: it may end at once, and call us again. */
		ev_feed_event(loop, &next->timer, EV_CUSTOM);
		return;
	}
}

static void
dial_fail(struct dial *d, const struct err *e)
{
	(void)chan_reply_err(d->g->ch, d->id, e);
	dial_free(d);
}

static void
dial_connected(struct dial *d)
{
	struct jw *w = chan_reply(d->g->ch, d->id);
	const int one = 1;
	int fd = fd_steal(&d->fd);

	/* Small answers are not to wait for each other; if it cannot be, they
	 * come all the same. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	jw_object_end(w);
	(void)chan_end(d->g->ch, &fd, 1);
	dial_free(d);
}

/* This address did not answer, and errno says why. */
static void
dial_next(struct dial *d)
{
	int sys = errno;
	struct err e;

	ev_io_stop(d->g->in->loop, &d->io);
	fd_close(&d->fd);
	if (!d->six && d->may[1]) {
		d->six = true;
		dial_try(d);
		return;
	}
	if (sys == ECONNREFUSED)
		err_set(&e, ERR_PORT_CLOSED,
		    "nothing listens on port %u of the sandbox",
		    (unsigned)d->port);
	else {
		errno = sys;
		(void)err_sys(
		    &e, "connect to port %u of the sandbox", (unsigned)d->port);
	}
	dial_fail(d, &e);
}

static void
on_dial_io(struct ev_loop *loop, ev_io *io, int revents)
{
	struct dial *d = io->data;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)loop;
	(void)revents;
	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error == 0) {
		dial_connected(d);
		return;
	}
	errno = error;
	dial_next(d);
}

static void
on_dial_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct dial *d = t->data;
	struct err e;

	(void)loop;
	if (revents & EV_CUSTOM) {
		dials_step();
		return;
	}
	err_set(&e, ERR_TIMEOUT,
	    "port %u of the sandbox did not take the connection in %d s",
	    (unsigned)d->port, (int)DIAL_S);
	dial_fail(d, &e);
}

static void
dial_try(struct dial *d)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons(d->port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(d->port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int r;

	d->fd = socket(d->six ? AF_INET6 : AF_INET,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->fd == -1) {
		/* A sandbox without IPv6 has nobody there either. */
		if (errno == EAFNOSUPPORT)
			errno = ECONNREFUSED;
		dial_next(d);
		return;
	}
	r = d->six ? connect(d->fd, (const struct sockaddr *)&v6, sizeof(v6))
		   : connect(d->fd, (const struct sockaddr *)&v4, sizeof(v4));
	if (r == 0) {
		dial_connected(d);
		return;
	}
	if (errno != EINPROGRESS) {
		if (errno == EADDRNOTAVAIL && d->six)
			errno = ECONNREFUSED;
		dial_next(d);
		return;
	}
	ev_io_init(&d->io, on_dial_io, d->fd, EV_WRITE);
	d->io.data = d;
	ev_io_start(d->g->in->loop, &d->io);
}

/* In the host's network: the addresses where whoever takes the connection is
 * sure to be of this sandbox. */
static int
dial_permit(struct dial *d, struct err *e)
{
	autofree struct listener *v = calloc(LISTENERS_MAX, sizeof(*v));
	bool own_ids = ids_are_our_own(d->g->in->proc_fd), taken[2];
	ssize_t n = -1, i, kept = 0;
	int six;

	if (v == NULL)
		return err_sys(e, "memory");
	n = listeners_scan(d->g->in->proc_fd, v);
	if (n == -1)
		return err_sys(e, "read the sandbox's /proc/net");
	/* A table that is full may have left somebody out. */
	if (n == LISTENERS_MAX)
		return err_set(e, ERR_LIMIT, "too many sockets listen");
	for (i = 0; i < n; i++) {
		if (v[i].port != d->port)
			continue;
		/* What its user tells need not be looked for. */
		if (own_ids && v[i].uid < UID_UNKNOWN)
			v[i].pid = PID_BY_USER;
		v[kept++] = v[i];
	}
	(void)listeners_owners(d->g->in->proc_fd, v, (size_t)kept);
	for (six = 0; six < 2; six++) {
		taken[six] = false;
		d->may[six] = true;
		for (i = 0; i < kept; i++) {
			if (!listener_takes(&v[i], six == 1))
				continue;
			taken[six] = true;
			d->may[six] = d->may[six] && v[i].pid != 0;
		}
		d->may[six] = d->may[six] && taken[six];
	}
	if (!d->may[0] && !d->may[1])
		return err_set(e, ERR_PORT_CLOSED,
		    "no process of the sandbox alone listens on port %u",
		    (unsigned)d->port);
	d->six = !d->may[0];
	return 0;
}

/* Now, or when another has ended. */
static void
dial_begin(struct dial *d)
{
	struct err e;

	if (d->begun || nbegun >= DIALS_MAX)
		return;
	d->begun = true;
	nbegun++;
	if (d->g->defaults.host_network && dial_permit(d, &e) == -1)
		dial_fail(d, &e);
	else
		dial_try(d);
}

/* There is room: begin those that have waited. */
static void
dials_step(void)
{
	struct dial *d, *next;

	for (d = TAILQ_FIRST(&dials); d != NULL && nbegun < DIALS_MAX;
	     d = next) {
		next = TAILQ_NEXT(d, link);
		dial_begin(d);
	}
}

static void
port_dial(struct gate *g, int64_t id, int64_t port)
{
	struct dial *d = NULL;
	struct err e;

	if (ndials >= WAITING_MAX) {
		err_set(&e, ERR_LIMIT,
		    "too many connections are being made to ports of the "
		    "sandbox");
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		(void)err_sys(&e, "memory");
		(void)chan_reply_err(g->ch, id, &e);
		return;
	}
	d->g = g;
	d->id = id;
	d->port = (uint16_t)port;
	d->fd = -1;
	d->may[0] = d->may[1] = true;
	ev_init(&d->io, on_dial_io);
	ev_timer_init(&d->timer, on_dial_timer, DIAL_S, 0.);
	d->timer.data = d;
	ev_timer_start(g->in->loop, &d->timer);
	TAILQ_INSERT_TAIL(&dials, d, link);
	ndials++;
	dial_begin(d);
}

void
port_request(struct gate *g, int64_t id, enum msg_type type,
    const struct json *msg, const struct chan_frame *f)
{
	(void)f; /* no descriptor comes with either */
	if (type == MSG_PORT_LIST)
		port_list(g, id);
	else
		port_dial(g, id, json_int(msg, "port", 0));
}

void
port_gate_closed(struct gate *g)
{
	struct dial *d, *next;

	for (d = TAILQ_FIRST(&dials); d != NULL; d = next) {
		next = TAILQ_NEXT(d, link);
		if (d->g == g)
			dial_free(d);
	}
}
