/*
 * The layer that hides the host's private places; see hide.h. Runs in the
 * supervisor as root. It reads names, types and modes of the host's files and
 * the content of none; it writes nothing but its list.
 *
 * A sandbox's root stands for root of the lower layer, so for it a mode of
 * 0600 hides nothing: whatever the rest of the world may not read must be
 * hidden here. A place too large or too deep to be looked through is hidden as
 * a whole.
 *
 * The look goes through a private clone of the root's mount, which is exactly
 * what sandboxes see: not what happens to be mounted on top. Its result is a
 * list of steps (make this directory, put a whiteout here), which hide_perform()
 * does without deciding anything.
 */
#include "sandbox/hide.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "sandbox/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define CHECK_AGAIN_MS 5000
#define LOOK_AGAIN_MS 60000
#define ENTRIES_MAX 400000	    /* looked at */
#define LIST_MAX (8u * 1024 * 1024) /* bytes of the list */
#define DEPTH_MAX 24

/* What stands at the top of every distribution's root. */
static const char *const standard[] = { "bin", "boot", "dev", "etc", "gnu",
	"home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "nix",
	"opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr",
	"var" };

/* Directories that must exist and whose content is nobody's business. */
static const char *const emptied[] = { "root", "home", "srv", "mnt", "media",
	"boot", "run", "tmp", "var/log", "var/tmp", "var/mail",
	"var/spool/mail", "var/spool/cron", "var/backups", "var/crash" };

/* Places that are looked through. */
static const char *const searched[] = { "etc", "var", "opt", "usr/local" };

/* The two layers, as directories. What a directory of the first merges with is
 * cut off by a whiteout of the same name in the second: so no extended
 * attribute is needed, which tmpfs has not had for long. */
const char *const hide_names[HIDE_LAYERS_N] = { "hide", "gone" };
#define LIST_NAME "list"
#define DIR_LAYER "hide/"
#define GONE_LAYER "gone/"
#define WHITEOUT "hide/.whiteout"

/* Records one after the other, each followed by its path (relative to the
 * scratch: with the layer's name) and padding. */
struct step {
	uint32_t mode; /* of a directory to make; 0: a whiteout */
	uint32_t uid, gid;
	uint32_t len; /* of the path, with its NUL, rounded up to 8 */
};

struct list {
	char *data; /* owned */
	size_t len, room;
};

/* A directory that was looked through; what changes in it changes this. */
struct seen {
	struct timespec changed;
	char *path; /* owned */
};

struct seen_list {
	struct seen *v; /* owned */
	size_t n, room;
};

struct hide {
	int tree_fd; /* the tmpfs with the present layers */
	struct list steps; /* what they were made from */
	struct seen_list seen;
	int64_t looked_ms, checked_ms;
	char **extra; /* owned; relative to the root */
	size_t nextra;
};

/* One look at the host. */
struct look {
	int root_fd;	    /* its root, without what is mounted below */
	struct list steps;
	struct list fixed;  /* paths that are hidden whatever a search finds */
	struct list parents; /* directories made already, as in steps */
	struct seen_list seen;
	size_t budget;	    /* entries that may still be looked at */
};

static void
seen_free(struct seen_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i].path);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

static int
seen_add(struct seen_list *l, const char *path, const struct stat *st)
{
	struct seen *v;

	if (l->n == l->room) {
		v = reallocarray(l->v, l->room * 2 + 64, sizeof(*v));
		if (v == NULL)
			return -1;
		l->v = v;
		l->room = l->room * 2 + 64;
	}
	l->v[l->n].changed = st->st_ctim;
	l->v[l->n].path = strdup(path);
	return l->v[l->n++].path == NULL ? -1 : 0;
}

static bool
seen_changed(const struct seen_list *l, int root_fd)
{
	const struct seen *d;
	struct stat st;

	for (d = l->v; d < l->v + l->n; d++)
		if (fstatat(root_fd, d->path, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
		    st.st_ctim.tv_sec != d->changed.tv_sec ||
		    st.st_ctim.tv_nsec != d->changed.tv_nsec)
			return true;
	return false;
}

static struct step *
step_at(const struct list *l, size_t at)
{
	return (struct step *)(void *)(l->data + at);
}

static const char *
step_path(const struct step *s)
{
	return (const char *)(s + 1);
}

#define list_foreach(s, at, l)                                                 \
	for (size_t at = 0;                                                    \
	     at < (l)->len && ((s) = step_at(l, at)) != NULL;                  \
	     at += sizeof(struct step) + (s)->len)

/* -1 with errno. */
static int
list_add(struct list *l, const char *layer, const char *path,
    const struct stat *st)
{
	size_t n = strlen(layer), len = (n + strlen(path) + 1 + 7) & ~(size_t)7;
	size_t need = l->len + sizeof(struct step) + len, room;
	struct step *s;
	char *data;

	if (need > LIST_MAX) {
		errno = E2BIG;
		return -1;
	}
	if (need > l->room) {
		room = MAX(need, l->room * 2);
		data = realloc(l->data, room);
		if (data == NULL)
			return -1;
		l->data = data;
		l->room = room;
	}
	s = step_at(l, l->len);
	memset(s, 0, sizeof(*s) + len);
	s->len = (uint32_t)len;
	if (st != NULL) {
		s->mode = S_IFDIR | (st->st_mode & 07777);
		s->uid = st->st_uid;
		s->gid = st->st_gid;
	}
	memcpy(s + 1, layer, n);
	memcpy((char *)(s + 1) + n, path, strlen(path));
	l->len = need;
	return 0;
}

/* Is PATH, or a directory above it, hidden whatever a search finds? */
static bool
fixed_covers(const struct look *k, const char *path)
{
	const struct step *s;
	size_t n;

	list_foreach(s, at, &k->fixed)
	{
		n = strlen(step_path(s));
		if (strncmp(path, step_path(s), n) == 0 &&
		    (path[n] == '\0' || path[n] == '/'))
			return true;
	}
	return false;
}

/* Steps that make the directories above PATH in LAYER, looking as they do on
 * the host. */
static int
parents_add(struct look *k, const char *layer, const char *path)
{
	char part[PATH_MAX];
	const char *slash = path;
	const struct step *s;
	struct stat st;
	bool made;

	while ((slash = strchr(slash, '/')) != NULL) {
		(void)snprintf(part, sizeof(part), "%s%.*s", layer,
		    (int)(slash - path), path);
		slash++;
		made = false;
		list_foreach(s, at, &k->parents)
		{
			if (strcmp(step_path(s), part) == 0) {
				made = true;
				break;
			}
		}
		if (made)
			continue;
		if (fstatat(k->root_fd, part + strlen(layer), &st,
			AT_SYMLINK_NOFOLLOW) == -1 ||
		    list_add(&k->parents, "", part, NULL) == -1 ||
		    list_add(&k->steps, "", part, &st) == -1)
			return -1;
	}
	return 0;
}

/* A name that shall not be there. */
static int
gone_add(struct look *k, const char *path)
{
	if (parents_add(k, DIR_LAYER, path) == -1)
		return -1;
	return list_add(&k->steps, DIR_LAYER, path, NULL);
}

/* A directory that shall be there, empty. */
static int
empty_add(struct look *k, const char *path, const struct stat *st)
{
	if (parents_add(k, DIR_LAYER, path) == -1 ||
	    parents_add(k, GONE_LAYER, path) == -1 ||
	    list_add(&k->steps, DIR_LAYER, path, st) == -1)
		return -1;
	return list_add(&k->steps, GONE_LAYER, path, NULL);
}

static int look_dir(struct look *k, int dir_fd, char *path, size_t len,
    unsigned depth);

/* One entry, whose path is PATH[0..len). */
static int
look_entry(struct look *k, int dir_fd, const char *name, char *path,
    size_t len, unsigned depth)
{
	autofd int fd = -1;
	struct stat st;
	size_t mark[2];

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : -1;
	if (S_ISLNK(st.st_mode) ||
	    (!S_ISDIR(st.st_mode) && !S_ISSOCK(st.st_mode) &&
		(st.st_mode & S_IROTH)))
		return 0;
	if (fixed_covers(k, path))
		return 0;
	if (!S_ISDIR(st.st_mode))
		return gone_add(k, path);
	if ((st.st_mode & (S_IROTH | S_IXOTH)) != (S_IROTH | S_IXOTH))
		return empty_add(k, path, &st);
	mark[0] = k->steps.len;
	mark[1] = k->parents.len;
	if (depth < DEPTH_MAX && k->budget > 0) {
		fd = openat(dir_fd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd == -1)
			return errno == ENOENT ? 0 : -1;
		/* before the look: what changes during it is seen next time */
		if (seen_add(&k->seen, path, &st) == -1)
			return -1;
		if (look_dir(k, fd, path, len, depth + 1) == -1)
			return -1;
		if (k->budget > 0)
			return 0;
	}
	/* Not looked through to the end: hidden as a whole. */
	k->steps.len = mark[0];
	k->parents.len = mark[1];
	return empty_add(k, path, &st);
}

static int
look_dir(struct look *k, int dir_fd, char *path, size_t len, unsigned depth)
{
	char buf[8192] __attribute__((aligned(8)));
	const struct dirent64 *ent;
	ssize_t n, at;
	size_t name_len;

	while ((n = getdents64(dir_fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n; at += ent->d_reclen) {
			ent = (const struct dirent64 *)(const void *)(buf + at);
			if (ent->d_type == DT_LNK ||
			    strcmp(ent->d_name, ".") == 0 ||
			    strcmp(ent->d_name, "..") == 0)
				continue;
			name_len = strlen(ent->d_name);
			if (k->budget == 0 || len + name_len + 2 > PATH_MAX) {
				k->budget = 0;
				return 0;
			}
			k->budget--;
			path[len] = '/';
			memcpy(path + len + 1, ent->d_name, name_len + 1);
			if (look_entry(k, dir_fd, ent->d_name, path,
				len + 1 + name_len, depth) == -1)
				return -1;
			path[len] = '\0';
		}
	}
	return n == 0 ? 0 : -1;
}

static int
look_top(struct look *k)
{
	struct stat st;
	autofd int fd = openat(k->root_fd, ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *ent;
	size_t i;
	int r = 0;

	if (d == NULL)
		return -1;
	(void)fd_steal(&fd); /* closedir closes it */
	if (fstat(dirfd(d), &st) == -1 || seen_add(&k->seen, ".", &st) == -1)
		r = -1;
	while (r == 0 && (ent = readdir(d)) != NULL) {
		if (strcmp(ent->d_name, ".") == 0 ||
		    strcmp(ent->d_name, "..") == 0)
			continue;
		for (i = 0; i < countof(standard); i++)
			if (strcmp(ent->d_name, standard[i]) == 0)
				break;
		if (i < countof(standard))
			continue;
		r = gone_add(k, ent->d_name);
		if (r == 0)
			r = list_add(&k->fixed, "", ent->d_name, NULL);
	}
	(void)closedir(d);
	return r;
}

static int
look_fixed(const struct hide *h, struct look *k)
{
	struct stat st;
	size_t i;

	for (i = 0; i < countof(emptied); i++) {
		if (fstatat(k->root_fd, emptied[i], &st,
			AT_SYMLINK_NOFOLLOW) == -1 ||
		    !S_ISDIR(st.st_mode))
			continue;
		if (empty_add(k, emptied[i], &st) == -1 ||
		    list_add(&k->fixed, "", emptied[i], NULL) == -1)
			return -1;
	}
	for (i = 0; i < h->nextra; i++) {
		if (fixed_covers(k, h->extra[i]) ||
		    fstatat(k->root_fd, h->extra[i], &st,
			AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		if (gone_add(k, h->extra[i]) == -1 ||
		    list_add(&k->fixed, "", h->extra[i], NULL) == -1)
			return -1;
	}
	return 0;
}

static int
look_through(const struct hide *h, struct look *k)
{
	char path[PATH_MAX];
	size_t i;

	if (look_top(k) == -1 || look_fixed(h, k) == -1)
		return -1;
	for (i = 0; i < countof(searched); i++) {
		(void)snprintf(path, sizeof(path), "%s", searched[i]);
		if (look_entry(k, k->root_fd, searched[i], path, strlen(path),
			0) == -1)
			return -1;
	}
	return 0;
}

/* PRIV: the host's root, making directories and whiteouts in a file system that
 * nobody else sees. */
static int
layers_make(const struct list *steps)
{
	autofd int fd = mounts_new("tmpfs", NULL, 0,
	    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	autofd int list_fd = -1;
	size_t i;

	if (fd == -1)
		return -1;
	list_fd = openat(fd, LIST_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0444);
	if (list_fd == -1 ||
	    fd_write_all(list_fd, steps->data, steps->len) == -1)
		return -1;
	for (i = 0; i < HIDE_LAYERS_N; i++)
		if (mkdirat(fd, hide_names[i], 0755) == -1 ||
		    fchmodat(fd, hide_names[i], 0755, 0) == -1)
			return -1;
	if (hide_perform(fd, fd) == -1)
		return -1;
	return fd_steal(&fd);
}

/* K's findings become the present ones. */
static int
look_adopt(struct hide *h, struct look *k, struct err *e)
{
	int fd;

	if (h->tree_fd == -1 || h->steps.len != k->steps.len ||
	    memcmp(h->steps.data, k->steps.data, k->steps.len) != 0) {
		fd = layers_make(&k->steps);
		if (fd == -1)
			return err_sys(e, "make the layers that hide the host");
		/* Sandboxes that use the old one keep it. */
		fd_close(&h->tree_fd);
		h->tree_fd = fd;
		free(h->steps.data);
		h->steps = k->steps;
		memset(&k->steps, 0, sizeof(k->steps));
	}
	seen_free(&h->seen);
	h->seen = k->seen;
	memset(&k->seen, 0, sizeof(k->seen));
	h->looked_ms = h->checked_ms = now_monotonic_ms();
	return 0;
}

static int
hide_look(struct hide *h, int root_fd, struct err *e)
{
	struct look k;
	int r;

	memset(&k, 0, sizeof(k));
	k.root_fd = root_fd;
	k.budget = ENTRIES_MAX;
	r = look_through(h, &k);
	if (r == -1)
		(void)err_sys(e, "look at what the host's root must hide");
	else
		r = look_adopt(h, &k, e);
	free(k.steps.data);
	free(k.fixed.data);
	free(k.parents.data);
	seen_free(&k.seen);
	return r;
}

/* PATH without links, relative to the root. A path that does not exist yet
 * hides nothing. */
static int
extra_add(struct hide *h, const char *path, struct err *e)
{
	autofree char *real = realpath(path, NULL);
	char **more, *copy;

	if (real == NULL && errno == ENOENT)
		return 0;
	if (real == NULL)
		return err_sys(e, "hide %s", path);
	if (strcmp(real, "/") == 0)
		return err_set(e, ERR_BAD_REQUEST, "cannot hide /");
	more = reallocarray(h->extra, h->nextra + 1, sizeof(*more));
	if (more == NULL)
		return err_sys(e, "hide %s", path);
	h->extra = more;
	copy = strdup(real + 1);
	if (copy == NULL)
		return err_sys(e, "hide %s", path);
	h->extra[h->nextra++] = copy;
	return 0;
}

/* What sandboxes see of "/": not what happens to be mounted on top. */
static int
root_open(struct err *e)
{
	int fd = mounts_clone(AT_FDCWD, "/", false);

	return fd == -1 ? err_sys(e, "look at the host's root") : fd;
}

int
hide_open(const char *const *extra, struct hide **h_out, struct err *e)
{
	struct hide *h = calloc(1, sizeof(*h));
	int root_fd = -1;
	size_t i;

	if (h == NULL)
		return err_sys(e, "hide the host's files");
	h->tree_fd = -1;
	for (i = 0; extra != NULL && extra[i] != NULL; i++)
		if (extra_add(h, extra[i], e) == -1)
			goto fail;
	root_fd = root_open(e);
	if (root_fd == -1 || hide_look(h, root_fd, e) == -1)
		goto fail;
	(void)close(root_fd);
	*h_out = h;
	return 0;
fail:
	fd_close(&root_fd);
	hide_close(h);
	return -1;
}

int
hide_layer(struct hide *h, struct err *e)
{
	int64_t now = now_monotonic_ms();
	autofd int root_fd = -1;

	if (now - h->checked_ms < CHECK_AGAIN_MS)
		return h->tree_fd;
	root_fd = root_open(e);
	if (root_fd == -1)
		return -1;
	h->checked_ms = now;
	if ((now - h->looked_ms >= LOOK_AGAIN_MS ||
		seen_changed(&h->seen, root_fd)) &&
	    hide_look(h, root_fd, e) == -1)
		return -1;
	return h->tree_fd;
}

void
hide_close(struct hide *h)
{
	size_t i;

	if (h == NULL)
		return;
	fd_close(&h->tree_fd);
	free(h->steps.data);
	seen_free(&h->seen);
	for (i = 0; i < h->nextra; i++)
		free(h->extra[i]);
	free(h->extra);
	free(h);
}

static int
step_perform(const struct step *s, int dir_fd)
{
	const char *path = step_path(s);

	if (s->mode == 0)
		return linkat(dir_fd, WHITEOUT, dir_fd, path, 0);
	if (mkdirat(dir_fd, path, s->mode & 07777) == -1)
		return -1;
	/* An id outside of the sandbox's range: it stays its root's. */
	if ((s->uid != 0 || s->gid != 0) &&
	    fchownat(dir_fd, path, s->uid, s->gid, AT_SYMLINK_NOFOLLOW) ==
		-1 &&
	    errno != EINVAL)
		return -1;
	/* chown takes these away */
	if (s->mode & (S_ISUID | S_ISGID))
		return fchmodat(dir_fd, path, s->mode & 07777, 0);
	return 0;
}

int
hide_perform(int layer_fd, int dir_fd)
{
	autofd int fd = openat(layer_fd, LIST_NAME, O_RDONLY | O_CLOEXEC);
	struct list steps = { NULL, 0, 0 };
	const struct step *s;
	struct stat st;
	mode_t mask;
	int r = 0;

	if (fd == -1 || fstat(fd, &st) == -1)
		return -1;
	steps.len = (size_t)st.st_size;
	steps.data = mmap(NULL, steps.len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (steps.data == MAP_FAILED)
		return -1;
	mask = umask(0);
	/* All whiteouts are one inode with many names. Making one needs no
	 * capability. */
	if (mknodat(dir_fd, WHITEOUT, S_IFCHR, makedev(0, 0)) == -1)
		r = -1;
	list_foreach(s, at, &steps)
	{
		if (r == -1 || (r = step_perform(s, dir_fd)) == -1)
			break;
	}
	(void)umask(mask);
	(void)munmap(steps.data, steps.len); /* errno stays */
	return r;
}
