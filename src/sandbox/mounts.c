/*
 * Mount mechanics; see mounts.h. Runs in the supervisor (making and mapping
 * trees) and in the child (assembling the root). Trusts the host's own
 * directories; trusts nothing in an image.
 */
#include "sandbox/mounts.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

/* Dangling links followed while making a target's parts. */
#define TARGET_LINKS_MAX 8
#define OPEN_TRIES 10000

static int
open2(int dir_fd, const char *path, int flags, uint64_t resolve)
{
	struct open_how how;
	int fd = -1, tries;

	memset(&how, 0, sizeof(how));
	how.flags = (unsigned)(flags | O_CLOEXEC);
	how.resolve = resolve;
	/* EAGAIN: something was renamed or mounted, anywhere on the machine,
	 * while ".." was looked up, and the kernel cannot vouch for it. */
	for (tries = 0; tries < OPEN_TRIES; tries++) {
		fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
		if (fd != -1 || errno != EAGAIN)
			break;
	}
	return fd;
}

/* close() that leaves errno to the call that failed before it. */
static void
close_quietly(int fd)
{
	int err = errno;

	if (fd != -1)
		(void)close(fd);
	errno = err;
}

int
mounts_new(const char *type, const struct mount_opt *opts, size_t nopts,
    uint64_t attrs)
{
	int fs_fd, fd = -1, r = 0;
	size_t i;

	fs_fd = fsopen(type, FSOPEN_CLOEXEC);
	if (fs_fd == -1)
		return -1;
	for (i = 0; i < nopts && r == 0; i++)
		r = fsconfig(fs_fd,
		    opts[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
		    opts[i].key, opts[i].value, 0);
	if (r == 0 && fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, (unsigned)attrs);
	close_quietly(fs_fd);
	return fd;
}

int
mounts_clone(int dir_fd, const char *name, bool recursive)
{
	unsigned flags =
	    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW;

	if (recursive)
		flags |= AT_RECURSIVE;
	if (*name == '\0')
		flags |= AT_EMPTY_PATH;
	return open_tree(dir_fd, name, flags);
}

static int
set_attr(int fd, uint64_t attrs, int userns_fd, bool recursive)
{
	struct mount_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.attr_set = attrs;
	if (userns_fd != -1) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (unsigned)userns_fd;
	}
	return mount_setattr(fd, "",
	    AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
	    sizeof(attr));
}

int
mounts_set(int fd, uint64_t attrs, bool recursive)
{
	return set_attr(fd, attrs, -1, recursive);
}

int
mounts_idmap(int fd, int userns_fd, uint64_t attrs)
{
	return set_attr(fd, attrs, userns_fd, false);
}

int
mounts_attach(int fd, int dir_fd, const char *name)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH;

	if (*name == '\0')
		flags |= MOVE_MOUNT_T_EMPTY_PATH;
	if (!GUARD(no_links))
		flags |= MOVE_MOUNT_T_SYMLINKS;
	return move_mount(fd, "", dir_fd, name, flags);
}

int
mounts_open_source(const char *path, int flags)
{
	return open2(AT_FDCWD, path, O_PATH | flags, RESOLVE_NO_SYMLINKS);
}

int
mounts_root_dir(int root_fd, const char *name)
{
	if (mkdirat(root_fd, name, 0755) == -1 && errno != EEXIST)
		return -1;
	return open2(root_fd, name, O_PATH | O_DIRECTORY,
	    GUARD(plain_dirs)
		? RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH
		: 0);
}

/* Make NAME, which was not there a moment ago. EEXIST: a dangling link. */
static int
part_make(int dir_fd, const char *name, bool as_file)
{
	int fd;

	if (!as_file)
		return mkdirat(dir_fd, name, 0755);
	fd = openat(dir_fd, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1)
		return -1;
	return close(fd);
}

/* PATH := what the dangling link at PATH[0..end) means, then the rest of PATH.
 * start: where its last part begins. */
static int
link_splice(int dir_fd, char path[PATH_MAX], size_t start, size_t end)
{
	char name[NAME_MAX + 1], link[PATH_MAX], out[PATH_MAX];
	ssize_t n;

	memcpy(name, path + start, end - start);
	name[end - start] = '\0';
	n = readlinkat(dir_fd, name, link, sizeof(link) - 1);
	if (n == -1)
		return -1;
	link[n] = '\0';
	if (str_format(out, sizeof(out), "%.*s%s%s",
		link[0] == '/' ? 0 : (int)start, path, link,
		path + end) == -1) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(path, out, strlen(out) + 1);
	return 0;
}

/*
 * Walk PATH part by part, making what is missing. Each look-up starts at
 * ROOT_FD with RESOLVE_IN_ROOT, so that neither "..", nor an absolute link,
 * nor a link changed meanwhile by whoever else can write to a mount leads
 * outside. 0 with *FD_OUT, 1 to walk again (PATH has changed), -1.
 */
static int
target_walk(int root_fd, char path[PATH_MAX], bool is_file, int *fd_out)
{
	autofd int dir_fd = open2(root_fd, ".", O_PATH | O_DIRECTORY, 0);
	size_t start = 0, end;
	bool last;
	char cut, name[NAME_MAX + 1];
	int fd;

	if (dir_fd == -1)
		return -1;
	for (;;) {
		start += strspn(path + start, "/");
		end = start + strcspn(path + start, "/");
		last = path[end + strspn(path + end, "/")] == '\0';
		if (end == start || end - start > NAME_MAX) {
			errno = end == start ? EINVAL : ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path + start, end - start);
		name[end - start] = '\0';
		cut = path[end];
		path[end] = '\0';
		fd = open2(root_fd,
		    GUARD(in_root) ? path : path + strspn(path, "/"),
		    O_PATH | (last ? 0 : O_DIRECTORY),
		    GUARD(in_root) ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
				   : 0);
		path[end] = cut;
		if (fd == -1 && errno == ENOENT) {
			if (part_make(dir_fd, name, last && is_file) == 0)
				continue; /* now it opens */
			if (errno != EEXIST ||
			    link_splice(dir_fd, path, start, end) == -1)
				return -1;
			return 1;
		}
		if (fd == -1)
			return -1;
		(void)close(dir_fd);
		dir_fd = fd;
		if (last)
			break;
		start = end;
	}
	*fd_out = fd_steal(&dir_fd);
	return 0;
}

int
mounts_target(int root_fd, const char *target, bool is_file)
{
	char path[PATH_MAX];
	struct stat st, root;
	int fd = -1, r = 1, tries;

	if (str_copy(path, sizeof(path), target) == -1) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (tries = 0; tries <= TARGET_LINKS_MAX && r == 1; tries++)
		r = target_walk(root_fd, path, is_file, &fd);
	if (r == 1)
		errno = ELOOP;
	if (r != 0)
		return -1;
	if (fstat(fd, &st) == -1 || fstat(root_fd, &root) == -1)
		goto fail;
	/* A link may name the root itself. */
	if (st.st_dev == root.st_dev && st.st_ino == root.st_ino) {
		errno = EINVAL;
		goto fail;
	}
	if (S_ISDIR(st.st_mode) == is_file) {
		errno = is_file ? EISDIR : ENOTDIR;
		goto fail;
	}
	return fd;
fail:
	close_quietly(fd);
	return -1;
}
