/*
 * Speaking to a service manager: readiness, reloads, the end, pings of its
 * watchdog, and descriptors that it keeps for our next life. The protocol is
 * sd_notify(3)'s; without NOTIFY_SOCKET every call does nothing.
 */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include "supervisor/super.h"

/* Take NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment:
 * they are for us, not for what we start. Never fails: what cannot be used is
 * logged. */
void notify_open(struct super *s);
void notify_close(struct super *s);
/* Put the variables back: for an exec of ourselves, which opens anew. */
void notify_restore_env(const struct super *s);
void notify_forget_env(void); /* if that failed */

/* The sockets listen and the store is open; the pings begin. */
void notify_ready(struct super *s);
/* A reload begins; notify_ready() or notify_reloaded() ends it. */
void notify_reloading(struct super *s);
/* WHY not, or NULL. */
void notify_reloaded(struct super *s, const char *why);
/* The orderly end begins and takes at most MS. */
void notify_stopping(struct super *s, int64_t ms);
/* A line for people who ask the service manager. */
void notify_status(struct super *s, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* Let it keep FD by NAME, which holds no colon, and give it to our next life
 * in LISTEN_FDS. Both do nothing without a service manager. */
void notify_keep(struct super *s, const char *name, int fd);
void notify_drop(struct super *s, const char *name);

#endif
