/*
 * The supervisor's side of the relay, which carries commands' output to plain
 * control clients.
 */
#ifndef SUPERVISOR_RELAY_H
#define SUPERVISOR_RELAY_H

#include "supervisor/super.h"

struct relay *relay_new(struct super *s);
void relay_free(struct relay *r);
int relay_start(struct relay *r, struct err *e);
void relay_stop(struct relay *r);
struct proc *relay_proc(struct relay *r);

#endif
