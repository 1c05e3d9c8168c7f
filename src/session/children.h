/*
 * Our child processes: those we started and watch, and orphans of theirs that
 * fall to us as their subreaper. When none of the watched runs, orphans are
 * killed: nothing of an agent outlives it.
 */
#ifndef SESSION_CHILDREN_H
#define SESSION_CHILDREN_H

#include "lib/defs.h"
#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

struct child {
	TAILQ_ENTRY(child) link;
	pid_t pid;  /* 0 once reaped or given up */
	int pidfd;  /* owned, -1 when empty */
	int code;   /* CLD_*, when reaped */
	int status; /* exit status or signal */
	void (*exited)(struct child *c);
};

void children_init(struct ev_loop *loop);
/* Kill all that is left and wait a moment for it to be gone. */
void children_end(void);
/* PID was just forked and is a group leader. */
void child_watch(struct child *c, pid_t pid, void (*exited)(struct child *c));
/* Kill its group and forget it; no callback. */
void child_abandon(struct child *c);
void child_signal(const struct child *c, int signal_no, bool group);

#endif
