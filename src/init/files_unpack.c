/*
 * Unpacking a tar archive that an HTTP client sends. Runs in a child of the
 * file server with the rights of the sandbox's user.
 *
 * Nothing of the archive may end up outside of the destination: names are
 * relative and without "..", and the directory of each is opened by the kernel
 * with RESOLVE_BENEATH (or by us, part by part), so that no link, be it in the
 * archive, there before or swapped in while we work, leads out. What is there
 * is removed first and made anew, so that nothing is written through a link or
 * into a file that has other names. Devices and FIFOs are refused, owners and
 * set-id bits ignored.
 */
#include "init/files_priv.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#define PATHS_MAX 1024 /* told in the answer */
#define ENTRIES_MAX 1000000
#define DEPTH_MAX 256
#define READ_BYTES (256u << 10)
#define PIPE_BYTES (1 << 20)
#define OPEN_TRIES 32
#define DIRS_BYTES (64u << 20) /* of directories whose attributes wait */
#define MODE_BITS 0777

/* A directory whose mode and time are set when all is in it; its path follows,
 * with a NUL. */
struct later {
	int64_t mtime_s;
	long mtime_ns;
	uint32_t mode;
	uint32_t len; /* of the path, with the NUL */
};

struct unpack {
	char base[FILES_PATH_MAX];
	int base_fd;
	char path[TAR_NAME_MAX + 1]; /* of the entry, clean */
	char name[NAME_MAX + 1];     /* its last part */
	int dir_fd;		     /* that holds it, or -1 */
	char dir[TAR_NAME_MAX + 1];  /* the path of dir_fd */
	bool skip;		     /* the destination itself */
	int fd;			     /* the file that is being written */
	struct timespec mtime;
	mode_t mode;
	uint64_t entries;
	size_t npaths;
	struct buf later;
	struct buf out; /* the answer */
	struct jw w;
	bool truncated;
	bool refused; /* by us, not by the reader of archives */
};

static int
sys_fail(struct unpack *u, struct err *e)
{
	u->refused = true;
	return files_oserr(e);
}

static int
bad_entry(struct unpack *u, struct err *e, const char *what, const char *path)
{
	u->refused = true;
	return err_set(e, ERR_BAD_REQUEST, "%s: %s", what, path);
}

/*
 * Names
 */

/* PATH without "." and doubled slashes. Empty for the destination itself. */
static int
clean(struct unpack *u, const char *path, char out[TAR_NAME_MAX + 1],
    struct err *e)
{
	unsigned depth = 0;
	size_t at = 0, n;
	const char *p;

	if (path[0] == '/')
		return bad_entry(u, e, "invalid relative path", path);
	for (p = path; *p != '\0'; p += n) {
		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.'))
			continue;
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return bad_entry(u, e, "invalid relative path", path);
		if (n > NAME_MAX || ++depth > DEPTH_MAX) {
			errno = ENAMETOOLONG;
			return sys_fail(u, e);
		}
		if (at > 0)
			out[at++] = '/';
		memcpy(out + at, p, n); /* never longer than PATH */
		at += n;
	}
	out[at] = '\0';
	return 0;
}

/* Part by part and never through a link, not even one that stays inside: where
 * the sandbox's filter does not let openat2 through. */
static int
open_by_parts(const struct unpack *u, const char *path, int flags)
{
	int fd = fcntl(u->base_fd, F_DUPFD_CLOEXEC, 3), next, number;
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

static int
open_beneath(const struct unpack *u, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;
	int tries;

	/* EAGAIN: something was renamed on the way; look again. */
	for (tries = 0; tries < OPEN_TRIES; tries++) {
		fd = syscall(SYS_openat2, u->base_fd, path, &how, sizeof(how));
		if (fd != -1 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd == -1 && errno == ENOSYS)
		return open_by_parts(u, path, flags);
	return (int)fd;
}

/* Make DIR and what is above it, each from the one before. */
static int
parents_make(struct unpack *u, const char *dir, struct err *e)
{
	char part[TAR_NAME_MAX + 1];
	size_t at, n = strlen(dir), from = 0;
	int fd = u->base_fd, next;

	memcpy(part, dir, n + 1);
	for (at = 1; at <= n; at++) {
		if (part[at] != '/' && part[at] != '\0')
			continue;
		part[at] = '\0';
		if (mkdirat(fd, part + from, 0777) == -1 && errno != EEXIST)
			next = -1;
		else
			next = open_beneath(u, part, O_PATH | O_DIRECTORY);
		if (fd != u->base_fd)
			(void)close(fd);
		if (next == -1 && (errno == EXDEV || errno == ELOOP))
			return bad_entry(
			    u, e, "a link leads out of the destination", part);
		if (next == -1)
			return sys_fail(u, e);
		fd = next;
		part[at] = dir[at];
		from = at + 1;
	}
	if (fd == u->base_fd)
		fd = fcntl(u->base_fd, F_DUPFD_CLOEXEC, 3);
	return fd;
}

/* The directory of clean PATH, and PATH's last part. */
static int
parent_open(
    struct unpack *u, const char *path, const char **name_out, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[TAR_NAME_MAX + 1] = ".";
	int fd;

	*name_out = slash == NULL ? path : slash + 1;
	if (slash != NULL) {
		memcpy(dir, path, (size_t)(slash - path));
		dir[slash - path] = '\0';
	}
	fd = open_beneath(u, dir, O_PATH | O_DIRECTORY);
	if (fd == -1 && (errno == EXDEV || errno == ELOOP))
		return bad_entry(
		    u, e, "a link leads out of the destination", path);
	if (fd == -1 && errno == ENOENT && slash != NULL)
		return parents_make(u, dir, e);
	return fd == -1 ? sys_fail(u, e) : fd;
}

/* dir_fd and name of the entry. Files come one behind the other from the same
 * directory, so that is kept; it is inside, whatever has become of its path. */
static int
place(struct unpack *u, struct err *e)
{
	const char *slash = strrchr(u->path, '/'), *name;
	size_t n = slash == NULL ? 0 : (size_t)(slash - u->path);

	if (u->dir_fd == -1 || strlen(u->dir) != n ||
	    memcmp(u->dir, u->path, n) != 0) {
		fd_close(&u->dir_fd);
		u->dir_fd = parent_open(u, u->path, &name, e);
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

/* Make room for the entry; a directory that is in the way stays. */
static int
clear_place(struct unpack *u, struct err *e)
{
	if (unlinkat(u->dir_fd, u->name, 0) == -1 && errno != ENOENT)
		return sys_fail(u, e);
	return 0;
}

/*
 * Entries
 */

static int
file_begin(struct unpack *u, struct err *e)
{
	int tries;

	for (tries = 0; tries < OPEN_TRIES; tries++) {
		u->fd = openat(u->dir_fd, u->name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (u->fd != -1)
			return 0;
		if (errno != EEXIST)
			break;
		if (clear_place(u, e) == -1)
			return -1;
	}
	return sys_fail(u, e);
}

static int
later_add(struct unpack *u, const struct tar_entry *t)
{
	struct later l = {
		.mtime_s = u->mtime.tv_sec,
		.mtime_ns = u->mtime.tv_nsec,
		.mode = t->mode & MODE_BITS,
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
directory_make(struct unpack *u, const struct tar_entry *t, struct err *e)
{
	struct stat st;
	int fd;

	if (mkdirat(u->dir_fd, u->name, 0777) == -1) {
		if (errno != EEXIST)
			return sys_fail(u, e);
		fd = open_beneath(u, u->path, O_PATH | O_DIRECTORY);
		if (fd == -1 && (errno == EXDEV || errno == ELOOP))
			return bad_entry(u, e,
			    "a link leads out of the destination", u->path);
		if (fd == -1 || fstat(fd, &st) == -1) {
			fd_close(&fd);
			errno = EEXIST;
			return sys_fail(u, e);
		}
		(void)close(fd);
	}
	if (later_add(u, t) == -1)
		return sys_fail(u, e);
	return 0;
}

static int
symlink_make(struct unpack *u, const struct tar_entry *t, struct err *e)
{
	const struct timespec times[2] = { u->mtime, u->mtime };

	fd_close(&u->fd);
	if (clear_place(u, e) == -1)
		return -1;
	if (symlinkat(t->link, u->dir_fd, u->name) == -1)
		return sys_fail(u, e);
	(void)utimensat(u->dir_fd, u->name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int
hardlink_make(struct unpack *u, const struct tar_entry *t, struct err *e)
{
	char target[TAR_NAME_MAX + 1];
	const char *name;
	int fd;

	target[0] = '\0';
	if (clean(u, t->link, target, e) == -1)
		return -1;
	if (target[0] == '\0')
		return bad_entry(u, e, "invalid relative path", t->link);
	if (strcmp(target, u->path) == 0)
		return 0;
	fd = parent_open(u, target, &name, e);
	if (fd == -1)
		return -1;
	if (clear_place(u, e) == -1) {
		(void)close(fd);
		return -1;
	}
	if (linkat(fd, name, u->dir_fd, u->name, 0) == -1) {
		(void)sys_fail(u, e);
		(void)close(fd);
		(void)err_set(e, e->code,
		    "%s (os error %d) when hard linking "
		    "%s to %s",
		    strerror(e->sys), e->sys, t->link, u->path);
		return -1;
	}
	(void)close(fd);
	return 0;
}

static int
on_entry(void *ctx, const struct tar_entry *t, struct err *e)
{
	struct unpack *u = ctx;

	u->skip = false;
	if (++u->entries > ENTRIES_MAX) {
		u->refused = true;
		return err_set(e, ERR_LIMIT,
		    "the archive has more than %d entries", ENTRIES_MAX);
	}
	if (clean(u, t->path, u->path, e) == -1)
		return -1;
	u->skip = u->path[0] == '\0';
	if (u->skip)
		return 0;
	if (t->type == TAR_SPECIAL)
		return bad_entry(
		    u, e, "devices and FIFOs are not unpacked", t->path);
	/* Some programs take the very beginning of time for none. */
	u->mtime.tv_sec = t->mtime_s == 0 ? 1 : t->mtime_s;
	u->mtime.tv_nsec = t->mtime_ns;
	u->mode = (mode_t)t->mode & MODE_BITS;
	if (place(u, e) == -1)
		return -1;
	switch (t->type) {
	case TAR_FILE:
		return file_begin(u, e);
	case TAR_DIRECTORY:
		return directory_make(u, t, e);
	case TAR_SYMLINK:
		return symlink_make(u, t, e);
	default:
		return hardlink_make(u, t, e);
	}
}

static int
on_data(void *ctx, const void *p, size_t n, struct err *e)
{
	struct unpack *u = ctx;

	if (u->fd == -1)
		return 0;
	return fd_write_all(u->fd, p, n) == -1 ? sys_fail(u, e) : 0;
}

/* The full path into the answer, if there is still room. */
static int
answer_add(struct unpack *u, struct err *e)
{
	size_t n = strlen(u->base);

	if (u->npaths == PATHS_MAX) {
		u->truncated = true;
		return 0;
	}
	u->npaths++;
	jw_str_begin(&u->w);
	jw_str_add(&u->w, u->base, n);
	if (n > 0 && u->base[n - 1] != '/')
		jw_str_add(&u->w, "/", 1);
	jw_str_add(&u->w, u->path, strlen(u->path));
	jw_str_end(&u->w);
	if (u->out.failed)
		return err_set(e, ERR_INTERNAL, "the answer is too long");
	return 0;
}

static int
on_end(void *ctx, struct err *e)
{
	struct unpack *u = ctx;
	const struct timespec times[2] = { u->mtime, u->mtime };

	if (u->fd != -1) {
		if (fchmod(u->fd, u->mode) == -1 ||
		    futimens(u->fd, times) == -1)
			return sys_fail(u, e);
		fd_close(&u->fd);
	}
	return u->skip ? 0 : answer_add(u, e);
}

/*
 * The archive
 */

/* The last first, since to open one needs those above it. */
static void
later_apply(struct unpack *u)
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
		fd = open_beneath(u, u->later.data + at[n] + sizeof(l),
		    O_RDONLY | O_DIRECTORY);
		if (fd == -1)
			continue; /* somebody has been faster */
		times[0] = times[1] =
		    (struct timespec){ l.mtime_s, l.mtime_ns };
		(void)fchmod(fd, l.mode);
		(void)futimens(fd, times);
		(void)close(fd);
	}
	free(at);
}

static int
archive_read(struct unpack *u, struct tar *t, int fd, struct err *e)
{
	static char buf[READ_BYTES];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return sys_fail(u, e);
		if (tar_feed(t, buf, (size_t)n, e) == -1)
			return -1;
	}
	return tar_finish(t, e);
}

static int
unpack_job(struct job_child *c, struct err *e)
{
	static const struct tar_ops ops = { on_entry, on_data, on_end };
	struct unpack *u = c->ctx;
	struct tar *t;
	int r;

	(void)fcntl(c->fds[0], F_SETPIPE_SZ, PIPE_BYTES);
	u->base_fd = open(u->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (u->base_fd == -1)
		return files_patherr(e, u->base);
	buf_init(&u->later, DIRS_BYTES);
	buf_init(&u->out, PATHS_MAX * 6 * (FILES_PATH_MAX + TAR_NAME_MAX));
	jw_init(&u->w, &u->out);
	jw_object(&u->w);
	jw_key(&u->w, "paths");
	jw_array(&u->w);
	t = tar_new(&ops, u);
	r = archive_read(u, t, c->fds[0], e);
	tar_free(t);
	/* A file that is not whole is worse than none. */
	if (u->fd != -1)
		(void)unlinkat(u->dir_fd, u->name, 0);
	later_apply(u);
	if (r == -1) {
		/* The archive is at fault, not the request. */
		if (!u->refused && e->code == ERR_BAD_REQUEST)
			e->code = ERR_SYSTEM;
		return -1;
	}
	jw_array_end(&u->w);
	jw_kbool(&u->w, "truncated", u->truncated);
	jw_object_end(&u->w);
	if (u->out.failed)
		return err_set(e, ERR_INTERNAL, "the answer is too long");
	job_tell(c);
	(void)fd_write_all(c->fds[1], u->out.data, u->out.len);
	return 0;
}

void
files_unpack(struct files *fs, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	static struct unpack u;
	struct job_spec s = {
		.id = id, .fn = unpack_job, .ctx = &u, .nfds = 2, .reply_fd = -1
	};
	struct err e;

	memset(&u, 0, sizeof(u));
	u.dir_fd = u.fd = u.base_fd = -1;
	if (f->nfds != 2) {
		(void)err_set(&e, ERR_BAD_REQUEST, "fds: two are needed");
	} else if (files_resolve(fs, json_str(msg, "path", ""), u.base, &e) ==
		       0 &&
		   files_mkdirs(u.base, &e) == 0) {
		s.fds[0] = f->fds[0];
		s.fds[1] = f->fds[1];
		if (files_job(fs, &s, &e) == 0)
			return;
	}
	(void)chan_reply_err(fs->ch, id, &e);
}
