/*
 * libmicrohttpd on our loop. Runs in sandboxd-gateway; trusts nothing that
 * comes over a connection.
 *
 * MHD keeps an epoll set of its own, whose descriptor we watch: when it is
 * readable MHD_run() does what is due. MHD never listens and never makes a
 * thread. Its time-outs are not used: http_conn.c has deadlines for each phase
 * of a connection. Nor is its strictness: req_head.c refuses more, in words.
 */
#include "gateway/http_priv.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <malloc.h>
#include <string.h>
#include <sys/random.h>

#define TICK_S 0.5
#define FINISH_TICK_S 0.02
#define CROWD 16 /* connections */
/* What MHD is given again at once before others have their turn. */
#define RUNS_MAX 4
/* Of a connection: its headers, what it sends, and what MHD sends it. More is
 * had by mmap, which costs more than all the rest of a short connection. */
#define POOL_BYTES (32U * 1024)

int64_t
http_now(const struct http *h)
{
	return (int64_t)(ev_now(h->gw->loop) * 1000);
}

void
http_run(struct mhd *m)
{
	MHD_UNSIGNED_LONG_LONG ms;
	int i;

	for (i = 0; i < RUNS_MAX; i++) {
		(void)MHD_run(m->daemon); /* fails for threads only */
		if (MHD_get_timeout(m->daemon, &ms) != MHD_YES || ms > 0)
			return;
	}
	if (!ev_is_active(&m->timer)) {
		ev_timer_set(&m->timer, 0., 0.);
		ev_timer_start(m->http->gw->loop, &m->timer);
	}
}

static void
on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	(void)revents;
	http_run(io->data);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	http_run(timer->data);
}

/* After a crowd has left: what it took would stay ours. */
static void
memory_return(struct http *h)
{
	if (h->most_conns < CROWD || h->nconns > h->most_conns / 4)
		return;
	h->most_conns = h->nconns;
	(void)malloc_trim(0); /* nothing to give back is no failure */
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct http *h = timer->data;

	(void)revents;
	conn_tick(h);
	linger_tick(h);
	memory_return(h);
	if (h->finishing && (h->nconns == 0 || http_now(h) >= h->finish_at)) {
		ev_timer_stop(loop, timer);
		h->finished(h->finished_ctx);
	}
}

/* Decoding is ours, after the segments are split: MHD leaves bytes alone. */
static size_t
unescape_not(void *cls, struct MHD_Connection *mc, char *s)
{
	(void)cls;
	(void)mc;
	return strlen(s);
}

static void
log_not(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	(void)fmt;
	(void)ap;
}

static int
mhd_open(struct http *h, struct mhd *m, const char *cert, const char *key,
    struct err *e)
{
	const struct gateway_limits *l = &h->gw->limits;
	const union MHD_DaemonInfo *info;
	unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
			 MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
			 MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key },
		{ MHD_OPTION_END, 0, NULL },
	};

	m->http = h;
	m->secure = cert != NULL;
	if (m->secure)
		flags |= MHD_USE_TLS;
	else
		tls[0].option = MHD_OPTION_END;
	m->daemon = MHD_start_daemon(flags, 0, NULL, NULL, req_access, h,
	    MHD_OPTION_EXTERNAL_LOGGER, log_not, NULL,
	    MHD_OPTION_UNESCAPE_CALLBACK, unescape_not, NULL,
	    MHD_OPTION_URI_LOG_CALLBACK, req_uri, h,
	    MHD_OPTION_NOTIFY_COMPLETED, req_completed, h,
	    MHD_OPTION_NOTIFY_CONNECTION, conn_notify, m,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    MAX((size_t)POOL_BYTES, l->max_header_bytes),
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)l->max_connections + 1,
	    MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_STRICT_FOR_CLIENT, 0,
	    MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, tls,
	    MHD_OPTION_END);
	if (m->daemon == NULL && m->secure)
		return err_set(e, ERR_BAD_REQUEST,
		    "TLS: the certificate and the key cannot be used, or do "
		    "not belong together");
	if (m->daemon == NULL)
		return err_set(e, ERR_SYSTEM, "libmicrohttpd does not start");
	info = MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (info == NULL)
		return err_set(e, ERR_SYSTEM, "libmicrohttpd has no epoll");
	ev_io_init(&m->io, on_io, info->epoll_fd, EV_READ);
	m->io.data = m;
	ev_io_start(h->gw->loop, &m->io);
	ev_timer_init(&m->timer, on_timer, 0., 0.);
	m->timer.data = m;
	return 0;
}

int
http_open(struct gateway *gw, const char *cert, const char *key, struct err *e)
{
	struct http *h = xcalloc(1, sizeof(*h));

	gw->http = h;
	h->gw = gw;
	h->hup_fd = -1;
	/* Without it addresses could be chosen to share one list. */
	if (getrandom(&h->address_seed, sizeof(h->address_seed), 0) == -1)
		return err_sys(e, "random numbers");
	routes_open();
	if (hup_open(h, e) == -1 || mhd_open(h, &h->plain, NULL, NULL, e) == -1)
		return -1;
	if (cert != NULL && key != NULL) {
		if (mhd_open(h, &h->tls, cert, key, e) == -1)
			return -1;
		h->has_tls = true;
	}
	ev_timer_init(&h->tick, on_tick, TICK_S, TICK_S);
	h->tick.data = h;
	ev_timer_start(gw->loop, &h->tick);
	return 0;
}

void
http_finish(struct gateway *gw, int64_t ms, int64_t idle_ms,
    void (*done)(void *), void *ctx)
{
	struct http *h = gw->http;

	listen_close(h);
	h->finishing = true;
	h->finish_at = http_now(h) + ms;
	h->finish_idle_at = http_now(h) + idle_ms;
	h->finished = done;
	h->finished_ctx = ctx;
	h->tick.repeat = FINISH_TICK_S;
	ev_timer_again(gw->loop, &h->tick);
}
