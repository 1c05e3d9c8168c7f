/*
 * Telling gateways which logs have grown: one short notice to each after a
 * commit, whatever the number of events in it. The events are read from the
 * map by whoever wants them.
 */
#ifndef STORE_FEED_H
#define STORE_FEED_H

#include "store/batch.h"
#include "store/store.h"

/* Serve a gateway on FD (taken over). */
void feed_add(struct store *st, int fd);
void feeds_close(struct store *st);
/* The jobs of B are committed: tell. */
void feeds_tell(struct store *st, const struct batch *b);

#endif
