/*
 * /dev: six device nodes, a few links, and mount points for what each sandbox
 * has for itself: pts, shm, mqueue. Only the host's root can make nodes that
 * work. So it makes them once, in a template that each sandbox gets a clone
 * of; where a kernel cannot clone that (before 6.15), or without root, the
 * child binds the host's own nodes one by one.
 *
 * Read-only, which does not hinder writing to a device: nobody can change the
 * shared nodes, add a name or take one away.
 */
#include "sandbox/devices.h"
#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#define ATTR_INERT (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define ATTR_DEV (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)

static const struct {
	const char *name;
	unsigned major, minor;
} nodes[] = { { "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 },
	{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 } };

static int
links_make(int dev_fd)
{
	static const struct {
		const char *name, *target;
	} links[] = {
		{ "fd", "/proc/self/fd" },
		{ "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" },
		{ "stderr", "/proc/self/fd/2" },
		{ "ptmx", "pts/ptmx" },
	};
	static const char *const dirs[] = { "pts", "shm", "mqueue" };
	size_t i;

	for (i = 0; i < countof(links); i++)
		if (symlinkat(links[i].target, dev_fd, links[i].name) == -1)
			return -1;
	for (i = 0; i < countof(dirs); i++)
		if (mkdirat(dev_fd, dirs[i], 0755) == -1)
			return -1;
	return 0;
}

int
devices_template(void)
{
	static const struct mount_opt opts[] = { { "mode", "0755" } };
	autofd int fd = mounts_new("tmpfs", opts, countof(opts), 0);
	mode_t mask;
	size_t i;
	int r;

	if (fd == -1)
		return -1;
	mask = umask(0);
	r = links_make(fd);
	for (i = 0; i < countof(nodes) && r == 0; i++)
		r = mknodat(fd, nodes[i].name, S_IFCHR | 0666,
		    makedev(nodes[i].major, nodes[i].minor));
	(void)umask(mask);
	return r == -1 ? -1 : fd_steal(&fd);
}

/* In the scratch, with the host's nodes bound over empty files. */
static int
bind_nodes(struct setup *s, int at_fd)
{
	autofd int dir_fd = -1;
	char path[32];
	size_t i;

	dir_fd = openat(s->scratch_fd, "dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd == -1 || links_make(dir_fd) == -1)
		return -1;
	for (i = 0; i < countof(nodes); i++) {
		autofd int fd = openat(dir_fd, nodes[i].name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

		if (fd == -1)
			return -1;
	}
	s->dev_fd = mounts_clone(s->scratch_fd, "dev", false);
	if (s->dev_fd == -1 || mounts_set(s->dev_fd, ATTR_DEV, false) == -1 ||
	    mounts_attach(s->dev_fd, at_fd, "") == -1)
		return -1;
	for (i = 0; i < countof(nodes); i++) {
		autofd int fd = -1;

		(void)snprintf(path, sizeof(path), "/dev/%s", nodes[i].name);
		fd = mounts_clone(AT_FDCWD, path, false);
		if (fd == -1 ||
		    mounts_attach(fd, s->dev_fd, nodes[i].name) == -1)
			return -1;
	}
	return 0;
}

/* What no other sandbox shares. */
static int
own_mounts(const struct setup *s)
{
	/* gid 5 is "tty" in every distribution; rootless it is mapped if ids
	 * are lent. */
	static const struct mount_opt pts_opts[] = { { "ptmxmode", "0666" },
		{ "mode", "0620" }, { "gid", "5" } };
	autofd int pts_fd = -1, mq_fd = -1, shm_fd = -1;

	pts_fd = mounts_new("devpts", pts_opts,
	    s->ranged || s->lent ? countof(pts_opts) : countof(pts_opts) - 1,
	    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (pts_fd == -1 || mounts_attach(pts_fd, s->dev_fd, "pts") == -1)
		return -1;
	mq_fd = mounts_new("mqueue", NULL, 0, ATTR_INERT);
	if (mq_fd == -1 || mounts_attach(mq_fd, s->dev_fd, "mqueue") == -1)
		return -1;
	shm_fd = mounts_clone(s->scratch_fd, "shm", false);
	if (shm_fd == -1 || mounts_set(shm_fd, ATTR_INERT, false) == -1)
		return -1;
	return mounts_attach(shm_fd, s->dev_fd, "shm");
}

int
devices_mount(struct setup *s)
{
	autofd int at_fd = mounts_root_dir(s->root_fd, "dev");

	if (at_fd == -1)
		return -1;
	if (!GUARD(own_dev)) { /* whatever the image has there */
		fd_close(&s->dev_fd);
		s->dev_fd = fd_steal(&at_fd);
	} else if (s->dev_fd == -1) {
		if (bind_nodes(s, at_fd) == -1)
			return -1;
	} else if (mounts_attach(s->dev_fd, at_fd, "") == -1) {
		return -1;
	}
	return own_mounts(s);
}
