/*
 * Connecting to the first of some addresses that answers.
 */
#ifndef EGRESS_DIAL_H
#define EGRESS_DIAL_H

#include "lib/netrule.h"
#include <ev.h>

#define DIAL_ADDRS_MAX 16

struct dial;

/* FD (the callee's) and its address, or -1 and the errno of the last try. Once,
 * from the loop. */
typedef void
dial_cb(void *ctx, int fd, const uint8_t addr[NETADDR_BYTES], int error);

/* Each address has a part of MS. */
struct dial *
dial_start(struct ev_loop *loop, const uint8_t (*addrs)[NETADDR_BYTES],
    size_t n, uint16_t port, int64_t ms, dial_cb *cb, void *ctx);
void dial_cancel(struct dial *d);

/* Does this address belong to our own host? The kernel's routes are asked; no
 * packet is sent. */
bool dial_is_ours(const uint8_t addr[NETADDR_BYTES]);

#endif
