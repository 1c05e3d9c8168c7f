/*
 * Commands for gateways: runs, and managed processes with their logs.
 */
#ifndef INIT_PROCS_H
#define INIT_PROCS_H

#include "init/init.h"
#include "lib/proto.h"

struct gate;

/* A message of a gateway about processes, checked against proto.def. Answers
 * on the gate's channel, now or later. Takes descriptors out of F. */
void procs_message(struct gate *g, int64_t id, enum msg_type type,
    const struct json *msg, const struct chan_frame *f);
/* The gate's channel is about to go. */
void procs_gate_closed(struct gate *g);

#endif
