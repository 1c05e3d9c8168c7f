/*
 * A backup put in place of the database, in a process of its own that serves
 * nobody: `sandboxd-store --restore`.
 */
#ifndef STORE_RESTORE_H
#define STORE_RESTORE_H

#include "lib/err.h"

/* Copy what FD reads to data.mdb in the present directory, which must hold
 * nothing, and look at all of it. -1: it is no database that we know; what was
 * written stays for the caller to remove. */
int restore_here(int fd, struct err *e) ATTR_WARN_UNUSED;

#endif
