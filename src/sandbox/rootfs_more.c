/*
 * Parts of the root that a plan may ask for besides mounts: file systems in
 * memory, and the files that say who is who. Runs in the child, see rootfs.h.
 * Where they go may be a link of a hostile image: mounts_target().
 */
#include "sandbox/mounts.h"
#include "sandbox/rootfs.h"
#include "lib/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ATTR_PLAIN (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static int
tmpfs_new(const struct plan_tmpfs *t)
{
	char mode[16], size[32], inodes[32];
	struct mount_opt opts[3];
	size_t n = 0;

	(void)snprintf(mode, sizeof(mode), "%04o", t->mode);
	(void)snprintf(size, sizeof(size), "%lld", (long long)t->size_bytes);
	(void)snprintf(inodes, sizeof(inodes), "%lld", (long long)t->inodes);
	opts[n++] = (struct mount_opt){ "mode", mode };
	if (t->size_bytes > 0)
		opts[n++] = (struct mount_opt){ "size", size };
	if (t->inodes > 0)
		opts[n++] = (struct mount_opt){ "nr_inodes", inodes };
	return mounts_new("tmpfs", opts, n,
	    ATTR_PLAIN | (t->no_exec ? MOUNT_ATTR_NOEXEC : 0));
}

int
rootfs_tmpfs(struct setup *s)
{
	size_t i;

	for (i = 0; i < s->plan->ntmpfs; i++) {
		const struct plan_tmpfs *t = &s->plan->tmpfs[i];
		autofd int fd = -1, at_fd = -1;

		s->detail = (uint32_t)i;
		at_fd = mounts_target(s->root_fd, t->target, false);
		fd = at_fd == -1 ? -1 : tmpfs_new(t);
		if (fd == -1 || mounts_attach(fd, at_fd, "") == -1)
			return -1;
	}
	s->detail = 0;
	return 0;
}

/* TEXT, in a file NAME of the scratch, comes to lie over PATH. */
static int
file_over(
    const struct setup *s, const char *name, const char *text, const char *path)
{
	autofd int at_fd = mounts_target(s->root_fd, path, true);
	autofd int fd = -1, file_fd = -1;

	if (at_fd == -1)
		return -1;
	file_fd = openat(
	    s->scratch_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (file_fd == -1 || fd_write_all(file_fd, text, strlen(text)) == -1)
		return -1;
	fd = mounts_clone(s->scratch_fd, name, false);
	if (fd == -1 || mounts_set(fd, ATTR_PLAIN, false) == -1)
		return -1;
	return mounts_attach(fd, at_fd, "");
}

int
rootfs_hosts(struct setup *s)
{
	const struct plan *p = s->plan;
	char name[256];

	if (p->hosts == NULL)
		return 0; /* it shares the host's network, and its names */
	/* An image may have something else there, or forbid it: its loss,
	 * unless somebody asked for it. */
	if (file_over(s, "hosts", p->hosts, "/etc/hosts") == -1 &&
	    p->hosts_asked)
		return -1;
	if (s->host->have[MECH_UTS]) {
		(void)snprintf(name, sizeof(name), "%s\n", p->hostname);
		(void)file_over(s, "hostname", name, "/etc/hostname");
	}
	return 0;
}
