/*
 * See unpack.h. Runs in the courier; archives may be anything, also when their
 * digest is right. libarchive reads them; what is made, and where, is decided
 * here alone:
 *
 *	files and directories below the destination, links that stay in it
 *	modes 0755 and 0644, nothing set-uid, no devices, no owners, no times
 *	no more bytes and entries than there is room for
 */
#include "courier/unpack.h"

#include "courier/beneath.h"
#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK (1u << 17)

struct unpack {
	struct archive *a;
	int in_fd, dest_fd, out_fd; /* owned; OUT_FD -1 between files */
	unsigned strip;
	struct unpack_room *room;
	int64_t read; /* bytes of the archive */
	int64_t end;  /* of what was written to OUT_FD */
	int64_t size; /* that the file will have, as it is said */
	char path[BENEATH_PATH_MAX];
	char block[BLOCK];
};

/* --- how libarchive reads ------------------------------------------------ */

static la_ssize_t
on_read(struct archive *a, void *ctx, const void **block)
{
	struct unpack *u = ctx;
	ssize_t n = read(u->in_fd, u->block, sizeof(u->block));

	if (n == -1)
		archive_set_error(a, errno, "read: %s", strerror(errno));
	else
		u->read += n;
	*block = u->block;
	return n;
}

static la_int64_t
on_skip(struct archive *a ATTR_UNUSED, void *ctx, la_int64_t want)
{
	struct unpack *u = ctx;

	if (lseek(u->in_fd, want, SEEK_CUR) == -1)
		return 0;
	u->read += want;
	return want;
}

static la_int64_t
on_seek(struct archive *a, void *ctx, la_int64_t offset, int whence)
{
	const struct unpack *u = ctx;
	off_t at = lseek(u->in_fd, offset, whence);

	if (at == -1)
		archive_set_error(a, errno, "seek: %s", strerror(errno));
	return at == -1 ? ARCHIVE_FATAL : at;
}

static int
fail(struct unpack *u, struct err *e)
{
	const char *why = archive_error_string(u->a);
	char shown[160];

	if (why == NULL)
		why = "unknown error";
	str_show(shown, sizeof(shown), why, strlen(why));
	return err_set(e, ERR_INSTALL_FAILED, "unpack: %s", shown);
}

/* --- one entry ----------------------------------------------------------- */

static int
refuse(const char *path, const char *why, struct err *e)
{
	char shown[160];

	str_show(shown, sizeof(shown), path, strlen(path));
	return err_set(
	    e, ERR_INSTALL_FAILED, "unpack: refused '%s': %s", shown, why);
}

static int
take_room(struct unpack *u, int64_t bytes, int64_t entries, struct err *e)
{
	u->room->bytes -= bytes;
	u->room->entries -= entries;
	if (u->room->bytes >= 0 && u->room->entries >= 0)
		return 0;
	if (u->room->bytes < 0)
		return err_set(e, ERR_INSTALL_FAILED,
		    "unpack: more than the %lld bytes that courier.max_bytes "
		    "allows",
		    (long long)u->room->most);
	return err_set(e, ERR_INSTALL_FAILED, "unpack: too many files");
}

static int
make_file(struct unpack *u, mode_t mode, struct err *e)
{
	const char *name;
	autofd int dir_fd = -1;

	if (beneath_parent(u->dest_fd, u->path, true, &dir_fd, &name, e) == -1)
		return -1;
	/* The last of several wins, but never through a link. */
	if (unlinkat(dir_fd, name, 0) == -1 && errno != ENOENT)
		return err_sys(e, "unpack %.200s", u->path);
	mode = (mode & 0111) != 0 ? 0755 : 0644;
	u->out_fd = openat(dir_fd, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (u->out_fd == -1 || fchmod(u->out_fd, mode) == -1)
		return err_sys(e, "unpack %.200s", u->path);
	u->end = 0;
	return 0;
}

static int
make_link(struct unpack *u, const char *target, struct err *e)
{
	char dir[BENEATH_PATH_MAX];
	const char *slash = strrchr(u->path, '/');

	(void)!str_format(dir, sizeof(dir), "%.*s",
	    slash == NULL ? 0 : (int)(slash - u->path), u->path);
	if (target == NULL || !beneath_link_safe(dir, target))
		return refuse(u->path, "a link that may lead out", e);
	return beneath_link(u->dest_fd, u->path, target, e);
}

/* A second name of a file that this archive has made. */
static int
make_hard_link(struct unpack *u, const char *target, struct err *e)
{
	char from[BENEATH_PATH_MAX];
	const char *from_name, *to_name;
	struct stat st;
	autofd int from_fd = -1, to_fd = -1;

	if (beneath_clean(from, target, u->strip) == -1 || from[0] == '\0')
		return refuse(u->path, "a link that may lead out", e);
	if (beneath_parent(u->dest_fd, from, false, &from_fd, &from_name, e) ==
		-1 ||
	    beneath_parent(u->dest_fd, u->path, true, &to_fd, &to_name, e) ==
		-1)
		return -1;
	if (fstatat(from_fd, from_name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode))
		return refuse(u->path, "a link to what is no file", e);
	if (unlinkat(to_fd, to_name, 0) == -1 && errno != ENOENT)
		return err_sys(e, "unpack %.200s", u->path);
	if (linkat(from_fd, from_name, to_fd, to_name, 0) == -1)
		return err_sys(e, "unpack %.200s", u->path);
	return 0;
}

static int
make_dir(struct unpack *u, struct err *e)
{
	autofd int fd = -1;

	return beneath_dir(u->dest_fd, u->path, true, &fd, e);
}

static const char *
entry_path(struct archive_entry *en)
{
	const char *path = archive_entry_pathname(en);

	return path != NULL ? path : archive_entry_pathname_utf8(en);
}

static int
entry_begin(struct unpack *u, struct archive_entry *en, struct err *e)
{
	const char *path = entry_path(en), *hard;

	if (path == NULL)
		return refuse("?", "a name that cannot be read", e);
	if (beneath_clean(u->path, path, u->strip) == -1)
		return refuse(path, "a name that leads out, or is too long", e);
	if (take_room(u, 0, 1, e) == -1)
		return -1;
	if (u->path[0] == '\0')
		return 0;
	hard = archive_entry_hardlink(en);
	if (hard != NULL)
		return make_hard_link(u, hard, e);
	switch (archive_entry_filetype(en)) {
	case AE_IFREG:
		u->size = archive_entry_size(en);
		return make_file(u, archive_entry_perm(en), e);
	case AE_IFDIR:
		return make_dir(u, e);
	case AE_IFLNK:
		return make_link(u, archive_entry_symlink(en), e);
	default:
		return refuse(path, "neither file, directory nor link", e);
	}
}

static int
write_block(
    struct unpack *u, const char *p, size_t n, int64_t at, struct err *e)
{
	/* Holes count: nobody reads them for nothing. */
	if (at < u->end || at > INT64_MAX - (int64_t)n)
		return refuse(u->path, "blocks out of order", e);
	if (take_room(u, at + (int64_t)n - u->end, 0, e) == -1)
		return -1;
	u->end = at + (int64_t)n;
	while (n > 0) {
		ssize_t w = pwrite(u->out_fd, p, n, at);

		if (w == -1)
			return err_sys(e, "unpack %.200s", u->path);
		p += w;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

static int
file_end(struct unpack *u, struct err *e)
{
	autofd int fd = fd_steal(&u->out_fd);

	if (u->size <= u->end)
		return 0;
	/* A hole at its end. */
	if (take_room(u, u->size - u->end, 0, e) == -1)
		return -1;
	if (ftruncate(fd, u->size) == -1)
		return err_sys(e, "unpack %.200s", u->path);
	return 0;
}

/* The next block of the file that is open. */
static int
data_step(struct unpack *u, struct err *e)
{
	const void *p;
	size_t n;
	la_int64_t at;
	int r = archive_read_data_block(u->a, &p, &n, &at);

	if (r == ARCHIVE_EOF)
		return file_end(u, e);
	if (r < ARCHIVE_WARN)
		return fail(u, e);
	return write_block(u, p, n, at, e);
}

/* 1: no more entries. */
static int
entry_step(struct unpack *u, struct err *e)
{
	struct archive_entry *en;
	int r = archive_read_next_header(u->a, &en);

	if (r == ARCHIVE_EOF)
		return 1;
	if (r < ARCHIVE_WARN)
		return fail(u, e);
	return entry_begin(u, en, e);
}

/* --- interface ----------------------------------------------------------- */

static int
reader_open(struct unpack *u, struct err *e)
{
	u->a = archive_read_new();
	if (u->a == NULL)
		return err_set(e, ERR_LIMIT, "no memory for an archive");
	(void)archive_read_support_filter_gzip(u->a);
	(void)archive_read_support_filter_xz(u->a);
	(void)archive_read_support_filter_bzip2(u->a);
	(void)archive_read_support_filter_zstd(u->a);
	(void)archive_read_support_format_tar(u->a);
	(void)archive_read_support_format_zip(u->a);
	(void)archive_read_set_seek_callback(u->a, on_seek);
	if (archive_read_open2(u->a, u, NULL, on_read, on_skip, NULL) !=
	    ARCHIVE_OK)
		return fail(u, e);
	return 0;
}

int
unpack_open(int archive_fd, int dest_fd, unsigned strip,
    struct unpack_room *room, struct unpack **u_out, struct err *e)
{
	struct unpack *u = xcalloc(1, sizeof(*u));

	u->in_fd = archive_fd;
	u->out_fd = u->dest_fd = -1;
	u->strip = strip;
	u->room = room;
	if (dest_fd != -1) {
		u->dest_fd = fcntl(dest_fd, F_DUPFD_CLOEXEC, 3);
		if (u->dest_fd == -1) {
			unpack_free(u);
			return err_sys(e, "unpack");
		}
	}
	if (reader_open(u, e) == -1) {
		unpack_free(u);
		return -1;
	}
	*u_out = u;
	return 0;
}

void
unpack_free(struct unpack *u)
{
	if (u == NULL)
		return;
	if (u->a != NULL)
		(void)archive_read_free(u->a); /* only read */
	fd_close(&u->in_fd);
	fd_close(&u->out_fd);
	fd_close(&u->dest_fd);
	free(u);
}

int
unpack_step(struct unpack *u, int64_t ms, struct err *e)
{
	int64_t end = now_monotonic_ms() + ms;
	int r;

	do {
		r = u->out_fd != -1 ? data_step(u, e) : entry_step(u, e);
		if (r != 0)
			return r;
	} while (now_monotonic_ms() < end);
	return 0;
}

int64_t
unpack_done(const struct unpack *u)
{
	return u->read;
}

/* The data of the entry at hand. */
static int
peek_read(struct unpack *u, size_t max, char **text_out, size_t *len_out,
    struct err *e)
{
	autofree char *text = xmalloc(max + 1);
	size_t len = 0;

	for (;;) {
		la_ssize_t n =
		    archive_read_data(u->a, text + len, max + 1 - len);

		if (n < 0)
			return fail(u, e);
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return err_set(
			    e, ERR_INSTALL_FAILED, "unpack: too long");
	}
	text[len] = '\0';
	*len_out = len;
	*text_out = STEAL(text);
	return 0;
}

int
unpack_peek(int archive_fd, unsigned strip, const char *name, size_t max,
    char **text_out, size_t *len_out, struct err *e)
{
	struct unpack *u;
	struct archive_entry *en;
	int r;

	if (unpack_open(archive_fd, -1, strip, NULL, &u, e) == -1)
		return -1;
	while ((r = archive_read_next_header(u->a, &en)) >= ARCHIVE_WARN &&
	       r != ARCHIVE_EOF) {
		const char *path = entry_path(en);

		if (path == NULL || beneath_clean(u->path, path, strip) == -1 ||
		    strcmp(u->path, name) != 0)
			continue;
		r = peek_read(u, max, text_out, len_out, e);
		unpack_free(u);
		return r;
	}
	if (r != ARCHIVE_EOF)
		r = fail(u, e);
	else
		r = err_set(
		    e, ERR_INSTALL_FAILED, "holds no file %.100s", name);
	unpack_free(u);
	return r;
}
