/*
 * What the parts of exec*.c share.
 */
#ifndef INIT_EXEC_PRIV_H
#define INIT_EXEC_PRIV_H

#include "init/exec.h"

#define EXEC_BUCKETS 128

struct past;

struct execs {
	struct exec *bucket[EXEC_BUCKETS];
	struct sweep *sweeps; /* owned */
	struct past *past;    /* owned, made when first needed */
	size_t past_at;
	size_t live, starting;
	size_t starting_max; /* or what descriptors allow */
};

/* Act on what is known by now; may free X. */
void exec_settle(struct exec *x);

/* Kill everything of session SID. X, if any, is settled when that is done,
 * which may be before this returns. */
void sweep_start(struct init *in, pid_t sid, struct exec *x);
/* Whom S would have told is no longer there. */
void sweep_let(struct sweep *s);
/* SID has been given to a new process: nothing of ours may aim at it. */
void session_forget(struct execs *xs, pid_t sid);
/* Sessions of ended commands that `kill` still reaches, by request. */
void past_add(struct execs *xs, int64_t id, pid_t sid);
pid_t past_find(struct execs *xs, int64_t id); /* 0: none */

#endif
