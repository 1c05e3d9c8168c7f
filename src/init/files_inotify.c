/*
 * Watching by inotify, in a child of the file server. A directory that appears
 * is watched at once, and what was put into it before that is reported as if it
 * had been seen coming.
 *
 * The sandbox decides what is here: names are bounded by the kernel, the number
 * of watches by us and by the kernel, and events that come too fast for the
 * reader become one overflow notice.
 */
#include "init/files_watch.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#define WATCHES_MAX 65536
#define EVENTS_BYTES 65536
#define PAIR_MS 10	/* the other half of a move comes at once or never */
#define AGAIN_MS 200	/* a file that is written all the time is told so */
#define RECENT_N 16384u /* slots; a power of two */
#define TAKEN 1		/* a slot whose path was forgotten; 0 is a free one */
#define MASK                                                             \
	(IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | \
	    IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_EXCL_UNLINK)

struct watched {
	int wd;	    /* the kernel's, ever greater */
	char *path; /* owned; NULL: no more */
};

struct notify {
	struct watch_plan *p;
	int fd;
	char root[FILES_PATH_MAX]; /* the directory that is watched */
	const char *only;	   /* in it, or NULL: all */
	struct watched *dirs;	   /* owned, by wd */
	size_t n, room, live;
	uint64_t recent[RECENT_N]; /* hashes of paths told without an event */
	size_t nrecent;
	bool ready;		/* the first line is written */
	bool limit, limit_told; /* not everything is watched */
	/* The first half of a move. */
	uint32_t cookie; /* 0: none */
	bool from_dir;
	char from[FILES_PATH_MAX];
	/* Consecutive modifications of one file are one. */
	char last[FILES_PATH_MAX];
	int64_t last_ms;
};

/*
 * What was told already
 */

static uint64_t
hash(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h > TAKEN ? h : TAKEN + 1;
}

static void
recent_add(struct notify *k, const char *path)
{
	uint64_t h = hash(path);
	size_t i = h & (RECENT_N - 1);

	if (k->nrecent >= RECENT_N / 2)
		return; /* then it may be told twice */
	while (k->recent[i] != 0)
		i = (i + 1) & (RECENT_N - 1);
	k->recent[i] = h;
	k->nrecent++;
}

/* Was PATH told already? Then it is not remembered any longer. */
static bool
recent_take(struct notify *k, const char *path)
{
	uint64_t h = hash(path);
	size_t i;

	if (k->nrecent == 0)
		return false;
	for (i = h & (RECENT_N - 1); k->recent[i] != 0;
	     i = (i + 1) & (RECENT_N - 1))
		if (k->recent[i] == h) {
			k->recent[i] = TAKEN;
			return true;
		}
	return false;
}

static void
recent_clear(struct notify *k)
{
	if (k->nrecent > 0)
		memset(k->recent, 0, sizeof(k->recent));
	k->nrecent = 0;
}

/*
 * Watches
 */

static struct watched *
dir_find(struct notify *k, int wd)
{
	size_t lo = 0, hi = k->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (k->dirs[mid].wd < wd)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < k->n && k->dirs[lo].wd == wd ? &k->dirs[lo] : NULL;
}

static void
dir_forget(struct notify *k, struct watched *d)
{
	if (d->path != NULL)
		k->live--;
	free(STEAL(d->path));
}

/* Places of watches that are gone are used again in bulk. */
static void
dirs_compact(struct notify *k)
{
	size_t i, n = 0;

	for (i = 0; i < k->n; i++)
		if (k->dirs[i].path != NULL)
			k->dirs[n++] = k->dirs[i];
	k->n = n;
}

static void
dir_note(struct notify *k, int wd, const char *path)
{
	struct watched *d = dir_find(k, wd);
	size_t i;

	if (d != NULL) { /* the same directory under another name */
		dir_forget(k, d);
		d->path = xstrdup(path);
		k->live++;
		return;
	}
	if (k->n == k->room && k->live < k->n / 2)
		dirs_compact(k);
	if (k->n == k->room) {
		k->room = k->room == 0 ? 64 : k->room * 2;
		k->dirs = xreallocarray(k->dirs, k->room, sizeof(*k->dirs));
	}
	/* The kernel counts up, so this is the end, but for a wrap-around. */
	for (i = k->n; i > 0 && k->dirs[i - 1].wd > wd; i--)
		k->dirs[i] = k->dirs[i - 1];
	k->dirs[i] = (struct watched){ wd, xstrdup(path) };
	k->n++;
	k->live++;
}

/* 0, or -1 with errno. */
static int
dir_watch(struct notify *k, const char *path, uint32_t more)
{
	int wd;

	if (strcmp(path, k->root) == 0)
		more = 0; /* as it was asked for */
	if (k->live >= WATCHES_MAX) {
		errno = ENOSPC;
		return -1;
	}
	wd = inotify_add_watch(k->fd, path, MASK | IN_ONLYDIR | more);
	if (wd == -1)
		return -1;
	dir_note(k, wd, path);
	return 0;
}

static bool
below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

/* FROM and all below it are elsewhere now: at TO, or when that is NULL outside
 * of what we watch. */
static void
dirs_moved(struct notify *k, const char *from, const char *to)
{
	char path[FILES_PATH_MAX];
	struct watched *d;
	size_t i;

	for (i = 0; i < k->n; i++) {
		d = &k->dirs[i];
		if (d->path == NULL || !below(d->path, from))
			continue;
		if (to == NULL || str_format(path, sizeof(path), "%s%s", to,
				      d->path + strlen(from)) == -1) {
			(void)inotify_rm_watch(k->fd, d->wd);
			dir_forget(k, d);
			continue;
		}
		free(d->path);
		d->path = xstrdup(path);
	}
}

/* Directories that are still to be looked into. */
struct todo {
	char **v;
	size_t n, room;
};

static void
todo_add(struct todo *t, const char *path)
{
	if (t->n == t->room) {
		t->room = t->room == 0 ? 16 : t->room * 2;
		t->v = xreallocarray(t->v, t->room, sizeof(*t->v));
	}
	t->v[t->n++] = xstrdup(path);
}

static int
dir_scan(struct notify *k, const char *dir, bool tell, struct todo *todo)
{
	/* The path that was asked for may lead through a link. */
	int more = strcmp(dir, k->root) == 0 ? 0 : O_NOFOLLOW;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | more);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	char path[FILES_PATH_MAX];
	const struct dirent *ent;
	struct stat st;
	int r = 0;

	if (d == NULL) {
		fd_close(&fd);
		return 0;
	}
	while (r == 0 && (ent = readdir(d)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0 ||
		    str_starts(ent->d_name, FILES_TEMP_PREFIX) ||
		    watch_join(path, dir, ent->d_name) == -1)
			continue;
		if (!tell && ent->d_type != DT_DIR && ent->d_type != DT_UNKNOWN)
			continue;
		if (fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
		    -1)
			continue;
		if (tell) {
			recent_add(k, path);
			r = watch_event(k->p, "created", path,
			    S_ISDIR(st.st_mode) ? "directory" : "file", NULL);
		}
		if (S_ISDIR(st.st_mode))
			todo_add(todo, path);
	}
	(void)closedir(d);
	return r;
}

static int
limit_tell(struct notify *k)
{
	if (!k->limit || k->limit_told || !k->ready)
		return 0;
	k->limit_told = true;
	return watch_overflow(k->p, k->p->path, "watches");
}

/* Watch PATH and, if asked for, all below it. TELL: report what is in it. -1
 * when nobody reads any more. */
static int
tree_watch(struct notify *k, const char *path, bool tell)
{
	struct todo todo = { 0 };
	char *dir;
	int r = 0;

	todo_add(&todo, path);
	while (r == 0 && todo.n > 0) {
		dir = todo.v[--todo.n];
		if (dir_watch(k, dir, IN_DONT_FOLLOW) == 0)
			r = dir_scan(k, dir, tell, &todo);
		else if (errno == ENOSPC || errno == ENOMEM)
			k->limit = true;
		if (r == 0)
			r = limit_tell(k);
		free(dir);
	}
	while (todo.n > 0)
		free(todo.v[--todo.n]);
	free(todo.v);
	return r;
}

/*
 * Events
 */

static const char *
type_name(bool dir)
{
	return dir ? "directory" : "file";
}

/* A move whose other half did not come: it went out of sight. */
static int
pending_flush(struct notify *k)
{
	const char *name = strrchr(k->from, '/');

	if (k->cookie == 0)
		return 0;
	k->cookie = 0;
	if (k->from_dir)
		dirs_moved(k, k->from, NULL);
	if (name != NULL && str_starts(name + 1, FILES_TEMP_PREFIX))
		return 0;
	return watch_event(
	    k->p, "deleted", k->from, type_name(k->from_dir), NULL);
}

/* What was found by looking was told and is watched: its event comes late. */
static int
appeared(struct notify *k, const char *path, bool dir)
{
	if (recent_take(k, path))
		return 0;
	if (watch_event(k->p, "created", path, type_name(dir), NULL) == -1)
		return -1;
	return dir && k->p->recursive ? tree_watch(k, path, true) : 0;
}

static int
moved_to(struct notify *k, const struct inotify_event *ev, const char *path)
{
	bool dir = (ev->mask & IN_ISDIR) != 0;
	const char *old = strrchr(k->from, '/');
	bool temp = str_starts(ev->name, FILES_TEMP_PREFIX);
	struct stat st;

	if (k->cookie == 0 || k->cookie != ev->cookie)
		return temp ? 0 : appeared(k, path, dir);
	k->cookie = 0;
	if (dir)
		dirs_moved(k, k->from, path);
	/* An upload has taken its place, or pushed the old file aside. */
	if (old != NULL && str_starts(old + 1, FILES_TEMP_PREFIX))
		return temp ? 0
			    : watch_event(
				  k->p, "modified", path, type_name(dir), NULL);
	if (temp)
		return lstat(k->from, &st) == 0
			   ? 0
			   : watch_event(k->p, "deleted", k->from,
				 type_name(dir), NULL);
	return watch_event(k->p, "moved", path, type_name(dir), k->from);
}

static int
named_event(struct notify *k, const struct inotify_event *ev, const char *path)
{
	bool dir = (ev->mask & IN_ISDIR) != 0;
	bool temp = str_starts(ev->name, FILES_TEMP_PREFIX);
	struct stat st;
	int64_t now_ms;

	if ((ev->mask & IN_MOVED_TO) != 0)
		return moved_to(k, ev, path);
	if ((ev->mask & (IN_MOVED_FROM | IN_DELETE)) != 0)
		(void)recent_take(k, path); /* one of that name is new */
	if ((ev->mask & IN_MOVED_FROM) != 0) {
		k->cookie = ev->cookie;
		k->from_dir = dir;
		(void)!str_copy(k->from, sizeof(k->from), path); /* same size */
		return 0;
	}
	if (temp)
		return 0;
	if ((ev->mask & IN_CREATE) != 0)
		return appeared(k, path, dir);
	if ((ev->mask & IN_DELETE) != 0)
		return watch_event(k->p, "deleted", path, type_name(dir), NULL);
	/* Of a file that is gone, or has no name yet, there is nothing to say:
	 * what is being uploaded has an event, too. */
	if (lstat(path, &st) == -1)
		return 0;
	now_ms = now_monotonic_ms();
	if (strcmp(k->last, path) == 0 && now_ms - k->last_ms < AGAIN_MS)
		return 0;
	k->last_ms = now_ms;
	(void)!str_copy(k->last, sizeof(k->last), path); /* same size */
	return watch_event(k->p, "modified", path, type_name(dir), NULL);
}

/* 0; 1: what we watch is gone; -1: nobody reads any more. */
static int
on_event(struct notify *k, const struct inotify_event *ev)
{
	char path[FILES_PATH_MAX];
	struct watched *d;

	if ((ev->mask & IN_Q_OVERFLOW) != 0) {
		recent_clear(k);
		if (watch_overflow(k->p, k->p->path, "queue") == -1)
			return -1;
		return k->p->recursive ? tree_watch(k, k->root, false)
				       : 0; /* also finds what is new */
	}
	/* First what is open: it may take watches away. */
	if (((ev->mask & IN_MOVED_TO) == 0 || ev->cookie != k->cookie) &&
	    pending_flush(k) == -1)
		return -1;
	d = dir_find(k, ev->wd);
	if (d == NULL || d->path == NULL)
		return 0;
	if ((ev->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0 &&
	    strcmp(d->path, k->root) == 0) {
		(void)watch_event(
		    k->p, "deleted", k->p->path, type_name(k->p->dir), NULL);
		return 1;
	}
	if ((ev->mask & IN_IGNORED) != 0) {
		dir_forget(k, d);
		return 0;
	}
	if (ev->len == 0 || ev->name[0] == '\0' ||
	    (k->only != NULL && strcmp(ev->name, k->only) != 0))
		return 0;
	if ((ev->mask & IN_MODIFY) == 0)
		k->last[0] = '\0';
	if (watch_join(path, d->path, ev->name) == -1)
		return 0;
	return named_event(k, ev, path);
}

static int
events_read(struct notify *k)
{
	static char buf[EVENTS_BYTES]
	    __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(k->fd, buf, sizeof(buf)), at;
	const struct inotify_event *ev;
	int r;

	if (n == -1)
		return errno == EAGAIN || errno == EINTR ? 0 : 1;
	for (at = 0; at < n; at += (ssize_t)(sizeof(*ev) + ev->len)) {
		ev = (const struct inotify_event *)(const void *)(buf + at);
		r = on_event(k, ev);
		if (r != 0)
			return r;
	}
	return 0;
}

static int
run(struct notify *k)
{
	int r;

	for (;;) {
		/* While something is unsettled look again soon. */
		r = watch_wait(k->p, k->fd,
		    k->cookie != 0 || k->nrecent > 0 || k->last[0] != '\0'
			? PAIR_MS
			: -1);
		if (r == 0) {
			recent_clear(k);
			k->last[0] = '\0';
			r = pending_flush(k);
		} else if (r == 1) {
			r = events_read(k);
		}
		if (r != 0)
			return 0;
	}
}

static int
begin(struct notify *k, struct err *e)
{
	struct watch_plan *p = k->p;

	(void)!str_copy(k->root, sizeof(k->root), p->path); /* same size */
	if (!p->dir) {
		files_parent(p->path, k->root);
		k->only = strrchr(p->path, '/') + 1;
	}
	k->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (k->fd == -1 || dir_watch(k, k->root, 0) == -1) {
		if (errno == ENOENT)
			return files_patherr(e, k->root);
		(void)files_oserr(e);
		if (errno == ENOSPC || errno == EMFILE)
			(void)err_set(e, ERR_LIMIT,
			    "no more watches; try again with poll");
		return -1;
	}
	return 0;
}

int
watch_inotify(struct job_child *c, struct watch_plan *p, struct err *e)
{
	static struct notify k;
	struct todo todo = { 0 };
	int r = 0;

	k.p = p;
	if (begin(&k, e) == -1)
		return -1;
	job_tell(c);
	if (p->dir && p->recursive) {
		r = dir_scan(&k, k.root, false, &todo);
		while (todo.n > 0) {
			char *dir = todo.v[--todo.n];

			if (r == 0)
				r = tree_watch(&k, dir, false);
			free(dir);
		}
		free(todo.v);
	}
	k.ready = true;
	if (r == 0 && watch_ready(p) == 0 && limit_tell(&k) == 0)
		(void)run(&k);
	return 0;
}
