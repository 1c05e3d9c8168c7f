/*
 * Trees; see trees.h. Whose file is whose:
 *
 *   image, own directory,   ids on disk are the sandbox's ids: an image looks
 *   ro mounts               inside as it looks on the host, and upper layers
 *                           stay right when a sandbox gets another range
 *   rw mounts, sources      one id of the disk, the owner of the source, is
 *   of cow mounts           the sandbox's user; every other shows as nobody.
 *                           So a sandbox's root has no hold over what other
 *                           people keep in a directory that it was lent, and
 *                           what it makes there belongs to the lender.
 *
 * One exception: a cow source of root's, lent to the sandbox's root, is mapped
 * like an image; there is nobody whom that would take anything from, and the
 * original is never written.
 *
 * Where the kernel or the file system cannot map ids, the upper layers belong
 * to the sandbox's range on disk, and everything else shows as nobody's.
 */
#include "sandbox/trees.h"
#include "lib/fdio.h"
#include "sandbox/mounts.h"
#include "sandbox/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define ATTR_PLAIN (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static int
dir_make(int dir_fd, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat st;

	if (mkdirat(dir_fd, name, mode) == -1) {
		/* There from an earlier start; but the owner may have been
		 * right for another kind of mapping. */
		if (errno != EEXIST ||
		    fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			return -1;
		if (st.st_uid == uid && st.st_gid == gid)
			return 0;
	} else if (fchmodat(dir_fd, name, mode, 0) == -1) {
		return -1; /* mkdir heeds the umask, and we know better */
	}
	return fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* Id on disk, in an upper layer, of the sandbox's id. */
static uid_t
disk_id(const struct setup *s, uid_t id)
{
	if (s->lent)
		return id; /* we are inside */
	if (!s->ranged)
		return s->own_uid;
	return s->idmap ? id : s->plan->id_base + id;
}

static gid_t
disk_gid(const struct setup *s, gid_t id)
{
	return s->ranged || s->lent ? (gid_t)disk_id(s, id) : s->own_gid;
}

static int
cow_prepare(struct setup *s, size_t i, struct err *e)
{
	const struct setup_mount *m = &s->mounts[i];
	autofd int fd = mounts_open_source(m->source, O_DIRECTORY);
	char name[32], upper[48], work[48];
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "open %s", m->source);
	(void)snprintf(name, sizeof(name), "cow/%zu", i);
	(void)snprintf(upper, sizeof(upper), "%s/upper", name);
	(void)snprintf(work, sizeof(work), "%s/work", name);
	/* The upper's root is what the mount's root looks like. */
	if (dir_make(s->plan->dir_fd, name, 0755, disk_id(s, 0),
		disk_gid(s, 0)) == -1 ||
	    dir_make(s->plan->dir_fd, upper, st.st_mode & 0777,
		disk_id(s, s->plan->uid), disk_gid(s, s->plan->gid)) == -1 ||
	    dir_make(s->plan->dir_fd, work, 0755, disk_id(s, 0),
		disk_gid(s, 0)) == -1)
		return err_sys(e, "make the layer of %s", m->target);
	return 0;
}

int
trees_prepare(struct setup *s, struct err *e)
{
	static const char *const dirs[] = { "upper", "work" };
	int dir_fd = s->plan->dir_fd;
	size_t i;

	for (i = 0; i < countof(dirs); i++)
		if (dir_make(dir_fd, dirs[i], 0755, disk_id(s, 0),
			disk_gid(s, 0)) == -1)
			return err_sys(e, "make the sandbox's %s", dirs[i]);
	/* Without mapped ids its root must be let through by owner. */
	if (s->ranged && !s->idmap &&
	    fchownat(
		dir_fd, "", disk_id(s, 0), disk_gid(s, 0), AT_EMPTY_PATH) == -1)
		return err_sys(e, "give away the sandbox's directory");
	return 0;
}

int
trees_prepare_cow(struct setup *s, struct err *e)
{
	bool made = false;
	size_t i;

	for (i = 0; i < s->nmounts; i++) {
		if (s->mounts[i].mode != MOUNT_COW)
			continue;
		if (!made && dir_make(s->plan->dir_fd, "cow", 0755,
				 disk_id(s, 0), disk_gid(s, 0)) == -1)
			return err_sys(e, "make the sandbox's cow");
		made = true;
		if (cow_prepare(s, i, e) == -1)
			return -1;
	}
	return 0;
}

/* Open the source of M and make its tree. -1 with errno. */
static int
source_open(struct setup_mount *m, bool recursive)
{
	autofd int fd = -1;
	struct stat st;

	/* Canonical when it was validated: a link in it now was put there
	 * since, by somebody who is no friend. */
	fd = mounts_open_source(m->source, 0);
	if (fd == -1 || fstat(fd, &st) == -1)
		return -1;
	m->is_file = !S_ISDIR(st.st_mode);
	if (m->is_file && m->mode == MOUNT_COW) {
		errno = ENOTDIR;
		return -1;
	}
	m->uid = st.st_uid;
	m->gid = st.st_gid;
	m->tree_fd = mounts_clone(fd, "", recursive);
	return m->tree_fd == -1 ? -1 : 0;
}

static int
upper_open(struct setup *s, size_t i, int dir_fd)
{
	char name[48];

	(void)snprintf(name, sizeof(name), "cow/%zu/upper", i);
	s->mounts[i].upper_fd = mounts_clone(dir_fd, name, false);
	return s->mounts[i].upper_fd == -1 ? -1 : 0;
}

int
trees_open(struct setup *s, struct err *e)
{
	const struct host_private *hp = s->host->priv;
	const struct plan *p = s->plan;
	autofd int root_fd = -1;
	size_t i;

	root_fd = mounts_open_source(p->image ? p->image : "/", O_DIRECTORY);
	if (root_fd == -1 && errno == ENOENT)
		return err_set(
		    e, ERR_IMAGE_NOT_FOUND, "no image at %s", p->image);
	if (root_fd == -1)
		return err_sys(e, "open the image");
	/* without what is mounted below: /proc and the like are not part of
	 * an image, and overlayfs would not see the others */
	s->lower_fd = mounts_clone(root_fd, "", false);
	if (s->lower_fd == -1)
		return err_sys(e, "clone the image's mount");
	/* EINVAL: a kernel before 6.15, where the child makes them. */
	for (i = 0; i < HIDE_LAYERS_N && p->hide_fd != -1 && s->idmap; i++) {
		s->hide_fds[i] = mounts_clone(p->hide_fd, hide_names[i], false);
		if (s->hide_fds[i] == -1 && errno != EINVAL)
			return err_sys(e, "clone what hides the host");
	}
	if (hp->dev_fd != -1) {
		s->dev_fd = mounts_clone(hp->dev_fd, "", false);
		if (s->dev_fd == -1 && errno != EINVAL)
			return err_sys(e, "clone /dev");
	}
	s->dir_fd = p->dir_is_tree ? fcntl(p->dir_fd, F_DUPFD_CLOEXEC, 0)
				   : mounts_clone(p->dir_fd, "", false);
	if (s->dir_fd == -1)
		return err_sys(e, "clone the sandbox's directory's mount");
	for (i = 0; i < s->nmounts; i++) {
		struct setup_mount *m = &s->mounts[i];

		if (source_open(m, false) == -1 && !m->optional)
			return err_sys(e, "mount %s", m->source);
		if (m->mode == MOUNT_COW && upper_open(s, i, p->dir_fd) == -1)
			return p->dir_is_tree && errno == EINVAL
				   ? err_set(e, ERR_MOUNT_REFUSED,
					 "a cow mount together with a limit on "
					 "the disk needs Linux 6.15")
				   : err_sys(
					 e, "clone the layer of %s", m->target);
	}
	return 0;
}

int
trees_open_here(struct setup *s)
{
	const struct plan *p = s->plan;
	autofd int root_fd = -1, dir_fd = -1;
	size_t i;

	s->detail = UINT32_MAX; /* no mount in particular */
	if (p->image != NULL) {
		root_fd = mounts_open_source(p->image, O_DIRECTORY);
		if (root_fd == -1 ||
		    (s->lower_fd = mounts_clone(root_fd, "", false)) == -1)
			return -1;
	}
	dir_fd = mounts_open_source(s->dir_path, O_DIRECTORY);
	if (dir_fd == -1 || (s->dir_fd = mounts_clone(dir_fd, "", false)) == -1)
		return -1;
	for (i = 0; i < s->nmounts; i++) {
		struct setup_mount *m = &s->mounts[i];
		uint64_t attrs = ATTR_PLAIN;

		s->detail = (uint32_t)i;
		if (m->mode != MOUNT_RW)
			attrs |= MOUNT_ATTR_RDONLY;
		/* Recursive: the mounts below are locked to their parent. */
		if (source_open(m, true) == -1 ||
		    mounts_set(m->tree_fd, attrs, true) == -1) {
			if (m->optional)
				continue;
			return -1;
		}
		if (m->mode == MOUNT_COW &&
		    (upper_open(s, i, dir_fd) == -1 ||
			mounts_set(m->upper_fd, attrs, false) == -1))
			return -1;
	}
	s->detail = 0;
	return 0;
}

/* Set ATTRS and, where ids can be mapped, map them. */
static int
tree_map(const struct setup *s, int fd, int userns_fd, uint64_t attrs)
{
	if (!s->idmap)
		return mounts_set(fd, attrs, false);
	if (mounts_idmap(fd, userns_fd, attrs) == 0)
		return 0;
	/* A file system that cannot: its files are nobody's inside. Except
	 * where we would have to own them. */
	if (errno == EINVAL && fd != s->dir_fd)
		return mounts_set(fd, attrs, false);
	return -1;
}

static int
mount_map(struct setup *s, size_t i, int userns_fd, int *own_fds)
{
	struct setup_mount *m = &s->mounts[i];
	uint64_t attrs = ATTR_PLAIN;
	struct ns_map map;
	size_t k;

	if (m->mode != MOUNT_RW)
		attrs |= MOUNT_ATTR_RDONLY;
	if (!s->idmap || m->mode == MOUNT_RO ||
	    (m->mode == MOUNT_COW && m->uid == 0 && s->plan->uid == 0))
		return tree_map(s, m->tree_fd, userns_fd, attrs);
	for (k = 0; k < i; k++)
		if (own_fds[k] != -1 && s->mounts[k].uid == m->uid &&
		    s->mounts[k].gid == m->gid)
			return tree_map(s, m->tree_fd, own_fds[k], attrs);
	map.uid_inside = m->uid;
	map.uid_outside = s->plan->id_base + s->plan->uid;
	map.gid_inside = m->gid;
	map.gid_outside = s->plan->id_base + s->plan->gid;
	map.count = 1;
	own_fds[i] = ns_map_fd(&map);
	if (own_fds[i] == -1)
		return -1;
	return tree_map(s, m->tree_fd, own_fds[i], attrs);
}

int
trees_map(struct setup *s, int userns_fd, struct err *e)
{
	const uint64_t ro = ATTR_PLAIN | MOUNT_ATTR_RDONLY;
	struct host_private *hp = s->host->priv;
	int own_fds[SETUP_MOUNTS_MAX], r = 0;
	size_t i;

	if (tree_map(s, s->lower_fd, userns_fd, ro) == -1)
		return err_sys(e, "map the ids of the image");
	for (i = 0; i < HIDE_LAYERS_N; i++)
		if (s->hide_fds[i] != -1 &&
		    tree_map(s, s->hide_fds[i], userns_fd, ro) == -1)
			return err_sys(e, "map the ids of what hides the host");
	if (s->dev_fd != -1 &&
	    tree_map(s, s->dev_fd, userns_fd,
		(GUARD(dev_ro) ? MOUNT_ATTR_RDONLY : 0) | MOUNT_ATTR_NOSUID |
		    MOUNT_ATTR_NOEXEC) == -1)
		return err_sys(e, "map the ids of /dev");
	if (tree_map(s, s->dir_fd, userns_fd, ATTR_PLAIN) == -1) {
		/* A file system that cannot: sandbox_launch() tries again, and
		 * from now on without. */
		hp->dir_no_idmap = errno == EINVAL;
		return err_sys(e, "map the ids of the sandbox's directory");
	}
	for (i = 0; i < s->nmounts; i++)
		own_fds[i] = -1;
	for (i = 0; i < s->nmounts && r == 0; i++) {
		struct setup_mount *m = &s->mounts[i];

		if (m->tree_fd == -1) /* optional, and not there */
			continue;
		if (mount_map(s, i, userns_fd, own_fds) == -1 ||
		    (m->upper_fd != -1 &&
			tree_map(s, m->upper_fd, userns_fd, ro) == -1))
			r = err_sys(e, "map the ids of %s", m->source);
	}
	fd_close_all(own_fds, s->nmounts);
	return r;
}

void
trees_close(struct setup *s)
{
	size_t i;

	fd_close(&s->lower_fd);
	fd_close_all(s->hide_fds, HIDE_LAYERS_N);
	fd_close(&s->dev_fd);
	fd_close(&s->dir_fd);
	for (i = 0; i < s->nmounts; i++) {
		fd_close(&s->mounts[i].tree_fd);
		fd_close(&s->mounts[i].upper_fd);
	}
}
