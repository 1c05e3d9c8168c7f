/*
 * When a child that has died is started again, and when no more. Runs in the
 * supervisor.
 *
 * The delay doubles with each life that was short against it, up to a cap, and
 * begins anew after a stable minute. A little of it is chance, so that those
 * that died together do not come back together. So many deaths in so short a
 * time of running (the delays do not count) are a crash loop: the child has
 * FAILED. What the daemon cannot do without is tried again every 10 s even so.
 *
 * A KILL that neither we nor the child's program had a part in is no crash: it
 * costs a delay, no more, unless the kind says that it counts (the memory limit
 * of a sandbox kills its init).
 */
#include "supervisor/proc_priv.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

#define DELAY_MIN_MS 20
#define DELAY_MAX_MS 4000 /* and up to a quarter more */
/* A life of so many delays was worth it: the delay does not grow. */
#define WORTH_IT 10
#define STABLE_MS 60000
/* A death by KILL later than this is not the child's, whatever its kind. */
#define YOUNG_MS 1000
#define LOOP_WINDOW_MS 10000
#define FAILED_RETRY_MS 10000

static int64_t
jitter(int64_t ms)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)getpid(); /* before the pool is filled */
	return ms + (int64_t)(r % (uint32_t)(ms / 4 + 1));
}

/* Was it the child's own doing, as far as one can see? */
static bool
is_crash(const struct proc *p, int64_t lived)
{
	bool by_kill = !p->killed && p->up_since_ms != 0 &&
		       WIFSIGNALED(p->exit_status) &&
		       WTERMSIG(p->exit_status) == SIGKILL;

	return !by_kill || (p->kind->kill_counts && lived < YOUNG_MS);
}

/* True when this one makes it a crash loop. */
static bool
count_crash(struct proc *p)
{
	int64_t now = p->lived_ms;
	int64_t *oldest = &p->crashes_ms[p->ncrashes % PROC_LOOP_DEATHS];
	bool full;

	/* The place of the one that the newest replaces was the oldest. */
	*oldest = now;
	p->ncrashes++;
	full = p->ncrashes >= PROC_LOOP_DEATHS;
	oldest = &p->crashes_ms[p->ncrashes % PROC_LOOP_DEATHS];
	return full && now - *oldest <= LOOP_WINDOW_MS;
}

static void
note_why(struct proc *p, bool loop)
{
	char end[64], many[64] = "";
	int status = p->exit_status;
	const char *cause = p->cause;

	if (WIFSIGNALED(status))
		(void)snprintf(
		    end, sizeof(end), "killed by signal %d", WTERMSIG(status));
	else
		(void)snprintf(
		    end, sizeof(end), "exited with %d", WEXITSTATUS(status));
	/* That its channel ended is true of all that die. */
	if (p->has_exited && strcmp(cause, CHAN_WHY_PEER) == 0)
		cause = end;
	if (loop)
		(void)snprintf(many, sizeof(many),
		    "died %d times in %d s of running, the last time: ",
		    PROC_LOOP_DEATHS, LOOP_WINDOW_MS / 1000);
	(void)snprintf(p->why, sizeof(p->why), "%s%s", many, cause);
}

enum proc_state
proc_after_death(struct proc *p, int64_t *delay_ms_out)
{
	int64_t now = sysops.now_ms();
	int64_t lived = p->up_since_ms == 0 ? 0 : now - p->up_since_ms;
	int64_t delay = DELAY_MIN_MS;
	bool loop;

	p->lived_ms += lived;
	if (lived >= STABLE_MS)
		proc_forgive(p);
	*delay_ms_out = 0;
	if (p->stop_wanted || p->once || !p->kind->restart) {
		if (!p->stop_wanted)
			note_why(p, false);
		return PS_DOWN;
	}
	loop = is_crash(p, lived) &&
	       (count_crash(p) || (p->has_failed && lived < STABLE_MS));
	note_why(p, loop && !p->has_failed);
	if (loop) {
		p->has_failed = true;
		if (p->kind->keep_trying)
			*delay_ms_out = jitter(FAILED_RETRY_MS);
		return PS_FAILED;
	}
	if (p->backoff == 0 || lived < WORTH_IT * p->delay_ms)
		p->backoff++;
	for (unsigned i = 1; i < p->backoff && delay < DELAY_MAX_MS; i++)
		delay *= 2;
	p->delay_ms = jitter(MIN(delay, DELAY_MAX_MS));
	*delay_ms_out = p->delay_ms;
	return PS_WAITING;
}

void
proc_forgive(struct proc *p)
{
	p->backoff = 0;
	p->delay_ms = 0;
	p->ncrashes = 0;
	p->has_failed = false;
}

void
proc_reset(struct proc *p)
{
	proc_forgive(p);
	p->why[0] = '\0';
	if (p->state == PS_FAILED || p->state == PS_WAITING)
		proc_start_in(p, 1);
}

int64_t
proc_next_start_ms(const struct proc *p)
{
	double left;

	if ((p->state != PS_WAITING && p->state != PS_FAILED) ||
	    !ev_is_active(&p->timer))
		return -1;
	left = ev_timer_remaining(p->loop, (ev_timer *)(uintptr_t)&p->timer);
	return left > 0. ? (int64_t)(left * 1000.) : 0;
}

const char *
proc_state_name(enum proc_state s)
{
	static const char *const names[PS_N] = {
		[PS_STARTING] = "starting",
		[PS_RUNNING] = "running",
		[PS_STOPPING] = "stopping",
		[PS_WAITING] = "waiting",
		[PS_FAILED] = "failed",
		[PS_DOWN] = "down",
	};

	return s < PS_N ? names[s] : "?";
}

const char *
proc_event_name(enum proc_event ev)
{
	static const char *const names[PE_N] = {
		[PE_HELLO] = "hello",
		[PE_MSG] = "message",
		[PE_REPORT] = "report",
		[PE_STOP] = "stop",
		[PE_TIMEOUT] = "timeout",
		[PE_EXIT] = "exit",
		[PE_EOF] = "eof",
	};

	return ev < PE_N ? names[ev] : "?";
}
