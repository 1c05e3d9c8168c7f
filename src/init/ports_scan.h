/*
 * Which TCP sockets listen in our network namespace, and which processes of
 * ours they belong to, as /proc tells it.
 */
#ifndef INIT_PORTS_SCAN_H
#define INIT_PORTS_SCAN_H

#include "lib/defs.h"
#include "lib/err.h"
#include <stdbool.h>
#include <sys/types.h>

#define LISTENERS_MAX 1024
#define OWNERS_BUDGET 16384 /* descriptors looked at in one search */

struct listener {
	bool six;	  /* ADDR has 16 bytes, else 4 */
	uint8_t addr[16]; /* network order */
	uint16_t port;
	uid_t uid; /* of who made it; UID_UNKNOWN: nobody of our namespace */
	uint64_t inode;
	pid_t pid; /* of a process that holds it; 0: none was found */
};

/* One line of /proc/net/tcp or tcp6. 1: a listener; 0: of another state; -1:
 * none at all. */
int listener_parse(const char *line, bool six, struct listener *l_out);
/* All of them, at most LISTENERS_MAX, into V; the number. -1: there is no
 * /proc that tells. */
ssize_t listeners_scan(int proc_fd, struct listener v[LISTENERS_MAX]);
/* Look for a process that holds each. -1: there is more to look at than
 * OWNERS_BUDGET, and some may have been missed. */
int listeners_owners(int proc_fd, struct listener *v, size_t n);
/* Has the sandbox a range of user ids that nobody else on the host uses? Then
 * whatever such a user made is the sandbox's. */
bool ids_are_our_own(int proc_fd);
#define UID_UNKNOWN ((uid_t)65534)
/* Would a connection to 127.0.0.1 (SIX: ::1) at L's port reach it? */
bool listener_takes(const struct listener *l, bool six);

#endif
