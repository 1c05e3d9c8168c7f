/*
 * What proc.c (the grid), proc_call.c (calls) and proc_restart.c share.
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
struct proc_call *proc_call_new(struct proc *p, int64_t id, enum msg_type type,
    int64_t ms, proc_reply_cb *cb, void *ctx);
/* proc.c: its channel, the state, a deadline (0: none). */
chan_cb proc_on_chan;
void proc_set_state(struct proc *p, enum proc_state s);
void proc_set_deadline(struct proc *p, int64_t ms);
/* proc_life.c */
void proc_watch_init(struct proc *p);
/* Parts of proc_take(). */
struct chan *proc_chan_take(struct proc *p, const struct json *j);
void proc_watch(struct proc *p); /* its exit */

/* It has died: what its state is now, and after which time that ends (0: never
 * by itself). */
enum proc_state proc_after_death(struct proc *p, int64_t *delay_ms_out);
/* Its former deaths count no more. */
void proc_forgive(struct proc *p);
/* WAITING, for MS. */
void proc_start_in(struct proc *p, int64_t ms);

#endif
