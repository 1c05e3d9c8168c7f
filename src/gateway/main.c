/*
 * sandboxd-gateway: HTTP for every sandbox.
 *
 * One of a few equal processes outside of all sandboxes, with no right of its
 * own: started by root it lives in an empty directory under ids that own
 * nothing, and may make only the calls that confine.c lists. What it reads
 * anybody on the network may have sent; what it holds is connections, the
 * store's map to read, and channels that the supervisor has handed to it.
 *
 * Must never open a file, nor keep a secret: of tokens it knows hashes. Ends
 * when descriptor 3 does.
 */
#include "gateway/accesslog.h"
#include "gateway/auth.h"
#include "gateway/call.h"
#include "gateway/confine.h"
#include "gateway/cors.h"
#include "gateway/db.h"
#include "gateway/gateway.h"
#include "gateway/http.h"
#include "gateway/link.h"
#include "gateway/metrics.h"
#include "gateway/ports.h"
#include "gateway/watch.h"
#include "lib/confine.h"
#include "lib/log.h"
#include "lib/parent.h"
#include "lib/proctitle.h"
#include "lib/strutil.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct options {
	int64_t uid, gid; /* -1: stay who we are */
	const char *root;
	const char *store;
};

static void usage(void) ATTR_NORETURN;

static void
usage(void)
{
	(void)fprintf(stderr, "usage: sandboxd-gateway [--uid N --gid N "
			      "--root DIR] --store DIR\n");
	exit(EXIT_USAGE);
}

static void
options_parse(struct options *opt, int argc, char *argv[])
{
	static const struct option longs[] = {
		{ "uid", required_argument, NULL, 'u' },
		{ "gid", required_argument, NULL, 'g' },
		{ "root", required_argument, NULL, 'r' },
		{ "store", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*opt = (struct options){ .uid = -1, .gid = -1 };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'u' &&
		    str_to_int(optarg, 1, UINT32_MAX - 1, &opt->uid) == 0)
			continue;
		if (c == 'g' &&
		    str_to_int(optarg, 1, UINT32_MAX - 1, &opt->gid) == 0)
			continue;
		if (c == 'r')
			opt->root = optarg;
		else if (c == 's')
			opt->store = optarg;
		else
			usage();
	}
	if (optind != argc || (opt->uid == -1) != (opt->gid == -1) ||
	    (opt->uid == -1) != (opt->root == NULL) || opt->store == NULL)
		usage();
}

/*
 * Messages
 */

static void
on_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct gateway *gw = ctx;

	parent_log(gw->super, level, line, len);
}

/* What the descriptors that we may have leave room for. */
static size_t
connections_max(size_t fds)
{
	return fds > 256 ? (fds - 128) / 2 : 64;
}

static void
limits_take(struct gateway *gw, const struct json *j)
{
	struct gateway_limits *l = &gw->limits;
	int64_t most = (int64_t)connections_max(gw->max_fds);

	l->max_connections =
	    (size_t)MAX(1, MIN(most, json_int(j, "max_connections", 4096)));
	l->max_per_address = (size_t)MAX(0, json_int(j, "max_per_address", 0));
	l->max_header_bytes = (size_t)MIN(
	    1 << 20, MAX(1024, json_int(j, "max_header_bytes", 32768)));
	l->idle_ms = MAX(100, json_int(j, "idle_ms", 60000));
	l->header_ms = MAX(100, json_int(j, "header_ms", 10000));
	l->stream_bytes =
	    (size_t)MAX(4096, json_int(j, "stream_bytes", 1 << 20));
	l->proxy_ms = MAX(100, json_int(j, "proxy_ms", 120000));
	l->tunnel_ms = MAX(0, json_int(j, "tunnel_ms", 3600000));
}

static int
start(struct gateway *gw, const struct json *msg, const struct chan_frame *f,
    struct err *e)
{
	const struct json *set = json_get(msg, "settings");
	const struct json *tls = json_get(set, "tls");

	if (gw->http != NULL)
		return err_set(e, ERR_BAD_REQUEST, "started already");
	gw->index = (unsigned)json_int(msg, "index", 0);
	limits_take(gw, json_get(set, "limits"));
	accesslog_open(json_bool(set, "access_log", false));
	if (metrics_open(gw, f->nfds == 1 ? f->fds[0] : -1,
		(unsigned)json_int(msg, "slots", 1), e) == -1 ||
	    calls_open(gw, e) == -1 || links_open(gw, e) == -1 ||
	    watch_open(gw, e) == -1 || ports_open(gw, e) == -1 ||
	    cors_open(gw, json_get(set, "cors"), e) == -1 ||
	    auth_open(gw, set, e) == -1 ||
	    http_open(gw, json_str(tls, "cert", NULL),
		json_str(tls, "key", NULL), e) == -1)
		return -1;
	return 0;
}

static void
on_start(struct gateway *gw, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	struct err e;

	if (start(gw, msg, f, &e) == -1) {
		(void)chan_reply_err(gw->super, id, &e);
		fatal("gateway", "%s", e.text);
	}
	(void)chan_reply_ok(gw->super, id);
}

static void
on_listen(
    struct gateway *gw, const struct json *msg, const struct chan_frame *f)
{
	const char *name = json_str(msg, "name", "");
	int64_t port = json_int(msg, "port", 0);
	struct err e;
	int fd;

	if (f->nfds != 1 || gw->http == NULL)
		fatal("gateway", "breach: nothing to listen on");
	fd = fd_steal(&f->fds[0]);
	if ((port > 0 ? ports_listen(gw, name, fd, json_str(msg, "sandbox", ""),
			    (unsigned)port, &e)
		      : http_listen(gw, name, fd, json_bool(msg, "tls", false),
			    &e)) == -1)
		log_error("gateway", "cannot listen", LOG_STR("name", name),
		    LOG_STR("cause", e.text));
}

static void
on_finished(void *ctx)
{
	(void)ctx;
	_exit(EXIT_OK); /* there is nobody left to tidy up for */
}

static void
on_message(
    struct gateway *gw, const struct proto_in *m, const struct chan_frame *f)
{
	switch (m->type) {
	case MSG_GATEWAY_START:
		on_start(gw, m->id, m->body, f);
		break;
	case MSG_GATEWAY_LISTEN:
		on_listen(gw, m->body, f);
		break;
	case MSG_GATEWAY_UNLISTEN:
		if (gw->http == NULL)
			break;
		(void)http_unlisten(gw, json_str(m->body, "name", ""));
		ports_unlisten(gw, json_str(m->body, "name", ""));
		break;
	case MSG_GATEWAY_FEED:
		if (gw->watch == NULL || f->nfds != 1)
			fatal("gateway", "breach: a feed too early");
		watch_feed(gw, fd_steal(&f->fds[0]));
		break;
	case MSG_GATEWAY_LEAVE:
		links_leave(gw, json_str(m->body, "kind", ""),
		    json_str(m->body, "name", ""));
		break;
	case MSG_GATEWAY_STOP:
		if (gw->http == NULL)
			_exit(EXIT_OK);
		ports_unlisten_all(gw);
		http_finish(gw, json_int(m->body, "grace_ms", 0),
		    json_int(m->body, "idle_ms", 0), on_finished, gw);
		break;
	default:
		fatal("gateway", "breach: a message nobody waits for");
	}
}

static void
on_chan(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct gateway *gw = ctx;
	struct proto_in m;
	struct err e;

	(void)ch;
	(void)why;
	if (what == CHAN_CLOSED)
		_exit(EXIT_OK); /* the supervisor is gone */
	if (proto_check(ROLE_SUPER, PS_RUNNING, ROLE_GATEWAY, f->msg, f->len,
		f->nfds, &m, &e) == -1)
		fatal("gateway", "breach: %s", e.text);
	if (m.kind == PROTO_MESSAGE)
		on_message(gw, &m, f);
	else if (gw->calls != NULL)
		calls_reply(gw, &m, f);
}

int
main(int argc, char *argv[])
{
	struct gateway gw = { 0 };
	struct options opt;
	struct err e;

	proctitle_init(argc, argv);
	options_parse(&opt, argc, argv);
	log_init("gateway", LOG_L_INFO, LOG_F_TEXT);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	if (close_range(CHILD_SUPER_FD + 1, ~0U, 0) == -1)
		fatal("gateway", "close_range: %s", strerror(errno));
	/* While there is a file system; what it reads comes later. */
	if (db_open_env(&gw.db, opt.store, &e) == -1)
		fatal("gateway", "%s", e.text);
	confine_or_die(opt.uid, opt.gid, opt.root);
	/* While it may be asked for. How far a file may grow is not limited:
	 * uploads are written by us, to descriptors that come from sandboxes.
	 */
	gw.max_fds = MIN(confine_limits(), (size_t)1 << 20);
	tzset(); /* or it would be looked for at every date */
	/* No longer than the arguments, so that it is never cut. */
	proctitle_set("sandboxd-gateway", "sandboxd-gateway");
	gw.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (gw.loop == NULL)
		fatal("gateway", "no event loop");
	gw.super =
	    chan_new(gw.loop, CHILD_SUPER_FD, "supervisor", on_chan, &gw);
	log_sink(on_log, &gw);
	confine_calls_or_die();
	(void)parent_hello(gw.super, ROLE_GATEWAY); /* its end is ours */
	(void)ev_run(gw.loop, 0);
	return EXIT_OK;
}
