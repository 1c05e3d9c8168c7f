/*
 * Making the database's file smaller: at a start, when much of it is free.
 */
#ifndef STORE_COMPACT_H
#define STORE_COMPACT_H

#include "lib/err.h"

/* Write the database in the present directory anew without its free pages, if
 * they are at least SHARE per cent of the file, and the file is worth it. Only
 * when nobody has it open. -1: it could not be done, and nothing has changed.
 */
int compact_here(unsigned share, struct err *e) ATTR_WARN_UNUSED;

#endif
