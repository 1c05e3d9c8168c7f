/*
 * Namespaces: starting a process in new ones, mapping its ids, user
 * namespaces that exist only to map ids of a mount, and what a new network
 * namespace needs.
 */
#ifndef SANDBOX_NS_H
#define SANDBOX_NS_H

#include "lib/defs.h"
#include "lib/err.h"
#include <stdbool.h>
#include <sys/types.h>

/* fork() into new namespaces (FLAGS: CLONE_NEW*). CGROUP_FD: a version 2
 * group to be born in, or -1. Signal handlers are reset in the child. Returns
 * the pid, 0 in the child, -1 with errno. */
pid_t ns_clone(uint64_t flags, int cgroup_fd, int *pidfd_out);

/* Lines of /proc/<pid>/uid_map and gid_map: INSIDE.. is OUTSIDE.. */
struct ns_map {
	uid_t uid_inside, uid_outside;
	gid_t gid_inside, gid_outside;
	uint32_t count;
};

/* Write PID's maps. DENY_SETGROUPS is what an unprivileged writer needs.
 * 0, or -1 with errno. */
int ns_write_maps(pid_t pid, const struct ns_map *m, bool deny_setgroups);
/* Descriptor of PID's user namespace, or -1 with errno. */
int ns_user_fd(pid_t pid);
/* A user namespace that maps M and that no process lives in: for
 * mount_setattr. Descriptor, or -1 with errno. */
int ns_map_fd(const struct ns_map *m);

/* Child: bring up lo in our own network namespace. 0, or -1 with errno. */
int ns_loopback_up(void);
/* Child: a socket that listens on 127.0.0.1:PORT there, sent through SOCK. */
int ns_send_listener(uint16_t port, int sock);

#endif
