/*
 * SOCKS 5 (RFC 1928) as far as a proxy without names and passwords needs it:
 * CONNECT, by name or by address.
 */
#ifndef EGRESS_SOCKS_H
#define EGRESS_SOCKS_H

#include "egress/target.h"

#define SOCKS_VERSION 5
#define SOCKS_MAX 300 /* the longest message of a client */

enum socks_reply {
	SOCKS_OK = 0,
	SOCKS_FAILED = 1,
	SOCKS_DENIED = 2,
	SOCKS_UNREACHABLE = 4,
	SOCKS_REFUSED = 5,
	SOCKS_TIMED_OUT = 6,
	SOCKS_NO_COMMAND = 7,
	SOCKS_NO_ADDRESS = 8
};

/* The first message: its length when it offers to go without a password, 0 when
 * not all of it is there, -1 when it does not. */
ssize_t socks_methods(const char *s, size_t n);
/* The second: its length, 0, or -1 with the reply that it deserves. */
ssize_t socks_request(
    const char *s, size_t n, struct target *t, enum socks_reply *reply_out);

#endif
