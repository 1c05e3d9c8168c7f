/*
 * `changes`: what a copy-on-write mount has changed, written by a child so that
 * a tree of a million files stops nothing else.
 */
#ifndef INIT_DIFF_H
#define INIT_DIFF_H

#include "init/init.h"

int diffs_open(struct init *in, struct err *e);
/* A `changes` message; answers it, now or when the child has ended. */
void diff_request(struct init *in, int64_t id, const struct json *msg,
    const struct chan_frame *f);

#endif
