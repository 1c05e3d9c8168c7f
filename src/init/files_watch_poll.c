/*
 * Watching by looking: a picture of the tree every so often, compared with the
 * one before. Tells what is different, not what happened, so it catches up with
 * anything, also where the kernel has nothing to say.
 */
#include "init/files_watch.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define ENTRIES_MAX 300000

struct item {
	char *path; /* owned */
	int64_t mtime_s;
	long mtime_ns;
	off_t size;
	ino_t ino;
	dev_t dev;
	mode_t mode;
};

struct picture {
	struct item *items; /* owned, sorted by path once taken */
	size_t n, room;
	bool full; /* there was more */
};

static void
picture_free(struct picture *pic)
{
	size_t i;

	for (i = 0; i < pic->n; i++)
		free(pic->items[i].path);
	free(pic->items);
	*pic = (struct picture){ 0 };
}

static struct item *
picture_add(struct picture *pic, const char *path, const struct stat *st)
{
	struct item *it;

	if (pic->n == ENTRIES_MAX) {
		pic->full = true;
		return NULL;
	}
	if (pic->n == pic->room) {
		pic->room = pic->room == 0 ? 64 : pic->room * 2;
		pic->items =
		    xreallocarray(pic->items, pic->room, sizeof(*pic->items));
	}
	it = &pic->items[pic->n++];
	*it = (struct item){ .path = xstrdup(path),
		.mtime_s = st->st_mtim.tv_sec,
		.mtime_ns = st->st_mtim.tv_nsec,
		.size = st->st_size,
		.ino = st->st_ino,
		.dev = st->st_dev,
		.mode = st->st_mode };
	return it;
}

static void
dir_add(struct picture *pic, const char *dir)
{
	char path[FILES_PATH_MAX];
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *ent;
	struct stat st;

	if (d == NULL) {
		fd_close(&fd);
		return;
	}
	while (!pic->full && (ent = readdir(d)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0 ||
		    str_starts(ent->d_name, FILES_TEMP_PREFIX) ||
		    watch_join(path, dir, ent->d_name) == -1 ||
		    fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			-1)
			continue;
		(void)picture_add(pic, path, &st); /* full: seen above */
	}
	(void)closedir(d);
}

static int
by_path(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* What is found is looked into as the list grows, so there is no recursion. */
static void
picture_take(const struct watch_plan *p, struct picture *pic)
{
	char path[FILES_PATH_MAX];
	struct stat st;
	size_t i;

	if (!p->dir) {
		if (stat(p->path, &st) == 0)
			(void)picture_add(pic, p->path, &st);
		return;
	}
	dir_add(pic, p->path);
	for (i = 0; p->recursive && i < pic->n && !pic->full; i++) {
		if (!S_ISDIR(pic->items[i].mode))
			continue;
		/* The list moves as it grows. */
		if (str_copy(path, sizeof(path), pic->items[i].path) == 0)
			dir_add(pic, path);
	}
	if (pic->n > 0)
		qsort(pic->items, pic->n, sizeof(*pic->items), by_path);
}

static const char *
type_name(const struct item *it)
{
	return S_ISDIR(it->mode) ? "directory" : "file";
}

static bool
differs(const struct item *a, const struct item *b)
{
	if (a->mode != b->mode || a->ino != b->ino || a->dev != b->dev)
		return true;
	/* A directory's own time only says that something in it has changed. */
	if (S_ISDIR(a->mode))
		return false;
	return a->mtime_s != b->mtime_s || a->mtime_ns != b->mtime_ns ||
	       a->size != b->size;
}

static int
same_path(struct watch_plan *p, const struct item *a, const struct item *b)
{
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT)) {
		if (watch_event(p, "deleted", a->path, type_name(a), NULL) ==
		    -1)
			return -1;
		return watch_event(p, "created", b->path, type_name(b), NULL);
	}
	if (!differs(a, b))
		return 0;
	return watch_event(p, "modified", b->path, type_name(b), NULL);
}

static int
compare(
    struct watch_plan *p, const struct picture *old, const struct picture *new)
{
	const struct item *a = old->items, *a_end = a + old->n;
	const struct item *b = new->items, *b_end = b + new->n;
	int c, r;

	while (a < a_end || b < b_end) {
		c = a == a_end ? 1 : b == b_end ? -1 : strcmp(a->path, b->path);
		if (c == 0)
			r = same_path(p, a++, b++);
		else if (c > 0) {
			r = watch_event(
			    p, "created", b->path, type_name(b), NULL);
			b++;
		} else {
			r = watch_event(
			    p, "deleted", a->path, type_name(a), NULL);
			a++;
		}
		if (r == -1)
			return -1;
	}
	return 0;
}

int
watch_poll(struct job_child *c, struct watch_plan *p, struct err *e)
{
	struct picture old = { 0 }, new = { 0 };
	bool told = false;

	(void)e;
	picture_take(p, &old);
	job_tell(c);
	if (watch_ready(p) == -1)
		return 0;
	for (;;) {
		if (old.full && !told &&
		    watch_overflow(p, p->path, "entries") == -1)
			break;
		told = old.full;
		if (watch_wait(p, -1, p->poll_ms) == -1)
			break;
		picture_take(p, &new);
		if (compare(p, &old, &new) == -1)
			break;
		picture_free(&old);
		old = new;
		new = (struct picture){ 0 };
	}
	picture_free(&old);
	picture_free(&new);
	return 0;
}
