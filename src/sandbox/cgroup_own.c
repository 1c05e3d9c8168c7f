/*
 * The group that we were started in; see cgroup.h. Runs in the supervisor at
 * start.
 */
#include "lib/fdio.h"
#include "sandbox/cgroup_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does the group hold any process but us? */
static bool
has_others(int own_fd)
{
	char buf[256], *end;

	/* What does not fit here is more than one number. */
	if (cgroup_read(own_fd, "cgroup.procs", buf, sizeof(buf)) == -1)
		return true;
	return buf[0] != '\0' && (strtol(buf, &end, 10) != (long)getpid() ||
				     *end != '\n' || end[1] != '\0');
}

/* Our group of version 2 if its controllers are version 2's; else -1. */
static int
own_open(void)
{
	int own_fds[HIER_N], fd = -1;
	unsigned k;

	for (k = 0; k < HIER_N; k++)
		own_fds[k] = -1;
	if (cgroup_find(own_fds, NULL) == 0 && own_fds[HIER_MEMORY] == -1 &&
	    own_fds[HIER_PIDS] == -1)
		fd = fcntl(own_fds[HIER_V2], F_DUPFD_CLOEXEC, 0);
	for (k = 0; k < HIER_N; k++)
		fd_close(&own_fds[k]);
	return fd;
}

static bool
has_controllers(int own_fd)
{
	char buf[256];

	return cgroup_read(own_fd, "cgroup.controllers", buf, sizeof(buf)) ==
		   0 &&
	       cgroup_word_in(buf, "memory", ' ') &&
	       cgroup_word_in(buf, "cpu", ' ') &&
	       cgroup_word_in(buf, "pids", ' ');
}

bool
cgroup_own_shared(void)
{
	autofd int fd = own_open();

	return fd != -1 && (!has_controllers(fd) || has_others(fd));
}

void
cgroup_own_take(void)
{
	autofd int fd = own_open();

	if (fd == -1 || !has_controllers(fd))
		return;
	/* The root of all groups may do both. */
	if (cgroup_write(fd, "cgroup.subtree_control", CGROUP_V2_WANTED) ==
		-1 &&
	    (errno != EBUSY ||
		(mkdirat(fd, CGROUP_OWN_NAME, 0755) == -1 && errno != EEXIST) ||
		cgroup_write(fd, CGROUP_OWN_NAME "/cgroup.procs", "0") == -1 ||
		cgroup_write(fd, "cgroup.subtree_control", CGROUP_V2_WANTED) ==
		    -1))
		return; /* cgroup_host_open() will find that */
	(void)cgroup_write(fd, "cgroup.subtree_control", "+io");
}
