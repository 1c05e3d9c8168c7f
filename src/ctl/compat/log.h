/*
 * Where a server's log goes, and telling why one has not come up.
 */
#ifndef CTL_COMPAT_LOG_H
#define CTL_COMPAT_LOG_H

#include "lib/err.h"

#include <sys/types.h>

/* The file of today below DATA/logs or SANDBOX_AGENT_LOG_DIR, for a server in
 * the foreground; with SANDBOX_AGENT_LOG_STDOUT=1 standard output, and then
 * *READY_OUT stays -1. Else a process of its own waits at the other end of
 * *READY_OUT, shows on standard error what the log got when the server ends
 * before it was ready, and ends itself in either case. */
int log_open(int *log_out, int *ready_out, struct err *e);

/* Write what PATH has from byte FROM on to standard error, the last of it. */
void log_show(const char *path, off_t from);

#endif
