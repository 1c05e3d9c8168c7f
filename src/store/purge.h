/*
 * Removed sessions whose events are still on the disk: a few go in each
 * turn of the loop, until none is left, also after a restart.
 */
#ifndef STORE_PURGE_H
#define STORE_PURGE_H

#include "store/store.h"

/* Those that an earlier life has left. */
int purge_load(struct store *st, struct err *e) ATTR_WARN_UNUSED;
void purge_add(struct store *st, uint64_t log);
void purge_done(struct store *st, uint64_t log);
/* The disk said no: not again before a while. */
void purge_failed(struct store *st);
/* Put a step into the empty batch if there is anything to remove. */
void purge_stage(struct store *st);

#endif
