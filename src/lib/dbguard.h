/*
 * The guard of the database's files. LMDB opens the data before it takes its
 * lock when it only reads: between the two another file may come in the
 * place of the first. The reader then tells all others, by the lock file, how
 * far the *former* file had come, and a store that believes it takes the new
 * one for empty. So who opens to read holds the guard, shared, until LMDB's own
 * lock tells of him; who puts another file there holds it alone.
 */
#ifndef LIB_DBGUARD_H
#define LIB_DBGUARD_H

#include "err.h"

/* Hold the guard of the database in directory DIR, shared; waits for who has it
 * alone. Returns a descriptor, whose close lets go, or -1 with errno. */
int dbguard_share(const char *dir) ATTR_WARN_UNUSED;

/* The same alone. Does not wait: -1 with EWOULDBLOCK when somebody has it. */
int dbguard_alone(const char *dir) ATTR_WARN_UNUSED;

#endif
