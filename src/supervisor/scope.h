/*
 * A control group of our own, where we were started in somebody else's.
 */
#ifndef SUPERVISOR_SCOPE_H
#define SUPERVISOR_SCOPE_H

#include "supervisor/super.h"

/* On a host whose control groups are systemd's, move to a scope of our own, if
 * the group we are in cannot be worked in. Waits for systemd, 3 seconds at the
 * most. When it does not work all stays as it is: limits cannot be had then,
 * and the log says so. To be called before there are children. */
void scope_enter(struct super *s);

#endif
