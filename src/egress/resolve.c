/*
 * See resolve.h. Runs in the proxy. The only file that sees c-ares, which reads
 * what servers answer; files it reads none (there are none here): names come
 * from the servers alone, and as they are, without anything added.
 */
#include "egress/resolve.h"

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/queue.h>

#define TIMEOUT_MS 2500 /* of one try at one server; longer each time */
#define TRIES 3
#define SERVERS_MAX 8

/* A socket of c-ares that we watch. */
struct watch {
	LIST_ENTRY(watch) link;
	struct resolver *r;
	ev_io io;
};

struct resolver {
	struct ev_loop *loop;
	ares_channel ch; /* NULL before resolver_set() */
	ev_timer timer;
	LIST_HEAD(, watch) watches;
};

struct lookup {
	struct resolver *r;
	resolve_cb *cb; /* NULL: cancelled */
	void *ctx;
	bool done; /* its answer waits for SOON */
	ev_timer soon;
	uint8_t addrs[RESOLVE_ADDRS_MAX][NETADDR_BYTES];
	size_t n;
	const char *why;
};

/* --- c-ares and the loop -------------------------------------------------- */

static void
arm(struct resolver *r)
{
	struct timeval tv, *next = ares_timeout(r->ch, NULL, &tv);

	ev_timer_stop(r->loop, &r->timer);
	if (next == NULL)
		return;
	ev_timer_set(&r->timer,
	    (double)next->tv_sec + (double)next->tv_usec / 1e6 + 0.001, 0.);
	ev_timer_start(r->loop, &r->timer);
}

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct resolver *r = t->data;

	ares_process_fd(r->ch, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(r);
}

static void
on_io(struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents)
{
	struct watch *wt = io->data;
	struct resolver *r = wt->r; /* WT may go meanwhile */
	int fd = io->fd;

	ares_process_fd(r->ch, (revents & EV_READ) != 0 ? fd : ARES_SOCKET_BAD,
	    (revents & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
	arm(r);
}

/* c-ares tells which of its sockets are to be watched, and for what. */
static void
on_socket(void *data, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = data;
	int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
	struct watch *wt;

	LIST_FOREACH (wt, &r->watches, link) {
		if (wt->io.fd == fd)
			break;
	}
	if (wt == NULL) {
		if (events == 0)
			return;
		wt = xcalloc(1, sizeof(*wt));
		wt->r = r;
		ev_init(&wt->io, on_io);
		wt->io.data = wt;
		LIST_INSERT_HEAD(&r->watches, wt, link);
	}
	ev_io_stop(r->loop, &wt->io);
	if (events == 0) {
		LIST_REMOVE(wt, link);
		free(wt);
		return;
	}
	ev_io_set(&wt->io, fd, events);
	ev_io_start(r->loop, &wt->io);
}

/* --- servers -------------------------------------------------------------- */

/* The servers of a resolv.conf, with commas. */
static void
servers_of(const char *text, struct buf *b)
{
	unsigned n = 0;

	while (text != NULL && *text != '\0') {
		size_t len = strcspn(text, "\n");
		char line[128], *word;

		if (len < sizeof(line) && str_starts(text, "nameserver") &&
		    n < SERVERS_MAX) {
			memcpy(line, text, len);
			line[len] = '\0';
			word = line + strlen("nameserver");
			word += strspn(word, " \t");
			word[strcspn(word, " \t\r#;")] = '\0';
			if (word[0] != '\0')
				(void)buf_addf(
				    b, "%s%s", n++ > 0 ? "," : "", word);
		}
		text += len + (text[len] == '\n');
	}
	if (n == 0)
		(void)buf_adds(b, "127.0.0.1"); /* as libc does */
}

int
resolver_set(struct resolver *r, const char *servers, const char *resolv_conf,
    struct err *e)
{
	static char lookups[] = "b";
	struct ares_options o = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
		.timeout = TIMEOUT_MS,
		.tries = TRIES,
		.lookups = lookups,
		.sock_state_cb = on_socket,
		.sock_state_cb_data = r,
	};
	ares_channel fresh, old = r->ch;
	struct buf b;
	int bad;

	buf_init(&b, 2048);
	if (servers != NULL && servers[0] != '\0')
		(void)buf_adds(&b, servers); /* looked at below */
	else
		servers_of(resolv_conf, &b);
	bad = b.failed ? ARES_EFORMERR
		       : ares_init_options(&fresh, &o,
			     ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS |
				 ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
				 ARES_OPT_SOCK_STATE_CB | ARES_OPT_NOROTATE);
	if (bad == ARES_SUCCESS) {
		bad = ares_set_servers_ports_csv(fresh, b.data);
		if (bad != ARES_SUCCESS)
			ares_destroy(fresh);
	}
	if (bad != ARES_SUCCESS) {
		err_set(e, ERR_BAD_REQUEST, "egress.resolver: %.200s: %s",
		    b.data != NULL ? b.data : "", ares_strerror(bad));
		buf_free(&b);
		return -1;
	}
	log_debug("resolve", "servers", LOG_STR("servers", b.data));
	buf_free(&b);
	r->ch = fresh;
	if (old != NULL)
		ares_destroy(old);
	arm(r);
	return 0;
}

struct resolver *
resolver_new(struct ev_loop *loop)
{
	struct resolver *r = xcalloc(1, sizeof(*r));

	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		fatal("resolve", "c-ares does not start");
	r->loop = loop;
	LIST_INIT(&r->watches);
	ev_timer_init(&r->timer, on_timer, 0., 0.);
	r->timer.data = r;
	return r;
}

/* --- one name ------------------------------------------------------------- */

static void
on_soon(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct lookup *l = t->data;

	if (l->cb != NULL)
		l->cb(l->ctx, (const uint8_t(*)[NETADDR_BYTES])l->addrs, l->n,
		    l->why);
	free(l);
}

static void
take_node(struct lookup *l, const struct ares_addrinfo_node *node)
{
	uint8_t *to;

	if (l->n == RESOLVE_ADDRS_MAX)
		return;
	to = l->addrs[l->n];
	memset(to, 0, NETADDR_BYTES);
	if (node->ai_family == AF_INET) {
		const struct sockaddr_in *sin = (const void *)node->ai_addr;

		to[10] = to[11] = 0xff;
		memcpy(to + 12, &sin->sin_addr, 4);
		l->n++;
	} else if (node->ai_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = (const void *)node->ai_addr;

		memcpy(to, &sin6->sin6_addr, NETADDR_BYTES);
		l->n++;
	}
}

static void
on_addrinfo(
    void *ctx, int status, int timeouts ATTR_UNUSED, struct ares_addrinfo *info)
{
	struct lookup *l = ctx;
	const int families[] = { AF_INET, AF_INET6 };

	/* Those of IPv4 first: they are reachable from everywhere. */
	for (size_t i = 0; info != NULL && i < countof(families); i++) {
		for (const struct ares_addrinfo_node *n = info->nodes;
		     n != NULL; n = n->ai_next) {
			if (n->ai_family == families[i])
				take_node(l, n);
		}
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
	if (l->n == 0)
		l->why = status == ARES_ENOTFOUND || status == ARES_ENODATA ||
				 status == ARES_SUCCESS
			     ? "no such host"
			     : "the name server does not answer";
	/* c-ares may be in the midst of something. */
	l->done = true;
	ev_timer_start(l->r->loop, &l->soon);
}

struct lookup *
resolve(struct resolver *r, const char *name, resolve_cb *cb, void *ctx)
{
	static const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};
	struct lookup *l = xcalloc(1, sizeof(*l));

	l->r = r;
	l->cb = cb;
	l->ctx = ctx;
	ev_timer_init(&l->soon, on_soon, 0., 0.);
	l->soon.data = l;
	ares_getaddrinfo(r->ch, name, NULL, &hints, on_addrinfo, l);
	arm(r);
	return l;
}

void
resolve_cancel(struct lookup *l)
{
	l->cb = NULL; /* goes when its answer comes */
}
