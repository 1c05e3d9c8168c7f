/*
 * What the supervisor asks for.
 */
#ifndef STORE_REQUESTS_H
#define STORE_REQUESTS_H

#include "lib/chan.h"
#include "store/store.h"

/* The callback of the channel to the supervisor; CTX is the store. */
void requests_frame(struct chan *ch, enum chan_what what,
    const struct chan_frame *f, const char *why, void *ctx);

#endif
