/*
 * Where the entries of an archive go: names are checked, directories opened
 * below the destination and nowhere else. See untar.c for who runs this.
 */
#include "strutil.h"
#include "untar_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH_MAX 256

int
untar_fail(struct untar *u, struct err *e)
{
	u->refused = true;
	if (u->o.oserr != NULL)
		return u->o.oserr(e);
	return err_sys(e, "%s", u->path[0] != '\0' ? u->path : ".");
}

int
untar_refuse(struct untar *u, struct err *e, const char *what, const char *path)
{
	u->refused = true;
	return err_set(e, ERR_BAD_REQUEST, "%s: %s", what, path);
}

/*
 * Names
 */

/* PATH without "." and doubled slashes. Empty for the destination itself. */
int
untar_clean(struct untar *u, const char *path, char out[TAR_NAME_MAX + 1],
    struct err *e)
{
	unsigned depth = 0;
	size_t at = 0, n;
	const char *p;

	if (path[0] == '/')
		return untar_refuse(u, e, "invalid relative path", path);
	for (p = path; *p != '\0'; p += n) {
		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.'))
			continue;
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return untar_refuse(
			    u, e, "invalid relative path", path);
		if (n > NAME_MAX || ++depth > DEPTH_MAX) {
			errno = ENAMETOOLONG;
			return untar_fail(u, e);
		}
		if (at > 0)
			out[at++] = '/';
		memcpy(out + at, p, n); /* never longer than PATH */
		at += n;
	}
	out[at] = '\0';
	return 0;
}

int
untar_named(struct untar *u, const char *path, char out[TAR_NAME_MAX + 1],
    struct err *e)
{
	const struct untar_opts *o = &u->o;
	char part[TAR_NAME_MAX + 1];
	size_t i, n, m;

	if (untar_clean(u, path, part, e) == -1)
		return -1;
	n = strcspn(part, "/");
	for (i = 0; o->tops != NULL && i < o->ntops && n > 0; i++)
		if (strlen(o->tops[i]) == n && memcmp(o->tops[i], part, n) == 0)
			break;
	if (o->tops != NULL && n > 0 && i == o->ntops)
		return untar_refuse(u, e, "not asked for", path);
	m = o->top == NULL ? n : strlen(o->top);
	if (m - n + strlen(part) > TAR_NAME_MAX) {
		errno = ENAMETOOLONG;
		return untar_fail(u, e);
	}
	memcpy(out, o->top == NULL || n == 0 ? part : o->top, n == 0 ? 0 : m);
	memmove(out + (n == 0 ? 0 : m), part + n, strlen(part + n) + 1);
	return 0;
}

/* Part by part and never through a link, not even one that stays inside: where
 * the sandbox's filter does not let openat2 through. */
static int
open_by_parts(const struct untar *u, const char *path, int flags)
{
	int fd = fcntl(u->o.base_fd, F_DUPFD_CLOEXEC, 3), next, number;
	char part[NAME_MAX + 1];
	struct stat st;
	size_t n;

	for (; fd != -1 && *path != '\0'; path += n, path += *path == '/') {
		n = strcspn(path, "/");
		if (n > NAME_MAX) { /* not from clean() */
			(void)close(fd);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, path, n);
		part[n] = '\0';
		next = openat(fd, part,
		    (path[n] == '\0' ? flags : O_PATH | O_DIRECTORY) |
			O_NOFOLLOW | O_CLOEXEC);
		number = errno;
		if (next == -1 &&
		    fstatat(fd, part, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISLNK(st.st_mode))
			number = ELOOP;
		(void)close(fd);
		errno = number;
		fd = next;
	}
	return fd;
}

int
untar_open(const struct untar *u, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS |
			   (u->o.no_links ? RESOLVE_NO_SYMLINKS : 0),
	};
	long fd = -1;
	int tries;

	/* EAGAIN: something was renamed on the way; look again. */
	for (tries = 0; tries < OPEN_TRIES; tries++) {
		fd =
		    syscall(SYS_openat2, u->o.base_fd, path, &how, sizeof(how));
		if (fd != -1 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd == -1 && errno == ENOSYS)
		return open_by_parts(u, path, flags);
	return (int)fd;
}

/* Make DIR and what is above it, each from the one before. */
static int
parents_make(struct untar *u, const char *dir, struct err *e)
{
	char part[TAR_NAME_MAX + 1];
	size_t at, n = strlen(dir), from = 0;
	int fd = u->o.base_fd, next;

	memcpy(part, dir, n + 1);
	for (at = 1; at <= n; at++) {
		if (part[at] != '/' && part[at] != '\0')
			continue;
		part[at] = '\0';
		if (mkdirat(fd, part + from, 0777) == -1 && errno != EEXIST)
			next = -1;
		else
			next = untar_open(u, part, O_PATH | O_DIRECTORY);
		if (fd != u->o.base_fd)
			(void)close(fd);
		if (next == -1 && (errno == EXDEV || errno == ELOOP))
			return untar_refuse(
			    u, e, "a link leads out of the destination", part);
		if (next == -1)
			return untar_fail(u, e);
		fd = next;
		part[at] = dir[at];
		from = at + 1;
	}
	if (fd == u->o.base_fd)
		fd = fcntl(u->o.base_fd, F_DUPFD_CLOEXEC, 3);
	return fd;
}

/* The directory of clean PATH, and PATH's last part. */
int
untar_parent(
    struct untar *u, const char *path, const char **name_out, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[TAR_NAME_MAX + 1] = ".";
	int fd;

	*name_out = slash == NULL ? path : slash + 1;
	if (slash != NULL) {
		memcpy(dir, path, (size_t)(slash - path));
		dir[slash - path] = '\0';
	}
	fd = untar_open(u, dir, O_PATH | O_DIRECTORY);
	if (fd == -1 && (errno == EXDEV || errno == ELOOP))
		return untar_refuse(
		    u, e, "a link leads out of the destination", path);
	if (fd == -1 && errno == ENOENT && slash != NULL)
		return parents_make(u, dir, e);
	return fd == -1 ? untar_fail(u, e) : fd;
}

/* dir_fd and name of the entry. Files come one behind the other from the same
 * directory, so that is kept; it is inside, whatever has become of its path. */
int
untar_place(struct untar *u, struct err *e)
{
	const char *slash = strrchr(u->path, '/'), *name;
	size_t n = slash == NULL ? 0 : (size_t)(slash - u->path);

	if (u->dir_fd == -1 || strlen(u->dir) != n ||
	    memcmp(u->dir, u->path, n) != 0) {
		fd_close(&u->dir_fd);
		u->dir_fd = untar_parent(u, u->path, &name, e);
		if (u->dir_fd == -1)
			return -1;
		memcpy(u->dir, u->path, n);
		u->dir[n] = '\0';
	}
	name = slash == NULL ? u->path : slash + 1;
	(void)!str_copy(
	    u->name, sizeof(u->name), name); /* checked by clean() */
	return 0;
}
