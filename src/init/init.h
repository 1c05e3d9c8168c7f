/*
 * What the parts of sandboxd-init share: one struct init per process, made in
 * main.c and lent to the others.
 */
#ifndef INIT_INIT_H
#define INIT_INIT_H

#include "lib/chan.h"
#include "lib/defs.h"
#include "lib/strutil.h"
#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

struct upper {	      /* the upper directory of one copy-on-write mount */
	char *target; /* owned, absolute */
	int fd;	      /* owned */
};

struct execs;
struct errands;
struct service;
struct stop;
struct gates;
struct procs;
struct adopt;

struct init {
	struct ev_loop *loop;	 /* owned */
	struct chan *ch;	 /* owned; to the supervisor */
	struct execs *execs;	 /* owned */
	struct errands *errands; /* owned */
	struct service *service; /* owned; NULL without one */
	struct stop *stop;	 /* owned */
	struct gates *gates;	 /* owned; NULL until a gateway comes */
	struct procs *procs;	 /* owned; NULL until it is needed */
	struct adopt *adopt;	 /* owned; NULL: we end with the supervisor */
	int64_t adopt_ms;	 /* how long we wait for another one; 0: not */
	int64_t last_id;	 /* the highest of the supervisor's requests */
	ev_signal chld;
	ev_timer idle;
	/* Opened before any other process ran here, so that nobody can have put
	 * something else in their place. */
	int proc_fd; /* /proc; -1 if there is none */
	int null_fd; /* /dev/null */
	/* No pid namespace: the sandbox is what descends from us. */
	bool tree;
	char id[SANDBOX_ID_MAX + 1];
	struct upper *uppers; /* owned */
	size_t nuppers;
};

/* Fork with every signal blocked until the child has taken its own course: a
 * handler of the parent must never run in the child. */
pid_t init_fork(void);
/* Default actions, empty mask: of every signal, and of those that init uses,
 * which is the first thing in every child. */
void init_signals_default(void);
void init_signals_child(void);

/* Something happens here: no time to be small (main.c). */
void init_awake(struct init *in);
/* What comes on the supervisor's channel (main.c). */
chan_cb init_on_chan;

#endif
