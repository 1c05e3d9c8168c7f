/*
 * Copying a tree; see files_copy.h. Runs in a child of the file server, on
 * files that others may change meanwhile: every name is opened from the
 * directory that holds it and never through a link.
 */
#include "init/files_copy.h"
#include "init/files_priv.h"
#include "lib/fdio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define COPY_DEPTH 200 /* each level holds three descriptors */
#define COPY_BYTES (1u << 20)

struct place {
	int fd;
	const char *name;
};

static int
attributes_copy(int to_fd, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	/* Whom it belongs to only root may say. */
	(void)!fchown(to_fd, st->st_uid, st->st_gid);
	return fchmod(to_fd, st->st_mode & 07777) == -1 ||
		       futimens(to_fd, times) == -1
		   ? -1
		   : 0;
}

static int
bytes_copy(int in_fd, int out_fd)
{
	static char buf[65536];
	ssize_t n;

	/* The kernel may be able to do it by itself. */
	while (
	    (n = copy_file_range(in_fd, NULL, out_fd, NULL, COPY_BYTES, 0)) > 0)
		;
	if (n == 0 || (errno != EXDEV && errno != EINVAL && errno != ENOSYS &&
			  errno != EOPNOTSUPP))
		return (int)n;
	while ((n = read(in_fd, buf, sizeof(buf))) > 0)
		if (fd_write_all(out_fd, buf, (size_t)n) == -1)
			return -1;
	return (int)n;
}

static int
file_copy(struct place from, struct place to, const struct stat *st)
{
	autofd int in_fd = openat(from.fd, from.name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	autofd int out_fd = -1;

	if (in_fd == -1)
		return -1;
	out_fd = openat(to.fd, to.name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out_fd == -1 || bytes_copy(in_fd, out_fd) == -1)
		return -1;
	return attributes_copy(out_fd, st);
}

static int
link_copy(struct place from, struct place to, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	char target[PATH_MAX];
	ssize_t n = readlinkat(from.fd, from.name, target, sizeof(target) - 1);

	if (n == -1)
		return -1;
	target[n] = '\0';
	if (symlinkat(target, to.fd, to.name) == -1)
		return -1;
	(void)!fchownat(
	    to.fd, to.name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
	(void)utimensat(to.fd, to.name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int copy(struct place from, struct place to, unsigned depth);

static int
dir_copy(
    struct place from, struct place to, const struct stat *st, unsigned depth)
{
	int fd = openat(from.fd, from.name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *d;
	int to_fd = -1, r = -1, number;

	if (dir == NULL)
		goto out;
	if (depth >= COPY_DEPTH) {
		errno = ELOOP;
		goto out;
	}
	if (mkdirat(to.fd, to.name, 0700) == -1)
		goto out;
	to_fd = openat(
	    to.fd, to.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to_fd == -1)
		goto out;
	while (errno = 0, (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (copy((struct place){ dirfd(dir), d->d_name },
			(struct place){ to_fd, d->d_name }, depth + 1) == -1)
			goto out;
	}
	r = errno != 0 ? -1 : attributes_copy(to_fd, st);
out:
	number = errno;
	if (dir != NULL)
		(void)closedir(dir);
	else
		fd_close(&fd);
	fd_close(&to_fd);
	errno = number;
	return r;
}

static int
copy(struct place from, struct place to, unsigned depth)
{
	struct stat st;

	if (fstatat(from.fd, from.name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return -1;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return file_copy(from, to, &st);
	case S_IFDIR:
		return dir_copy(from, to, &st, depth);
	case S_IFLNK:
		return link_copy(from, to, &st);
	case S_IFIFO:
		return mkfifoat(to.fd, to.name, st.st_mode & 07777);
	case S_IFSOCK: /* useless without the process that listens */
		return 0;
	default:
		errno = EPERM;
		return -1;
	}
}

int
files_copy_tree(
    int from_fd, const char *from, int to_fd, const char *to, struct err *e)
{
	if (copy((struct place){ from_fd, from }, (struct place){ to_fd, to },
		0) == -1)
		return files_oserr(e);
	return 0;
}
