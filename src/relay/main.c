/*
 * sandboxd-relay: carries what commands print to clients of the control
 * socket, as lines of JSON.
 *
 * One process for all sandboxes, outside of them, with no right of its own:
 * started by root it lives in an empty directory under ids that own nothing.
 * What it reads is hostile; what it holds is a few pipes and connections that
 * the supervisor has handed to it on descriptor 3.
 *
 * Must never read a client's connection: that is the supervisor's. Ends when
 * descriptor 3 does.
 */
#include "relay/carry.h"
#include "lib/confine.h"
#include "lib/log.h"
#include "lib/parent.h"
#include "lib/proctitle.h"
#include "lib/proto.h"
#include "lib/strutil.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define SPARE_FDS 64 /* beside those of carries; each of these takes three */
#define CARRIES_MAX 16384

struct options {
	int64_t uid, gid; /* -1: stay who we are */
	const char *root;
};

struct relay {
	struct ev_loop *loop;
	struct chan *ch;
	struct carries *carries;
};

static void usage(void) ATTR_NORETURN;

static void
usage(void)
{
	(void)fprintf(
	    stderr, "usage: sandboxd-relay [--uid N --gid N --root DIR]\n");
	exit(EXIT_USAGE);
}

static void
options_parse(struct options *opt, int argc, char *argv[])
{
	static const struct option longs[] = {
		{ "uid", required_argument, NULL, 'u' },
		{ "gid", required_argument, NULL, 'g' },
		{ "root", required_argument, NULL, 'r' },
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
		if (c != 'r')
			usage();
		opt->root = optarg;
	}
	if (optind != argc || (opt->uid == -1) != (opt->gid == -1) ||
	    (opt->uid == -1) != (opt->root == NULL))
		usage();
}

/* How many carries there is room for. */
static size_t
limits_set(void)
{
	const struct rlimit none = { 0, 0 };
	size_t fds = confine_limits();

	(void)setrlimit(RLIMIT_FSIZE, &none); /* lowering cannot fail */
	if (fds < SPARE_FDS + 3)
		return 1;
	return MIN((fds - SPARE_FDS) / 3, CARRIES_MAX);
}

/*
 * Messages
 */

static void
on_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct relay *r = ctx;

	parent_log(r->ch, level, line, len);
}

static void
on_chan(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct relay *r = ctx;
	struct proto_in m;
	struct err e;

	(void)ch;
	(void)why;
	if (what == CHAN_CLOSED)
		_exit(EXIT_OK); /* the supervisor is gone */
	if (proto_check(ROLE_SUPER, PS_RUNNING, ROLE_RELAY, f->msg, f->len,
		f->nfds, &m, &e) == -1)
		fatal("relay", "breach: %s", e.text);
	if (m.kind == PROTO_MESSAGE && m.type == MSG_RELAY_CARRY)
		carry_request(r->carries, m.id, m.body, f);
	else if (m.kind == PROTO_MESSAGE && m.type == MSG_RELAY_FINISH)
		carry_finish(r->carries, m.body);
	else
		fatal("relay", "breach: a message nobody waits for");
}

int
main(int argc, char *argv[])
{
	struct relay r = { 0 };
	struct options opt;
	struct err e;
	size_t max;

	proctitle_init(argc, argv);
	options_parse(&opt, argc, argv);
	log_init("relay", LOG_L_INFO, LOG_F_TEXT);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	if (close_range(CHILD_SUPER_FD + 1, ~0U, 0) == -1)
		fatal("relay", "close_range: %s", strerror(errno));
	confine_or_die(opt.uid, opt.gid, opt.root);
	confine_never_or_die(false);
	max = limits_set();
	/* No longer than the arguments, so that it is never cut. */
	proctitle_set("sandboxd-relay", "sandboxd-relay");
	r.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (r.loop == NULL)
		fatal("relay", "no event loop");
	r.ch = chan_new(r.loop, CHILD_SUPER_FD, "supervisor", on_chan, &r);
	if (carries_open(r.loop, r.ch, max, &r.carries, &e) == -1)
		fatal("relay", "%s", e.text);
	log_sink(on_log, &r);
	(void)parent_hello(r.ch, ROLE_RELAY); /* its end is ours */
	(void)ev_run(r.loop, 0);
	return EXIT_OK;
}
