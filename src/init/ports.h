/*
 * The TCP ports of the sandbox: who listens, and connections to them for a
 * gateway. The connected descriptor goes to the gateway; no byte of it passes
 * through us.
 */
#ifndef INIT_PORTS_H
#define INIT_PORTS_H

#include "init/init.h"
#include "lib/proto.h"

struct gate;

/* A request of a gateway, MSG_PORT_LIST or MSG_PORT_DIAL, checked against
 * proto.def. Answers on the gate's channel, now or later. */
void port_request(struct gate *g, int64_t id, enum msg_type type,
    const struct json *msg, const struct chan_frame *f);
/* The gate's channel is about to go: its dials end. */
void port_gate_closed(struct gate *g);

#endif
