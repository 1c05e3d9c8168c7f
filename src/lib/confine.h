/*
 * Giving up everything, for programs that only move bytes between descriptors
 * (relay, gateway): an empty root, ids that own nothing, no capability, no way
 * back. The store and what runs in sandboxes have confinements of their own.
 */
#ifndef LIB_CONFINE_H
#define LIB_CONFINE_H

#include "defs.h"

#include <stdbool.h>
#include <sys/types.h>

/* Enter ROOT, an empty directory, as UID and GID; with UID -1 stay who we are,
 * with ROOT NULL (the courier, which needs files of the host) where we are.
 * Then nothing can be had again. First thing, single-threaded, before a byte of
 * anybody's is read. Ends the process when it cannot be done. */
void confine_or_die(int64_t uid, int64_t gid, const char *root);
/* Let it make no process and leave no core, and open as many descriptors as it
 * may at all: how many those are. */
size_t confine_limits(void);

/* From now on no program is started, no process looked into, no socket opened
 * and no right changed: what a helper never does, whoever has taken it over
 * would try first. Starting a program or another user ends the process. With
 * COPIES it may still fork, and end the copies, which are under the same rules.
 * Needs no_new_privs; after everything that changes ids. */
void confine_never_or_die(bool copies);

#endif
