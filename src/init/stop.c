/*
 * Ending a sandbox from inside; runs in init.
 *
 * kill(-1) reaches every process of the pid namespace except init itself, and
 * the kernel delivers it under the lock that fork needs: nothing slips through
 * by forking. main.c has made sure that we are pid 1 of such a namespace; where
 * there is none, all that descends from us is looked for in /proc instead.
 */
#include "init/stop.h"
#include "init/exec.h"
#include "lib/log.h"
#include "lib/proctree.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define STOP_REPLIES 8 /* requests that can wait for the end */
#define STOP_KILL_S                                                \
	3.0 /* for KILL to work; one that hangs in the kernel dies \
	       with the namespace */
#define STOP_FLUSH_S 1.0

struct stop {
	struct init *in; /* borrowed */
	ev_timer timer;
	bool begun, killed, done;
	double deadline; /* of the grace, in loop time */
	int64_t ids[STOP_REPLIES];
	size_t nids;
};

static int tree_proc_fd = -1; /* /proc, when there is no pid namespace */

static void
signal_all(int sig)
{
	if (tree_proc_fd == -1)
		(void)kill(-1, sig);
	else
		(void)proctree_end(tree_proc_fd, getpid(), sig);
}

static void
on_drain(struct chan *ch, void *ctx)
{
	(void)ch;
	(void)ctx;
	_exit(EXIT_OK);
}

/* The last of it: every exit is told before the answer, so that the supervisor
 * has all codes when it learns that the sandbox has stopped. */
static void
stop_done(struct stop *s)
{
	struct init *in = s->in;
	size_t i;

	if (s->done)
		return;
	s->done = true;
	execs_flush(in);
	for (i = 0; i < s->nids; i++)
		(void)chan_reply_ok(in->ch, s->ids[i]);
	if (chan_queued(in->ch) == 0)
		_exit(EXIT_OK);
	chan_on_drain(in->ch, on_drain);
	ev_timer_stop(in->loop, &s->timer);
	ev_timer_set(&s->timer, STOP_FLUSH_S, 0.);
	ev_timer_start(in->loop, &s->timer);
}

static void
stop_kill(struct stop *s)
{
	s->killed = true;
	signal_all(SIGKILL);
	ev_timer_stop(s->in->loop, &s->timer);
	ev_timer_set(&s->timer, STOP_KILL_S, 0.);
	ev_timer_start(s->in->loop, &s->timer);
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct stop *s = w->data;

	(void)loop;
	(void)revents;
	if (s->done)
		_exit(EXIT_OK); /* the supervisor does not read */
	if (s->killed)
		stop_done(s);
	else
		stop_kill(s);
}

int
stop_open(struct init *in, struct err *e)
{
	struct stop *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return err_sys(e, "stop");
	s->in = in;
	if (in->tree) {
		tree_proc_fd = proctree_open();
		if (tree_proc_fd == -1)
			return err_set(e, ERR_SYSTEM, "/proc is not ours");
	}
	ev_init(&s->timer, on_timer);
	s->timer.data = s;
	in->stop = s;
	return 0;
}

bool
stop_begun(const struct init *in)
{
	return in->stop->begun;
}

/* Whatever lives here descends from us, so without children we are alone. A
 * look only: the loop's own round reaps. */
static bool
children_left(void)
{
	siginfo_t si;

	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0 ||
	       errno != ECHILD;
}

void
stop_request(struct init *in, int64_t id, const struct json *msg)
{
	struct stop *s = in->stop;
	double grace = (double)json_int(msg, "grace_ms", 0) / 1e3;
	struct err e;

	if (s->nids == STOP_REPLIES) {
		(void)err_set(&e, ERR_LIMIT, "stop: asked too often");
		(void)chan_reply_err(in->ch, id, &e);
		return;
	}
	s->ids[s->nids++] = id;
	ev_now_update(in->loop);
	if (!s->begun) {
		s->begun = true;
		s->deadline = ev_now(in->loop) + grace;
		if (!children_left()) {
			stop_done(s);
			return;
		}
		/* A stopped process could not act on the first. */
		signal_all(SIGTERM);
		signal_all(SIGCONT);
	} else {
		s->deadline = MIN(s->deadline, ev_now(in->loop) + grace);
	}
	if (s->killed)
		return;
	grace = s->deadline - ev_now(in->loop);
	if (grace <= 0) {
		stop_kill(s);
		return;
	}
	ev_timer_stop(in->loop, &s->timer);
	ev_timer_set(&s->timer, grace, 0.);
	ev_timer_start(in->loop, &s->timer);
}

void
stop_none_left(struct init *in)
{
	if (in->stop->begun)
		stop_done(in->stop);
}

void
stop_now(void)
{
	signal_all(SIGKILL);
	_exit(EXIT_OK);
}
