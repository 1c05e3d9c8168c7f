/*
 * Giving up everything but one directory.
 */
#ifndef STORE_CONFINE_H
#define STORE_CONFINE_H

#include "lib/defs.h"
#include "lib/err.h"
#include <sys/types.h>

/* Confine this process to its current directory and, when it is root, to UID
 * and GID; verified. From here on "/" is that directory. Not root: only
 * no_new_privs. With UID 0 root keeps its uid, for a supervisor that has no
 * other. */
int confine(uid_t uid, gid_t gid, struct err *e) ATTR_WARN_UNUSED;

#endif
