/*
 * The operation store.compact.
 */
#ifndef SUPERVISOR_COMPACT_H
#define SUPERVISOR_COMPACT_H

#include "supervisor/super.h"

/* One is under way: the store is not to be stopped by anybody else. */
bool compaction_is(const struct super *s);
/* The end of all: whoever waits for it is told. */
void compaction_close(struct super *s);

#endif
