/*
 * Sockets that were opened before us: by a service manager for us, or by a
 * former life of ours that had the manager keep them.
 */
#ifndef SUPERVISOR_LISTEN_GIVEN_H
#define SUPERVISOR_LISTEN_GIVEN_H

#include "supervisor/address.h"
#include "supervisor/listen.h"

/* Take LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES out of the environment and
 * the sockets to where they belong. Sockets for HTTP go to ADD, which owns the
 * descriptor when it returns 0. */
int listen_given(struct super *s,
    int (*add)(struct super *s, int fd, const struct address *a, struct err *e),
    struct err *e);
/* One that a former life of ours has bound to A: now the caller's; or -1. */
int listen_kept_take(struct listeners *ls, const struct address *a);
/* What nobody took is closed, here and at the manager's. */
void listen_kept_close(struct super *s);
/* Let the manager keep our own socket for our next life, or keep it no more.
 * NAME as address_text() has it. */
void listen_keep(struct super *s, const char *name, int fd);
void listen_keep_no_more(struct super *s, const char *name);

#endif
