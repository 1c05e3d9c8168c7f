/*
 * The life of the command; see command.h. Runs in the supervisor. All signals
 * come through one descriptor, and stay blocked for ever: none is lost between
 * two looks, real-time ones keep their count, and a fault of our own still
 * ends us, since the kernel lets no mask stand in its way.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "supervisor/command_priv.h"

#include "lib/log.h"
#include "lib/proctree.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/super.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* If the store does not come up in this time, the command starts all the same:
 * a container without a supervisor's services is better than none. */
#define START_S 10.0
#define LOOK_S 0.02 /* between looks for what is left */

/* --- its end ------------------------------------------------------------- */

static void
look(struct command *c)
{
	int left = strays_signal(c->proc_fd, c->killing ? SIGKILL : 0);

	c->gone = left <= 0; /* or it cannot be told */
	if (!c->gone) {
		ev_timer_again(c->s->loop, &c->look_timer);
		return;
	}
	ev_timer_stop(c->s->loop, &c->look_timer);
	ev_timer_stop(c->s->loop, &c->grace_timer);
	super_stop_step(c->s);
}

static void
on_look(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	look(t->data);
}

static void
on_grace(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct command *c = t->data;

	log_warn("command", "the grace is over: KILL");
	command_kill(c);
}

static void
grace_begin(struct command *c)
{
	double grace = (double)c->s->conf.stop_grace_ms / 1000.0;

	if (ev_is_active(&c->grace_timer))
		return;
	ev_now_update(c->s->loop);
	ev_timer_set(&c->grace_timer, grace, 0.);
	ev_timer_start(c->s->loop, &c->grace_timer);
}

/* What it has left is told to end, and so are we. */
static void
ended(struct command *c, int code)
{
	c->ended = true;
	c->pid = -1;
	c->code = code;
	if (c->tty) /* else whoever comes next could not read from it */
		(void)tcsetpgrp(STDIN_FILENO, getpgrp());
	log_info("command", "ended", LOG_INT("exit_code", code));
	if (strays_signal(c->proc_fd, SIGTERM) > 0)
		(void)strays_signal(c->proc_fd, SIGCONT); /* or cannot act */
	grace_begin(c);
	super_stop(c->s, 0);
	look(c);
}

/* It was stopped from its terminal. A shell above us is to see its job
 * stopped; where there is none, nobody could let it go on. */
static void
stopped(struct command *c, int sig)
{
	if (sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU)
		return;
	if (c->tty) {
		(void)kill(0, sig); /* others of the job; ours is held back */
		(void)kill(getpid(), SIGSTOP);
	} else if (sig == SIGTSTP && getsid(0) == getpid()) {
		(void)kill(-c->pid, SIGCONT);
	}
}

static void
on_child(struct ev_loop *loop, ev_child *child, int revents ATTR_UNUSED)
{
	struct command *c = child->data;
	int status = child->rstatus;

	c->stopped = WIFSTOPPED(status);
	if (WIFSTOPPED(status)) {
		stopped(c, WSTOPSIG(status));
		return;
	}
	if (WIFCONTINUED(status))
		return;
	ev_child_stop(loop, child);
	ended(c,
	    WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* --- signals ------------------------------------------------------------- */

static void
forward(struct command *c, int sig)
{
	int as = c->o.to[sig];

	if (as == 0 || c->ended)
		return;
	if (!c->started) {
		c->held |= 1ull << (sig - 1);
		return;
	}
	if (sig == SIGCONT && c->tty && tcgetpgrp(STDIN_FILENO) == getpgrp()) {
		/* `fg` has given the terminal to us. */
		(void)tcsetpgrp(STDIN_FILENO, c->pid);
		(void)kill(-c->pid, as);
		return;
	}
	/* Not reaped, so the number is its own. */
	(void)kill(c->o.group ? -c->pid : c->pid, as);
}

static void
on_one(struct command *c, const struct signalfd_siginfo *si)
{
	int sig = (int)si->ssi_signo;
	bool ours = si->ssi_pid == (uint32_t)getpid();
	bool orphan =
	    c->o.parent_death == sig && getppid() != command_origin.ppid;

	/* From a pipe that nobody reads, or for our process group. */
	if (ours && (sig == SIGPIPE || sig == SIGTSTP || sig == SIGTTIN ||
			sig == SIGTTOU))
		return;
	log_debug("command", "signal", LOG_INT("signal", sig));
	if (c->stopping && sig == SIGTERM && c->o.to[sig] != 0) {
		super_hasten(c->s);
		return;
	}
	forward(c, sig);
	c->termed = c->termed || sig == SIGTERM;
	if (orphan)
		log_info("command", "our parent has ended");
	if (orphan || (sig == SIGTERM && c->o.to[sig] != 0))
		super_stop(c->s, 0);
	if (sig == SIGHUP)
		super_reload(c->s);
}

static void
on_signal(struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents ATTR_UNUSED)
{
	struct command *c = io->data;
	struct signalfd_siginfo si[16];
	ssize_t n = read(c->sig_fd, si, sizeof(si));

	/* None of what follows frees C. */
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(si[0]); i++)
		on_one(c, &si[i]);
}

static int
signals_open(struct command *c, struct err *e)
{
	sigset_t set, chld;

	(void)sigfillset(&set);
	(void)sigdelset(&set, SIGCHLD); /* libev's */
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	(void)sigprocmask(SIG_UNBLOCK, &chld, NULL);
	c->sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->sig_fd == -1)
		return err_sys(e, "watch for signals");
	ev_io_init(&c->sig_io, on_signal, c->sig_fd, EV_READ);
	c->sig_io.data = c;
	ev_set_priority(&c->sig_io, EV_MAXPRI);
	ev_io_start(c->s->loop, &c->sig_io);
	return 0;
}

/* --- start --------------------------------------------------------------- */

void
command_watch(struct command *c)
{
	ev_child_init(&c->child, on_child, c->pid, 1);
	c->child.data = c;
	ev_child_start(c->s->loop, &c->child);
}

static void
start(struct command *c)
{
	struct err e;
	int code = 0;

	if (c->started || c->ended)
		return;
	ev_timer_stop(c->s->loop, &c->start_timer);
	c->tty = command_tty_shared();
	c->pid = command_spawn(c, &code, &e);
	if (c->pid == -1) {
		/* Also where nobody reads the log's level or format. */
		log_error(
		    "command", "cannot be run", LOG_STR("detail", e.text));
		ended(c, code);
		return;
	}
	c->started = true;
	command_watch(c);
	log_info("command", "started", LOG_INT("pid", c->pid),
	    LOG_STR("program", c->o.argv[0]));
	for (int sig = 1; sig < NSIG; sig++)
		if (c->held & 1ull << (sig - 1))
			forward(c, sig);
}

static void
on_start(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	log_warn("command", "starts before we are ready");
	start(t->data);
}

void
command_ready(struct command *c)
{
	if (c != NULL)
		start(c);
}

/* --- opening and stopping ------------------------------------------------ */

static void
adopt(const struct command_options *o)
{
	if (getpid() != 1 && (o->argv != NULL || o->subreaper) &&
	    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1)
		log_warn("command",
		    "neither process 1 nor a subreaper: orphans go elsewhere",
		    LOG_STR("error", strerror(errno)));
	if (o->parent_death == 0)
		return;
	if (prctl(PR_SET_PDEATHSIG, o->parent_death, 0, 0, 0) == -1)
		log_warn("command", "no signal when our parent ends",
		    LOG_STR("error", strerror(errno)));
	else if (getppid() != command_origin.ppid)
		(void)kill(getpid(), o->parent_death); /* it has already */
}

int
command_open(struct super *s, const struct command_options *o,
    struct command **out, struct err *e)
{
	struct command *c;

	*out = NULL;
	adopt(o);
	if (o->argv == NULL)
		return 0;
	c = xcalloc(1, sizeof(*c));
	c->s = s;
	c->o = *o;
	c->o.argv = strv_dup(o->argv); /* our title goes where it was */
	c->pid = c->sig_fd = -1;
	c->proc_fd = proctree_open();
	ev_init(&c->child, on_child);
	ev_timer_init(&c->start_timer, on_start, START_S, 0.);
	ev_timer_init(&c->grace_timer, on_grace, 0., 0.);
	ev_timer_init(&c->look_timer, on_look, LOOK_S, LOOK_S);
	c->start_timer.data = c->grace_timer.data = c->look_timer.data = c;
	ev_timer_start(s->loop, &c->start_timer);
	if (signals_open(c, e) == -1) {
		command_free(c);
		return -1;
	}
	if (c->proc_fd == -1)
		log_warn("command", "no /proc of ours: what the command leaves "
				    "behind is not seen");
	*out = c;
	return 0;
}

void
command_stop(struct command *c)
{
	if (c == NULL || c->stopping)
		return;
	c->stopping = true;
	ev_timer_stop(c->s->loop, &c->start_timer);
	if (!c->started && !c->ended) {
		/* As if it had been there and died of it. */
		c->ended = c->gone = true;
		c->code = 128 + SIGTERM;
		return;
	}
	if (c->ended)
		return;
	if (!c->termed)
		(void)kill(c->o.group ? -c->pid : c->pid, SIGTERM);
	if (c->stopped) /* it could not act */
		(void)kill(c->pid, SIGCONT);
	grace_begin(c);
}

void
command_kill(struct command *c)
{
	if (c == NULL || c->gone || c->killing)
		return;
	c->killing = true;
	ev_timer_stop(c->s->loop, &c->grace_timer);
	if (!c->ended) /* not reaped, so the number is its own */
		(void)kill(c->pid, SIGKILL);
	(void)strays_signal(c->proc_fd, SIGKILL);
	ev_timer_again(c->s->loop, &c->look_timer);
}

bool
command_stopped(const struct command *c)
{
	return c == NULL || (c->ended && c->gone);
}

int
command_exit_code(const struct command *c, int ours)
{
	int code;

	if (c == NULL || !c->ended)
		return c == NULL ? ours : 128 + SIGKILL;
	/* That we could not even begin is told before what did not begin. */
	if (!c->started && ours != 0)
		return ours;
	code = c->code & 255;
	return c->o.remap[code] ? 0 : code;
}

void
command_free(struct command *c)
{
	if (c == NULL)
		return;
	ev_io_stop(c->s->loop, &c->sig_io);
	ev_child_stop(c->s->loop, &c->child);
	ev_timer_stop(c->s->loop, &c->start_timer);
	ev_timer_stop(c->s->loop, &c->grace_timer);
	ev_timer_stop(c->s->loop, &c->look_timer);
	fd_close(&c->sig_fd);
	fd_close(&c->proc_fd);
	strv_free(c->o.argv);
	free(c);
}
