/*
 * One carry: the output of one command on its way to one control client.
 */
#ifndef RELAY_CARRY_H
#define RELAY_CARRY_H

#include "lib/chan.h"
#include "lib/defs.h"
#include "lib/err.h"

struct carries;

/* MAX: how many at once. CH answers; borrowed. */
int carries_open(struct ev_loop *loop, struct chan *ch, size_t max,
    struct carries **cs_out, struct err *e);
/* A `carry` message; answered when it has ended. Takes F's descriptors. */
void carry_request(struct carries *cs, int64_t id, const struct json *msg,
    const struct chan_frame *f);
/* A `finish` message. */
void carry_finish(struct carries *cs, const struct json *msg);

#endif
