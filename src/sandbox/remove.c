/*
 * Removing trees; see remove.h. Runs in the supervisor as root on what a
 * sandbox has written, maybe while somebody still writes there.
 *
 * There is no recursion and no "..": a directory below the top's children that
 * is not empty is moved up to become one of them, under a number. So two
 * descriptors do for any depth, no path grows, and nobody can lead the walk
 * elsewhere by moving a directory under its feet.
 */
#include "sandbox/remove.h"
#include "lib/strutil.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MOVED_NAME_MAX 32
#define MOVE_TRIES 1000 /* the sandbox may have used our numbers as names */

struct removal {
	int top_fd;
	uint64_t next; /* number for the next directory moved up */
	int64_t *budget;
	bool spent; /* the budget */
};

/* A real directory, in the same file system. */
static int
dir_open(int dir_fd, const char *name)
{
	struct open_how how;
	int fd;

	memset(&how, 0, sizeof(how));
	how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
	fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
	/* Inside some sandboxes there is no such call. NAME is one part, so
	 * only a mount could still lead elsewhere, and who could make one there
	 * need not: rmdir() has refused it before this. */
	if (fd == -1 && errno == ENOSYS)
		fd = openat(dir_fd, name, (int)how.flags);
	return fd;
}

/* Without root's rights a directory of mode 0 (overlayfs leaves one) must be
 * opened up first. */
static int
dir_open_up(int dir_fd, const char *name)
{
	int fd = dir_open(dir_fd, name);

	if (fd != -1 || errno != EACCES)
		return fd;
	if (fchmodat(dir_fd, name, 0700, AT_SYMLINK_NOFOLLOW) == -1 &&
	    fchmodat(dir_fd, name, 0700, 0) == -1) {
		errno = EACCES;
		return -1;
	}
	return dir_open(dir_fd, name);
}

static int
move_up(struct removal *r, int dir_fd, const char *name)
{
	char number[MOVED_NAME_MAX];
	int tries;

	for (tries = 0; tries < MOVE_TRIES; tries++) {
		(void)snprintf(number, sizeof(number), "%llu",
		    (unsigned long long)r->next++);
		if (renameat2(
			dir_fd, name, r->top_fd, number, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

typedef int dir_action(struct removal *r, int dir_fd, const char *name);

/* Remove what DIR_FD holds; FULL is what to do with a directory that is not
 * empty. *SEEN_OUT counts what was there. */
static int
drain(struct removal *r, int dir_fd, dir_action *full, size_t *seen_out)
{
	char buf[8192] __attribute__((aligned(8)));
	const struct dirent64 *ent;
	ssize_t n, at;
	int done;

	while ((n = getdents64(dir_fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n; at += ent->d_reclen) {
			ent = (const struct dirent64 *)(const void *)(buf + at);
			if (strcmp(ent->d_name, ".") == 0 ||
			    strcmp(ent->d_name, "..") == 0)
				continue;
			if (*r->budget <= 0) {
				r->spent = true;
				return 0;
			}
			(*r->budget)--;
			(*seen_out)++;
			done = unlinkat(dir_fd, ent->d_name, 0);
			if (done == -1 && (errno == EISDIR || errno == EPERM))
				done =
				    unlinkat(dir_fd, ent->d_name, AT_REMOVEDIR);
			if (done == -1 &&
			    (errno == ENOTEMPTY || errno == EEXIST))
				done = full(r, dir_fd, ent->d_name);
			if (done == -1 && errno != ENOENT)
				return -1;
			if (r->spent)
				return 0;
		}
	}
	return n == 0 ? 0 : -1;
}

/* A child of the top: empty it, moving up what is deeper. */
static int
drain_child(struct removal *r, int dir_fd, const char *name)
{
	autofd int fd = dir_open_up(dir_fd, name);
	size_t seen = 0;

	if (fd == -1 || drain(r, fd, move_up, &seen) == -1)
		return -1;
	if (r->spent || unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
		return 0;
	/* Somebody is still writing: the next pass over the top sees it. */
	return errno == ENOTEMPTY || errno == EEXIST ? 0 : -1;
}

int
tree_remove(int dir_fd, const char *name, int64_t *budget, struct err *e)
{
	struct removal r = { -1, 0, budget, false };
	autofd int top_fd = -1;
	size_t seen;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(e, "remove %s", name);
	top_fd = dir_open_up(dir_fd, name);
	if (top_fd == -1)
		return errno == ENOENT ? 0 : err_sys(e, "open %s", name);
	r.top_fd = top_fd;
	do {
		seen = 0;
		if (lseek(top_fd, 0, SEEK_SET) == -1 ||
		    drain(&r, top_fd, drain_child, &seen) == -1)
			return err_sys(e, "remove what is in %s", name);
		if (r.spent)
			return 1;
	} while (seen > 0);
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == -1 && errno != ENOENT)
		return err_sys(e, "remove %s", name);
	return 0;
}
