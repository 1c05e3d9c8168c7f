/*
 * Ids, capabilities, no_new_privs and resource limits of a sandbox's
 * processes.
 */
#ifndef SANDBOX_CREDS_H
#define SANDBOX_CREDS_H

#include "sandbox/plan.h"
#include <linux/capability.h>

#define CREDS_CAP(c) (1ull << (c))

/* What the sandbox's root may do, inside its user namespace only: what package
 * managers and test suites use daily. Its processes' bounding, permitted and
 * effective sets are exactly this; inheritable and ambient are empty. An
 * ordinary user of the sandbox has none at all. */
#define CREDS_CAPS_ROOT                                       \
	(CREDS_CAP(CAP_CHOWN) | CREDS_CAP(CAP_DAC_OVERRIDE) | \
	    CREDS_CAP(CAP_FOWNER) | CREDS_CAP(CAP_FSETID) |   \
	    CREDS_CAP(CAP_KILL) | CREDS_CAP(CAP_SETGID) |     \
	    CREDS_CAP(CAP_SETUID) | CREDS_CAP(CAP_NET_BIND_SERVICE))

/* init has one more, to take capabilities from the bounding set of what it
 * starts: this one from root's, all from an ordinary user's. */
#define CREDS_CAPS_INIT (CREDS_CAPS_ROOT | CREDS_CAP(CAP_SETPCAP))

/* All of these: 0, or -1 with errno. */

/* Become 0:0 of the user namespace. SETGROUPS: also leave all groups. */
int creds_become_root(bool setgroups);
/* Reduce every capability set of this process to KEEP and set no_new_privs;
 * reads the result back and fails with ENOTRECOVERABLE if it is not that. */
int creds_reduce(uint64_t keep);
/* The same, of what we have: for a process that has no user namespace of its
 * own. What cannot be taken from the bounding set no_new_privs keeps away. */
int creds_reduce_to(uint64_t keep);
/* Core files off; open files as L says, but never more than we have. */
int creds_rlimits(const struct plan_limits *l);

#endif
