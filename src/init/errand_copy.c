/*
 * Copies into the sandbox and out of it, as tar streams. Errands; see errand.h.
 *
 * Paths are the sandbox's own, and the mount namespace is what confines them;
 * links of /proc, which lead past every root, are never followed. What a tar
 * stream brings stays below its destination (lib/untar.h).
 */
#include "init/errand.h"
#include "init/user.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/tar_pack.h"
#include "lib/untar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ENTRIES_MAX 10000000

/* A directory, through the sandbox's links and no magic ones. */
static int
dir_open(const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_DIRECTORY | O_CLOEXEC),
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	char plain[PATH_MAX];
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	/* Some sandboxes have no openat2. There the links are followed as the
	 * text that they show, which leads nowhere outside. */
	if (fd == -1 && errno == ENOSYS && realpath(path, plain) != NULL)
		fd = open(plain, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

/* DIR: all of PATH before its last part, which is returned; trailing slashes
 * are dropped. NULL: it has none, or one that names no file. */
static const char *
split(const char *path, char dir[PATH_MAX], char name[NAME_MAX + 1])
{
	size_t n = strlen(path), at;

	while (n > 1 && path[n - 1] == '/')
		n--;
	for (at = n; at > 0 && path[at - 1] != '/'; at--)
		;
	if (str_format(name, NAME_MAX + 1, "%.*s", (int)(n - at), path + at) ==
		-1 ||
	    str_format(dir, PATH_MAX, "%.*s", (int)at, path) == -1 ||
	    name[0] == '\0' || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return NULL;
	return name;
}

static int
dirs_make(const char *path)
{
	char part[PATH_MAX];
	char *p;

	if (str_copy(part, sizeof(part), path) == -1)
		return -1;
	for (p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0777) == -1 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return mkdir(part, 0777) == -1 && errno != EEXIST ? -1 : 0;
}

/* The destination as cp(1) has it: into a directory that is there; else, but
 * not with INTO, under a new name. */
static int
destination(struct untar_opts *o, const char *path, bool into, char *name,
    struct err *e)
{
	char dir[PATH_MAX];

	o->base_fd = dir_open(path, O_PATH);
	if (o->base_fd == -1 && errno == ENOENT && into && dirs_make(path) == 0)
		o->base_fd = dir_open(path, O_PATH);
	if (o->base_fd != -1)
		return 0;
	if (into || (errno != ENOENT && errno != ENOTDIR))
		return err_sys(e, "%s", path);
	o->top = split(path, dir, name);
	if (o->top == NULL || path[strlen(path) - 1] == '/')
		return err_set(
		    e, ERR_BAD_REQUEST, "%s: no such directory", path);
	o->base_fd = dir_open(dir, O_PATH);
	return o->base_fd == -1 ? err_sys(e, "%s", dir) : 0;
}

static int
owner_set(struct untar_opts *o, const char *owner, struct err *e)
{
	autofd int root_fd = -1;
	static struct user u;

	if (strcmp(owner, "keep") == 0) {
		o->owner = UNTAR_KEEP;
		return 0;
	}
	root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd == -1)
		return err_sys(e, "/");
	if (user_find(root_fd, owner, &u, e) == -1)
		return -1;
	o->owner = UNTAR_GIVE;
	o->uid = u.uid;
	o->gid = u.gid;
	return 0;
}

int
errand_copy_in(struct errand_child *c, struct err *e)
{
	const char *path = json_str(c->msg, "path", "");
	struct untar_opts o = {
		.mode_bits = json_bool(c->msg, "setid", false) ? 07777 : 01777,
		.xattrs = true,
		.holes = true,
		.entries_max = ENTRIES_MAX,
	};
	struct untar_counts n;
	char name[NAME_MAX + 1];
	struct untar *u;
	int r;

	if (owner_set(&o, json_str(c->msg, "owner", "keep"), e) == -1 ||
	    destination(&o, path, json_bool(c->msg, "into", false), name, e) ==
		-1)
		return -1;
	u = untar_new(&o);
	r = untar_read(u, c->fd, e);
	untar_counts(u, &n);
	untar_free(u);
	c->n.entries = (int64_t)n.entries;
	c->n.bytes = (int64_t)n.bytes;
	return r;
}

static int
pack_path(struct tar_pack *p, const char *path, struct err *e)
{
	char dir[PATH_MAX], name[NAME_MAX + 1];
	const char *last = split(path, dir, name);
	autofd int fd = dir_open(last == NULL ? path : dir, O_RDONLY);

	if (fd == -1)
		return err_sys(e, "%s", path);
	if (last == NULL)
		return tar_pack_add(p, fd, ".", ".", e);
	return tar_pack_add(p, fd, last, last, e);
}

int
errand_copy_out(struct errand_child *c, struct err *e)
{
	struct tar_pack *p = tar_pack_new(c->fd);
	struct tar_pack_counts n;
	int r = 0;

	json_foreach (it, json_get(c->msg, "paths"))
		if (r == 0)
			r = pack_path(p, it->str, e);
	if (r == 0)
		r = tar_pack_end(p, e);
	tar_pack_counts(p, &n);
	tar_pack_free(p);
	c->n.entries = (int64_t)n.entries;
	c->n.bytes = (int64_t)n.bytes;
	c->n.skipped = (int64_t)n.skipped;
	return r;
}
