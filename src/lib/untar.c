/*
 * Unpacking a tar archive below a directory; see untar.h. Runs in children of
 * a sandbox's init, on what clients send, and in sandboxctl, on what a sandbox
 * sends: both sides are hostile.
 *
 * Nothing of the archive may end up outside of the destination: names are
 * relative and without "..", and the directory of each is opened by the kernel
 * with RESOLVE_BENEATH (or by us, part by part), so that no link, be it in the
 * archive, there before or swapped in while we work, leads out. What is there
 * is removed first and made anew, so that nothing is written through a link or
 * into a file that has other names. Devices and FIFOs are refused.
 */
#include "untar.h"
#include "strutil.h"
#include "untar_priv.h"
#include "xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define READ_BYTES (256u << 10)
#define PIPE_BYTES (1 << 20)
#define DIRS_BYTES (64u << 20) /* of directories whose attributes wait */
#define HOLE_BYTES 4096	       /* so many zeros are not written */

/* A directory whose owner, mode and time are set when all is in it; its path
 * follows, with a NUL. */
struct later {
	int64_t mtime_s, uid, gid;
	long mtime_ns;
	uint32_t mode;
	uint32_t len; /* of the path, with the NUL */
};

/*
 * Owners and attributes
 */

static void
owner_choose(struct untar *u, const struct tar_entry *t)
{
	u->uid = u->gid = -1;
	if (u->o.owner == UNTAR_KEEP) {
		u->uid = t->uid;
		u->gid = t->gid;
	} else if (u->o.owner == UNTAR_GIVE) {
		u->uid = u->o.uid;
		u->gid = u->o.gid;
	}
}

/* errno, where it says that the number means nothing here, in words. */
static int
owner_fail(struct untar *u, int64_t uid, int64_t gid, struct err *e)
{
	if (errno != EINVAL)
		return untar_fail(u, e);
	u->refused = true;
	return err_set(e, ERR_BAD_REQUEST,
	    "%s: the owner %lld:%lld does not exist here; copy without owners",
	    u->path, (long long)uid, (long long)gid);
}

/* A file system without attributes keeps the rest. */
static int
xattrs_set(struct untar *u, const struct tar_entry *t, int fd, struct err *e)
{
	const char *p = t->xattrs, *end = p + t->xattrs_len, *name;
	uint32_t len;

	while (u->o.xattrs && p < end) {
		name = p;
		p += strlen(p) + 1;
		memcpy(&len, p, sizeof(len));
		p += sizeof(len);
		if (fsetxattr(fd, name, p, len, 0) == -1 && errno != ENOTSUP)
			return untar_fail(u, e);
		p += len;
	}
	return 0;
}

/* Make room for the entry; a directory that is in the way stays. */
static int
clear_place(struct untar *u, struct err *e)
{
	if (unlinkat(u->dir_fd, u->name, 0) == -1 && errno != ENOENT)
		return untar_fail(u, e);
	return 0;
}

/*
 * Entries
 */

static int
file_begin(struct untar *u, const struct tar_entry *t, struct err *e)
{
	int tries;

	for (tries = 0; tries < OPEN_TRIES; tries++) {
		u->fd = openat(u->dir_fd, u->name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		u->at = 0;
		if (u->fd != -1)
			return xattrs_set(u, t, u->fd, e);
		if (errno != EEXIST)
			break;
		if (clear_place(u, e) == -1)
			return -1;
	}
	return untar_fail(u, e);
}

static int
later_add(struct untar *u, const struct tar_entry *t)
{
	struct later l = {
		.mtime_s = u->mtime.tv_sec,
		.mtime_ns = u->mtime.tv_nsec,
		.uid = u->uid,
		.gid = u->gid,
		.mode = t->mode & u->o.mode_bits,
		.len = (uint32_t)strlen(u->path) + 1,
	};

	/* Beyond the bound they keep what mkdir gives. */
	if (u->later.len + sizeof(l) + l.len > DIRS_BYTES)
		return 0;
	if (buf_add(&u->later, &l, sizeof(l)) == -1)
		return -1;
	return buf_add(&u->later, u->path, l.len);
}

static int
directory_make(struct untar *u, const struct tar_entry *t, struct err *e)
{
	int fd;

	if (mkdirat(u->dir_fd, u->name, 0777) == -1 && errno != EEXIST)
		return untar_fail(u, e);
	fd = untar_open(u, u->path, O_RDONLY | O_DIRECTORY);
	if (fd == -1 && errno == EACCES) /* it was there, and is not ours */
		fd = untar_open(u, u->path, O_PATH | O_DIRECTORY);
	if (fd == -1 && (errno == EXDEV || errno == ELOOP))
		return untar_refuse(
		    u, e, "a link leads out of the destination", u->path);
	if (fd == -1) {
		errno = EEXIST;
		return untar_fail(u, e);
	}
	if (xattrs_set(u, t, fd, e) == -1) {
		(void)close(fd);
		return -1;
	}
	(void)close(fd);
	if (later_add(u, t) == -1)
		return untar_fail(u, e);
	return 0;
}

static int
symlink_make(struct untar *u, const struct tar_entry *t, struct err *e)
{
	const struct timespec times[2] = { u->mtime, u->mtime };

	fd_close(&u->fd);
	if (clear_place(u, e) == -1)
		return -1;
	if (symlinkat(t->link, u->dir_fd, u->name) == -1)
		return untar_fail(u, e);
	if (u->uid != -1 && fchownat(u->dir_fd, u->name, (uid_t)u->uid,
				(gid_t)u->gid, AT_SYMLINK_NOFOLLOW) == -1)
		return owner_fail(u, u->uid, u->gid, e);
	(void)utimensat(u->dir_fd, u->name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int
hardlink_make(struct untar *u, const struct tar_entry *t, struct err *e)
{
	char target[TAR_NAME_MAX + 1], why[100];
	const char *name;
	int fd, saved;

	if (untar_named(u, t->link, target, e) == -1)
		return -1;
	if (target[0] == '\0')
		return untar_refuse(u, e, "invalid relative path", t->link);
	if (strcmp(target, u->path) == 0)
		return 0;
	fd = untar_parent(u, target, &name, e);
	if (fd == -1)
		return -1;
	if (clear_place(u, e) == -1) {
		(void)close(fd);
		return -1;
	}
	if (linkat(fd, name, u->dir_fd, u->name, 0) == -1) {
		(void)untar_fail(u, e);
		(void)close(fd);
		saved = e->sys;
		(void)!str_format(why, sizeof(why), "%.99s", e->text);
		(void)err_set(e, e->code, "%s when hard linking %s to %s", why,
		    t->link, u->path);
		e->sys = saved;
		return -1;
	}
	(void)close(fd);
	return 0;
}

static int
on_entry(void *ctx, const struct tar_entry *t, struct err *e)
{
	struct untar *u = ctx;

	u->skip = false;
	u->path[0] = '\0';
	if (++u->n.entries > u->o.entries_max) {
		u->refused = true;
		return err_set(e, ERR_LIMIT,
		    "the archive has more than %llu entries",
		    (unsigned long long)u->o.entries_max);
	}
	if (untar_named(u, t->path, u->path, e) == -1)
		return -1;
	u->skip = u->path[0] == '\0';
	if (u->skip)
		return 0;
	if (t->type == TAR_SPECIAL)
		return untar_refuse(
		    u, e, "devices and FIFOs are not unpacked", t->path);
	/* Some programs take the very beginning of time for none. */
	u->mtime.tv_sec = t->mtime_s == 0 ? 1 : t->mtime_s;
	u->mtime.tv_nsec = t->mtime_ns;
	u->mode = (mode_t)t->mode & u->o.mode_bits;
	owner_choose(u, t);
	if (untar_place(u, e) == -1)
		return -1;
	switch (t->type) {
	case TAR_FILE:
		return file_begin(u, t, e);
	case TAR_DIRECTORY:
		return directory_make(u, t, e);
	case TAR_SYMLINK:
		return symlink_make(u, t, e);
	default:
		return hardlink_make(u, t, e);
	}
}

static int
write_at(struct untar *u, const char *p, size_t n, struct err *e)
{
	ssize_t k;

	while (n > 0) {
		k = pwrite(u->fd, p, n, (off_t)u->at);
		if (k == -1 && errno == EINTR)
			continue;
		if (k == -1)
			return untar_fail(u, e);
		p += k;
		n -= (size_t)k;
		u->at += (uint64_t)k;
	}
	return 0;
}

static bool
zeros(const char *p, size_t n)
{
	return p[0] == '\0' && memcmp(p, p + 1, n - 1) == 0;
}

/* Of P[0..n) what is written at one go: blocks that lie on the boundaries of
 * the file's are passed over when they hold nothing. */
static int
write_with_holes(struct untar *u, const char *p, size_t n, struct err *e)
{
	size_t from = 0, at, k;

	for (at = 0; at < n; at += k) {
		k = MIN(n - at, HOLE_BYTES - (u->at + at - from) % HOLE_BYTES);
		if (k < HOLE_BYTES || !zeros(p + at, k))
			continue;
		if (write_at(u, p + from, at - from, e) == -1)
			return -1;
		u->at += k;
		from = at + k;
	}
	return write_at(u, p + from, n - from, e);
}

static int
on_data(void *ctx, const void *p, size_t n, struct err *e)
{
	struct untar *u = ctx;

	if (u->fd == -1)
		return 0;
	u->n.bytes += n;
	return u->o.holes ? write_with_holes(u, p, n, e) : write_at(u, p, n, e);
}

static int
on_end(void *ctx, struct err *e)
{
	struct untar *u = ctx;
	const struct timespec times[2] = { u->mtime, u->mtime };

	if (u->fd != -1) {
		if (u->o.holes && ftruncate(u->fd, (off_t)u->at) == -1)
			return untar_fail(u, e);
		/* The owner first: to change it takes away bits of the mode. */
		if (u->uid != -1 &&
		    fchown(u->fd, (uid_t)u->uid, (gid_t)u->gid) == -1)
			return owner_fail(u, u->uid, u->gid, e);
		if (fchmod(u->fd, u->mode) == -1 ||
		    futimens(u->fd, times) == -1)
			return untar_fail(u, e);
		fd_close(&u->fd);
	}
	if (u->skip || u->o.done == NULL)
		return 0;
	return u->o.done(u->o.ctx, u->path, e);
}

/*
 * The archive
 */

/* The last first, since to open one needs those above it. */
static void
later_apply(struct untar *u)
{
	struct timespec times[2];
	size_t *at = NULL, n = 0, i, pos;
	struct later l;
	int fd;

	for (pos = 0; pos < u->later.len; pos += sizeof(l) + l.len, n++)
		memcpy(&l, u->later.data + pos, sizeof(l));
	at = n > 0 ? calloc(n, sizeof(*at)) : NULL;
	if (at == NULL)
		return;
	for (pos = 0, i = 0; i < n; pos += sizeof(l) + l.len, i++) {
		memcpy(&l, u->later.data + pos, sizeof(l));
		at[i] = pos;
	}
	while (n-- > 0) {
		memcpy(&l, u->later.data + at[n], sizeof(l));
		fd = untar_open(u, u->later.data + at[n] + sizeof(l),
		    O_RDONLY | O_DIRECTORY);
		if (fd == -1)
			continue; /* somebody has been faster */
		times[0] = times[1] =
		    (struct timespec){ l.mtime_s, l.mtime_ns };
		if (l.uid != -1)
			(void)!fchown(fd, (uid_t)l.uid, (gid_t)l.gid);
		(void)fchmod(fd, l.mode);
		(void)futimens(fd, times);
		(void)close(fd);
	}
	free(at);
}

static int
archive_read(struct untar *u, struct tar *t, int fd, struct err *e)
{
	autofree char *buf = malloc(READ_BYTES);
	ssize_t n;

	if (buf == NULL)
		return err_set(e, ERR_LIMIT, "no memory");
	while ((n = read(fd, buf, READ_BYTES)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return untar_fail(u, e);
		if (tar_feed(t, buf, (size_t)n, e) == -1)
			return -1;
	}
	return tar_finish(t, e);
}

int
untar_read(struct untar *u, int fd, struct err *e)
{
	static const struct tar_ops ops = { on_entry, on_data, on_end };
	struct tar *t = tar_new(&ops, u);
	int r;

	(void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES); /* smaller works too */
	r = archive_read(u, t, fd, e);
	tar_free(t);
	/* A file that is not whole is worse than none. */
	if (u->fd != -1)
		(void)unlinkat(u->dir_fd, u->name, 0);
	fd_close(&u->fd);
	later_apply(u);
	return r;
}

struct untar *
untar_new(const struct untar_opts *o)
{
	struct untar *u = xcalloc(1, sizeof(*u));

	u->o = *o;
	u->dir_fd = u->fd = -1;
	buf_init(&u->later, DIRS_BYTES);
	return u;
}

void
untar_free(struct untar *u)
{
	if (u == NULL)
		return;
	fd_close(&u->fd);
	fd_close(&u->dir_fd);
	buf_free(&u->later);
	free(u);
}

void
untar_counts(const struct untar *u, struct untar_counts *n_out)
{
	*n_out = u->n;
}

bool
untar_refused(const struct untar *u)
{
	return u->refused;
}
