/*
 * Our processes as an operator sees them: in which state each is, why it was
 * started again, when it will be; and the reset of those that gave up.
 */
#ifndef SUPERVISOR_ROLES_H
#define SUPERVISOR_ROLES_H

#include "supervisor/ops.h"

/* Member "roles" of status, and the counts "inits" and "workers". WHOLE: also
 * the inits and workers that have something to tell, by name. */
void roles_write(struct super *s, bool whole, struct jw *w);
/* True, and R has ended: the operation needs the store, which has FAILED. */
bool roles_refuse(struct request *r);
/* One of the helpers went down, or came up: the service manager is told when
 * it has FAILED, and when that is over. */
void role_down(struct super *s, const struct proc *p);
void role_up(struct super *s, const struct proc *p);

op_handler op_role_reset;

#endif
