/*
 * sandboxd-session: the worker of one session.
 *
 * It runs inside the session's sandbox as the sandbox's user, started by the
 * sandbox's init from a sealed file, with descriptor 3 to the supervisor and 4
 * to the store. It starts the agent's program as its child and turns what that
 * prints into events. Started by a worker with other words it is a part of what
 * several sessions share (share.h), and none of the following.
 *
 * It trusts the supervisor and the store. It does not trust the agent, nor
 * anything else in the sandbox: they run as the same user, so this process is
 * not dumpable (nobody may trace it or read its memory and descriptors). It
 * must never write to the two channels what was not checked and bounded, and
 * never outlive its supervisor.
 */
#include "session/children.h"
#include "session/session.h"
#include "session/share.h"

#include "lib/log.h"
#include "lib/parent.h"
#include "lib/proctitle.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#define LOG_QUEUE_BYTES (1u << 20) /* beyond this, log lines are dropped */

static void
on_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	static bool busy; /* the channel may have something to log itself */
	struct session *s = ctx;

	if (busy || s->super == NULL || chan_queued(s->super) > LOG_QUEUE_BYTES)
		return;
	busy = true;
	parent_log(s->super, level, line, len);
	busy = false;
}

static void
say_hello(struct session *s)
{
	if (parent_hello(s->super, ROLE_SESSION) == -1)
		fatal("session", "cannot say hello");
}

static void
on_term(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	(void)revents;
	session_leave(w->data);
}

/* Whatever is opened later must not become 0, 1 or 2. */
static void
fill_stdio_or_die(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd == -1)
			fatal("session", "open /dev/null refused");
	} while (fd <= STDERR_FILENO);
	(void)close(fd);
}

static void
harden_or_die(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("session", "prctl refused");
	/* Orphans of the agent come to us, so that none outlives it. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1)
		fatal("session", "cannot become a subreaper");
	if (sigaction(SIGPIPE, &ignore, NULL) == -1)
		fatal("session", "sigaction refused");
}

/* Send what is queued for the supervisor: the last answers. */
static void
drain(struct session *s)
{
	int i;

	for (i = 0; i < 100 && s->super != NULL && chan_queued(s->super) > 0;
	     i++)
		ev_run(s->loop, EVRUN_NOWAIT);
}

/* Not a worker, but what several of them share. */
static int
share_or_die(char *argv[])
{
	struct ev_loop *loop;

	log_init("share", LOG_L_WARN, LOG_F_TEXT);
	harden_or_die();
	loop = ev_loop_new(EVFLAG_NOENV);
	if (loop == NULL)
		fatal("share", "no event loop");
	return share_main(loop, argv);
}

int
main(int argc, char *argv[])
{
	static struct session s; /* too large for the stack's first page */
	struct ev_loop *loop;
	ev_signal term;

	proctitle_init(argc, argv);
	if (share_wanted(argc, argv))
		return share_or_die(argv);
	/* Run from a memory file: without this the kernel's name would show. */
	proctitle_set("sandboxd-session", "sandboxd-session%s%s",
	    argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	log_init("session", LOG_L_INFO, LOG_F_TEXT);
	fill_stdio_or_die();
	harden_or_die();
	/* Not the default loop: that one would wait for every child itself. */
	loop = ev_loop_new(EVFLAG_NOENV);
	if (loop == NULL)
		fatal("session", "no event loop");
	session_init(&s, loop);
	s.super = chan_new(loop, CHILD_SUPER_FD, "super", session_frame, &s);
	outbox_connect(&s.out, CHILD_STORE_FD);
	log_sink(on_log, &s);
	children_init(loop);
	ev_signal_init(&term, on_term, SIGTERM);
	term.data = &s;
	ev_signal_start(loop, &term);
	say_hello(&s);
	/* From here an error costs a turn, not the session. */
	ev_run(loop, 0);
	drain(&s);
	log_sink(NULL, NULL);
	session_free(&s);
	children_end();
	return EXIT_OK;
}
