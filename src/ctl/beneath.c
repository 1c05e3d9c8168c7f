/*
 * Files below a directory and nowhere else; see beneath.h. Runs as the caller,
 * on paths that a sandbox chose.
 */
#include "ctl/beneath.h"
#include "lib/strutil.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

int
beneath_open(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	int tries;
	long fd = -1;

	/* EAGAIN: something was renamed on the way; look again. */
	for (tries = 0; tries < 16; tries++) {
		fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
		if (fd != -1 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

int
beneath_parent(int root_fd, const char *path, const char **name_out)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	*name_out = slash == NULL ? path : slash + 1;
	if (slash == NULL)
		return beneath_open(root_fd, ".", O_RDONLY | O_DIRECTORY);
	if (str_format(dir, sizeof(dir), "%.*s", (int)(slash - path), path) ==
	    -1) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return beneath_open(root_fd, dir, O_RDONLY | O_DIRECTORY);
}

int
beneath_stat(int root_fd, const char *path, struct stat *st_out)
{
	const char *name;
	autofd int fd = beneath_parent(root_fd, path, &name);

	if (fd != -1 && fstatat(fd, name, st_out, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -1;
}

int
beneath_readlink(int root_fd, const char *path, char *dst, size_t size)
{
	const char *name;
	autofd int fd = beneath_parent(root_fd, path, &name);
	ssize_t n;

	if (fd == -1)
		return -1;
	n = readlinkat(fd, name, dst, size - 1);
	if (n == -1)
		return -1;
	dst[n] = '\0';
	return 0;
}

/* --- trees --------------------------------------------------------------- */

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

struct walk {
	beneath_fn *fn;
	void *ctx;
	char path[PATH_MAX];
};

/* Takes FD over. */
static int
walk_dir(struct walk *w, int fd, unsigned depth, struct err *e)
{
	size_t len = strlen(w->path);
	struct dirent *de;
	int r = 0;
	DIR *dir;

	dir = fdopendir(fd);
	if (dir == NULL) {
		(void)err_sys(e, "read %s", w->path);
		(void)close(fd);
		return -1;
	}
	while (r == 0 && (de = readdir(dir)) != NULL) {
		struct stat st;
		int child;

		if (is_dots(de->d_name))
			continue;
		w->path[len] = '\0';
		if (str_format(w->path + len, sizeof(w->path) - len, "/%s",
			de->d_name) == -1) {
			w->path[len] = '\0';
			r = err_set(
			    e, ERR_SYSTEM, "%s: a path is too long", w->path);
			break;
		}
		if (fstatat(dirfd(dir), de->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
		    -1)
			continue; /* gone meanwhile */
		r = w->fn(w->path, &st, w->ctx);
		if (r != 0 || !S_ISDIR(st.st_mode))
			continue;
		if (depth == 0) {
			r = err_set(e, ERR_SYSTEM, "%s is too deep", w->path);
			break;
		}
		child = openat(dirfd(dir), de->d_name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child == -1)
			r = err_sys(e, "open %s", w->path);
		else
			r = walk_dir(w, child, depth - 1, e);
	}
	w->path[len] = '\0';
	(void)closedir(dir);
	return r;
}

int
beneath_walk(
    int root_fd, const char *path, beneath_fn *fn, void *ctx, struct err *e)
{
	struct walk w = { .fn = fn, .ctx = ctx };
	int fd = beneath_open(root_fd, path, O_RDONLY | O_DIRECTORY);

	if (fd == -1)
		return err_sys(e, "open %s", path);
	if (str_copy(w.path, sizeof(w.path), path) == -1) {
		(void)close(fd);
		return err_set(e, ERR_SYSTEM, "a path is too long");
	}
	return walk_dir(&w, fd, BENEATH_DEPTH, e);
}

static int
remove_dir(int parent_fd, const char *name, unsigned depth, struct err *e)
{
	struct dirent *de;
	DIR *dir;
	int r = 0;
	int fd;

	if (depth == 0)
		return err_set(e, ERR_SYSTEM, "%s is too deep", name);
	fd = openat(
	    parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return err_sys(e, "open %s", name);
	dir = fdopendir(fd);
	if (dir == NULL) {
		(void)err_sys(e, "read %s", name);
		(void)close(fd);
		return -1;
	}
	while (r == 0 && (de = readdir(dir)) != NULL) {
		if (is_dots(de->d_name) ||
		    unlinkat(dirfd(dir), de->d_name, 0) == 0)
			continue;
		if (errno == EISDIR)
			r = remove_dir(dirfd(dir), de->d_name, depth - 1, e);
		else if (errno != ENOENT)
			r = err_sys(e, "remove %s", de->d_name);
	}
	(void)closedir(dir);
	if (r == 0 && unlinkat(parent_fd, name, AT_REMOVEDIR) == -1)
		r = err_sys(e, "remove %s", name);
	return r;
}

int
beneath_remove(int parent_fd, const char *name, struct err *e)
{
	if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return err_sys(e, "remove %s", name);
	return remove_dir(parent_fd, name, BENEATH_DEPTH, e);
}
