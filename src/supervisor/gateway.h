/*
 * The processes that serve HTTP: kept running, given the listening sockets, the
 * settings, a channel to the store, and what they ask for.
 *
 * They are hostile in theory: bytes of the network are parsed there. What they
 * may ask is what an HTTP client may, no more: operations of ops.def, checked
 * as those of a control client, and channels into sandboxes.
 */
#ifndef SUPERVISOR_GATEWAY_H
#define SUPERVISOR_GATEWAY_H

#include "supervisor/super.h"

struct gateways *gateways_new(struct super *s);
void gateways_free(struct gateways *gs);
bool gateways_some(const struct gateways *gs); /* HTTP is served */
/* At the start of all: those that need not wait for the store do not. */
void gateways_start(struct gateways *gs);
/* The store is up (again): start those that do not run, connect the others. */
void gateways_store_up(struct gateways *gs);
/* Records are loaded: what waited for that is served. */
void gateways_ready(struct gateways *gs);
/* Begin to end them; true when all have ended. */
bool gateways_stop_all(struct gateways *gs);
/* Begin to end them for a while, with time for what is under way; see
 * gateways_stop_all(). And start them again. */
void gateways_pause(struct gateways *gs);
void gateways_pause_end(struct gateways *gs);
/* The settings have changed: each is replaced, one after the other, and its
 * connections with it. */
void gateways_renew(struct gateways *gs);
/* SB was paused: nobody is to wait for an answer of somebody in it. */
void gateways_leave(struct gateways *gs, const struct sandbox *sb);
/* Members "http" (addresses) and "gateways" of status. */
void gateways_write(struct gateways *gs, struct jw *w);
int64_t gateways_memory(const struct gateways *gs);   /* bytes, the same */
int64_t gateways_restarts(const struct gateways *gs); /* of all of them */

/* Serve one more listening socket in all gateways, now and after their
 * restarts: plain connections to PORT of SANDBOX, or HTTP if that is NULL. FD
 * belongs to the call, also when it fails. */
int gateways_listen(struct gateways *gs, const char *name, int fd,
    const char *sandbox, int port, struct err *e);
/* A socket of listen.c that has come or gone, for those that run; who waits in
 * the line of one that goes is served first. */
void
gateways_lend_socket(struct gateways *gs, const char *name, int fd, bool tls);
void gateways_close_socket(struct gateways *gs, const char *name);
/* There was nothing to serve on, and now there is. */
void gateways_grow(struct gateways *gs);
/* After an exec of ourselves: those that were to be replaced are. */
void gateways_resume(struct gateways *gs);
/* The socket that is served by this name, or -1. */
int gateways_lent(const struct gateways *gs, const char *name);
/* Take no requests from them, and go on. */
void gateways_hold(struct gateways *gs, bool on);
/* No more; its connections go on. */
void gateways_unlisten(struct gateways *gs, const char *name);

#endif
