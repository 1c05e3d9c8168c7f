/*
 * What exec.c (commands) and exec_carry.c (the same over an exec of ourselves)
 * share.
 */
#ifndef SUPERVISOR_EXEC_PRIV_H
#define SUPERVISOR_EXEC_PRIV_H

#include "supervisor/control.h"
#include "supervisor/exec.h"

struct exec {
	LIST_ENTRY(exec) link;
	struct sandbox *sb; /* NULL once that was freed; ended by then */
	struct request *r;  /* NULL once answered */
	int64_t id;	    /* of the call to init, by which it names it */
	int64_t carry;	    /* of the call to the relay; 0: not relayed */
	bool tty;
	bool running; /* init said that it started */
	bool ended;
	bool carried; /* the relay has answered */
	int64_t started_ms;
};

/* The client closed its connection while its own descriptors are in use. */
void exec_on_gone(struct request *r);
/* The relay has written the last line. */
proc_reply_cb exec_on_carried;

/* exec_carry.c: does R wait for a command that can be carried? */
bool exec_waits(const struct super *s, const struct request *r);

#endif
