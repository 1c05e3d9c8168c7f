/*
 * Connections as MHD makes and ends them: how many there are of an address,
 * and how long each may do what it does. Runs in sandboxd-gateway; what it
 * counts are clients that may want to exhaust us.
 *
 * A client that waits for us has no deadline. One that makes us wait has:
 * header_ms for its headers, idle_ms between requests, and idle_ms to take or
 * bring a little more of a body.
 */
#include "gateway/http_priv.h"
#include "gateway/metrics.h"
#include "lib/xalloc.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* A client that has said its last byte may still wait for an answer. */
#define HALF_CLOSED_MS 10000
#define PROGRESS_BYTES 1024

/* The 16 bytes by which an address is counted: an IPv6 client has a whole /64
 * to itself. */
static bool
address_bytes(const struct sockaddr *sa, uint8_t out[16])
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	memset(out, 0, 16);
	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET) {
		memcpy(out + 12, &in->sin_addr, 4);
		return true;
	}
	if (sa->sa_family != AF_INET6)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		memcpy(out + 12, in6->sin6_addr.s6_addr + 12, 4);
	else
		memcpy(out, &in6->sin6_addr, 8);
	return true;
}

static struct address_list *
address_slot(struct http *h, const uint8_t bytes[16])
{
	uint64_t a, b, x;

	memcpy(&a, bytes, 8);
	memcpy(&b, bytes + 8, 8);
	x = (a ^ h->address_seed) * 0x9e3779b97f4a7c15U;
	x = (x ^ (x >> 29) ^ b) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 32) ^ h->address_seed) * 0x94d049bb133111ebU;
	return &h->addresses[(x >> 40) % ADDRESS_SLOTS];
}

static struct address *
address_find(struct http *h, const uint8_t bytes[16])
{
	struct address *a;

	LIST_FOREACH (a, address_slot(h, bytes), link)
		if (memcmp(a->bytes, bytes, 16) == 0)
			return a;
	return NULL;
}

bool
conn_allowed(struct http *h, const struct sockaddr *sa)
{
	const struct gateway_limits *l = &h->gw->limits;
	const struct address *a;
	uint8_t bytes[16];

	if (h->nconns >= l->max_connections)
		return false;
	if (l->max_per_address == 0 || !address_bytes(sa, bytes))
		return true;
	a = address_find(h, bytes);
	return a == NULL || a->conns < l->max_per_address;
}

static void
address_join(struct conn *c, const struct sockaddr *sa)
{
	struct http *h = c->http;
	uint8_t bytes[16];

	if (!address_bytes(sa, bytes))
		return;
	c->address = address_find(h, bytes);
	if (c->address == NULL) {
		c->address = xcalloc(1, sizeof(*c->address));
		memcpy(c->address->bytes, bytes, 16);
		LIST_INSERT_HEAD(address_slot(h, bytes), c->address, link);
	}
	c->address->conns++;
}

static void
address_leave(struct conn *c)
{
	if (c->address == NULL || --c->address->conns > 0)
		return;
	LIST_REMOVE(c->address, link);
	free(STEAL(c->address));
}

static void
conn_begin(struct mhd *m, struct MHD_Connection *mc, void **ctx)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	const struct sockaddr *sa = m->http->accepting;
	const union MHD_ConnectionInfo *info;

	c->http = m->http;
	c->mhd = m;
	info = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->fd = info->connect_fd;
	c->local = sa == NULL || sa->sa_family == AF_UNIX;
	c->phase = CONN_IDLE;
	c->first = true;
	c->since = http_now(m->http);
	address_join(c, sa);
	recv_join(c);
	LIST_INSERT_HEAD(&m->http->conns, c, link);
	metrics_connections(m->http->gw, ++m->http->nconns, true);
	m->http->most_conns = MAX(m->http->most_conns, m->http->nconns);
	*ctx = c;
}

void
conn_notify(void *cls, struct MHD_Connection *mc, void **ctx,
    enum MHD_ConnectionNotificationCode what)
{
	struct conn *c = *ctx;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		conn_begin(cls, mc, ctx);
		return;
	}
	if (c == NULL)
		return;
	*ctx = NULL;
	hup_forget(c);
	recv_leave(c);
	if (c->linger && !c->mhd->secure)
		linger_begin(c->http, fcntl(c->fd, F_DUPFD_CLOEXEC, 3));
	LIST_REMOVE(c, link);
	metrics_connections(c->http->gw, --c->http->nconns, false);
	address_leave(c);
	free(c);
}

struct conn *
conn_of(struct MHD_Connection *mc)
{
	return MHD_get_connection_info(mc, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
	    ->socket_context;
}

void
conn_phase(struct conn *c, enum conn_phase phase)
{
	c->phase = phase;
	c->since = http_now(c->http);
	c->seen = 0;
}

void
conn_progress(struct conn *c, size_t n)
{
	if (c->phase != CONN_BODY) {
		conn_phase(c, CONN_BODY);
		return;
	}
	/* A byte now and then is none. */
	c->seen += n;
	if (c->seen >= PROGRESS_BYTES)
		conn_phase(c, CONN_BODY);
}

void
conn_kill(struct conn *c)
{
	if (c->kill)
		return;
	c->kill = true;
	(void)shutdown(c->fd, SHUT_RDWR); /* may be closed already */
	if (c->req != NULL)
		hreq_wake(c->req);
}

/* Counts up while the client takes, or brings, bytes. */
static uint64_t
conn_counter(const struct conn *c, bool in)
{
	struct tcp_info ti;
	socklen_t len = sizeof(ti);
	int queued = 0;

	if (c->local) {
		(void)ioctl(c->fd, in ? SIOCINQ : SIOCOUTQ, &queued);
		return (uint64_t)queued + 1;
	}
	memset(&ti, 0, sizeof(ti));
	if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == -1)
		return 1;
	return (in ? ti.tcpi_bytes_received : ti.tcpi_bytes_acked) + 1;
}

static void
conn_slow(struct conn *c)
{
	metrics_refused(c->http->gw, REFUSED_SLOW);
	conn_kill(c);
}

/* The client has said its last byte: what is not whole yet never will be. */
static bool
conn_ended(const struct conn *c)
{
	char byte;

	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* A request has come, which MHD has not seen yet. */
static bool
conn_asks(const struct conn *c)
{
	char byte;

	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Between requests: has a part of the next one come? Then it has header_ms
 * from when we saw it first. */
static void
idle_tick(struct conn *c, int64_t now)
{
	const struct gateway_limits *l = &c->http->gw->limits;
	int64_t age = now - c->since;
	uint64_t n;

	if (c->http->finishing) {
		if (now >= c->http->finish_idle_at && !conn_asks(c))
			conn_kill(c);
		return;
	}
	if (c->first ? age > l->header_ms : age > l->idle_ms) {
		if (c->first)
			conn_slow(c);
		else
			conn_kill(c);
		return;
	}
	if (conn_ended(c)) {
		conn_kill(c);
		return;
	}
	if (c->first || c->local)
		return;
	n = conn_counter(c, true);
	if (c->seen == 0)
		c->seen = n;
	else if (n != c->seen) {
		conn_phase(c, CONN_HEAD);
		c->seen = n;
	}
}

/* A request comes, slowly. */
static void
come_tick(struct conn *c, int64_t now, int64_t most_ms)
{
	if (now - c->since > most_ms)
		conn_slow(c);
	else if (conn_ended(c))
		conn_kill(c);
}

static void
send_tick(struct conn *c, int64_t now)
{
	uint64_t n = conn_counter(c, false);

	if (n != c->seen) {
		c->seen = n;
		c->since = now;
	} else if (now - c->since > c->http->gw->limits.idle_ms)
		conn_slow(c);
}

void
conn_tick(struct http *h)
{
	const struct gateway_limits *l = &h->gw->limits;
	int64_t now = http_now(h);
	struct conn *c, *next;

	for (c = LIST_FIRST(&h->conns); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (c->kill)
			continue;
		if (c->half_since != 0 && c->phase != CONN_AWAY &&
		    now - c->half_since > HALF_CLOSED_MS &&
		    c->phase == CONN_WAIT)
			conn_kill(c);
		else if (c->phase == CONN_IDLE)
			idle_tick(c, now);
		else if (c->phase == CONN_HEAD)
			come_tick(c, now, l->header_ms);
		else if (c->phase == CONN_BODY)
			come_tick(c, now, l->idle_ms);
		else if (c->phase == CONN_WAIT)
			hup_watch(c);
		else if (c->phase == CONN_SEND)
			send_tick(c, now);
	}
}
