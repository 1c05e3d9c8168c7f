/*
 * See beneath.h. Runs in the courier; the paths come from archives.
 *
 * Directories are opened part by part without following a link, so whatever an
 * archive has put there before, nothing is made elsewhere. For links the rule
 * is: a link's own directory is a true one, so its leading ".." lead where they
 * seem to, and what follows only goes down, perhaps through other links for
 * which the same holds.
 */
#include "courier/beneath.h"

#include "lib/defs.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PART_MAX 255

/* The next part of *AT, its length; 0 at the end. */
static size_t
next_part(const char **at)
{
	*at += strspn(*at, "/");
	return strcspn(*at, "/");
}

static bool
is_dots(const char *part, size_t n)
{
	return n == 2 && part[0] == '.' && part[1] == '.';
}

int
beneath_clean(char out[BENEATH_PATH_MAX], const char *in, unsigned strip)
{
	size_t n, len = 0;

	out[0] = '\0';
	if (in[0] == '/')
		return -1;
	for (const char *at = in; (n = next_part(&at)) > 0; at += n) {
		if (n > PART_MAX || is_dots(at, n))
			return -1;
		for (size_t i = 0; i < n; i++) {
			if ((unsigned char)at[i] < ' ' || at[i] == 0x7f)
				return -1;
		}
		if (n == 1 && at[0] == '.')
			continue;
		if (strip > 0) {
			strip--;
			continue;
		}
		if (len + n + 2 > BENEATH_PATH_MAX)
			return -1;
		if (len > 0)
			out[len++] = '/';
		memcpy(out + len, at, n);
		len += n;
		out[len] = '\0';
	}
	return 0;
}

bool
beneath_link_safe(const char *dir, const char *target)
{
	size_t depth = 0, n;
	bool down = false;

	if (target[0] == '\0' || target[0] == '/' ||
	    strlen(target) >= BENEATH_PATH_MAX)
		return false;
	for (const char *at = dir; (n = next_part(&at)) > 0; at += n)
		depth++;
	for (const char *at = target; (n = next_part(&at)) > 0; at += n) {
		if (!is_dots(at, n)) {
			down = down || n != 1 || at[0] != '.';
			continue;
		}
		if (down || depth == 0)
			return false;
		depth--;
	}
	return true;
}

int
beneath_dir(
    int root_fd, const char *path, bool make, int *fd_out, struct err *e)
{
	autofd int fd =
	    openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t n;

	if (fd == -1)
		return err_sys(e, "open a directory");
	for (const char *at = path; (n = next_part(&at)) > 0; at += n) {
		char part[PART_MAX + 1];
		int sub;

		if (str_format(part, sizeof(part), "%.*s", (int)n, at) == -1)
			return err_set(e, ERR_INSTALL_FAILED,
			    "%.200s: a name is too long", path);
		if (make && mkdirat(fd, part, 0755) == -1 && errno != EEXIST)
			return err_sys(e, "make directory %.200s", path);
		sub = openat(
		    fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub == -1)
			return err_sys(e, "open directory %.200s", path);
		fd_close(&fd);
		fd = sub;
	}
	*fd_out = fd_steal(&fd);
	return 0;
}

int
beneath_parent(int root_fd, const char *path, bool make, int *fd_out,
    const char **name_out, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[BENEATH_PATH_MAX];

	*name_out = slash == NULL ? path : slash + 1;
	if (str_format(dir, sizeof(dir), "%.*s",
		slash == NULL ? 0 : (int)(slash - path), path) == -1)
		return err_set(e, ERR_INSTALL_FAILED, "a path is too long");
	return beneath_dir(root_fd, dir, make, fd_out, e);
}

int
beneath_open(int root_fd, const char *path, int *fd_out, struct err *e)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	*fd_out = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	if (*fd_out == -1)
		return err_sys(e, "open %.200s", path);
	return 0;
}

int
beneath_write(
    int root_fd, const char *path, const char *text, mode_t mode, struct err *e)
{
	size_t len = strlen(text);
	const char *name;
	autofd int dir_fd = -1, fd = -1;

	if (beneath_parent(root_fd, path, true, &dir_fd, &name, e) == -1)
		return -1;
	if (unlinkat(dir_fd, name, 0) == -1 && errno != ENOENT)
		return err_sys(e, "replace %.200s", path);
	fd = openat(dir_fd, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd == -1 || fchmod(fd, mode) == -1 ||
	    write(fd, text, len) != (ssize_t)len)
		return err_sys(e, "write %.200s", path);
	return 0;
}

int
beneath_link(int root_fd, const char *path, const char *target, struct err *e)
{
	const char *name;
	autofd int dir_fd = -1;

	if (beneath_parent(root_fd, path, true, &dir_fd, &name, e) == -1)
		return -1;
	if (unlinkat(dir_fd, name, 0) == -1 && errno != ENOENT)
		return err_sys(e, "replace %.200s", path);
	if (symlinkat(target, dir_fd, name) == -1)
		return err_sys(e, "link %.200s", path);
	return 0;
}
