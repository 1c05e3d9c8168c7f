/*
 * What a copy-on-write mount has changed; see changes.h. Runs in the sandbox's
 * init, confined like everything there, on the overlay's upper layer as a
 * read-only mount shows it. Names, contents and depth are the sandbox's doing:
 * none is trusted to be sane, all are bounded. Every name is opened from the
 * directory that holds it, one part at a time and never through a link.
 *
 * The sandbox may be writing meanwhile. A file that shrinks while it is copied
 * is filled up with zeros, since its size has been told already; one that
 * grows is cut there.
 */
#include "sandbox/changes.h"
#include "lib/buf.h"
#include "lib/fdio.h"
#include "lib/json.h"
#include "lib/strutil.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define DEPTH_MAX 128 /* each level holds a descriptor */
#define LINE_MAX_BYTES (8 * PATH_MAX)
#define COPY_BYTES 65536
#define MODE_BITS 0777 /* set-id and sticky bits do not leave the sandbox */

struct walk {
	int out_fd;
	dev_t dev;
	int64_t entries;
	struct buf line;
	struct jw w;
	char path[PATH_MAX]; /* of the present entry, relative */
	char copy[COPY_BYTES];
	struct err *e;
};

static void
entry_begin(struct walk *k, const char *type)
{
	buf_clear(&k->line);
	jw_init(&k->w, &k->line);
	jw_object(&k->w);
	jw_kstr(&k->w, "type", type);
	jw_key(&k->w, "path");
	jw_strn(&k->w, k->path, strlen(k->path));
}

static int
entry_end(struct walk *k)
{
	jw_object_end(&k->w);
	if (buf_addc(&k->line, '\n') == -1 || k->line.failed)
		return err_set(k->e, ERR_INTERNAL, "line of changes too long");
	if (fd_write_all(k->out_fd, k->line.data, k->line.len) == -1)
		return err_sys(k->e, "write changes");
	k->entries++;
	return 0;
}

static int
entry_mode(struct walk *k, const char *type, mode_t mode)
{
	entry_begin(k, type);
	jw_kint(&k->w, "mode", mode & MODE_BITS);
	return entry_end(k);
}

static int
entry_error(struct walk *k, const char *detail)
{
	entry_begin(k, "error");
	jw_kstr(&k->w, "detail", detail);
	return entry_end(k);
}

static int
entry_errno(struct walk *k)
{
	return entry_error(k, strerror(errno));
}

/* SIZE bytes of FD, or zeros for what is missing. */
static int
content_write(struct walk *k, int fd, int64_t size)
{
	ssize_t n;

	while (size > 0) {
		n = read(fd, k->copy, (size_t)MIN(size, COPY_BYTES));
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			n = (ssize_t)MIN(size, COPY_BYTES);
			memset(k->copy, 0, (size_t)n);
		}
		if (fd_write_all(k->out_fd, k->copy, (size_t)n) == -1)
			return err_sys(k->e, "write changes");
		size -= n;
	}
	return 0;
}

static int
file_write(struct walk *k, int dir_fd, const char *name)
{
	autofd int fd = openat(
	    dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return entry_errno(k);
	if (!S_ISREG(st.st_mode) || st.st_dev != k->dev)
		return entry_error(k, "changed while it was read");
	entry_begin(k, "file");
	jw_kint(&k->w, "mode", st.st_mode & MODE_BITS);
	jw_kint(&k->w, "size", st.st_size);
	if (entry_end(k) == -1)
		return -1;
	return content_write(k, fd, st.st_size);
}

static int
link_write(struct walk *k, int dir_fd, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target));

	if (n == -1)
		return entry_errno(k);
	if (n == (ssize_t)sizeof(target) ||
	    utf8_valid_prefix(target, (size_t)n) != (size_t)n)
		return entry_error(k, "a link whose target is not UTF-8");
	entry_begin(k, "symlink");
	jw_key(&k->w, "target");
	jw_strn(&k->w, target, (size_t)n);
	return entry_end(k);
}

static int walk_dir(struct walk *k, int fd, size_t len, unsigned depth);

/* overlayfs marks a directory that has nothing to do with the one below. */
static bool
is_opaque(int fd)
{
	char v;

	return fgetxattr(fd, "user.overlay.opaque", &v, 1) == 1 && v == 'y';
}

static int
subdir_write(
    struct walk *k, int dir_fd, const char *name, size_t len, unsigned depth)
{
	autofd int fd = openat(
	    dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return entry_errno(k);
	if (st.st_dev != k->dev)
		return entry_error(k, "on another file system");
	if (depth >= DEPTH_MAX)
		return entry_error(k, "too deep");
	if (entry_mode(k, is_opaque(fd) ? "replace_dir" : "dir", st.st_mode) ==
	    -1)
		return -1;
	return walk_dir(k, fd, len, depth + 1);
}

static int
entry_write(
    struct walk *k, int dir_fd, const char *name, size_t len, unsigned depth)
{
	struct stat st;

	if (k->entries >= CHANGES_MAX_ENTRIES)
		return err_set(k->e, ERR_LIMIT, "more than %d changes",
		    CHANGES_MAX_ENTRIES);
	if (utf8_valid_prefix(name, strlen(name)) != strlen(name))
		return entry_error(k, "a name that is not UTF-8");
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : entry_errno(k);
	if (S_ISREG(st.st_mode))
		return file_write(k, dir_fd, name);
	if (S_ISDIR(st.st_mode))
		return subdir_write(k, dir_fd, name, len, depth);
	if (S_ISLNK(st.st_mode))
		return link_write(k, dir_fd, name);
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) {
		entry_begin(k, "delete");
		return entry_end(k);
	}
	return entry_error(k, "neither file, directory nor link");
}

static int
walk_dir(struct walk *k, int fd, size_t len, unsigned depth)
{
	char buf[4096] __attribute__((aligned(8)));
	const struct dirent64 *ent;
	size_t name_len, at_path;
	ssize_t n, at;

	while ((n = getdents64(fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n; at += ent->d_reclen) {
			ent = (const struct dirent64 *)(const void *)(buf + at);
			if (strcmp(ent->d_name, ".") == 0 ||
			    strcmp(ent->d_name, "..") == 0)
				continue;
			name_len = strlen(ent->d_name);
			at_path = len == 0 ? 0 : len + 1;
			if (at_path + name_len + 1 > sizeof(k->path)) {
				if (entry_error(k, "holds too long a path") ==
				    -1)
					return -1;
				continue;
			}
			if (len != 0)
				k->path[len] = '/';
			memcpy(k->path + at_path, ent->d_name, name_len + 1);
			if (entry_write(k, fd, ent->d_name, at_path + name_len,
				depth) == -1)
				return -1;
			k->path[len] = '\0';
		}
	}
	return n == 0 ? 0 : entry_errno(k);
}

int
changes_write(int upper_fd, int out_fd, int64_t *entries_out, struct err *e)
{
	autofree struct walk *k = calloc(1, sizeof(*k));
	autofd int fd =
	    openat(upper_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (k == NULL || fd == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "open the changes");
	k->out_fd = out_fd;
	k->dev = st.st_dev;
	k->e = e;
	buf_init(&k->line, LINE_MAX_BYTES);
	r = walk_dir(k, fd, 0, 0);
	*entries_out = k->entries;
	if (r == 0) {
		buf_clear(&k->line);
		jw_init(&k->w, &k->line);
		jw_object(&k->w);
		jw_kbool(&k->w, "end", true);
		jw_kint(&k->w, "entries", k->entries);
		r = entry_end(k);
	}
	buf_free(&k->line);
	return r;
}
