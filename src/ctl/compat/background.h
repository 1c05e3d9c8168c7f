/*
 * Servers that are not in the foreground: starting one and waiting until it
 * serves, and ending one.
 */
#ifndef CTL_COMPAT_BACKGROUND_H
#define CTL_COMPAT_BACKGROUND_H

#include "ctl/compat/server.h"

/* Start S, which was opened, as a process of its own, detached from this
 * terminal, and wait until it serves. Its log goes to S->log_fd. 0 and its pid,
 * or -1, and then nothing of it is left. */
int background_start(struct server *s, pid_t *pid_out, struct err *e);
/* TERM, and KILL when it has not ended after some seconds. P's owner only: a
 * pid that was given to somebody else is left alone. 0 when it is gone. */
int background_stop(const struct place *p, pid_t pid, struct err *e);

#endif
