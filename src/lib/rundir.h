/*
 * Where the supervisor of an ordinary user listens unless it is told: looked
 * for by it and by its clients, so said once.
 */
#ifndef LIB_RUNDIR_H
#define LIB_RUNDIR_H

#include "lib/defs.h"
#include <stdbool.h>

/* The K'th directory that it may be, the best first; false: there are no more.
 * A directory below one that is everybody's comes last, and is named only if
 * it is not somebody else's. */
bool rundir_candidate(unsigned k, char *dst, size_t size);
/* PATH is a directory that is ours (or root's), where not everybody else can
 * write; or there is nothing there. */
bool rundir_ours(const char *path);

#endif
