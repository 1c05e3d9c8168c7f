/*
 * The tar writer; see tar_pack.h. Runs in forked children of a sandbox's init,
 * on trees that the sandbox changes meanwhile, and in sandboxctl.
 *
 * Each file is opened below the directory that was just read, without
 * following links, and looked at through its descriptor: what is written is
 * what was opened. A file that shrinks while it is read is filled up with
 * zeros, one that grows is cut: the header has told its size by then.
 */
#include "tar_pack.h"
#include "buf.h"
#include "fdio.h"
#include "strutil.h"
#include "tar.h"
#include "xalloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define DEPTH_MAX 256
#define CHUNK (256u << 10)
#define PIPE_BYTES (1 << 20)
#define LINKED_MAX 65536	  /* files with several names; more: copies */
#define OCTAL7 2097151		  /* what seven octal digits hold */
#define OCTAL11 ((1ll << 33) - 1) /* and eleven */

struct linked {
	dev_t dev;
	ino_t ino;
	char *path; /* owned: in the archive */
};

struct tar_pack {
	int out_fd; /* borrowed */
	char path[TAR_NAME_MAX + 1];
	char link[TAR_NAME_MAX + 1];
	struct linked *linked; /* owned; open addressing */
	size_t nlinked;
	struct buf pax;
	struct tar_pack_counts n;
	char *chunk; /* owned */
	struct tar_owner from, to;
};

struct tar_pack *
tar_pack_new(int out_fd)
{
	struct tar_pack *p = xcalloc(1, sizeof(*p));

	p->out_fd = out_fd;
	p->chunk = xmalloc(CHUNK);
	buf_init(&p->pax, TAR_EXTENSION_MAX);
	(void)fcntl(out_fd, F_SETPIPE_SZ, PIPE_BYTES); /* smaller works too */
	return p;
}

void
tar_pack_owner(struct tar_pack *p, struct tar_owner from, struct tar_owner to)
{
	p->from = from;
	p->to = to;
}

static void
owner_map(const struct tar_pack *p, struct stat *st)
{
	if (st->st_uid == p->from.uid)
		st->st_uid = p->to.uid;
	if (st->st_gid == p->from.gid)
		st->st_gid = p->to.gid;
}

void
tar_pack_free(struct tar_pack *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; p->linked != NULL && i < (size_t)LINKED_MAX * 2; i++)
		free(p->linked[i].path);
	free(p->linked);
	buf_free(&p->pax);
	free(p->chunk);
	free(p);
}

void
tar_pack_counts(const struct tar_pack *p, struct tar_pack_counts *n_out)
{
	*n_out = p->n;
}

static int
put(struct tar_pack *p, const void *data, size_t n, struct err *e)
{
	if (fd_write_all(p->out_fd, data, n) == 0)
		return 0;
	return err_sys(e, "write the archive");
}

static int
pad(struct tar_pack *p, uint64_t size, struct err *e)
{
	static const char zeros[TAR_BLOCK];

	return put(p, zeros, (size_t)(-size % TAR_BLOCK), e);
}

/*
 * Headers
 */

/* V in octal with a NUL behind; 0 where a pax header says it. */
static void
octal_put(char *dst, size_t n, uint64_t v, uint64_t max)
{
	(void)snprintf(dst, n, "%0*llo", (int)n - 1,
	    (unsigned long long)(v > max ? 0 : v));
}

static void
header_fill(char b[TAR_BLOCK], const char *path, char type,
    const struct stat *st, uint64_t size, const char *link)
{
	unsigned sum = 0;
	size_t i;

	memset(b, 0, TAR_BLOCK);
	memcpy(b, path, MIN(strlen(path), 100u));
	octal_put(b + 100, 8, st->st_mode & 07777, OCTAL7);
	octal_put(b + 108, 8, st->st_uid, OCTAL7);
	octal_put(b + 116, 8, st->st_gid, OCTAL7);
	octal_put(b + 124, 12, size, OCTAL11);
	octal_put(b + 136, 12, st->st_mtime < 0 ? 0 : (uint64_t)st->st_mtime,
	    OCTAL11);
	b[156] = type;
	memcpy(b + 157, link, MIN(strlen(link), 100u));
	memcpy(b + 257, "ustar\00000", 8);
	memset(b + 148, ' ', 8);
	for (i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)b[i];
	(void)snprintf(b + 148, 8, "%06o", sum);
}

/* "27 path=some/where/else\n": the length counts itself. */
static void
pax_add(struct tar_pack *p, const char *key, const void *value, size_t n)
{
	size_t rest = strlen(key) + n + 3, len = rest, digits;
	char number[24];

	do {
		digits = (size_t)snprintf(number, sizeof(number), "%zu", len);
		len = rest + digits;
	} while (
	    (size_t)snprintf(number, sizeof(number), "%zu", len) != digits);
	(void)buf_addf(&p->pax, "%s %s=", number, key);
	(void)buf_add(&p->pax, value, n); /* failure shows in pax.failed */
	(void)buf_addc(&p->pax, '\n');
}

static void
pax_text(struct tar_pack *p, const char *key, const char *text)
{
	pax_add(p, key, text, strlen(text));
}

static void
pax_int(struct tar_pack *p, const char *key, int64_t v)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lld", (long long)v);
	pax_text(p, key, text);
}

/* Attributes that do not fit are left out, as they are where there are none. */
static void
pax_xattrs(struct tar_pack *p, int fd)
{
	char names[8192], key[300], value[8192];
	ssize_t n = fd == -1 ? 0 : flistxattr(fd, names, sizeof(names)), len;
	const char *name;

	for (name = names; n > 0 && name < names + n;
	     name += strlen(name) + 1) {
		if (!str_starts(name, "user.") ||
		    str_format(key, sizeof(key), "SCHILY.xattr.%s", name) ==
			-1 ||
		    strchr(name, '=') != NULL)
			continue;
		len = fgetxattr(fd, name, value, sizeof(value));
		if (len < 0 || p->pax.len + (size_t)len + sizeof(key) >
				   TAR_EXTENSION_MAX - 2 * TAR_NAME_MAX)
			continue;
		pax_add(p, key, value, (size_t)len);
	}
}

static void
pax_build(struct tar_pack *p, int fd, const struct stat *st, uint64_t size)
{
	char time[48];

	buf_clear(&p->pax);
	pax_xattrs(p, fd);
	if (strlen(p->path) > 99)
		pax_text(p, "path", p->path);
	if (strlen(p->link) > 99)
		pax_text(p, "linkpath", p->link);
	if (st->st_uid > OCTAL7)
		pax_int(p, "uid", st->st_uid);
	if (st->st_gid > OCTAL7)
		pax_int(p, "gid", st->st_gid);
	if (size > OCTAL11)
		pax_int(p, "size", (int64_t)size);
	if (st->st_mtim.tv_nsec != 0 && st->st_mtime >= 0) {
		(void)snprintf(time, sizeof(time), "%lld.%09ld",
		    (long long)st->st_mtime, st->st_mtim.tv_nsec);
		pax_text(p, "mtime", time);
	} else if (st->st_mtime < 0 || st->st_mtime > OCTAL11) {
		pax_int(p, "mtime", st->st_mtime);
	}
}

/* Of p->path, to p->link where it is a link. FD -1: no attributes. */
static int
header_put(struct tar_pack *p, int fd, char type, const struct stat *st,
    uint64_t size, struct err *e)
{
	const struct stat plain = { .st_mode = 0644 };
	char b[TAR_BLOCK];

	pax_build(p, fd, st, size);
	if (p->pax.failed)
		return err_set(
		    e, ERR_TOO_LARGE, "%s: too much to say of it", p->path);
	if (p->pax.len > 0) {
		header_fill(b, "././@PaxHeader", 'x', &plain, p->pax.len, "");
		if (put(p, b, sizeof(b), e) == -1 ||
		    put(p, p->pax.data, p->pax.len, e) == -1 ||
		    pad(p, p->pax.len, e) == -1)
			return -1;
	}
	header_fill(b, p->path, type, st, size, p->link);
	p->n.entries++;
	return put(p, b, sizeof(b), e);
}

/*
 * Files
 */

/* Was this file written under another name? Then that is in p->link. */
static bool
link_seen(struct tar_pack *p, const struct stat *st)
{
	size_t room = (size_t)LINKED_MAX * 2, i;
	struct linked *l;

	if (st->st_nlink < 2)
		return false;
	if (p->linked == NULL)
		p->linked = xcalloc(room, sizeof(*p->linked));
	for (i = (size_t)(st->st_ino * 2654435761u + st->st_dev) % room;;
	     i = (i + 1) % room) {
		l = &p->linked[i];
		if (l->path == NULL)
			break;
		if (l->dev != st->st_dev || l->ino != st->st_ino)
			continue;
		return str_copy(p->link, sizeof(p->link), l->path) == 0;
	}
	if (p->nlinked < LINKED_MAX) {
		p->nlinked++;
		l->dev = st->st_dev;
		l->ino = st->st_ino;
		l->path = xstrdup(p->path);
	}
	return false;
}

static int
file_put(struct tar_pack *p, int fd, const struct stat *st, struct err *e)
{
	uint64_t size = (uint64_t)st->st_size, left = size;
	ssize_t n;

	if (link_seen(p, st))
		return header_put(p, -1, '1', st, 0, e);
	if (header_put(p, fd, '0', st, size, e) == -1)
		return -1;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while (left > 0) {
		n = read(fd, p->chunk, MIN((uint64_t)CHUNK, left));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(e, "read %s", p->path);
		if (n == 0) {
			n = (ssize_t)MIN((uint64_t)CHUNK, left);
			memset(p->chunk, 0, (size_t)n);
		}
		if (put(p, p->chunk, (size_t)n, e) == -1)
			return -1;
		left -= (uint64_t)n;
	}
	p->n.bytes += size;
	return pad(p, size, e);
}

static int
symlink_put(struct tar_pack *p, int dir_fd, const char *name,
    const struct stat *st, struct err *e)
{
	ssize_t n = readlinkat(dir_fd, name, p->link, sizeof(p->link) - 1);

	if (n == -1 && (errno == ENOENT || errno == EINVAL)) {
		p->n.skipped++; /* gone meanwhile */
		return 0;
	}
	if (n == -1)
		return err_sys(e, "read the link %s", p->path);
	p->link[n] = '\0';
	return header_put(p, -1, '2', st, 0, e);
}

/*
 * Trees
 */

static int add(struct tar_pack *p, int dir_fd, const char *name, unsigned depth,
    struct err *e);

/* The kernel makes these up, without sizes and without an end. */
static bool
is_made_up(int fd)
{
	static const long types[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC,
		CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC,
		DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC };
	struct statfs f;
	size_t i;

	if (fstatfs(fd, &f) == -1)
		return false;
	for (i = 0; i < countof(types); i++)
		if ((long)f.f_type == types[i])
			return true;
	return false;
}

static int
children_put(struct tar_pack *p, DIR *dir, unsigned depth, struct err *e)
{
	size_t len = strlen(p->path);
	struct dirent *de;
	size_t n;

	while ((errno = 0, de = readdir(dir)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		n = strlen(de->d_name);
		if (len + n + 2 > sizeof(p->path)) {
			p->path[len] = '\0';
			return err_set(e, ERR_TOO_LARGE,
			    "%s: a path in it is too long", p->path);
		}
		if (len > 0)
			p->path[len] = '/';
		memcpy(p->path + len + (len > 0), de->d_name, n + 1);
		if (add(p, dirfd(dir), de->d_name, depth, e) == -1)
			return -1;
		p->path[len] = '\0';
	}
	return errno == 0 ? 0 : err_sys(e, "read %s", p->path);
}

/* Takes FD. */
static int
dir_put(struct tar_pack *p, int fd, const struct stat *st, unsigned depth,
    struct err *e)
{
	DIR *dir;
	int r = 0;

	if (depth == 0) {
		(void)close(fd);
		return err_set(e, ERR_TOO_LARGE, "%s: too deep", p->path);
	}
	if (is_made_up(fd)) {
		(void)close(fd);
		p->n.skipped++;
		return 0;
	}
	dir = fdopendir(fd);
	if (dir == NULL) {
		(void)close(fd);
		return err_set(e, ERR_LIMIT, "no memory");
	}
	if (p->path[0] != '\0')
		r = header_put(p, fd, '5', st, 0, e);
	if (r == 0)
		r = children_put(p, dir, depth - 1, e);
	(void)closedir(dir);
	return r;
}

/* p->path is its name in the archive; "" for a directory without one. */
static int
add(struct tar_pack *p, int dir_fd, const char *name, unsigned depth,
    struct err *e)
{
	autofd int fd = -1;
	struct stat st;

	p->link[0] = '\0';
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno != ENOENT || depth == DEPTH_MAX)
			return err_sys(
			    e, "%s", p->path[0] != '\0' ? p->path : name);
		p->n.skipped++; /* gone meanwhile */
		return 0;
	}
	owner_map(p, &st);
	if (S_ISLNK(st.st_mode))
		return symlink_put(p, dir_fd, name, &st, e);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		p->n.skipped++;
		return 0;
	}
	/* Should it be something else by now, that must not keep us. */
	fd = openat(dir_fd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1 && depth < DEPTH_MAX &&
	    (errno == ENOENT || errno == ELOOP || errno == ENXIO)) {
		p->n.skipped++;
		return 0;
	}
	if (fd == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "open %s", p->path[0] ? p->path : name);
	owner_map(p, &st);
	if (S_ISDIR(st.st_mode))
		return dir_put(p, fd_steal(&fd), &st, depth, e);
	if (S_ISREG(st.st_mode) && !is_made_up(fd))
		return file_put(p, fd, &st, e);
	p->n.skipped++;
	return 0;
}

int
tar_pack_add(struct tar_pack *p, int dir_fd, const char *name, const char *as,
    struct err *e)
{
	if (strcmp(as, ".") == 0)
		as = "";
	if (str_copy(p->path, sizeof(p->path), as) == -1)
		return err_set(e, ERR_TOO_LARGE, "%.64s: too long", as);
	return add(p, dir_fd, name, DEPTH_MAX, e);
}

int
tar_pack_end(struct tar_pack *p, struct err *e)
{
	static const char zeros[2 * TAR_BLOCK];

	return put(p, zeros, sizeof(zeros), e);
}
