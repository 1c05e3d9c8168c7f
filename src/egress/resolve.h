/*
 * Looking up names, without waiting: each name once, at the servers that were
 * told, and nowhere else.
 */
#ifndef EGRESS_RESOLVE_H
#define EGRESS_RESOLVE_H

#include "lib/err.h"
#include "lib/netrule.h"
#include <ev.h>

#define RESOLVE_ADDRS_MAX 16

struct resolver;
struct lookup;

/* N 0: WHY says that it failed (static words). Called once, from the loop,
 * never before resolve() returns. */
typedef void resolve_cb(void *ctx, const uint8_t (*addrs)[NETADDR_BYTES],
    size_t n, const char *why);

struct resolver *resolver_new(struct ev_loop *loop);
/* SERVERS: addresses, with :PORT if need be, with commas between; or NULL, then
 * those that the text of a resolv.conf names (which may be NULL too). What is
 * under way fails. */
int resolver_set(struct resolver *r, const char *servers,
    const char *resolv_conf, struct err *e);

struct lookup *
resolve(struct resolver *r, const char *name, resolve_cb *cb, void *ctx);
void resolve_cancel(struct lookup *l); /* no callback any more */

#endif
