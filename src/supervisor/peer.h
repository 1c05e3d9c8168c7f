/*
 * The right to use the control socket: root, our own user, and whom the
 * configuration names.
 */
#ifndef SUPERVISOR_PEER_H
#define SUPERVISOR_PEER_H

#include "supervisor/super.h"
#include <sys/socket.h>

/* FD is the connection that CR was read from. */
bool peer_allowed(const struct super *s, int fd, const struct ucred *cr);

#endif
