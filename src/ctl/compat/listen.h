/*
 * Taking a TCP port, and asking at one; waiting with an end.
 */
#ifndef CTL_COMPAT_LISTEN_H
#define CTL_COMPAT_LISTEN_H

#include "lib/err.h"

#include <stdbool.h>

/* HOST is a number of either family, in brackets or not, or localhost. *PORT 0:
 * a free one, which is in *PORT then. The socket listens. */
int listen_tcp(const char *host, int *port, int *fd_out, struct err *e);

/* GET /v1/health there, as somebody on this host does: the status that came, 0
 * when nobody answers in TIMEOUT_MS. TOKEN may be NULL. */
int health_ask(const char *host, int port, const char *token, int timeout_ms);

/* Wait for EVENTS of poll(2) on FD until END_MS on the monotonic clock; false:
 * they did not come. */
bool poll_until(int fd, short events, int64_t end_ms);

#endif
