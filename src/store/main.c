/*
 * sandboxd-store: the only process that writes the database. Started by the
 * supervisor in its data directory with the channel as descriptor 3; runs as
 * a user of its own, sees that directory and nothing else, and reaches
 * nobody but those whose descriptors it was handed.
 *
 *	sandboxd-store --durability full|relaxed|none [--uid N --gid N]
 *	    [--map-bytes N] [--compact-share N]
 *	sandboxd-store --restore [--uid N --gid N]
 *	sandboxd-store --look [--uid N --gid N]
 *
 * With --restore descriptor 3 is a backup, the directory is empty, and nobody
 * is served. With --look the database is only looked at, and descriptor 3 takes
 * what was found.
 */
#include "lib/confine.h"
#include "lib/log.h"
#include "lib/proctitle.h"
#include "lib/proto.h"
#include "lib/strutil.h"
#include "store/confine.h"
#include "store/look.h"
#include "store/restore.h"
#include "store/store.h"

#include <getopt.h>
#include <stdio.h>
#include <sys/resource.h>

#define MAP_BYTES_DEFAULT ((size_t)1 << 30) /* of addresses, not of disk */

struct options {
	struct store_options store;
	uid_t uid;
	gid_t gid;
	bool restore, look;
};

static void usage(const char *why) ATTR_NORETURN;

static void
usage(const char *why)
{
	(void)fprintf(stderr,
	    "sandboxd-store: %s\n"
	    "usage: sandboxd-store --durability full|relaxed|none "
	    "[--uid N --gid N] [--map-bytes N] [--compact-share N]\n"
	    "       sandboxd-store --restore|--look [--uid N --gid N]\n",
	    why);
	exit(EXIT_USAGE);
}

static int64_t
number_or_die(const char *text, int64_t min, int64_t max)
{
	int64_t v;

	if (str_to_int(text, min, max, &v) == -1)
		usage("a number out of range");
	return v;
}

static void
options_parse(struct options *opt, int argc, char *argv[])
{
	static const struct option longs[] = {
		{ "durability", required_argument, NULL, 'd' },
		{ "uid", required_argument, NULL, 'u' },
		{ "gid", required_argument, NULL, 'g' },
		{ "map-bytes", required_argument, NULL, 'm' },
		{ "compact-share", required_argument, NULL, 'c' },
		{ "restore", no_argument, NULL, 'r' },
		{ "look", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*opt = (struct options){
		.store = { .db = { .path = ".",
			       .durability = DURABILITY_FULL,
			       .map_bytes = MAP_BYTES_DEFAULT },
		    .super_fd = CHILD_SUPER_FD },
	};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			if (durability_parse(
				optarg, &opt->store.db.durability) == -1)
				usage("durability is full, relaxed or none");
			break;
		case 'u':
			opt->uid = (uid_t)number_or_die(optarg, 0, INT32_MAX);
			break;
		case 'g':
			opt->gid = (gid_t)number_or_die(optarg, 0, INT32_MAX);
			break;
		case 'm':
			opt->store.db.map_bytes =
			    (size_t)number_or_die(optarg, 0, INT64_MAX / 4);
			break;
		case 'c':
			opt->store.compact_share =
			    (unsigned)number_or_die(optarg, 0, 99);
			break;
		case 'r':
			opt->restore = true;
			break;
		case 'l':
			opt->look = true;
			break;
		default:
			usage("unknown option");
		}
	}
	if (optind != argc)
		usage("too many arguments");
	if ((opt->uid == 0) != (opt->gid == 0))
		usage("--uid and --gid go together");
}

/* One descriptor for each worker and each client. */
static void
descriptors_raise(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &lim); /* then fewer must do */
	}
}

int
main(int argc, char *argv[])
{
	struct options opt;
	struct err e;

	proctitle_init(argc, argv);
	options_parse(&opt, argc, argv);
	log_init("store", LOG_L_INFO, LOG_F_TEXT);
	proctitle_set("sandboxd-store", "sandboxd: store");
	descriptors_raise();
	/* PRIV: before, as we were started; after, nobody in one directory. */
	if (confine(opt.uid, opt.gid, &e) == -1)
		fatal("confine", "%s", e.text);
	/* Copies of it write backups and look at what is restored. */
	confine_never_or_die(true);
	if (opt.look)
		_exit(look_here(CHILD_SUPER_FD));
	if (opt.restore) {
		if (restore_here(CHILD_SUPER_FD, &e) == 0)
			_exit(EXIT_OK);
		fatal("restore", "%s", e.text);
	}
	/* All is released. What the C library, or a sanitizer, would do at exit
	 * wants files that cannot be seen from here. */
	_exit(store_run(&opt.store));
}
