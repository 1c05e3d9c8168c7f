/*
 * What a directory holds, as a JSON array written to the gateway's pipe. One
 * that fits in a pipe is written at once; a longer one by a child, which waits
 * for the reader.
 */
#include "init/files_priv.h"
#include "lib/fdio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CHUNK_BYTES 32768u /* then it is written; below a pipe's size */
#define CHUNK_CAP (8u * CHUNK_BYTES)
#define LIST_S 1800.0

struct listing {
	char path[FILES_PATH_MAX];
	DIR *dir; /* owned */
	long at;  /* where the child goes on */
	struct buf b;
	struct jw w;
	bool done;
};

static void
entry_add(struct listing *l, const char *name)
{
	char path[FILES_PATH_MAX + NAME_MAX + 2];
	size_t n = strlen(l->path), m = strlen(name);
	struct stat st;

	/* Gone meanwhile: then it is not there. */
	if (fstatat(dirfd(l->dir), name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return;
	memcpy(path, l->path, n);
	if (n > 0 && path[n - 1] != '/')
		path[n++] = '/';
	memcpy(path + n, name, m + 1);
	jw_object(&l->w);
	jw_key(&l->w, "name");
	jw_strn(&l->w, name, m);
	files_entry(&l->w, path, &st);
	jw_object_end(&l->w);
}

/* Go on until there is a chunk to write, or the end. */
static int
listing_fill(struct listing *l, struct err *e)
{
	const struct dirent *d;

	while (!l->done && l->b.len < CHUNK_BYTES) {
		errno = 0;
		d = readdir(l->dir);
		if (d == NULL && errno != 0)
			return files_oserr(e);
		if (d == NULL) {
			jw_array_end(&l->w);
			l->done = true;
		} else if (strcmp(d->d_name, ".") != 0 &&
			   strcmp(d->d_name, "..") != 0) {
			entry_add(l, d->d_name);
		}
	}
	return l->b.failed ? err_set(e, ERR_INTERNAL, "list") : 0;
}

static int
list_job(struct job_child *c, struct err *e)
{
	struct listing *l = c->ctx;

	/* The stream was closed with all descriptors but this. */
	l->dir = fdopendir(c->fds[1]);
	if (l->dir == NULL)
		return files_oserr(e);
	seekdir(l->dir, l->at);
	job_tell(c);
	for (;;) {
		if (fd_write_all(c->fds[0], l->b.data, l->b.len) == -1)
			return files_oserr(e);
		buf_clear(&l->b);
		if (l->done)
			return 0;
		if (listing_fill(l, e) == -1)
			return -1;
	}
}

static int
listing_open(struct listing *l, struct err *e)
{
	autofd int fd = -1;
	struct stat st;

	if (stat(l->path, &st) == -1)
		return files_patherr(e, l->path);
	if (!S_ISDIR(st.st_mode))
		return err_set(
		    e, ERR_BAD_REQUEST, "path is not a directory: %s", l->path);
	fd = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return files_patherr(e, l->path);
	l->dir = fdopendir(fd);
	if (l->dir == NULL)
		return files_oserr(e);
	(void)fd_steal(&fd);
	jw_array(&l->w);
	return listing_fill(l, e);
}

void
files_list(struct files *fs, int64_t id, const struct json *msg,
    const struct chan_frame *f)
{
	static struct listing l;
	struct job_spec s = { .id = id,
		.limit_s = LIST_S,
		.fn = list_job,
		.ctx = &l,
		.nfds = 2,
		.reply_fd = -1 };
	struct err e;

	memset(&l, 0, sizeof(l));
	buf_init(&l.b, CHUNK_CAP);
	jw_init(&l.w, &l.b);
	if (f->nfds != 1) {
		(void)err_set(&e, ERR_BAD_REQUEST, "fds: one is needed");
	} else if (files_resolve(fs, json_str(msg, "path", ""), l.path, &e) ==
		       0 &&
		   listing_open(&l, &e) == 0) {
		err_clear(&e);
		if (l.done && fd_set_nonblock(f->fds[0], 1) == 0 &&
		    write(f->fds[0], l.b.data, l.b.len) == (ssize_t)l.b.len) {
			/* So that the reader sees the end at once. */
			fd_close(&f->fds[0]);
			(void)chan_reply_ok(fs->ch, id);
		} else {
			s.fds[0] = f->fds[0];
			s.fds[1] = dirfd(l.dir);
			/* The stream has read on beyond this. */
			l.at = telldir(l.dir);
			if (files_job(fs, &s, &e) == -1)
				(void)chan_reply_err(fs->ch, id, &e);
		}
		err_clear(&e);
	}
	if (e.code != ERR_NONE)
		(void)chan_reply_err(fs->ch, id, &e);
	if (l.dir != NULL)
		(void)closedir(l.dir);
	buf_free(&l.b);
}
