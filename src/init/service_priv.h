/*
 * What service.c (its life) and service_ready.c (readiness, watchdog) share.
 */
#ifndef INIT_SERVICE_PRIV_H
#define INIT_SERVICE_PRIV_H

#include "init/exec.h"
#include "init/service.h"

#define SERVICE_STARTS_MAX 64 /* within start_limit_ms */

/* A time that runs out only while we run. Frozen with the sandbox, or asleep
 * with the machine, init sees the time go by in one leap: that counts for one
 * step, an eighth of the whole. */
struct patience {
	ev_timer step;
	int64_t step_ms, left_ms, at_ms;
};

struct service {
	struct init *in;
	struct json *msg;	   /* owned: the message */
	const struct json *policy; /* of it */
	struct exec *x;		   /* borrowed; NULL while it does not run */
	bool running;
	/* Why it was ended by us: then that is no end of its own. */
	bool hung, late;
	unsigned failures; /* in a row, for the backoff */
	int64_t restarts;
	const char *told;		    /* the last of the events */
	int64_t started_ms;		    /* monotonic */
	int64_t ran_ms;			    /* the last time */
	int64_t starts[SERVICE_STARTS_MAX]; /* the last ones, monotonic */
	size_t nstarts;
	ev_timer again;		 /* the backoff */
	struct json *finish_msg; /* owned */
	int code, sig;		 /* how it ended; code -1: by the signal */
	/* service_ready.c */
	bool ready;
	int notify_fd; /* owned: read end; -1 */
	int output_fd; /* owned: read end; -1 */
	ev_io notify, output;
	struct patience ready_by; /* too late then */
	struct patience watchdog;
	ev_timer probe_at;	/* the next probe */
	bool told_hung;		/* and it has said nothing since */
	pid_t probe_pid;	/* of a forked probe; 0 */
	size_t probe_of;	/* NSTARTS when it began: is it of this life? */
	bool probing;		/* one is under way */
	struct json *probe_msg; /* owned: of an exec probe */
};

/* service.c: tell the supervisor. WHY may be NULL. */
void service_tell(struct service *sv, const char *event, const char *why);
/* End what runs, and all it has started. */
void service_kill(struct service *sv);
/* The message of a command of ours in the service's surroundings. NULL: no
 * memory. EXTRA are words added to ARGV, NULL-terminated. */
struct json *service_command(const struct service *sv, const struct json *argv,
    const char *const *extra);

/* service_ready.c */
void ready_init(struct service *sv);
/* Pipes for what HOW is about to start; FDS are closed by the caller. */
int ready_pipes(struct service *sv, struct exec_how *how, struct err *e);
void ready_started(struct service *sv);
void ready_ended(struct service *sv);

#endif
