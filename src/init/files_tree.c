/*
 * Deleting and moving. Runs in the file server, and what may take long in a
 * child of it.
 *
 * A move that replaces something first puts that aside under a hidden name, so
 * that a move which fails has destroyed nothing, and removes it afterwards.
 */
#include "init/files_copy.h"
#include "init/files_priv.h"
#include "lib/frame.h"
#include "lib/json.h"
#include "lib/strutil.h"
#include "sandbox/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define TREE_S 3600.0
#define REMOVE_DEPTH 200 /* one descriptor each; deeper ones another way */

/*
 * Removing
 */

static int remove_at(int dir_fd, const char *name, unsigned depth);

static int
dir_empty_out(int dir_fd, const char *name, unsigned depth)
{
	int fd = openat(
	    dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *d;
	int number = 0;

	if (dir == NULL) {
		number = errno;
		fd_close(&fd);
		errno = number;
		return number == ENOENT ? 0 : -1;
	}
	while (number == 0 && (errno = 0, d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (remove_at(dirfd(dir), d->d_name, depth) == -1)
			number = errno;
	}
	if (number == 0)
		number = errno;
	(void)closedir(dir);
	errno = number;
	return number == 0 ? 0 : -1;
}

/* Children first. The sandbox/remove.h way needs no stack, but moves
 * directories, which an overlay refuses for those of its lower layer; those are
 * never as deep as what somebody makes to annoy us. */
static int
remove_at(int dir_fd, const char *name, unsigned depth)
{
	int64_t budget = INT64_MAX;
	struct err e;
	int tries;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	/* Again when somebody has put something in meanwhile. */
	for (tries = 0; tries < 8; tries++) {
		if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 ||
		    errno == ENOENT)
			return 0;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return -1;
		if (depth >= REMOVE_DEPTH)
			return tree_remove(dir_fd, name, &budget, &e);
		if (dir_empty_out(dir_fd, name, depth + 1) == -1)
			return -1;
	}
	errno = ENOTEMPTY;
	return -1;
}

/* Remove NAME below DIR_FD with all in it, never through a link. */
static int
files_remove_tree(int dir_fd, const char *name, struct err *e)
{
	return remove_at(dir_fd, name, 0) == -1 ? files_oserr(e) : 0;
}

/* Paths, as the jobs get them. */
struct tree {
	char from[FILES_PATH_MAX], to[FILES_PATH_MAX];
	char aside[FILES_PATH_MAX]; /* what was in the way; "" if nothing */
	bool copy;		    /* the rename is still to be done */
	bool remove;		    /* before it what is at `to` */
};

/* Without the slashes at its end, through which a link would be followed. */
static void
trim(char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
}

static int
delete_job(struct job_child *c, struct err *e)
{
	const struct tree *t = c->ctx;

	return files_remove_tree(AT_FDCWD, t->from, e);
}

static int
delete_now(const char *path, const struct stat *st)
{
	return S_ISDIR(st->st_mode) ? rmdir(path) : unlink(path);
}

static char *
reply_text(
    const char *key, const char *path, const char *key2, const char *path2)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, key, path);
	if (key2 != NULL)
		jw_kstr(&w, key2, path2);
	jw_object_end(&w);
	return buf_steal(&b);
}

static void
reply_paths(struct files *fs, int64_t id, const char *key, const char *path,
    const char *key2, const char *path2)
{
	struct jw *w = files_reply(fs, id);

	jw_kstr(w, key, path);
	if (key2 != NULL)
		jw_kstr(w, key2, path2);
	files_reply_end(fs, w, NULL, 0);
}

void
files_delete(struct files *fs, int64_t id, const struct json *msg)
{
	struct tree t = { .copy = false };
	struct job_spec s = { .id = id,
		.limit_s = TREE_S,
		.fn = delete_job,
		.ctx = &t,
		.reply_fd = -1 };
	autofree char *reply = NULL;
	char path[FILES_PATH_MAX];
	struct stat st;
	struct err e;

	if (files_resolve(fs, json_str(msg, "path", ""), path, &e) == -1)
		goto fail;
	if (stat(path, &st) == -1) {
		(void)files_patherr(&e, path);
		goto fail;
	}
	if (!S_ISDIR(st.st_mode) || !json_bool(msg, "recursive", false)) {
		if (delete_now(path, &st) == -1) {
			(void)files_patherr(&e, path);
			goto fail;
		}
		reply_paths(fs, id, "path", path, NULL, NULL);
		return;
	}
	(void)!str_copy(t.from, sizeof(t.from), path); /* same size */
	trim(t.from);
	reply = reply_text("path", path, NULL, NULL);
	s.reply = reply;
	if (files_job(fs, &s, &e) == 0)
		return;
fail:
	(void)chan_reply_err(fs->ch, id, &e);
}

/*
 * Moving
 */

/* A free hidden name beside PATH. */
static int
hidden_beside(const char *path, char out[FILES_PATH_MAX], struct err *e)
{
	char dir[FILES_PATH_MAX], name[NAME_MAX + 1];

	files_parent(path, dir);
	files_temp_name(name);
	if (str_format(out, FILES_PATH_MAX, "%s/%s", dir, name) == -1) {
		errno = ENAMETOOLONG;
		return files_oserr(e);
	}
	return 0;
}

static int
move_copy(const struct tree *t, struct err *e)
{
	char temp[FILES_PATH_MAX];

	if (hidden_beside(t->to, temp, e) == -1)
		return -1;
	if (files_copy_tree(AT_FDCWD, t->from, AT_FDCWD, temp, e) == -1 ||
	    (rename(temp, t->to) == -1 && files_oserr(e) == -1)) {
		(void)files_remove_tree(AT_FDCWD, temp, NULL);
		return -1;
	}
	return files_remove_tree(AT_FDCWD, t->from, e);
}

/* What is left of a move: to make room, the copy, and what was in the way. */
static int
move_job(struct job_child *c, struct err *e)
{
	struct tree *t = c->ctx;

	if (t->remove && files_remove_tree(AT_FDCWD, t->to, e) == -1)
		return -1;
	if (t->remove && rename(t->from, t->to) == 0)
		return 0;
	if (t->remove && errno != EXDEV)
		return files_patherr(e, t->from);
	if ((t->copy || t->remove) && move_copy(t, e) == -1) {
		if (t->aside[0] != '\0')
			(void)renameat2(AT_FDCWD, t->aside, AT_FDCWD, t->to,
			    RENAME_NOREPLACE);
		return -1;
	}
	if (t->aside[0] != '\0')
		return files_remove_tree(AT_FDCWD, t->aside, e);
	return 0;
}

/* Put what is at T->to out of the way. An overlay may refuse that for a
 * directory; then it is to be removed. */
static int
target_aside(struct tree *t, struct err *e)
{
	if (hidden_beside(t->to, t->aside, e) == -1)
		return -1;
	if (rename(t->to, t->aside) == 0)
		return 0;
	t->aside[0] = '\0';
	if (errno != EXDEV)
		return files_oserr(e);
	t->remove = true;
	return 0;
}

/* One lies in the other: then nothing may be put aside. */
static bool
nested(const char *a, const char *b)
{
	size_t n = strlen(a);

	return strncmp(a, b, n) == 0 && (b[n] == '/' || b[n] == '\0');
}

/* Rename if that does it; T tells what is left for a job. */
static int
move_now(struct tree *t, bool overwrite, struct err *e)
{
	char dir[FILES_PATH_MAX];
	struct stat from, to;
	bool there = stat(t->to, &to) == 0;

	if (there && !overwrite)
		return err_set(e, ERR_BAD_REQUEST,
		    "destination already exists: %s", t->to);
	if (lstat(t->from, &from) == -1)
		return files_patherr(e, t->from);
	files_parent(t->to, dir);
	if (files_mkdirs(dir, e) == -1)
		return -1;
	if (overwrite)
		there = lstat(t->to, &to) == 0;
	if (there && from.st_dev == to.st_dev && from.st_ino == to.st_ino &&
	    strcmp(t->from, t->to) == 0)
		return 0;
	/* A file over a file needs nothing more. */
	if (there && (S_ISDIR(from.st_mode) || S_ISDIR(to.st_mode))) {
		if (nested(t->to, t->from) || nested(t->from, t->to)) {
			errno = EINVAL;
			return files_oserr(e);
		}
		if (target_aside(t, e) == -1)
			return -1;
		if (t->remove)
			return 0;
	}
	if (rename(t->from, t->to) == 0)
		return 0;
	if (errno == EXDEV) {
		t->copy = true;
		return 0;
	}
	(void)files_patherr(e, t->from);
	if (t->aside[0] != '\0')
		(void)rename(t->aside, t->to);
	return -1;
}

void
files_move(struct files *fs, int64_t id, const struct json *msg)
{
	static struct tree t;
	struct job_spec s = { .id = id,
		.limit_s = TREE_S,
		.fn = move_job,
		.ctx = &t,
		.reply_fd = -1 };
	char from[FILES_PATH_MAX], to[FILES_PATH_MAX];
	autofree char *reply = NULL;
	struct err e;

	memset(&t, 0, sizeof(t));
	if (files_resolve(fs, json_str(msg, "from", ""), from, &e) == -1 ||
	    files_resolve(fs, json_str(msg, "to", ""), to, &e) == -1)
		goto fail;
	(void)!str_copy(t.from, sizeof(t.from), from); /* same size */
	(void)!str_copy(t.to, sizeof(t.to), to);
	trim(t.from);
	trim(t.to);
	if (move_now(&t, json_bool(msg, "overwrite", false), &e) == -1)
		goto fail;
	if (!t.copy && !t.remove && t.aside[0] == '\0') {
		reply_paths(fs, id, "from", from, "to", to);
		return;
	}
	reply = reply_text("from", from, "to", to);
	s.reply = reply;
	if (files_job(fs, &s, &e) == 0)
		return;
	if (t.copy && t.aside[0] != '\0')
		(void)rename(t.aside, t.to);
fail:
	(void)chan_reply_err(fs->ch, id, &e);
}
