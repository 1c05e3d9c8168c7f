/*
 * Killing what commands have started; runs in init.
 *
 * SIGKILL is sent again until a look at /proc finds nothing left, or for a few
 * seconds: what hangs in the kernel dies when the kernel lets it. Sessions are
 * named by the number of their first process, which the kernel may give to
 * somebody else once the session is empty; session_forget() watches for that.
 */
#include "init/exec_priv.h"
#include "init/sweep.h"

#include <string.h>

#define PAST_MAX 256	   /* ended commands that `kill` still reaches */
#define SWEEP_S 5.0	   /* for killing what a command has left */
#define SWEEP_STEP_S 0.005 /* between passes */
#define SWEEP_PASSES 2	   /* at one go */

struct sweep { /* SIGKILL until nothing of a session is left */
	struct sweep *next;
	struct init *in;
	struct exec *exec; /* waits for it; NULL: nobody */
	pid_t sid;
	ev_timer timer;
	double deadline;
};

struct past {
	int64_t id;
	pid_t sid; /* 0: empty */
};

static void
sweep_free(struct sweep *s)
{
	struct sweep **p = &s->in->execs->sweeps;
	struct exec *x = s->exec;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	ev_timer_stop(s->in->loop, &s->timer);
	free(s);
	if (x != NULL) {
		x->sweep = NULL;
		exec_settle(x);
	}
}

static void
sweep_step(struct sweep *s)
{
	int pass, left = 1;

	/* The processes die a moment after their signal; several passes at once
	 * are only worth it against a tree that grows. */
	for (pass = 0; left > 0 && pass < SWEEP_PASSES; pass++)
		left = sweep_session(s->in->proc_fd, s->sid, SIGKILL);
	if (left <= 0 || ev_now(s->in->loop) >= s->deadline) {
		sweep_free(s);
		return;
	}
	ev_timer_set(&s->timer, SWEEP_STEP_S, 0.);
	ev_timer_start(s->in->loop, &s->timer);
}

static void
on_sweep_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	sweep_step(w->data);
}

void
sweep_start(struct init *in, pid_t sid, struct exec *x)
{
	struct sweep *s;

	for (s = in->execs->sweeps; s != NULL; s = s->next)
		if (s->sid == sid)
			break;
	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL) { /* one pass is better than none */
			(void)sweep_session(in->proc_fd, sid, SIGKILL);
			return;
		}
		s->in = in;
		s->sid = sid;
		ev_init(&s->timer, on_sweep_timer);
		s->timer.data = s;
		s->next = in->execs->sweeps;
		in->execs->sweeps = s;
	}
	s->deadline = ev_now(in->loop) + SWEEP_S;
	if (x != NULL) {
		s->exec = x;
		x->sweep = s;
	}
	sweep_step(s);
}

void
past_add(struct execs *xs, int64_t id, pid_t sid)
{
	if (xs->past == NULL)
		xs->past = calloc(PAST_MAX, sizeof(*xs->past));
	if (xs->past == NULL)
		return; /* then kill does not reach what it left behind */
	xs->past[xs->past_at] = (struct past){ id, sid };
	xs->past_at = (xs->past_at + 1) % PAST_MAX;
}

/* The kernel gives a session's number to nobody while the session has members;
 * so once a new child has it, the old session is gone, and nothing of ours may
 * go on aiming at the number. */
void
session_forget(struct execs *xs, pid_t sid)
{
	struct sweep *s, *next;
	size_t i;

	for (i = 0; xs->past != NULL && i < PAST_MAX; i++)
		if (xs->past[i].sid == sid)
			xs->past[i].sid = 0;
	for (s = xs->sweeps; s != NULL; s = next) {
		next = s->next;
		if (s->sid == sid)
			sweep_free(s);
	}
}

pid_t
past_find(struct execs *xs, int64_t id)
{
	size_t i;

	for (i = 0; xs->past != NULL && i < PAST_MAX; i++) {
		if (xs->past[i].id != id || xs->past[i].sid == 0)
			continue;
		/* The leader was reaped: whoever has its number now is
		 * somebody else, and the session ended before. */
		if (kill(xs->past[i].sid, 0) == 0)
			xs->past[i].sid = 0;
		return xs->past[i].sid;
	}
	return 0;
}

void
sweep_let(struct sweep *s)
{
	s->exec = NULL;
}
