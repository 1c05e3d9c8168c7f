/*
 * Channels to those who hold what a request is about: the init of a sandbox,
 * its file server, the worker of a session. The supervisor makes each and hands
 * one end to both sides; nothing of what is said passes through it.
 *
 * A channel is had on first use (which starts a stopped sandbox, and makes the
 * sandbox `default`), kept while used, and given back when idle. When it ends,
 * what waited for an answer is told so; the next call makes a new one.
 */
#ifndef GATEWAY_LINK_H
#define GATEWAY_LINK_H

#include "gateway/gateway.h"
#include "lib/buf.h"

enum link_kind {
	LINK_INIT,    /* processes, ports; by sandbox */
	LINK_FILES,   /* files; by sandbox */
	LINK_SESSION, /* by session */
	LINK_N
};

/* The answer: OK its members, FDS what came with it (take with fd_steal; the
 * rest is closed afterwards). Or OK is NULL and E says why. All borrowed. */
typedef void link_done(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e);

/* Send request TYPE with the members FIELDS (an object as JSON text, NULL: {})
 * and NFDS descriptors, which belong to the call from now on. DONE comes
 * exactly once, never before link_call returns; after MS milliseconds with
 * ERR_TIMEOUT (0: no deadline). Returns a number for link_cancel. */
uint64_t link_call(struct gateway *gw, enum link_kind kind, const char *id,
    enum msg_type type, const struct buf *fields, const int *fds, size_t nfds,
    int64_t ms, link_done *done, void *ctx);
/* Nobody wants the answer any more: DONE will not come. For MSG_PROC_RUN the
 * other side is told to end what runs. */
void link_cancel(struct gateway *gw, uint64_t call);
/* Send a notice, if the channel is there; else nothing needs to be told. */
void link_notice(struct gateway *gw, enum link_kind kind, const char *id,
    enum msg_type type, const struct buf *fields);

/* Keep the channel, if it is there, while something of it lives that no call
 * shows: an upload between fs.create and fs.commit, a watch. To be called from
 * the link_done of the call that has begun it. 0: there is no channel. */
uint64_t link_pin(struct gateway *gw, enum link_kind kind, const char *id);
void link_unpin(struct gateway *gw, uint64_t pin); /* accepts 0 */

/* Who is there was paused: what comes from now on asks for a new channel, and
 * so is told. KIND as in MSG_GATEWAY_CONNECT. */
void links_leave(struct gateway *gw, const char *kind, const char *id);

int links_open(struct gateway *gw, struct err *e);
void links_close(struct gateway *gw);

#endif
