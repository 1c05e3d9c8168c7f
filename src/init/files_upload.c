/*
 * Uploads: a file without a name, which the gateway fills through its
 * descriptor, takes the place of the old one at one stroke. Whoever reads
 * meanwhile sees the old file or the new one, whole. What is not committed
 * leaves nothing: a file without a name goes with its last descriptor, and
 * where the file system has none such, the name is removed when the channel
 * ends.
 *
 * Runs in the file server. The path may lead elsewhere at the commit than it
 * did at the beginning; it is looked up anew, and a different file system is an
 * error, not a copy.
 */
#include "init/files_priv.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#define UPLOADS_MAX 256
#define NEW_FILE_MODE 0644
#define NAME_TRIES 16
#define PROC_FD_MAX 40

struct upload {
	int64_t number; /* 0: free */
	int fd;		/* owned */
	int dir_fd;	/* owned: of `temp`, -1 when it has no name */
	char temp[NAME_MAX + 1];
	char *path;			/* owned, resolved */
	char *if_match, *if_none_match; /* owned, may be NULL */
	int64_t mode;			/* -1: not told */
};

struct uploads {
	int64_t last;
	struct upload slot[UPLOADS_MAX];
};

int
uploads_open(struct files *fs, struct err *e)
{
	fs->uploads = calloc(1, sizeof(*fs->uploads));
	return fs->uploads == NULL ? err_sys(e, "uploads") : 0;
}

static void
upload_free(struct upload *u)
{
	if (u->dir_fd != -1)
		(void)unlinkat(u->dir_fd, u->temp, 0); /* gone is good too */
	fd_close(&u->dir_fd);
	fd_close(&u->fd);
	free(STEAL(u->path));
	free(STEAL(u->if_match));
	free(STEAL(u->if_none_match));
	u->number = 0;
}

void
uploads_close(struct files *fs)
{
	size_t i;

	for (i = 0; i < UPLOADS_MAX; i++)
		if (fs->uploads->slot[i].number != 0)
			upload_free(&fs->uploads->slot[i]);
}

static struct upload *
upload_find(struct files *fs, int64_t number)
{
	size_t i;

	for (i = 0; i < UPLOADS_MAX; i++)
		if (fs->uploads->slot[i].number == number)
			return &fs->uploads->slot[i];
	return NULL;
}

void
files_temp_name(char name[NAME_MAX + 1])
{
	char id[RANDOM_ID_MAX];

	random_id(id, "");
	(void)!str_format(
	    name, NAME_MAX + 1, "%s%s", FILES_TEMP_PREFIX, id); /* it fits */
}

/*
 * Conditions
 */

/* Is ETAG in the list of an If-Match header, or the list "*"? */
static bool
etag_listed(const char *list, const char *etag)
{
	size_t n = strlen(etag);
	const char *p;

	if (strcmp(list, "*") == 0)
		return true;
	for (p = list; (p = strstr(p, etag)) != NULL; p += n)
		/* Weak ones are never equal here. */
		if (p == list || p[-1] == ' ' || p[-1] == ',' || p[-1] == '\t')
			return true;
	return false;
}

static int
conditions_check(const struct upload *u, const struct stat *old, struct err *e)
{
	char etag[FILES_ETAG_MAX] = "";

	if (old != NULL)
		files_etag(old, etag);
	if (u->if_match != NULL &&
	    (old == NULL || !etag_listed(u->if_match, etag)))
		return err_set(e, ERR_PRECONDITION, "the file has changed");
	if (u->if_none_match != NULL && old != NULL &&
	    etag_listed(u->if_none_match, etag))
		return err_set(e, ERR_PRECONDITION, "the file is there");
	return 0;
}

/* What is there now and may it be replaced? *OLD_OUT tells if there is any. */
static int
old_check(const struct upload *u, int dir_fd, const char *name,
    struct stat *st_out, bool *old_out, struct err *e)
{
	*old_out = fstatat(dir_fd, name, st_out, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*old_out && errno != ENOENT)
		return files_oserr(e);
	if (*old_out && S_ISDIR(st_out->st_mode)) {
		errno = EISDIR;
		return files_oserr(e);
	}
	if (*old_out && !S_ISREG(st_out->st_mode))
		return err_set(
		    e, ERR_BAD_REQUEST, "path is not a file: %s", u->path);
	return conditions_check(u, *old_out ? st_out : NULL, e);
}

/*
 * create
 */

static int
temp_named(struct upload *u, int dir_fd, struct err *e)
{
	int tries;

	for (tries = 0; tries < NAME_TRIES; tries++) {
		files_temp_name(u->temp);
		u->fd = openat(dir_fd, u->temp,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (u->fd != -1) {
			u->dir_fd = dir_fd;
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return files_patherr(e, u->path);
}

/* Takes DIR_FD. */
static int
temp_open(struct upload *u, int dir_fd, struct err *e)
{
	u->fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (u->fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR ||
			       errno == ENOENT || errno == EINVAL)) {
		if (temp_named(u, dir_fd, e) == 0)
			return 0;
		(void)close(dir_fd);
		return -1;
	}
	(void)close(dir_fd);
	return u->fd == -1 ? files_patherr(e, u->path) : 0;
}

/* The parent is there: its descriptor, and may the target be replaced? */
static int
parent_find(const struct upload *u, int *dir_out, struct err *e)
{
	char name[NAME_MAX + 1];
	struct stat st;
	bool old;

	if (files_target(u->path, dir_out, name, e) == -1)
		return -1;
	if (old_check(u, *dir_out, name, &st, &old, e) == 0)
		return 0;
	fd_close(dir_out);
	return -1;
}

/* As long as the parent is missing the upload waits in the next directory above
 * it, so that one that is given up leaves no directories. The file system is
 * the same. Where that cannot be, the directories are made at once, or the
 * error tells why they cannot. */
static int
above_find(struct upload *u, char dir[FILES_PATH_MAX], struct err *e)
{
	char above[FILES_PATH_MAX];
	struct stat st;
	int dir_fd;

	if (conditions_check(u, NULL, e) == -1)
		return -1;
	(void)!str_copy(above, sizeof(above), dir); /* same size */
	do {
		files_parent(above, above);
	} while (stat(above, &st) == -1 && errno == ENOENT &&
		 strcmp(above, "/") != 0 && above[0] != '\0');
	dir_fd = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd != -1 && temp_open(u, dir_fd, NULL) == 0)
		return 0;
	if (files_mkdirs(dir, e) == -1 || parent_find(u, &dir_fd, e) == -1)
		return -1;
	return temp_open(u, dir_fd, e);
}

static int
place_open(struct upload *u, struct err *e)
{
	char dir[FILES_PATH_MAX];
	struct stat st;
	int dir_fd;

	files_parent(u->path, dir);
	if (stat(dir, &st) == -1)
		return errno == ENOENT ? above_find(u, dir, e) : files_oserr(e);
	if (!S_ISDIR(st.st_mode)) {
		errno = EEXIST;
		return files_oserr(e);
	}
	if (parent_find(u, &dir_fd, e) == -1)
		return -1;
	return temp_open(u, dir_fd, e);
}

/* Refuse at once what cannot fit, before it is sent. */
static int
room_check(const struct upload *u, int64_t size, struct err *e)
{
	struct statvfs v;

	if (size <= 0 || fstatvfs(u->fd, &v) == -1 || v.f_blocks == 0 ||
	    (uint64_t)size / v.f_frsize <= v.f_bfree)
		return 0;
	errno = ENOSPC;
	return files_oserr(e);
}

static int
take_text(const struct json *msg, const char *key, char **out)
{
	const char *s = json_str(msg, key, NULL);

	*out = s != NULL ? strdup(s) : NULL;
	return s != NULL && *out == NULL ? -1 : 0;
}

static int
upload_begin(
    struct upload *u, const struct json *msg, const char *path, struct err *e)
{
	size_t n = strlen(path);

	u->path = strdup(path);
	u->mode = json_int(msg, "mode", -1);
	if (u->path == NULL || take_text(msg, "if_match", &u->if_match) == -1 ||
	    take_text(msg, "if_none_match", &u->if_none_match) == -1)
		return err_sys(e, "upload");
	if (n == 0 || path[n - 1] == '/') {
		errno = EISDIR;
		return files_oserr(e);
	}
	if (place_open(u, e) == -1)
		return -1;
	return room_check(u, json_int(msg, "size", 0), e);
}

void
files_create(struct files *fs, int64_t id, const struct json *msg)
{
	struct upload *u = upload_find(fs, 0);
	char path[FILES_PATH_MAX];
	struct err e;
	struct jw *w;
	int fd;

	if (u == NULL)
		(void)err_set(
		    &e, ERR_LIMIT, "%d uploads are open", UPLOADS_MAX);
	else if (files_resolve(fs, json_str(msg, "path", ""), path, &e) == 0) {
		*u = (struct upload){
			.number = ++fs->uploads->last, .fd = -1, .dir_fd = -1
		};
		fd = upload_begin(u, msg, path, &e) == 0
			 ? fcntl(u->fd, F_DUPFD_CLOEXEC, 3)
			 : -2;
		if (fd >= 0) {
			w = files_reply(fs, id);
			jw_kint(w, "upload", u->number);
			jw_kstr(w, "path", path);
			files_reply_end(fs, w, &fd, 1);
			return;
		}
		if (fd == -1)
			(void)files_oserr(&e);
		upload_free(u);
	}
	(void)chan_reply_err(fs->ch, id, &e);
}

/*
 * commit
 */

/* What the new file is to be like: as what it replaces, else as a new one. */
static int
attributes_set(const struct upload *u, const struct stat *old, struct err *e)
{
	mode_t mode = u->mode >= 0  ? (mode_t)u->mode
		      : old != NULL ? old->st_mode & 0777
				    : NEW_FILE_MODE;

	/* Another user's file becomes ours when we may not give it away. */
	if (old != NULL &&
	    (old->st_uid != geteuid() || old->st_gid != getegid()))
		(void)!fchown(u->fd, old->st_uid, old->st_gid);
	return fchmod(u->fd, mode) == -1 ? files_oserr(e) : 0;
}

/* Give the file NAME in DIR_FD, which nobody may have. */
static int
name_new(struct upload *u, int dir_fd, const char *name)
{
	char self[PROC_FD_MAX];
	int r;

	if (u->dir_fd != -1) {
		r = renameat2(
		    u->dir_fd, u->temp, dir_fd, name, RENAME_NOREPLACE);
		if (r == 0)
			fd_close(&u->dir_fd);
		return r;
	}
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", u->fd);
	return linkat(AT_FDCWD, self, dir_fd, name, AT_SYMLINK_FOLLOW);
}

/* Give it a hidden name beside the old one, unless it has one. */
static int
name_hidden(struct upload *u, int dir_fd, struct err *e)
{
	int tries;

	if (u->dir_fd != -1)
		return 0;
	for (tries = 0; tries < NAME_TRIES; tries++) {
		files_temp_name(u->temp);
		if (name_new(u, dir_fd, u->temp) == 0) {
			u->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
			if (u->dir_fd != -1)
				return 0;
			(void)unlinkat(dir_fd, u->temp, 0);
			break;
		}
		if (errno != EEXIST)
			break;
	}
	return files_oserr(e);
}

/* With a condition: exchange both, then look at what came out. If that is not
 * what was to be replaced, change back. */
static int
replace_if(struct upload *u, int dir_fd, const char *name, struct err *e)
{
	struct stat st;

	if (renameat2(u->dir_fd, u->temp, dir_fd, name, RENAME_EXCHANGE) == -1)
		return errno == EINVAL ? 1 : files_oserr(e);
	if (fstatat(u->dir_fd, u->temp, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && conditions_check(u, &st, e) == 0)
		return 0; /* upload_free() removes the old one */
	(void)renameat2(u->dir_fd, u->temp, dir_fd, name, RENAME_EXCHANGE);
	return err_set(e, ERR_PRECONDITION, "the file has changed");
}

static int
upload_place(
    struct upload *u, int dir_fd, const char *name, bool old, struct err *e)
{
	int r;

	if (!old) {
		if (name_new(u, dir_fd, name) == 0)
			return 0;
		if (errno != EEXIST)
			return files_oserr(e);
		if (u->if_none_match != NULL)
			return err_set(
			    e, ERR_PRECONDITION, "the file is there");
	}
	if (name_hidden(u, dir_fd, e) == -1)
		return -1;
	r = u->if_match != NULL ? replace_if(u, dir_fd, name, e) : 1;
	if (r <= 0)
		return r;
	if (renameat(u->dir_fd, u->temp, dir_fd, name) == -1)
		return files_oserr(e);
	fd_close(&u->dir_fd);
	return 0;
}

static int
upload_commit(struct upload *u, struct stat *st_out, struct err *e)
{
	char dir[FILES_PATH_MAX], name[NAME_MAX + 1];
	autofd int dir_fd = -1;
	bool old;

	files_parent(u->path, dir);
	if (files_mkdirs(dir, e) == -1 ||
	    files_target(u->path, &dir_fd, name, e) == -1 ||
	    old_check(u, dir_fd, name, st_out, &old, e) == -1 ||
	    attributes_set(u, old ? st_out : NULL, e) == -1 ||
	    upload_place(u, dir_fd, name, old, e) == -1)
		return -1;
	if (fstatat(dir_fd, name, st_out, AT_SYMLINK_NOFOLLOW) == -1 &&
	    fstat(u->fd, st_out) == -1)
		return files_oserr(e);
	return 0;
}

void
files_commit(struct files *fs, int64_t id, const struct json *msg)
{
	struct upload *u = upload_find(fs, json_int(msg, "upload", -1));
	struct stat st;
	struct err e;
	struct jw *w;

	if (u == NULL) {
		(void)err_set(&e, ERR_BAD_REQUEST, "no such upload");
		(void)chan_reply_err(fs->ch, id, &e);
		return;
	}
	if (upload_commit(u, &st, &e) == -1) {
		(void)chan_reply_err(fs->ch, id, &e);
	} else {
		w = files_reply(fs, id);
		jw_key(w, "entry");
		jw_object(w);
		files_entry(w, u->path, &st);
		files_entry_more(w, &st, NULL);
		jw_object_end(w);
		files_reply_end(fs, w, NULL, 0);
	}
	upload_free(u);
}

void
files_abort(struct files *fs, const struct json *msg)
{
	struct upload *u = upload_find(fs, json_int(msg, "upload", -1));

	if (u != NULL)
		upload_free(u);
}
