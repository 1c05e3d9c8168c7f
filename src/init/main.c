/*
 * sandboxd-init: process 1 of one sandbox.
 *
 * Exec'd by the supervisor's child once every confinement is in place: we are
 * root of a user namespace with few capabilities, under the sandbox's system
 * call filter, and see its files only. Starts commands and session workers at
 * the supervisor's word, adopts and reaps what they leave behind, ends them all
 * on `stop`.
 *
 * Trusts the supervisor (descriptor 3). Trusts nothing else: every other
 * process here may be hostile and may have our uid. What is read from files of
 * the sandbox is read in forked children.
 *
 * Must never exit after start except on `stop` or when the supervisor has gone
 * and none has come in its place (adopt.c), must never block, and must never
 * let a descriptor of its own reach a command.
 */
#include "init/adopt.h"
#include "init/errand.h"
#include "init/exec.h"
#include "init/gate.h"
#include "init/init.h"
#include "init/keeper.h"
#include "init/procs.h"
#include "init/service.h"
#include "init/shrink.h"
#include "init/stop.h"
#include "init/user.h"
#include "lib/log.h"
#include "lib/parent.h"
#include "lib/proctitle.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define REAP_BATCH 1024 /* then the loop looks at other things first */
#define UPPERS_MAX 256
#define IDLE_S 0.25 /* without a message */

pid_t
init_fork(void)
{
	sigset_t all, old;
	int saved;
	pid_t pid;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid != 0) {
		saved = errno;
		(void)sigprocmask(SIG_SETMASK, &old, NULL);
		errno = saved;
	}
	return pid;
}

void
init_signals_default(void)
{
	static const unsigned long plain[4]; /* the kernel's struct: all 0 */
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL); /* some cannot be set */
	/* Two belong to libc, which will not touch them; but whoever started
	 * the supervisor by posix_spawn may have left them ignored, and a
	 * command is to start like a plain one. */
	for (sig = 32; sig <= 33; sig++)
		(void)syscall(SYS_rt_sigaction, sig, plain, NULL, 8);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void
init_signals_child(void)
{
	sigset_t none;

	/* All that init has changed since it set everything to its default. */
	(void)signal(SIGCHLD, SIG_DFL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Start
 */

/* "5=/workspace" */
static int
upper_parse(struct init *in, char *word)
{
	struct upper *u = &in->uppers[in->nuppers];
	char *eq = strchr(word, '=');
	struct stat st;
	int64_t fd;

	if (eq == NULL || eq[1] != '/')
		return -1;
	*eq = '\0';
	if (str_to_int(word, CHILD_SUPER_FD + 1, INT32_MAX, &fd) == -1 ||
	    fstat((int)fd, &st) == -1 || !S_ISDIR(st.st_mode))
		return -1;
	u->fd = (int)fd;
	u->target = xstrdup(eq + 1);
	in->nuppers++;
	return 0;
}

static void
args_parse_or_die(struct init *in, int argc, char *argv[])
{
	int i;

	if (argc > 1 && strcmp(argv[1], "--tree") == 0) {
		in->tree = true;
		argc--;
		argv++;
	}
	if (argc > 1 && str_starts(argv[1], "--adopt=")) {
		if (str_to_int(strchr(argv[1], '=') + 1, 1, INT64_MAX / 2,
			&in->adopt_ms) == -1)
			goto usage;
		argc--;
		argv++;
	}
	if (argc < 2 || argc - 2 > UPPERS_MAX || !sandbox_id_valid(argv[1]) ||
	    str_copy(in->id, sizeof(in->id), argv[1]) == -1)
		goto usage;
	if (argc > 2)
		in->uppers = xcalloc((size_t)argc - 2, sizeof(*in->uppers));
	for (i = 2; i < argc; i++)
		if (upper_parse(in, argv[i]) == -1)
			goto usage;
	return;
usage:
	(void)fprintf(stderr, "usage: sandboxd-init [--tree | --adopt=MS] ID "
			      "[FD=/target ...]\n");
	exit(EXIT_USAGE);
}

/* Without a pid namespace: orphans come to us because we ask for them, and what
 * would end another process is held back for ever. */
static void
tree_prepare_or_die(void)
{
	sigset_t held;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1)
		fatal("init", "subreaper: %s", strerror(errno));
	user_root_is_self();
	(void)sigfillset(&held);
	(void)sigdelset(&held, SIGCHLD);
	(void)sigprocmask(SIG_SETMASK, &held, NULL);
}

static void
confine_self_or_die(struct init *in)
{
	int fd;

	/* Signals to -1 are how a sandbox ends: as any other process we would
	 * end the machine's processes instead. */
	if (!in->tree && getpid() != 1) {
		(void)fprintf(stderr,
		    "sandboxd-init: not process 1 of a pid namespace\n");
		exit(EXIT_USAGE);
	}
	/* PRIV: the sandbox's root. From here no process of the sandbox may
	 * trace us or open what /proc shows of us; none can signal us, since we
	 * leave every signal but SIGCHLD at its default. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("init", "not dumpable: %s", strerror(errno));
	init_signals_default();
	if (in->tree)
		tree_prepare_or_die();
	(void)signal(SIGPIPE, SIG_IGN);
	in->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (in->null_fd >= 0 && in->null_fd <= STDERR_FILENO)
		in->null_fd = fcntl(in->null_fd, F_DUPFD, 0);
	/* Who starts us may have left any of them closed. */
	for (fd = 0; in->null_fd != -1 && fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1)
			(void)dup2(in->null_fd, fd);
	if (in->null_fd == -1)
		fatal("init", "open /dev/null: %s", strerror(errno));
	if (GUARD(strays) &&
	    close_range(CHILD_SUPER_FD, ~0U, CLOSE_RANGE_CLOEXEC) == -1)
		fatal("init", "close-on-exec: %s", strerror(errno));
	in->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/*
 * Being small
 */

static void
on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	ev_timer_stop(loop, w);
	init_shrink();
}

/*
 * Messages
 */

static void
on_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct init *in = ctx;

	if (in->ch != NULL)
		parent_log(in->ch, level, line, len);
}

/* The supervisor asks about managed processes, as gateways do. */
static void
on_process(
    struct init *in, const struct proto_in *m, const struct chan_frame *f)
{
	struct err e;

	if (!stop_begun(in)) {
		procs_message(gate_super(in), m->id, m->type, m->body, f);
		return;
	}
	(void)err_set(&e, ERR_SANDBOX_STATE, "the sandbox is stopping");
	(void)chan_reply_err(in->ch, m->id, &e);
}

static void
on_message(struct init *in, const struct chan_frame *f)
{
	struct proto_in m;
	struct err e;
	int64_t id;

	if (proto_check(ROLE_SUPER, PS_RUNNING, ROLE_INIT, f->msg, f->len,
		f->nfds, &m, &e) == -1 ||
	    m.kind != PROTO_MESSAGE) {
		/* A breach would cost anybody else the channel; from the
		 * supervisor it would cost every process here. */
		log_warn("init", "message refused", LOG_STR("cause", e.text));
		id = json_int(f->msg, "id", 0);
		if (id > 0)
			(void)chan_reply_err(in->ch, id, &e);
		return;
	}
	in->last_id = MAX(in->last_id, m.id);
	switch (m.type) {
	case MSG_INIT_EXEC:
		exec_request(in, m.id, m.body, f);
		break;
	case MSG_INIT_KILL:
		exec_kill_request(in, m.id, m.body);
		break;
	case MSG_INIT_CHANGES:
	case MSG_INIT_COPY_IN:
	case MSG_INIT_COPY_OUT:
	case MSG_INIT_PROCESSES:
	case MSG_INIT_LOG:
		errand_request(in, m.id, m.type, m.body, f);
		break;
	case MSG_INIT_GATEWAY:
		gate_add(in, m.body, f);
		break;
	case MSG_INIT_SERVICE:
		service_request(in, m.id, f);
		break;
	case MSG_INIT_STOP:
		stop_request(in, m.id, m.body);
		break;
	case MSG_PROC_CREATE:
	case MSG_PROC_LIST:
	case MSG_PROC_GET:
	case MSG_PROC_SIGNAL:
	case MSG_PROC_DELETE:
	case MSG_PROC_INPUT:
	case MSG_PROC_RESIZE:
	case MSG_PROC_ATTACH:
		on_process(in, &m, f);
		break;
	default:
		log_warn("init", "message without a handler");
		break;
	}
}

void
init_awake(struct init *in)
{
	ev_timer_again(in->loop, &in->idle);
}

void
init_on_chan(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct init *in = ctx;

	(void)ch;
	(void)why;
	if (what == CHAN_CLOSED) {
		/* It stays, closed: what is still said on it is lost. */
		if (!adopt_wait(in))
			stop_now();
		return;
	}
	on_message(in, f);
	init_awake(in);
}

/* One SIGCHLD may stand for any number of children. */
static void
on_chld(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct init *in = w->data;
	siginfo_t si;
	int i;

	(void)revents;
	for (i = 0; i < REAP_BATCH; i++) {
		si.si_pid = 0;
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG) == -1) {
			if (errno == ECHILD)
				stop_none_left(in);
			return;
		}
		if (si.si_pid == 0)
			return;
		exec_reaped(in, &si);
		service_reaped(in, &si);
	}
	ev_feed_signal_event(loop, SIGCHLD);
}

/* libev ends the process when memory is out; process 1 waits for some. */
static void *
alloc_or_wait(void *p, long size)
{
	const struct timespec nap = { .tv_nsec = 10000000 };
	void *q;

	if (size == 0) {
		free(p);
		return NULL;
	}
	while ((q = realloc(p, (size_t)size)) == NULL)
		(void)nanosleep(&nap, NULL);
	return q;
}

static void
on_syserr(const char *msg)
{
	log_warn("init", msg, LOG_STR("error", strerror(errno)));
}

static void
open_or_die(struct init *in)
{
	struct err e;

	ev_set_allocator(alloc_or_wait);
	in->loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (in->loop == NULL)
		fatal("init", "no event loop");
	ev_set_syserr_cb(on_syserr);
	if (execs_open(in, &e) == -1 || errands_open(in, &e) == -1 ||
	    stop_open(in, &e) == -1)
		fatal("init", "%s", e.text);
	/* Not libev's own child watchers: those come one per turn of the loop,
	 * and most of what we reap nobody asks for. */
	ev_signal_init(&in->chld, on_chld, SIGCHLD);
	in->chld.data = in;
	ev_signal_start(in->loop, &in->chld);
	ev_init(&in->idle, on_idle);
	in->idle.repeat = IDLE_S;
	ev_timer_again(in->loop, &in->idle);
	if (adopt_open(in, &e) == -1)
		fatal("init", "%s", e.text);
	in->ch =
	    chan_new(in->loop, CHILD_SUPER_FD, "supervisor", init_on_chan, in);
	log_sink(on_log, in);
}

int
main(int argc, char *argv[])
{
	struct init in = { .proc_fd = -1, .null_fd = -1 };

	if (keeper_asked(argc, argv))
		keeper_run(argc, argv);
	proctitle_init(argc, argv);
	args_parse_or_die(&in, argc, argv);
	confine_self_or_die(&in);
	log_init("init", LOG_L_INFO, LOG_F_TEXT);
	open_or_die(&in);
	/* Just as long as the arguments were, so that it is never cut. */
	proctitle_set("sandboxd-init", "sandboxd-init %s", in.id);
	(void)parent_hello(in.ch, ROLE_INIT); /* its end is ours */
	/* Point of no return: from here an error costs a command, not us. A
	 * child that ended before the signal was watched is seen now. */
	ev_feed_signal_event(in.loop, SIGCHLD);
	for (;;)
		(void)ev_run(in.loop, 0);
}
