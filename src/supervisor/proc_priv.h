/*
 * What proc.c (the grid) and proc_call.c (calls) share.
 */
#ifndef SUPERVISOR_PROC_PRIV_H
#define SUPERVISOR_PROC_PRIV_H

#include "supervisor/proc.h"

/* A frame that answers a call. -1 with E set: a breach. */
int proc_reply(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f, struct err *e);
/* P has ended: tell everybody who waits for it. */
void proc_fail_calls(struct proc *p);
void proc_call_free(struct proc_call *c);

#endif
