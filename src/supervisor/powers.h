/*
 * What we ourselves may do, and what isolation the operator settles for.
 */
#ifndef SUPERVISOR_POWERS_H
#define SUPERVISOR_POWERS_H

#include "supervisor/super.h"

/* We are root, and root's powers over ids are ours: not so in a container
 * without capabilities, or with few ids. There our helpers keep our id. */
bool powers_of_root(const struct conf *c);
/* After the host was probed: may sandboxes be made without namespaces? Says
 * loudly in the log if they will be. */
void powers_accept(struct super *s);
/* "full", "namespaces" or "reduced": sandbox.minimum, with auto decided. */
const char *powers_minimum(const struct super *s);
/* PID is in the tree of a sandbox that has no pid namespace. */
bool powers_in_sandbox(const struct super *s, pid_t pid);

#endif
