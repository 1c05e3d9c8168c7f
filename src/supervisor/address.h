/*
 * Addresses of sockets that we listen on: as numbers, so that no resolver runs
 * here, or a path.
 */
#ifndef SUPERVISOR_ADDRESS_H
#define SUPERVISOR_ADDRESS_H

#include "lib/defs.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t len;
};

/* HOST is a number of either family; -1: it is none. */
int address_set(struct address *a_out, const char *host, uint16_t port);
/* "127.0.0.1:80", "[::1]:80", "unix:/path"; the caller's. */
char *address_text(const struct address *a);
/* Of the two families of IP. */
bool address_same_host(const struct address *a, const struct address *b);
/* Nobody but this machine can connect. */
bool address_is_local(const struct address *a);

#endif
