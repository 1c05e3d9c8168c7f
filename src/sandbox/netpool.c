/*
 * The pool of network namespaces; see netpool.h. Runs in the supervisor, which
 * has one thread: while it is inside a new namespace it does nothing but
 * furnish it, and goes back before anything else can happen.
 */
#include "sandbox/netpool.h"
#include "sandbox/mounts.h"
#include "sandbox/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>

#define ATTR_INERT                                                  \
	(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | \
	    MOUNT_ATTR_NOEXEC)

void
netpool_init(struct netpool *p)
{
	*p = (struct netpool){ .own_fd = -1 };
}

void
netpool_free(struct netpool *p)
{
	struct ready_net net;

	while (netpool_take(p, &net)) {
		fd_close(&net.ns_fd);
		fd_close(&net.sys_fd);
	}
	fd_close(&p->own_fd);
}

bool
netpool_take(struct netpool *p, struct ready_net *out)
{
	if (p->n == 0)
		return false;
	*out = p->ready[--p->n];
	return true;
}

int
netpool_enter(const struct ready_net *net)
{
	/* PRIV: host's root before and after; only the network changes. */
	return setns(net->ns_fd, CLONE_NEWNET);
}

void
netpool_leave(const struct netpool *p)
{
	/* PRIV: host's root before and after, in its own network again. To
	 * stay would make every later child share a sandbox's network: rather
	 * end at once. It cannot fail while we hold our own namespace. */
	if (setns(p->own_fd, CLONE_NEWNET) == -1)
		abort();
}

static int
free_low_ports(void)
{
	int fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start",
	    O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return -1;
	n = write(fd, "0", 1);
	(void)close(fd); /* the write has told */
	return n == 1 ? 0 : -1;
}

/* Inside the new namespace. */
static int
furnish(struct ready_net *net)
{
	net->ns_fd = -1;
	net->sys_fd = -1;
	if (ns_loopback_up() == -1 || free_low_ports() == -1)
		return -1;
	net->ns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (net->ns_fd == -1)
		return -1;
	net->sys_fd = mounts_new("sysfs", NULL, 0, ATTR_INERT);
	if (net->sys_fd == -1 && errno != EPERM) {
		fd_close(&net->ns_fd);
		return -1;
	}
	return 0;
}

bool
netpool_fill(struct netpool *p)
{
	struct ready_net net;

	if (p->broken || p->n == NETPOOL_MAX)
		return false;
	if (p->own_fd == -1)
		p->own_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	/* PRIV: host's root before and after; only the network changes, and
	 * changes back below. */
	if (p->own_fd == -1 || unshare(CLONE_NEWNET) == -1) {
		p->broken = true;
		return false;
	}
	if (furnish(&net) == 0)
		p->ready[p->n++] = net;
	else
		p->broken = true;
	netpool_leave(p);
	return !p->broken && p->n < NETPOOL_MAX;
}
