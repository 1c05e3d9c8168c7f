/*
 * The state grid of children. Runs in the supervisor (root). What a child says
 * has passed proto_check() before it becomes an event here; what it breaks
 * costs the child its life, never us.
 *
 * All behaviour is in the grid at the end of the first half: a cell is a
 * function of a few lines. An empty cell is a breach if the child caused the
 * event and a defect of ours otherwise.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "supervisor/proc.h"
#include "supervisor/command.h"
#include "supervisor/proc_priv.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Time between the exit and the end of the channel, in either order. */
#define LINGER_MS 1000
#define NOT_YET_MS 50 /* until it is looked again whether it may start */

static int
real_pidfd_kill(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

struct sysops sysops = { real_pidfd_kill, now_monotonic_ms };

static void dispatch(struct proc *p, enum proc_event ev,
    const struct proto_in *in, const struct chan_frame *f);

void
proc_set_state(struct proc *p, enum proc_state s)
{
	if (p->state == s)
		return;
	log_debug("proc", "state", LOG_STR("proc", p->name),
	    LOG_STR("from", proc_state_name(p->state)),
	    LOG_STR("to", proc_state_name(s)));
	p->state = s;
}

void
proc_set_deadline(struct proc *p, int64_t ms)
{
	ev_timer_stop(p->loop, &p->timer);
	if (ms <= 0)
		return;
	ev_timer_set(&p->timer, (double)ms / 1000.0, 0.);
	ev_timer_start(p->loop, &p->timer);
}

static void
set_cause(struct proc *p, const char *fmt, ...)
{
	va_list ap;

	if (p->cause[0] != '\0')
		return; /* the first cause is the true one */
	va_start(ap, fmt);
	(void)vsnprintf(p->cause, sizeof(p->cause), fmt, ap);
	va_end(ap);
}

/* --- the channel and the process as sources of events -------------------- */

static void
breach(struct proc *p, const struct err *e)
{
	log_warn("proc", "breach", LOG_STR("proc", p->name),
	    LOG_STR("detail", e->text));
	set_cause(p, "broke the protocol: %s", e->text);
	p->killed = true;
	dispatch(p, PE_EOF, NULL, NULL);
}

static void
on_log(struct proc *p, const struct json *msg)
{
	enum log_level level;

	if (log_level_parse(json_str(msg, "level", "info"), &level) == -1)
		level = LOG_L_INFO;
	log_write(level, "child", json_str(msg, "line", ""),
	    (const struct log_field[]){ LOG_STR("proc", p->name) }, 1);
}

static void
on_frame(struct proc *p, const struct chan_frame *f)
{
	struct proto_in in;
	struct err e;

	if (proto_check(p->kind->role, p->state, ROLE_SUPER, f->msg, f->len,
		f->nfds, &in, &e) == -1) {
		breach(p, &e);
		return;
	}
	if (in.kind != PROTO_MESSAGE) {
		if (proc_reply(p, &in, f, &e) == -1)
			breach(p, &e);
	} else if (in.type == MSG_LOG) {
		on_log(p, in.body);
	} else {
		dispatch(p, in.type == MSG_HELLO ? PE_HELLO : PE_MSG, &in, f);
	}
}

void
proc_on_chan(struct chan *ch ATTR_UNUSED, enum chan_what what,
    const struct chan_frame *f, const char *why, void *ctx)
{
	struct proc *p = ctx;

	if (what == CHAN_FRAME) {
		on_frame(p, f);
		return;
	}
	set_cause(p, "%s", why);
	dispatch(p, PE_EOF, NULL, NULL);
}

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	dispatch(t->data, PE_TIMEOUT, NULL, NULL);
}

/* --- what the cells do --------------------------------------------------- */

static void
kill_hard(struct proc *p)
{
	if (p->kind->kill != NULL)
		p->kind->kill(p);
	else if (p->pidfd != -1)
		(void)sysops.pidfd_kill(p->pidfd, SIGKILL); /* may be gone */
}

/* Exit and end of file were both seen (or there never was a process). */
static void
retire(struct proc *p)
{
	enum proc_state next;
	int64_t delay_ms;

	fd_close(&p->pidfd);
	p->pid = -1;
	next = proc_after_death(p, &delay_ms);
	p->up_since_ms = 0;
	proc_set_state(p, next);
	proc_set_deadline(p, delay_ms);
	if (!p->stop_wanted)
		log_write(next == PS_FAILED ? LOG_L_ERROR : LOG_L_WARN, "proc",
		    "lost",
		    (const struct log_field[]){ LOG_STR("proc", p->name),
			LOG_STR("cause", p->cause),
			LOG_STR("state", proc_state_name(p->state)),
			LOG_INT("next_start_ms", delay_ms) },
		    4);
	proc_fail_calls(p);
	if (p->kind->down != NULL)
		p->kind->down(p, p->cause); /* may free P */
}

static void
on_hello(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f ATTR_UNUSED)
{
	struct err e;
	const char *role = json_str(in->body, "role", "");
	const char *version = json_str(in->body, "version", "");

	if (strcmp(role, role_name(p->kind->role)) != 0 ||
	    strcmp(version, PACKAGE_VERSION) != 0) {
		err_set(&e, ERR_BAD_REQUEST, "hello of %s %s", role, version);
		breach(p, &e);
		return;
	}
	proc_set_deadline(p, 0);
	proc_set_state(p, PS_RUNNING);
	p->up_since_ms = sysops.now_ms();
	if (p->kind->up != NULL)
		p->kind->up(p);
}

static void
on_msg(struct proc *p, const struct proto_in *in, const struct chan_frame *f)
{
	struct err e;

	if (p->kind->message == NULL) {
		err_set(&e, ERR_BAD_REQUEST, "unexpected message");
		breach(p, &e);
	} else if (p->kind->message(p, in, f, &e) == -1) {
		breach(p, &e);
	}
}

static void
on_report(struct proc *p, const struct proto_in *in ATTR_UNUSED,
    const struct chan_frame *f ATTR_UNUSED)
{
	/* The child exits by itself after its report. */
	proc_set_state(p, PS_STOPPING);
	proc_set_deadline(p, LINGER_MS);
}

static void
on_stop(struct proc *p, const struct proto_in *in ATTR_UNUSED,
    const struct chan_frame *f ATTR_UNUSED)
{
	bool asked =
	    p->state == PS_RUNNING && p->kind->ask_stop != NULL && !p->no_ask;

	p->rung = asked ? 0 : 1;
	set_cause(p, "stopped");
	proc_set_state(p, PS_STOPPING);
	if (asked)
		p->kind->ask_stop(p);
	else if (p->pidfd != -1 && p->kind->kill == NULL)
		(void)sysops.pidfd_kill(p->pidfd, SIGTERM);
	else
		kill_hard(p);
	proc_set_deadline(p, p->stop_ms);
}

static void
on_stop_waiting(struct proc *p, const struct proto_in *in ATTR_UNUSED,
    const struct chan_frame *f ATTR_UNUSED)
{
	proc_set_deadline(p, 0);
	proc_set_state(p, PS_DOWN);
	if (p->kind->down != NULL)
		p->kind->down(p, "stopped");
}

static void
on_mute(struct proc *p, const struct proto_in *in ATTR_UNUSED,
    const struct chan_frame *f ATTR_UNUSED)
{
	set_cause(p, "did not say hello in time");
	proc_set_state(p, PS_STOPPING);
	p->killed = true;
	kill_hard(p);
	proc_set_deadline(p, p->stop_ms);
}

/* The next rung: whatever was tried before was not enough. */
static void
on_ladder(struct proc *p, const struct proto_in *in ATTR_UNUSED,
    const struct chan_frame *f ATTR_UNUSED)
{
	if (!p->alive && p->ch != NULL) {
		/* It is gone, but somebody keeps its end of the channel. */
		chan_free(STEAL(p->ch));
		retire(p);
		return;
	}
	kill_hard(p);
	p->rung++;
	if (p->rung > 3 && p->pidfd == -1) {
		/* A grandchild whose init tells us nothing any more. */
		p->alive = false;
		chan_free(STEAL(p->ch));
		retire(p);
		return;
	}
	if (p->rung == 6)
		log_error("proc", "will not die", LOG_STR("proc", p->name),
		    LOG_INT("pid", p->pid));
	proc_set_deadline(p, p->stop_ms);
}

static void
on_backoff_over(struct proc *p, const struct proto_in *in ATTR_UNUSED,
    const struct chan_frame *f ATTR_UNUSED)
{
	struct err e;

	if (p->kind->may_start != NULL && !p->kind->may_start(p)) {
		proc_set_deadline(p, NOT_YET_MS);
		return;
	}
	proc_set_state(
	    p, PS_WAITING); /* from FAILED: what counted still counts */
	p->restarts++;
	if (proc_start(p, &e) == -1)
		log_warn("proc", "restart failed", LOG_STR("proc", p->name),
		    LOG_STR("detail", e.text));
}

static void
on_exit_seen(struct proc *p, const struct proto_in *in ATTR_UNUSED,
    const struct chan_frame *f ATTR_UNUSED)
{
	p->alive = false;
	if (p->ch == NULL) {
		retire(p);
		return;
	}
	if (p->state != PS_STOPPING) {
		/* Read what it still said; its end of file follows. */
		proc_set_state(p, PS_STOPPING);
	}
	proc_set_deadline(p, LINGER_MS);
}

static void
on_eof(struct proc *p, const struct proto_in *in ATTR_UNUSED,
    const struct chan_frame *f ATTR_UNUSED)
{
	chan_free(STEAL(p->ch));
	if (!p->alive) {
		retire(p);
		return;
	}
	/* Without a channel it is of no use, whatever it still does. */
	if (p->state != PS_STOPPING)
		p->rung = 1;
	proc_set_state(p, PS_STOPPING);
	proc_set_deadline(p, p->rung == 0 ? p->stop_ms : LINGER_MS);
	if (p->rung > 0)
		kill_hard(p);
}

static void
on_nothing(struct proc *p ATTR_UNUSED, const struct proto_in *in ATTR_UNUSED,
    const struct chan_frame *f ATTR_UNUSED)
{
}

proc_action *const proc_grid[PS_N][PE_N] = {
	[PS_STARTING] = { [PE_HELLO] = on_hello,
	    [PE_MSG] = on_msg,
	    [PE_REPORT] = on_report,
	    [PE_STOP] = on_stop,
	    [PE_TIMEOUT] = on_mute,
	    [PE_EXIT] = on_exit_seen,
	    [PE_EOF] = on_eof },
	[PS_RUNNING] = { [PE_MSG] = on_msg,
	    [PE_STOP] = on_stop,
	    [PE_EXIT] = on_exit_seen,
	    [PE_EOF] = on_eof },
	[PS_STOPPING] = { [PE_HELLO] = on_nothing,
	    [PE_MSG] = on_msg,
	    [PE_REPORT] = on_nothing,
	    [PE_STOP] = on_nothing,
	    [PE_TIMEOUT] = on_ladder,
	    [PE_EXIT] = on_exit_seen,
	    [PE_EOF] = on_eof },
	[PS_WAITING] = { [PE_STOP] = on_stop_waiting,
	    [PE_TIMEOUT] = on_backoff_over },
	[PS_FAILED] = { [PE_STOP] = on_stop_waiting,
	    [PE_TIMEOUT] = on_backoff_over },
	[PS_DOWN] = { [PE_STOP] = on_nothing },
};

static void
dispatch(struct proc *p, enum proc_event ev, const struct proto_in *in,
    const struct chan_frame *f)
{
	proc_action *fn = proc_grid[p->state][ev];
	struct err e;

	if (fn != NULL) {
		fn(p, in, f);
		return;
	}
	if (ev == PE_HELLO || ev == PE_MSG) {
		err_set(&e, ERR_BAD_REQUEST, "%s while %s", proc_event_name(ev),
		    proc_state_name(p->state));
		breach(p, &e);
		return;
	}
	log_error("proc", "event in a state that has none",
	    LOG_STR("proc", p->name), LOG_STR("event", proc_event_name(ev)),
	    LOG_STR("state", proc_state_name(p->state)));
}

/* --- interface ----------------------------------------------------------- */

void
proc_init(struct proc *p, const struct proc_kind *kind, void *owner,
    struct ev_loop *loop, const char *fmt, ...)
{
	va_list ap;

	memset(p, 0, sizeof(*p));
	p->kind = kind;
	p->owner = owner;
	p->loop = loop;
	p->start_ms = kind->start_ms;
	p->stop_ms = kind->stop_ms;
	p->state = PS_DOWN;
	p->pid = -1;
	p->pidfd = -1;
	TAILQ_INIT(&p->calls);
	ev_timer_init(&p->timer, on_timer, 0., 0.);
	/* What has come is heard before a deadline that has passed: when it is
	 * we who were late, the child is not to blame. */
	ev_set_priority(&p->timer, EV_MINPRI);
	p->timer.data = p;
	proc_watch_init(p);
	va_start(ap, fmt);
	(void)vsnprintf(p->name, sizeof(p->name), fmt, ap);
	va_end(ap);
}

void
proc_free(struct proc *p)
{
	struct proc_call *c;

	if (p->alive)
		kill_hard(p);
	while ((c = TAILQ_FIRST(&p->calls)) != NULL)
		proc_call_free(c);
	ev_timer_stop(p->loop, &p->timer);
	if (p->pid != -1)
		ev_child_stop(p->loop, &p->child);
	ev_io_stop(p->loop, &p->foster_io);
	chan_free(STEAL(p->ch));
	fd_close(&p->pidfd);
	p->alive = false;
	p->pid = -1;
	p->state = PS_DOWN;
}

int
proc_start(struct proc *p, struct err *e)
{
	bool again = p->state == PS_WAITING;

	if (p->state == PS_STARTING || p->state == PS_RUNNING)
		return 0;
	if (p->state == PS_STOPPING)
		return err_set(e, ERR_SANDBOX_STATE, "%s is stopping", p->name);
	if (p->state == PS_FAILED || p->state == PS_DOWN)
		proc_forgive(p);
	proc_set_deadline(p, 0);
	p->cause[0] = '\0';
	p->exit_status = 0;
	p->has_exited = false;
	p->stop_wanted = false;
	p->no_ask = false;
	p->rung = 0;
	if (p->kind->start(p, e) == 0)
		return 0;
	set_cause(p, "%s", e->text);
	if (again)
		retire(p); /* as if it had died: the backoff goes on */
	else
		proc_set_state(p, PS_DOWN);
	return -1;
}

void
proc_start_soon(struct proc *p)
{
	if (p->state != PS_DOWN && p->state != PS_FAILED)
		return;
	proc_forgive(p);
	proc_start_in(p, 1);
}

void
proc_start_in(struct proc *p, int64_t ms)
{
	p->stop_wanted = false;
	proc_set_state(p, PS_WAITING);
	proc_set_deadline(p, ms);
}

void
proc_stop(struct proc *p)
{
	p->stop_wanted = true;
	dispatch(p, PE_STOP, NULL, NULL);
}

void
proc_kill(struct proc *p)
{
	p->no_ask = true;
	if (p->state == PS_STOPPING) {
		p->stop_wanted = true;
		p->rung = 1;
		kill_hard(p);
		proc_set_deadline(p, LINGER_MS);
		return;
	}
	proc_stop(p);
}

void
proc_exited(struct proc *p, int status)
{
	if (!p->alive)
		return;
	p->exit_status = status;
	p->has_exited = true;
	if (WIFSIGNALED(status))
		set_cause(p, "killed by signal %d", WTERMSIG(status));
	else
		set_cause(p, "exited with %d", WEXITSTATUS(status));
	p->pid = -1;
	dispatch(p, PE_EXIT, NULL, NULL);
}

void
proc_start_failed(struct proc *p, const struct err *e)
{
	set_cause(p, "%s", e->text);
	dispatch(p, PE_REPORT, NULL, NULL);
}

bool
proc_up(const struct proc *p)
{
	return p->state == PS_RUNNING && p->ch != NULL;
}
