/*
 * Two connected sockets and what goes between them, both ways, until both
 * sides have closed: an upgraded connection, or one to an exposed port.
 */
#ifndef GATEWAY_TUNNEL_H
#define GATEWAY_TUNNEL_H

#include "gateway/gateway.h"

/* It is over, and frees itself when this returns: close what is yours. */
typedef void tunnel_done(void *ctx);

/* Carry bytes between A_FD and B_FD, which stay the caller's until DONE. TO_A
 * and TO_B were read already and go first. DONE never comes before this
 * returns. */
void tunnel_start(struct gateway *gw, int a_fd, int b_fd, const char *to_a,
    size_t to_a_len, const char *to_b, size_t to_b_len, tunnel_done *done,
    void *ctx);

#endif
