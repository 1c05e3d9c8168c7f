/*
 * The proxy that sandboxes with filtered network reach others through. Served
 * outside of them; its listening sockets are inside, one in each.
 */
#ifndef EGRESS_EGRESS_H
#define EGRESS_EGRESS_H

#include "lib/defs.h"

/* UID -1: stay who we are. ROOT: an empty directory to live in, or NULL. Ends
 * with descriptor 3. */
void egress_run(int64_t uid, int64_t gid, const char *root) ATTR_NORETURN;

#endif
