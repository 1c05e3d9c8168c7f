/*
 * sandboxd: the supervisor. Runs as root, or as an ordinary user with fewer
 * mechanisms. The only long-lived privileged process: it reads its own
 * configuration, small messages of known shape from its children, and requests
 * of control clients that SO_PEERCRED lets in. It never parses what agents,
 * commands or networks say, never opens the database, and relays no data.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "lib/log.h"
#include "lib/proctitle.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "sandbox/seccomp_list.h"
#include "supervisor/agents.h"
#include "supervisor/carry.h"
#include "supervisor/command.h"
#include "supervisor/doctor.h"
#include "supervisor/listen.h"
#include "supervisor/logfile.h"
#include "supervisor/restore.h"
#include "supervisor/super.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct options {
	const char *conf_path;
	const char *set[SUPER_SET_MAX]
		       [2]; /* option names and values, over the file's */
	size_t nset;
	int ready_fd, carry_fd;
	const char *restore; /* a backup's file */
	bool force;
	bool check, print, doctor;
	const char *doctor_how;
	struct http_settings http;
	struct command_options command;
};

static const char usage_text[] =
    "usage: sandboxd [-c FILE] [--state-dir DIR] [--run-dir DIR]\n"
    "                [--agents-dir DIR] [--log-level LEVEL]\n"
    "                [--log-format text|json]\n"
    "                [--listen ADDRESS:PORT|unix:PATH]... [--no-http]\n"
    "                [--token TOKEN | --token-file FILE | --no-token]\n"
    "                [--tls-cert FILE --tls-key FILE] [-O ORIGIN]...\n"
    "                [-M METHOD]... [-A HEADER]... [--ready-fd N] [-n | -C]\n"
    "                [-g] [-s] [-e CODE]... [-r FROM:TO]... [-p SIGNAL]\n"
    "                [-- COMMAND [ARG]...]\n"
    "       sandboxd [-c FILE] [--state-dir DIR] --restore FILE [--force]\n"
    "       sandboxd [-c FILE] --doctor[=json]\n"
    "       sandboxd --print-seccomp[=json] | --version | --help\n"
    "\n"
    "  -c, --config FILE   configuration; default %s\n"
    "  --state-dir DIR     where records, events and files are kept\n"
    "  --run-dir DIR       where the control socket is made\n"
    "  --agents-dir DIR    where the definitions of agents are\n"
    "  --log-level LEVEL   error, warn, info or debug\n"
    "  --log-format FORM   text or json\n"
    "  --libexec-dir DIR   where the helper programs are\n"
    "  --ready-fd N        write a newline to descriptor N when ready\n"
    "  --listen WHERE      serve HTTP there; may be repeated\n"
    "  --no-http           serve no HTTP\n"
    "  --token TOKEN       what HTTP clients must know; may be repeated\n"
    "  --token-file FILE   the same, from the file's first line\n"
    "  --no-token          let in whoever can connect\n"
    "  --tls-cert FILE     speak TLS on TCP, with this certificate\n"
    "  --tls-key FILE      and its key\n"
    "  -O, --cors-allow-origin ORIGIN   let pages of ORIGIN in (CORS)\n"
    "  -M, --cors-allow-method METHOD   with these methods only\n"
    "  -A, --cors-allow-header HEADER   with these headers only\n"
    "  --cors-allow-credentials         and with cookies\n"
    "  -g, --group         signals go to COMMAND's whole group\n"
    "  -e, --remap-exit CODE     exit with 0 when COMMAND exits with CODE\n"
    "  -r, --rewrite FROM:TO     pass signal FROM on as TO; 0 drops it\n"
    "  -p, --parent-death SIGNAL we get it, and stop, when our parent ends\n"
    "  -s, --subreaper     adopt orphans, also without a COMMAND\n"
    "  --carry N           take over from a former image of ours, which left\n"
    "                      word of itself on descriptor N\n"
    "  -n, --check         check the configuration and exit\n"
    "  -C, --print         print the configuration in force and exit\n"
    "  --restore FILE      take a backup as the database, and exit\n"
    "  --force             also where one is, which is kept aside\n"
    "  --doctor            tell what this host can give, and how to mend "
    "it\n"
    "  --print-seccomp     print what the filter of system calls lets "
    "through\n";

static void
usage(FILE *f)
{
	(void)fprintf(f, usage_text, conf_default_path(geteuid() == 0));
}

static void
set(struct options *o, const char *name, const char *value)
{
	if (o->nset == countof(o->set)) {
		(void)fprintf(stderr, "sandboxd: too many options\n");
		exit(EXIT_USAGE);
	}
	o->set[o->nset][0] = name;
	o->set[o->nset][1] = value;
	o->nset++;
}

static int
open_fd(const char *option, const char *text)
{
	int64_t fd;

	if (str_to_int(text, 0, INT32_MAX, &fd) == -1 ||
	    fcntl((int)fd, F_GETFD) == -1) {
		(void)fprintf(stderr,
		    "sandboxd: %s %s: not an open descriptor\n", option, text);
		exit(EXIT_USAGE);
	}
	(void)fcntl((int)fd, F_SETFD, FD_CLOEXEC); /* it is open */
	return (int)fd;
}

static void
use_or_die(int rc, const struct err *e)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "sandboxd: %s\n", e->text);
	exit(EXIT_USAGE);
}

/* Options about HTTP. False: C is none of them. */
static bool
http_option(struct options *o, int c, char *arg)
{
	struct http_settings *h = &o->http;
	struct err e;

	switch (c) {
	case 'l':
		use_or_die(words_add(&h->listen, arg, &e), &e);
		return true;
	case 'N':
		h->off = true;
		return true;
	case 't':
		use_or_die(settings_token(h, arg, &e), &e);
		return true;
	case 'T':
		set(o, "gateway.token_file", arg);
		return true;
	case 'U':
		h->no_token = true;
		return true;
	case 'E':
		set(o, "gateway.tls_cert", arg);
		return true;
	case 'K':
		set(o, "gateway.tls_key", arg);
		return true;
	case 'O':
		use_or_die(words_add(&h->origins, arg, &e), &e);
		return true;
	case 'M':
		use_or_die(words_add(&h->methods, arg, &e), &e);
		return true;
	case 'A':
		use_or_die(words_add(&h->headers, arg, &e), &e);
		return true;
	case 'D':
		h->credentials = true;
		return true;
	default:
		return false;
	}
}

/* Options about COMMAND. False: C is none of them. */
static bool
command_word(struct options *o, int c, const char *arg)
{
	struct err e;
	int r = command_option(&o->command, c, arg, &e);

	use_or_die(r == -1 ? -1 : 0, &e);
	return r == 1;
}

static const struct option longs[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "state-dir", required_argument, NULL, 'S' },
	{ "run-dir", required_argument, NULL, 'R' },
	{ "agents-dir", required_argument, NULL, 'G' },
	{ "log-level", required_argument, NULL, 'L' },
	{ "log-format", required_argument, NULL, 'F' },
	{ "libexec-dir", required_argument, NULL, 'X' },
	{ "ready-fd", required_argument, NULL, 'y' },
	{ "listen", required_argument, NULL, 'l' },
	{ "no-http", no_argument, NULL, 'N' },
	{ "token", required_argument, NULL, 't' },
	{ "token-file", required_argument, NULL, 'T' },
	{ "no-token", no_argument, NULL, 'U' },
	{ "tls-cert", required_argument, NULL, 'E' },
	{ "tls-key", required_argument, NULL, 'K' },
	{ "cors-allow-origin", required_argument, NULL, 'O' },
	{ "cors-allow-method", required_argument, NULL, 'M' },
	{ "cors-allow-header", required_argument, NULL, 'A' },
	{ "cors-allow-credentials", no_argument, NULL, 'D' },
	{ "remap-exit", required_argument, NULL, 'e' },
	{ "group", no_argument, NULL, 'g' },
	{ "rewrite", required_argument, NULL, 'r' },
	{ "subreaper", no_argument, NULL, 's' },
	{ "parent-death", required_argument, NULL, 'p' },
	{ "carry", required_argument, NULL, 'Y' },
	{ "check", no_argument, NULL, 'n' },
	{ "print", no_argument, NULL, 'C' },
	{ "restore", required_argument, NULL, 'B' },
	{ "force", no_argument, NULL, 'f' },
	{ "doctor", optional_argument, NULL, 'Q' },
	{ "print-seccomp", optional_argument, NULL, 'P' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void ATTR_NORETURN
print_seccomp(const char *how)
{
	if (how != NULL && strcmp(how, "json") != 0) {
		(void)fprintf(stderr,
		    "sandboxd: --print-seccomp=%s: json or nothing\n", how);
		exit(EXIT_USAGE);
	}
	filter_print(stdout, how != NULL);
	exit(fflush(stdout) == 0 ? EXIT_OK : EXIT_SYS);
}

static void
options_parse(struct options *o, int argc, char *argv[])
{
	int c, before = optind;

	memset(o, 0, sizeof(*o));
	o->ready_fd = o->carry_fd = -1;
	command_options_init(&o->command);
	while ((c = getopt_long(
		    argc, argv, "+c:nChO:M:A:e:gr:sp:", longs, NULL)) != -1) {
		before = optind;
		switch (c) {
		case 'c':
			o->conf_path = optarg;
			break;
		case 'S':
			set(o, "daemon.state_dir", optarg);
			break;
		case 'R':
			set(o, "daemon.run_dir", optarg);
			break;
		case 'G':
			set(o, "agent.directory", optarg);
			break;
		case 'L':
			set(o, "daemon.log_level", optarg);
			break;
		case 'F':
			set(o, "daemon.log_format", optarg);
			break;
		case 'X':
			set(o, "daemon.libexec_dir", optarg);
			break;
		case 'y':
			o->ready_fd = open_fd("--ready-fd", optarg);
			break;
		case 'Y':
			o->carry_fd = open_fd("--carry", optarg);
			break;
		case 'n':
			o->check = true;
			break;
		case 'C':
			o->print = true;
			break;
		case 'B':
			o->restore = optarg;
			break;
		case 'f':
			o->force = true;
			break;
		case 'Q':
			o->doctor = true;
			o->doctor_how = optarg;
			break;
		case 'P':
			print_seccomp(optarg);
		case 'V':
			(void)printf("sandboxd %s%s\n", PACKAGE_VERSION,
			    GUARD(version) ? "" : " unguarded: for tests only");
			exit(EXIT_OK);
		case 'h':
			usage(stdout);
			exit(EXIT_OK);
		default:
			if (http_option(o, c, optarg) ||
			    command_word(o, c, optarg))
				break;
			usage(stderr);
			exit(EXIT_USAGE);
		}
	}
	/* Only `--` moves on without an option: what follows is COMMAND's. */
	if (optind < argc && optind == before + 1 &&
	    strcmp(argv[before], "--") == 0) {
		o->command.argv = argv + optind;
	} else if (optind < argc) {
		(void)fprintf(
		    stderr, "sandboxd: unexpected '%s'\n", argv[optind]);
		usage(stderr);
		exit(EXIT_USAGE);
	}
}

/* Relative directories on the command line are meant from where we stand. */
static char *
absolute(const char *name, const char *value)
{
	autofree char *cwd = NULL;
	size_t n = strlen(name);

	if (value[0] == '/' ||
	    (strcmp(name, "agent.directory") != 0 &&
		(n < 4 || strcmp(name + n - 4, "_dir") != 0)))
		return xstrdup(value);
	cwd = getcwd(NULL, 0);
	return cwd == NULL ? xstrdup(value) : xasprintf("%s/%s", cwd, value);
}

static void
conf_load_or_die(struct super *s, const struct options *o)
{
	bool root = geteuid() == 0;
	char mistakes[4000];
	struct err e;

	conf_defaults(&s->conf, root);
	s->conf_optional = o->conf_path == NULL;
	s->conf_path = xstrdup(
	    o->conf_path != NULL ? o->conf_path : conf_default_path(root));
	if (conf_load(&s->conf, s->conf_path, s->conf_optional, mistakes,
		sizeof(mistakes)) == -1) {
		(void)fputs(mistakes, stderr);
		exit(EXIT_USAGE);
	}
	for (size_t i = 0; i < o->nset; i++) {
		char *v = absolute(o->set[i][0], o->set[i][1]);

		s->set[s->nset].name = o->set[i][0];
		s->set[s->nset++].value = v;
		if (conf_set(&s->conf, o->set[i][0], v, &e) == -1) {
			(void)fprintf(stderr, "sandboxd: %s\n", e.text);
			exit(EXIT_USAGE);
		}
	}
	s->http = o->http;
	s->http.off = s->http.off || s->conf.processes == 0;
	use_or_die(settings_load(&s->http, &s->conf, &e), &e);
	use_or_die(listen_check(s, &e), &e);
}

/* As with the file: all mistakes are told before anything begins. */
static struct agents *
agents_load_or_die(const struct conf *c)
{
	struct agents *as;
	struct buf mistakes;

	buf_init(&mistakes, AGENT_MISTAKES_MAX);
	as = agents_load(c->agent_directory, &mistakes);
	if (as == NULL) {
		(void)fputs(mistakes.data, stderr);
		exit(EXIT_USAGE);
	}
	buf_free(&mistakes);
	return as;
}

static void
logging_start(const struct conf *c)
{
	enum log_level level = LOG_L_INFO;
	enum log_format format = LOG_F_TEXT;

	/* conf_set() let only good words in. */
	(void)log_level_parse(c->log_level, &level);
	(void)log_format_parse(c->log_format, &format);
	log_init("sandboxd", level, format);
}

/* Descriptors 0, 1, 2 exist, so that none of ours lands there; and there may
 * be as many as the limit lets us have. */
static void
process_prepare(void)
{
	struct rlimit rl;
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= 2 &&
		 fcntl(fd, F_SETFD, 0) == 0); /* these three are inherited */
	if (fd > 2)
		(void)close(fd); /* nothing was written */
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl); /* else fewer clients */
	}
	(void)umask(022);
}

/* What we are made of is found at the first start; at an upgrade it is asked
 * for before. */
static bool
programs_there(const struct super *s)
{
	static const char *const names[] = { "sandboxd-store", "sandboxd-relay",
		"sandboxd-gateway", "sandboxd-courier", "sandboxd-init",
		"sandboxd-session" };

	for (size_t i = 0; i < countof(names); i++) {
		autofree char *path =
		    xasprintf("%s/%s", s->conf.libexec_dir, names[i]);

		if (access(path, R_OK | X_OK) == 0)
			continue;
		(void)fprintf(stderr, "sandboxd: %s: not a program\n", path);
		return false;
	}
	return true;
}

/* The word of a former image of ours. */
static void
carry_read_or_die(struct super *s, int fd)
{
	struct err e;

	if (fd == -1)
		return;
	if (carry_read(fd, &s->carried, &e) == 0)
		return;
	(void)fprintf(stderr, "sandboxd: %s\n", e.text);
	exit(EXIT_USAGE);
}

/* For the next image: what we were asked, and by which file, before the title
 * takes the place of the arguments. */
static void
arguments_keep(struct super *s, int argc, char *argv[])
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	size_t k = 0;

	path[n > 0 ? n : 0] = '\0';
	s->program = xstrdup(path[0] == '/' ? path : argv[0]);
	s->argv = xcalloc((size_t)argc + 1, sizeof(*s->argv));
	for (int i = 0; i < argc; i++) {
		bool ready = strcmp(argv[i], "--ready-fd") == 0;

		if (i > 0 && ready)
			i++; /* and its value: it was for the first start */
		else if (i == 0 || (!str_starts(argv[i], "--ready-fd=") &&
				       !str_starts(argv[i], "--carry=")))
			s->argv[k++] = xstrdup(argv[i]);
	}
}

int
main(int argc, char *argv[])
{
	static struct super s;
	struct agents *agents;
	struct options o;

	arguments_keep(&s, argc, argv);
	command_signals_hold();
	proctitle_init(argc, argv);
	options_parse(&o, argc, argv); /* 1 what we were asked */
	conf_load_or_die(&s, &o);      /* 2 what we are told   */
	if (o.doctor)
		return doctor_alone(&s, o.doctor_how);
	agents = agents_load_or_die(&s.conf);
	carry_read_or_die(&s, o.carry_fd);
	if (o.print)
		conf_print(&s.conf, stdout);
	if (o.print || o.check) {
		command_signals_release();
		if (s.carried != NULL && !programs_there(&s))
			return EXIT_USAGE;
		if (s.carried != NULL)
			(void)puts(CARRY_YES);
		agents_free(agents);
		return EXIT_OK;
	}
	command_remember();
	process_prepare();
	logging_start(&s.conf);
	if (o.restore != NULL) {
		agents_free(agents);
		command_signals_release();
		return restore_run(&s, o.restore, o.force);
	}
	s.logfile = logfile_new(&s.conf);
	agents_replace(&s, agents);
	super_open_or_die(&s, o.ready_fd, &o.command); /* 3 sockets, helpers */
	if (s.command == NULL)
		command_signals_release();
	proctitle_set("sandboxd", "sandboxd: supervisor %s", s.conf.state_dir);
	/* 4 Point of no return: from here an error costs a session, not us. */
	return super_run(&s);
}
