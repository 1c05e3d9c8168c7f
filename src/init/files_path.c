/*
 * Paths, and what is said about what they lead to. Runs in the file server, as
 * the sandbox's user.
 */
#include "init/files_priv.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define LINKS_MAX 40 /* as many as the kernel follows */

int
files_oserr(struct err *e)
{
	int number = errno;
	/* Clients of the API know this one by another name than libc's. */
	const char *text = number == EIO ? "I/O error" : strerror(number);

	(void)err_set(e,
	    number == ENOSPC || number == EDQUOT ? ERR_DISK_FULL : ERR_SYSTEM,
	    "%s (os error %d)", text, number);
	if (e != NULL)
		e->sys = number;
	errno = number;
	return -1;
}

int
files_patherr(struct err *e, const char *path)
{
	if (errno == ENOENT)
		return err_set(e, ERR_BAD_REQUEST, "path not found: %s", path);
	return files_oserr(e);
}

/*
 * Resolving
 */

/* The parts of PATH behind what is in OUT already, each with a slash before
 * it. */
static int
parts_add(char out[FILES_PATH_MAX], const char *path, struct err *e)
{
	size_t at = strlen(out), n;
	const char *p = path;

	while (at > 0 && out[at - 1] == '/')
		out[--at] = '\0';
	for (; *p != '\0'; p += n) {
		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.'))
			continue;
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return err_set(e, ERR_BAD_REQUEST,
			    "invalid relative path: %s", path);
		if (at + n + 2 > FILES_PATH_MAX) {
			errno = ENAMETOOLONG;
			return files_oserr(e);
		}
		out[at++] = '/';
		memcpy(out + at, p, n);
		at += n;
		out[at] = '\0';
	}
	return 0;
}

int
files_resolve(const struct files *fs, const char *path,
    char out[FILES_PATH_MAX], struct err *e)
{
	size_t n;

	if (path[0] == '/') {
		if (str_copy(out, FILES_PATH_MAX, path) == -1) {
			errno = ENAMETOOLONG;
			return files_oserr(e);
		}
		return 0;
	}
	if (str_copy(out, FILES_PATH_MAX, fs->home) == -1 ||
	    parts_add(out, path, e) == -1)
		return -1;
	/* Of a path without parts the home remains, as a directory. */
	n = strlen(out);
	if (n == 0 || strspn(path, "./") == strlen(path)) {
		if (n == 0 || out[n - 1] != '/')
			(void)!str_copy(out + n, FILES_PATH_MAX - n, "/");
	}
	return 0;
}

void
files_parent(const char *path, char dir[FILES_PATH_MAX])
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	memmove(dir, path, n); /* they may be the same */
	dir[n] = '\0';
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* mkdir of what may be there already; ENOENT when what is above is missing. */
static int
mkdir_one(const char *path)
{
	int number;

	if (mkdir(path, 0777) == 0)
		return 0;
	number = errno;
	if (number != ENOENT && is_dir(path))
		return 0;
	errno = number;
	return -1;
}

/* Mostly all or all but the last are there; else from the top down. */
int
files_mkdirs(const char *path, struct err *e)
{
	char dir[FILES_PATH_MAX];
	size_t at, n = strlen(path);

	if (mkdir_one(path) == 0)
		return 0;
	if (errno != ENOENT)
		return files_oserr(e);
	memcpy(dir, path, n + 1);
	for (at = 1; at <= n; at++) {
		if (dir[at] != '/' && dir[at] != '\0')
			continue;
		dir[at] = '\0';
		if (mkdir_one(dir) == -1)
			return files_patherr(e, path);
		dir[at] = path[at];
	}
	return 0;
}

/*
 * Where writing ends up
 */

static int
split(const char *path, char dir[FILES_PATH_MAX], char name[NAME_MAX + 1],
    struct err *e)
{
	const char *slash = strrchr(path, '/');
	const char *last = slash == NULL ? path : slash + 1;

	if (last[0] == '\0' || strcmp(last, ".") == 0 ||
	    strcmp(last, "..") == 0) {
		errno = EISDIR;
		return files_oserr(e);
	}
	if (str_copy(name, NAME_MAX + 1, last) == -1) {
		errno = ENAMETOOLONG;
		return files_oserr(e);
	}
	if (slash == NULL)
		return str_copy(dir, FILES_PATH_MAX, ".");
	memcpy(dir, path, (size_t)(last - path));
	dir[last - path] = '\0';
	return 0;
}

int
files_target(
    const char *path, int *dir_out, char name[NAME_MAX + 1], struct err *e)
{
	char dir[FILES_PATH_MAX], link[FILES_PATH_MAX];
	autofd int dir_fd = -1;
	int links, next_fd;
	ssize_t n;

	if (str_copy(link, sizeof(link), path) == -1)
		return err_set(e, ERR_INTERNAL, "path");
	for (links = 0; links < LINKS_MAX; links++) {
		if (split(link, dir, name, e) == -1)
			return -1;
		next_fd = openat(dir_fd == -1 ? AT_FDCWD : dir_fd, dir,
		    O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next_fd == -1)
			return files_patherr(e, dir);
		fd_close(&dir_fd);
		dir_fd = next_fd;
		n = readlinkat(dir_fd, name, link, sizeof(link) - 1);
		if (n == -1) { /* no link, or nothing at all */
			*dir_out = fd_steal(&dir_fd);
			return 0;
		}
		link[n] = '\0';
	}
	errno = ELOOP;
	return files_oserr(e);
}

/*
 * Telling
 */

void
files_etag(const struct stat *st, char etag[FILES_ETAG_MAX])
{
	(void)snprintf(etag, FILES_ETAG_MAX, "\"%llx-%llx-%llx%08lx\"",
	    (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
	    (unsigned long long)st->st_mtim.tv_sec,
	    (unsigned long)st->st_mtim.tv_nsec);
}

void
files_entry(struct jw *w, const char *path, const struct stat *st)
{
	char text[TIME_TEXT_MAX + 8];
	size_t n;

	n = time_format(text, st->st_mtim.tv_sec, st->st_mtim.tv_nsec, 9);
	/* It ends in a Z; clients know the other form. */
	memcpy(text + n - 1, "+00:00", 7);
	jw_key(w, "path");
	jw_strn(w, path, strlen(path));
	jw_kstr(w, "entryType", S_ISDIR(st->st_mode) ? "directory" : "file");
	jw_kint(w, "size", st->st_size);
	jw_kstr(w, "modified", text);
}

static const char *
kind_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "character";
	case S_IFBLK:
		return "block";
	default:
		return "unknown";
	}
}

void
files_entry_more(struct jw *w, const struct stat *st, const char *target)
{
	char etag[FILES_ETAG_MAX];

	files_etag(st, etag);
	jw_kstr(w, "etag", etag);
	jw_kint(w, "mtime", st->st_mtim.tv_sec);
	jw_kstr(w, "kind", kind_name(st->st_mode));
	jw_kint(w, "mode", st->st_mode & 07777);
	jw_kint(w, "uid", st->st_uid);
	jw_kint(w, "gid", st->st_gid);
	jw_kint(w, "links", (int64_t)st->st_nlink);
	if (target != NULL) {
		jw_key(w, "target");
		jw_strn(w, target, strlen(target));
	}
}
