/*
 * sandboxd-courier: downloads and installs agents.
 *
 * One process outside of all sandboxes, there only while there is something to
 * install. Started by root it runs under ids that own nothing but the directory
 * of installed agents, which comes as a descriptor; it may read what names and
 * certificates need, write below that directory, and talk to the network. What
 * it reads there may be anything: nothing of it is ever run here.
 *
 * With --egress it is the proxy of sandboxes instead: see egress/egress.c.
 *
 * Must never start a program, nor write anywhere else. Trusts the supervisor,
 * and ends when descriptor 3 does.
 */
#include "courier/confine.h"
#include "courier/courier.h"
#include "egress/egress.h"
#include "lib/defs.h"
#include "lib/log.h"
#include "lib/parent.h"
#include "lib/proctitle.h"
#include "lib/proto.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define MAX_BYTES_DEFAULT ((int64_t)4 << 30)

struct options {
	int64_t uid, gid; /* -1: stay who we are */
	bool egress;
	const char *root; /* of the proxy; NULL: where we are */
};

static void usage(void) ATTR_NORETURN;

static void
usage(void)
{
	(void)fprintf(stderr, "usage: sandboxd-courier [--uid N --gid N] "
			      "[--egress [--root DIR]]\n");
	exit(EXIT_USAGE);
}

static void
options_parse(struct options *opt, int argc, char *argv[])
{
	static const struct option longs[] = {
		{ "uid", required_argument, NULL, 'u' },
		{ "gid", required_argument, NULL, 'g' },
		{ "egress", no_argument, NULL, 'e' },
		{ "root", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*opt = (struct options){ .uid = -1, .gid = -1 };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'e')
			opt->egress = true;
		else if (c == 'r')
			opt->root = optarg;
		if (c == 'e' || c == 'r')
			continue;
		if (c == 'u' &&
		    str_to_int(optarg, 1, UINT32_MAX - 1, &opt->uid) == 0)
			continue;
		if (c == 'g' &&
		    str_to_int(optarg, 1, UINT32_MAX - 1, &opt->gid) == 0)
			continue;
		usage();
	}
	if (optind != argc || (opt->uid == -1) != (opt->gid == -1) ||
	    (opt->root != NULL && !opt->egress))
		usage();
}

/* --- settings ------------------------------------------------------------ */

/* An address without the slash at its end; NULL when there is none. The
 * caller's. */
static int
take_url(const struct json *set, const char *key, const char **url_out,
    struct err *e)
{
	const char *url = json_str(set, key, "");
	size_t n = strlen(url);

	*url_out = NULL;
	if (n == 0)
		return 0;
	if (strncasecmp(url, "http://", 7) != 0 &&
	    strncasecmp(url, "https://", 8) != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "courier.%s: '%.100s' is not an address with http or https",
		    strcmp(key, "registry") == 0 ? "npm_registry" : key, url);
	while (n > 0 && url[n - 1] == '/')
		n--;
	*url_out = xstrndup(url, n); /* kept as long as we live */
	return 0;
}

static int
take_settings(struct courier *c, const struct json *msg,
    struct fetch_settings *fetch_out, struct err *e)
{
	struct buf b;
	struct jw w;
	int r;

	buf_init(&b, 1 << 20);
	jw_init(&w, &b);
	jw_value(&w, json_get(msg, "settings"));
	r = b.failed ? err_set(e, ERR_TOO_LARGE, "settings: too long")
		     : json_parse(b.data, b.len, 8, &c->settings, e);
	buf_free(&b);
	if (r == -1 || take_url(c->settings, "registry", &c->registry, e) ||
	    take_url(c->settings, "mirror", &c->mirror, e))
		return -1;
	c->max_bytes = json_int(c->settings, "max_bytes", MAX_BYTES_DEFAULT);
	*fetch_out = (struct fetch_settings){
		.http_proxy = json_str(c->settings, "http_proxy", NULL),
		.https_proxy = json_str(c->settings, "https_proxy", NULL),
		.no_proxy = json_str(c->settings, "no_proxy", NULL),
		.ca_file = json_str(c->settings, "ca_file", NULL),
		.token = json_str(c->settings, "token", NULL),
		.token_url = c->mirror != NULL ? c->mirror : c->registry,
	};
	return 0;
}

/* The directories that came with START: of agents, and of the mirror. */
static int
take_directories(struct courier *c, const struct chan_frame *f, struct err *e)
{
	struct stat st;

	if (f->nfds < 1)
		return err_set(
		    e, ERR_BAD_REQUEST, "no directory to install in");
	c->agents_fd = fd_steal(&f->fds[0]);
	if (f->nfds > 1)
		c->mirror_fd = fd_steal(&f->fds[1]);
	if (fstat(c->agents_fd, &st) == -1 || !S_ISDIR(st.st_mode) ||
	    (c->mirror_fd != -1 &&
		(fstat(c->mirror_fd, &st) == -1 || !S_ISDIR(st.st_mode))))
		return err_set(e, ERR_BAD_REQUEST, "not a directory");
	return shelf_open(c->agents_fd, &c->partial_fd, e);
}

static int
start(struct courier *c, const struct json *msg, const struct chan_frame *f,
    struct err *e)
{
	struct fetch_settings fs;

	if (c->settings != NULL)
		return err_set(e, ERR_BAD_REQUEST, "started already");
	if (take_settings(c, msg, &fs, e) == -1 ||
	    take_directories(c, f, e) == -1)
		return -1;
	platform_look(&c->platform, "");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, ERR_SYSTEM, "libcurl does not start");
	if (fetches_open(c->loop, &fs, &c->fetches, e) == -1)
		return -1;
	confine_files_or_die(c->agents_fd, c->mirror_fd, fs.ca_file);
	confine_calls_or_die();
	return 0;
}

/* --- messages ------------------------------------------------------------ */

static void
on_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct courier *c = ctx;

	parent_log(c->ch, level, line, len);
}

static void
on_chan(struct chan *ch ATTR_UNUSED, enum chan_what what,
    const struct chan_frame *f, const char *why ATTR_UNUSED, void *ctx)
{
	struct courier *c = ctx;
	struct proto_in m;
	struct err e;

	if (what == CHAN_CLOSED)
		_exit(EXIT_OK); /* what is not finished is for the next one */
	if (proto_check(ROLE_SUPER, PS_RUNNING, ROLE_COURIER, f->msg, f->len,
		f->nfds, &m, &e) == -1)
		fatal("courier", "breach: %s", e.text);
	if (m.kind == PROTO_MESSAGE && m.type == MSG_COURIER_START) {
		if (start(c, m.body, f, &e) == -1)
			(void)chan_reply_err(c->ch, m.id, &e);
		else
			(void)chan_reply_ok(c->ch, m.id);
	} else if (m.kind == PROTO_MESSAGE && m.type == MSG_COURIER_INSTALL &&
		   c->fetches != NULL) {
		job_request(c, m.id, m.body);
	} else {
		fatal("courier", "breach: a message nobody waits for");
	}
}

int
main(int argc, char *argv[])
{
	static struct courier c;
	struct options opt;

	proctitle_init(argc, argv);
	options_parse(&opt, argc, argv);
	log_init(opt.egress ? "egress" : "courier", LOG_L_INFO, LOG_F_TEXT);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	/* So that libarchive can read names that are UTF-8. */
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		log_debug("courier", "no locale with UTF-8");
	if (close_range(CHILD_SUPER_FD + 1, ~0U, 0) == -1)
		fatal("courier", "close_range: %s", strerror(errno));
	if (opt.egress)
		egress_run(opt.uid, opt.gid, opt.root);
	(void)umask(022);
	confine_begin_or_die(opt.uid, opt.gid);
	proctitle_set("sandboxd-courier", "sandboxd-courier");
	TAILQ_INIT(&c.jobs);
	c.agents_fd = c.partial_fd = c.mirror_fd = -1;
	c.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (c.loop == NULL)
		fatal("courier", "no event loop");
	c.ch = chan_new(c.loop, CHILD_SUPER_FD, "supervisor", on_chan, &c);
	/* Definitions of agents lie deeper than other messages. */
	chan_set_depth(c.ch, 16);
	log_sink(on_log, &c);
	(void)parent_hello(c.ch, ROLE_COURIER); /* its end is ours */
	(void)ev_run(c.loop, 0);
	return EXIT_OK;
}
