/*
 * Removing a tree that a sandbox wrote: it may be deep, wide and hostile.
 */
#ifndef SANDBOX_REMOVE_H
#define SANDBOX_REMOVE_H

#include "lib/err.h"

/* Remove NAME below DIR_FD with everything in it, never following a link, never
 * crossing to another file system, never using more than a bounded number of
 * descriptors. *BUDGET counts entries down; at 0 it stops and returns 1. 0:
 * gone (also if it was not there). -1: E set. */
int tree_remove(int dir_fd, const char *name, int64_t *budget, struct err *e);

#endif
