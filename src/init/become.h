/*
 * Becoming the user of a command, for good.
 */
#ifndef INIT_BECOME_H
#define INIT_BECOME_H

#include "init/user.h"

/* What root inside a sandbox may have is CREDS_CAPS_ROOT of sandbox/creds.h;
 * any other user has nothing. */

/* Give up everything that U does not have and check that it is gone. In a
 * forked child only. */
int become_user(const struct user *u, struct err *e);

#endif
