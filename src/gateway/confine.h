/*
 * Giving up everything.
 */
#ifndef GATEWAY_CONFINE_H
#define GATEWAY_CONFINE_H

#include "lib/defs.h"

#include <sys/types.h>

/* Enter ROOT, an empty directory, as UID and GID; with UID -1 stay who we are.
 * Then nothing can be had again. Ends the process when it cannot be done. */
void confine_or_die(int64_t uid, int64_t gid, const char *root);
/* How many descriptors may be open, once confined. */
size_t confine_limits(void);
/* Only the calls that a gateway makes from here on. */
void confine_calls_or_die(void);

#endif
