/*
 * Listening sockets that stand for a port of a sandbox: what connects there is
 * carried to that port, byte for byte, both ways.
 */
#ifndef GATEWAY_PORTS_H
#define GATEWAY_PORTS_H

#include "gateway/gateway.h"

int ports_open(struct gateway *gw, struct err *e);

/* Accept on LISTEN_FD, which is taken also on failure. NAME is what
 * ports_unlisten() will say; one that is there already is replaced. */
int ports_listen(struct gateway *gw, const char *name, int listen_fd,
    const char *sandbox, unsigned port, struct err *e);
/* Accept no more; connections that are there go on. */
void ports_unlisten(struct gateway *gw, const char *name);
/* Accept nothing more on any of them: we are stopping. */
void ports_unlisten_all(struct gateway *gw);

#endif
