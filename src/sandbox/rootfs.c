/*
 * Build the root and move into it. Runs in the child only, as root of its own
 * user namespace, with the host's mounts still in sight until rootfs_pivot().
 *
 * One tmpfs, the scratch, carries everything: places where the trees that the
 * supervisor made are attached so that overlayfs finds them by name, and the
 * directories that become /dev, /dev/shm, /tmp, /run and the empty masks. One
 * file system instead of six is cheaper to make, and gives all that a sandbox
 * can put into memory one common bound.
 *
 * The image may be hostile: a link or a mount where /proc, /sys, /dev, /tmp or
 * /run should be fails the start. No path of the image is resolved except by
 * mounts_root_dir() and mounts_target().
 */
#include "sandbox/rootfs.h"
#include "lib/strutil.h"
#include "sandbox/hide.h"
#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>

#define ATTR_PLAIN (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define ATTR_INERT (ATTR_PLAIN | MOUNT_ATTR_NOEXEC)

enum mask_fs {
	MASK_PROC,
	MASK_SYS_FS
};
enum mask_how {
	MASK_FILE,
	MASK_DIR,
	MASK_RO
};
#define MASK_FS_PROC MASK_PROC
#define MASK_FS_SYS MASK_SYS_FS

static const struct {
	enum mask_fs fs;
	enum mask_how how;
	const char *name;
} masks[MASK_N] = {
#define MASK(sym, where, path, what) \
	[MASK_##sym] = { MASK_FS_##where, MASK_##what, path },
#include "sandbox/mask.def"
#undef MASK
};

uint32_t
rootfs_probe_masks(void)
{
	char path[PATH_MAX];
	uint32_t bits = 0;
	unsigned i;

	for (i = 0; i < MASK_N; i++) {
		(void)snprintf(path, sizeof(path), "/%s/%s",
		    masks[i].fs == MASK_PROC ? "proc" : "sys", masks[i].name);
		if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			bits |= BIT(i);
	}
	return bits;
}

int
rootfs_private(struct setup *s)
{
	(void)s;
	/* Mounts made here must not show outside, nor later ones in here. */
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

int
rootfs_make_proc(struct setup *s)
{
	s->proc_fd = mounts_new("proc", NULL, 0, ATTR_INERT);
	return s->proc_fd == -1 ? -1 : 0;
}

int
rootfs_make_sys(struct setup *s)
{
	if (s->net_ready)
		return 0; /* it came with the network, or cannot be had */
	if (!s->own_net)
		return 0; /* it would show the host's interfaces */
	s->sys_fd =
	    mounts_new("sysfs", NULL, 0, ATTR_INERT | MOUNT_ATTR_RDONLY);
	/* In a container that shows only part of its own /sys the kernel lets
	 * nobody mount a whole one. An empty /sys will do. */
	if (s->sys_fd == -1 && errno != EPERM)
		return -1;
	return 0;
}

int
rootfs_scratch(struct setup *s)
{
	struct mount_opt opts[2] = { { "mode", "0755" } };
	static const struct {
		const char *name;
		mode_t mode;
	} dirs[] = {
		{ "low", 0755 },  /* the image or the host's root */
		{ "hide", 0755 }, /* what lies over the host's root, hide.h */
		{ "gone", 0755 },
		{ "dir", 0755 },   /* the sandbox's own directory */
		{ "new", 0755 },   /* the root */
		{ "src", 0755 },   /* src/<n>: lower layers of cow mounts */
		{ "empty", 0555 }, /* masks */
		{ "tmp", 01777 },
		{ "run", 0755 },
		{ "dev", 0755 },
		{ "shm", 01777 },
	};
	char size[32];
	size_t i;

	opts[1] = (struct mount_opt){ "size", size };
	(void)snprintf(
	    size, sizeof(size), "%lld", (long long)s->plan->tmp_bytes);
	s->scratch_fd = mounts_new(
	    "tmpfs", opts, s->plan->tmp_bytes > 0 ? 2 : 1, ATTR_PLAIN);
	if (s->scratch_fd == -1)
		return -1;
	(void)umask(0);
	for (i = 0; i < countof(dirs); i++)
		if (mkdirat(s->scratch_fd, dirs[i].name, dirs[i].mode) == -1)
			return -1;
	(void)umask(022);
	/* Over /proc: a directory that every host has and where no source of a
	 * mount lies. (Over "/" it would come to lie between the new root and
	 * the old one, and be what rootfs_pivot() takes off.) */
	if (mounts_attach(s->scratch_fd, AT_FDCWD, "/proc") == -1)
		return -1;
	/* overlayfs wants names of layers: relative ones, of ours. */
	return fchdir(s->scratch_fd);
}

/* Attach a clone of the scratch's NAME at AT_FD (a directory). */
static int
attach_scratch(const struct setup *s, const char *name, int at_fd,
    const char *at_name, uint64_t attrs)
{
	autofd int fd = mounts_clone(s->scratch_fd, name, false);

	if (fd == -1 || mounts_set(fd, attrs, false) == -1)
		return -1;
	return mounts_attach(fd, at_fd, at_name);
}

static int
overlay_new(const char *lower, const char *upper, const char *work)
{
	/* userxattr: marks are user.* attributes, since trusted.* is beyond a
	 * user namespace; without redirects and metacopy, so that a layer is
	 * plain to read (changes.h) and holds no path that leads elsewhere. */
	const struct mount_opt opts[] = {
		{ "lowerdir", lower },
		{ "upperdir", upper },
		{ "workdir", work },
		{ "userxattr", NULL },
		{ "redirect_dir", "nofollow" },
		{ "metacopy", "off" },
		{ "index", "off" },
		{ "xino", "off" },
	};

	return mounts_new("overlay", opts, countof(opts), ATTR_PLAIN);
}

/*
 * Rootless, image `host`: overlayfs refuses "/" as a layer when it has locked
 * mounts below, and only the supervisor of a privileged host could clone it
 * without. So the root is an overlay over an empty skeleton, with the host's
 * system directories bound read-only.
 */
static const char *const system_dirs[] = { "usr", "bin", "sbin", "lib", "lib32",
	"lib64", "libx32", "etc", "opt" };

static int
skeleton_make(const struct setup *s)
{
	static const char *const dirs[] = { "low/root", "low/home", "low/var",
		"low/var/tmp", "low/var/log", "low/var/cache", "low/var/lib",
		"low/srv", "low/mnt", "low/media" };
	char path[64], link[PATH_MAX];
	struct stat st;
	ssize_t n;
	size_t i;

	for (i = 0; i < countof(dirs); i++)
		if (mkdirat(s->scratch_fd, dirs[i], 0755) == -1)
			return -1;
	if (fchmodat(s->scratch_fd, "low/var/tmp", 01777, 0) == -1 ||
	    fchmodat(s->scratch_fd, "low/root", 0700, 0) == -1)
		return -1;
	for (i = 0; i < countof(system_dirs); i++) {
		(void)snprintf(path, sizeof(path), "/%s", system_dirs[i]);
		if (lstat(path, &st) == -1)
			continue;
		if (S_ISLNK(st.st_mode)) {
			n = readlink(path, link, sizeof(link) - 1);
			if (n == -1)
				return -1;
			link[n] = '\0';
		}
		(void)snprintf(path, sizeof(path), "low/%s", system_dirs[i]);
		if (S_ISLNK(st.st_mode)) {
			if (symlinkat(link, s->scratch_fd, path) == -1)
				return -1;
		} else if (mkdirat(s->scratch_fd, path, 0755) == -1) {
			return -1;
		}
	}
	return 0;
}

static int
skeleton_bind(const struct setup *s)
{
	char path[64];
	struct stat st;
	size_t i;

	for (i = 0; i < countof(system_dirs); i++) {
		autofd int fd = -1, at_fd = -1;

		(void)snprintf(path, sizeof(path), "/%s", system_dirs[i]);
		if (lstat(path, &st) == -1 || !S_ISDIR(st.st_mode))
			continue;
		fd = mounts_clone(AT_FDCWD, path, true);
		if (fd == -1 ||
		    mounts_set(fd, ATTR_PLAIN | MOUNT_ATTR_RDONLY, true) == -1)
			return -1;
		at_fd = mounts_root_dir(s->root_fd, system_dirs[i]);
		if (at_fd == -1 || mounts_attach(fd, at_fd, "") == -1)
			return -1;
	}
	return 0;
}

static int
hide_attach(struct setup *s)
{
	size_t i;

	if (s->hide_fds[0] == -1)
		return hide_perform(s->plan->hide_fd, s->scratch_fd);
	for (i = 0; i < HIDE_LAYERS_N; i++)
		if (mounts_attach(
			s->hide_fds[i], s->scratch_fd, hide_names[i]) == -1)
			return -1;
	return 0;
}

int
rootfs_root(struct setup *s)
{
	const char *lower = "low";

	if (s->lower_fd != -1) {
		if (mounts_attach(s->lower_fd, s->scratch_fd, "low") == -1)
			return -1;
	} else if (skeleton_make(s) == -1) {
		return -1;
	}
	if (s->lower_fd != -1 && s->plan->hide_fd != -1) {
		if (hide_attach(s) == -1)
			return -1;
		lower = HIDE_LAYERS ":low";
	}
	if (mounts_attach(s->dir_fd, s->scratch_fd, "dir") == -1)
		return -1;
	s->root_fd = overlay_new(lower, "dir/upper", "dir/work");
	if (s->root_fd == -1 ||
	    mounts_attach(s->root_fd, s->scratch_fd, "new") == -1)
		return -1;
	return s->lower_fd == -1 ? skeleton_bind(s) : 0;
}

int
rootfs_tmp(struct setup *s)
{
	static const char *const names[] = { "tmp", "run" };
	size_t i;

	for (i = 0; i < countof(names); i++) {
		autofd int at_fd = mounts_root_dir(s->root_fd, names[i]);

		if (at_fd == -1 ||
		    attach_scratch(s, names[i], at_fd, "", ATTR_PLAIN) == -1)
			return -1;
	}
	return 0;
}

static int
cow_mount(struct setup *s, size_t i, int at_fd)
{
	char lower[32], upper[64], work[64];
	autofd int fd = -1;

	(void)snprintf(lower, sizeof(lower), "src/%zu", i);
	(void)snprintf(upper, sizeof(upper), "dir/cow/%zu/upper", i);
	(void)snprintf(work, sizeof(work), "dir/cow/%zu/work", i);
	if (mkdirat(s->scratch_fd, lower, 0755) == -1 ||
	    mounts_attach(s->mounts[i].tree_fd, s->scratch_fd, lower) == -1)
		return -1;
	fd = overlay_new(lower, upper, work);
	return fd == -1 ? -1 : mounts_attach(fd, at_fd, "");
}

int
rootfs_mounts(struct setup *s)
{
	size_t i;
	int r;

	for (i = 0; i < s->nmounts; i++) {
		struct setup_mount *m = &s->mounts[i];
		autofd int at_fd = -1;

		s->detail = (uint32_t)i;
		if (m->tree_fd == -1) /* optional, and not there */
			continue;
		at_fd = mounts_target(s->root_fd, m->target, m->is_file);
		if (at_fd == -1)
			r = -1;
		else if (m->mode == MOUNT_COW)
			r = cow_mount(s, i, at_fd);
		else
			r = mounts_attach(m->tree_fd, at_fd, "");
		if (r == -1 && !m->optional)
			return -1;
	}
	s->detail = 0;
	return 0;
}

int
rootfs_proc(struct setup *s)
{
	autofd int at_fd = mounts_root_dir(s->root_fd, "proc");

	return at_fd == -1 ? -1 : mounts_attach(s->proc_fd, at_fd, "");
}

int
rootfs_sys(struct setup *s)
{
	autofd int at_fd = mounts_root_dir(s->root_fd, "sys");

	if (at_fd == -1)
		return -1;
	if (s->sys_fd != -1)
		return mounts_attach(s->sys_fd, at_fd, "");
	return attach_scratch(
	    s, "empty", at_fd, "", ATTR_INERT | MOUNT_ATTR_RDONLY);
}

static int
mask_one(const struct setup *s, unsigned i, int fs_fd)
{
	autofd int fd = -1;
	uint64_t attrs = ATTR_INERT | MOUNT_ATTR_RDONLY;

	switch (masks[i].how) {
	case MASK_FILE:
		/* The sandbox's own node: an empty file that swallows writes;
		 * not NODEV, or it could not even be opened. */
		fd = mounts_clone(AT_FDCWD, "/dev/null", false);
		return fd == -1 ? -1 : mounts_attach(fd, fs_fd, masks[i].name);
	case MASK_DIR:
		return attach_scratch(s, "empty", fs_fd, masks[i].name, attrs);
	case MASK_RO:
		fd = mounts_clone(fs_fd, masks[i].name, false);
		if (fd == -1 || mounts_set(fd, attrs, false) == -1)
			return -1;
		return mounts_attach(fd, fs_fd, masks[i].name);
	}
	errno = EINVAL;
	return -1;
}

static int
mask_ours(const struct setup *s)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

	for (size_t i = 0; i < countof(s->plan->empty); i++) {
		autofd int fd = -1;

		if (s->plan->empty[i] == NULL)
			continue;
		fd = (int)syscall(SYS_openat2, s->root_fd, s->plan->empty[i],
		    &how, sizeof(how));
		if (fd == -1 && errno == ENOENT)
			continue; /* on a mount that is not in this root */
		if (fd == -1 || attach_scratch(s, "empty", fd, "",
				    ATTR_INERT | MOUNT_ATTR_RDONLY) == -1)
			return -1;
	}
	return 0;
}

int
rootfs_mask(struct setup *s)
{
	const struct host_private *hp = s->host->priv;
	unsigned i;
	int fs_fd;

	for (i = 0; i < MASK_N; i++) {
		fs_fd = masks[i].fs == MASK_PROC ? s->proc_fd : s->sys_fd;
		if (!(hp->masked & BIT(i)) || fs_fd == -1 || !GUARD(masks))
			continue;
		/* ENOENT: a part of the kernel that has left since we looked */
		if (mask_one(s, i, fs_fd) == -1 && errno != ENOENT)
			return -1;
	}
	return mask_ours(s);
}

int
rootfs_pivot(struct setup *s)
{
	struct stat here, above;

	/* PRIV: root of the user namespace, the host's tree at "/" before,
	 * only the sandbox's after. The old root comes to lie over the new one
	 * and is taken off, with everything that was mounted below it. */
	if (fchdir(s->root_fd) == -1 ||
	    syscall(SYS_pivot_root, ".", ".") == -1 ||
	    (GUARD(old_root) && umount2(".", MNT_DETACH) == -1) ||
	    chdir("/") == -1)
		return -1;
	/* If anything were left over the new root, ".." would lead there. */
	if (stat(".", &here) == -1 || stat("..", &above) == -1)
		return -1;
	if (GUARD(old_root) &&
	    (here.st_dev != above.st_dev || here.st_ino != above.st_ino)) {
		errno = ENOTRECOVERABLE;
		return -1;
	}
	return 0;
}
