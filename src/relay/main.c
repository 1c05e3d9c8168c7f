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
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "relay/carry.h"
#include "lib/log.h"
#include "lib/proctitle.h"
#include "lib/proto.h"
#include "lib/strutil.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

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

static void
root_enter_or_die(const char *root)
{
	struct dirent *d;
	DIR *dir = opendir(root);

	if (dir == NULL)
		fatal("relay", "open %s: %s", root, strerror(errno));
	while ((d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			fatal("relay", "%s is not empty", root);
	if (fchdir(dirfd(dir)) == -1 || chroot(".") == -1 || chdir("/") == -1)
		fatal("relay", "chroot %s: %s", root, strerror(errno));
	(void)closedir(dir); /* opened for reading */
}

static void
ids_take_or_die(uid_t uid, gid_t gid)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct d[2];

	if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		fatal("relay", "become %u:%u: %s", uid, gid, strerror(errno));
	if (getuid() != uid || geteuid() != uid || getgid() != gid ||
	    getegid() != gid || setresuid((uid_t)-1, 0, (uid_t)-1) != -1 ||
	    setresgid((gid_t)-1, 0, (gid_t)-1) != -1)
		fatal("relay", "root was not given up");
	if (syscall(SYS_capget, &h, d) == -1 ||
	    (d[0].permitted | d[1].permitted | d[0].inheritable |
		d[1].inheritable) != 0)
		fatal("relay", "capabilities were not given up");
}

/* How many carries there is room for. */
static size_t
limits_set(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit fds;

	/* No file may grow, no process be made, no core be left. Lowering
	 * cannot fail. */
	(void)setrlimit(RLIMIT_FSIZE, &none);
	(void)setrlimit(RLIMIT_NPROC, &none);
	(void)setrlimit(RLIMIT_CORE, &none);
	if (getrlimit(RLIMIT_NOFILE, &fds) == -1)
		return 64;
	fds.rlim_cur = fds.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &fds);
	if (getrlimit(RLIMIT_NOFILE, &fds) == -1 || fds.rlim_cur < SPARE_FDS)
		return 1;
	return MIN((fds.rlim_cur - SPARE_FDS) / 3, CARRIES_MAX);
}

static size_t
privileges_drop_or_die(const struct options *opt)
{
	int cap;

	if (opt->uid != -1) {
		/* PRIV: root outside of sandboxes; only what is on descriptor
		 * 3 has been ours so far. */
		root_enter_or_die(opt->root);
		for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
			if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
				break;
		ids_take_or_die((uid_t)opt->uid, (gid_t)opt->gid);
		/* PRIV: nobody, in an empty directory, without capabilities. */
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("relay", "prctl: %s", strerror(errno));
	return limits_set();
}

/*
 * Messages
 */

static void
send_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct relay *r = ctx;
	struct jw *w = chan_begin(r->ch);

	proto_begin(w, MSG_LOG, 0);
	jw_kstr(w, "level", log_level_name(level));
	jw_key(w, "line");
	jw_strn(w, line, MIN(len, 1024));
	(void)chan_end(r->ch, NULL, 0);
}

static void
send_hello(struct relay *r)
{
	struct jw *w = chan_begin(r->ch);

	proto_begin(w, MSG_HELLO, 0);
	jw_kstr(w, "role", role_name(ROLE_RELAY));
	jw_kstr(w, "version", PACKAGE_VERSION);
	(void)chan_end(r->ch, NULL, 0);
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
	max = privileges_drop_or_die(&opt);
	/* No longer than the arguments, so that it is never cut. */
	proctitle_set("sandboxd-relay", "sandboxd-relay");
	r.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (r.loop == NULL)
		fatal("relay", "no event loop");
	r.ch = chan_new(r.loop, CHILD_SUPER_FD, "supervisor", on_chan, &r);
	if (carries_open(r.loop, r.ch, max, &r.carries, &e) == -1)
		fatal("relay", "%s", e.text);
	log_sink(send_log, &r);
	send_hello(&r);
	(void)ev_run(r.loop, 0);
	return EXIT_OK;
}
