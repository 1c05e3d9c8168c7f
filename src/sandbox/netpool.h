/*
 * Network namespaces made in advance. Making one is the dearest part of a
 * start (0.4 ms here, and most of the tail): the supervisor makes a few while
 * it waits for other things, and a start takes one that is ready.
 *
 * A ready one belongs to the host's user namespace, not to the sandbox's: no
 * process inside has any right over it. Its loopback is up, its ports below
 * 1024 are free to use for everybody (the right to those would otherwise come
 * from the user namespace), and a /sys that shows it comes with it.
 */
#ifndef SANDBOX_NETPOOL_H
#define SANDBOX_NETPOOL_H

#include "lib/defs.h"
#include <stdbool.h>

#define NETPOOL_MAX 4

struct netpool {
	struct ready_net {
		int ns_fd;  /* owned */
		int sys_fd; /* owned: detached mount of /sys, or -1 */
	} ready[NETPOOL_MAX];
	size_t n;
	int own_fd;  /* owned: our own namespace; -1 until first used */
	bool broken; /* this host does not let us; no more tries */
};

void netpool_init(struct netpool *p);
void netpool_free(struct netpool *p);
/* Make one more, unless there are enough. True when another call would. */
bool netpool_fill(struct netpool *p);
/* Take one out; false when none is ready. Its descriptors are the caller's. */
bool netpool_take(struct netpool *p, struct ready_net *out);
/* The calling thread enters NET's namespace (0, or -1 with errno), and goes
 * back. */
int netpool_enter(const struct ready_net *net);
void netpool_leave(const struct netpool *p);

#endif
