/*
 * The search through the host's root; see hide_look.h and hide.h. Runs in the
 * supervisor as root. It reads names, types and modes, and the content of no
 * file. A place too large or too deep to be looked through is hidden as a
 * whole.
 */
#include "sandbox/hide_look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ENTRIES_MAX 400000	    /* looked at */
#define LIST_MAX (8u * 1024 * 1024) /* bytes of the list */
#define DEPTH_MAX 24

/* What stands at the top of every distribution's root. */
static const char *const standard[] = { "bin", "boot", "dev", "etc", "gnu",
	"home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "nix", "opt",
	"proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var" };

/* Directories that must exist and whose content is nobody's business. */
static const char *const emptied[] = { "root", "home", "srv", "mnt", "media",
	"boot", "run", "tmp", "var/log", "var/tmp", "var/mail",
	"var/spool/mail", "var/spool/cron", "var/backups", "var/crash" };

/* Places that are looked through. */
static const char *const searched[] = { "etc", "var", "opt", "usr/local" };

/* One look at the host. */
struct look {
	int root_fd; /* its root, without what is mounted below */
	struct list steps;
	struct list fixed;   /* paths that are hidden whatever a search finds */
	struct list parents; /* directories made already, as in steps */
	struct seen_list seen;
	size_t budget; /* entries that may still be looked at */
};

void
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

bool
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

/* -1 with errno. */
static int
list_add(
    struct list *l, const char *layer, const char *path, const struct stat *st)
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

static int
look_dir(struct look *k, int dir_fd, char *path, size_t len, unsigned depth);

/* One entry, whose path is PATH[0..len). */
static int
look_entry(struct look *k, int dir_fd, const char *name, char *path, size_t len,
    unsigned depth)
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
	autofd int fd =
	    openat(k->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
look_fixed(struct look *k, char *const *extra, size_t nextra)
{
	struct stat st;
	size_t i;

	for (i = 0; i < countof(emptied); i++) {
		if (fstatat(k->root_fd, emptied[i], &st, AT_SYMLINK_NOFOLLOW) ==
			-1 ||
		    !S_ISDIR(st.st_mode))
			continue;
		if (empty_add(k, emptied[i], &st) == -1 ||
		    list_add(&k->fixed, "", emptied[i], NULL) == -1)
			return -1;
	}
	for (i = 0; i < nextra; i++) {
		if (fixed_covers(k, extra[i]) ||
		    fstatat(k->root_fd, extra[i], &st, AT_SYMLINK_NOFOLLOW) ==
			-1)
			continue;
		if (gone_add(k, extra[i]) == -1 ||
		    list_add(&k->fixed, "", extra[i], NULL) == -1)
			return -1;
	}
	return 0;
}

static int
look_through(struct look *k, char *const *extra, size_t nextra)
{
	char path[PATH_MAX];
	size_t i;

	if (look_top(k) == -1 || look_fixed(k, extra, nextra) == -1)
		return -1;
	for (i = 0; i < countof(searched); i++) {
		(void)snprintf(path, sizeof(path), "%s", searched[i]);
		if (look_entry(k, k->root_fd, searched[i], path, strlen(path),
			0) == -1)
			return -1;
	}
	return 0;
}

int
hide_search(int root_fd, char *const *extra, size_t nextra,
    struct list *steps_out, struct seen_list *seen_out)
{
	struct look k;
	int r, err;

	memset(&k, 0, sizeof(k));
	k.root_fd = root_fd;
	k.budget = ENTRIES_MAX;
	r = look_through(&k, extra, nextra);
	err = errno;
	free(k.fixed.data);
	free(k.parents.data);
	*steps_out = k.steps;
	*seen_out = k.seen;
	errno = err;
	return r;
}
