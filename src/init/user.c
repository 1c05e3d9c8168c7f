/*
 * Passwd and group files of the sandbox, line by line. See user.h for trust.
 *
 * Limits: USER_FILE_MAX bytes of a file are looked at, lines longer than
 * USER_LINE_MAX are skipped whole, as is every line that does not parse. A
 * FIFO, device or directory in place of a file counts as a missing file.
 */
#include "init/user.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USER_FILE_MAX (8 << 20)
#define USER_LINE_MAX (64 << 10)
#define USER_NAME_MAX 128
#define USER_ID_MAX 4294967294 /* one less than (uid_t)-1 */

struct lines {
	int fd;
	size_t left; /* of USER_FILE_MAX */
	size_t at, len;
	char *buf; /* borrowed: line_room */
};

static int
lines_open(struct lines *l, int root_fd, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	/* One file is open at a time. Memory that is asked for would have to
	 * be made and given back by each command. */
	static char line_room[USER_LINE_MAX];
	struct stat st;

	*l = (struct lines){
		.fd = -1,
		.left = USER_FILE_MAX,
		.buf = line_room,
	};
	l->fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	/* Some sandboxes have no openat2. There it is the root of this process
	 * that links are resolved in, which is the same one. */
	if (l->fd == -1 && errno == ENOSYS)
		l->fd = openat(root_fd, path, (int)how.flags);
	if (l->fd == -1)
		return -1;
	if (fstat(l->fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		errno = ENOENT;
		return -1;
	}
	return 0;
}

static void
lines_close(struct lines *l)
{
	fd_close(&l->fd);
}

/* More bytes behind those that wait. False at the end of the file, or when
 * there is no room (a line over the limit). */
static bool
lines_fill(struct lines *l)
{
	size_t want;
	ssize_t n;

	if (l->at > 0) {
		memmove(l->buf, l->buf + l->at, l->len - l->at);
		l->len -= l->at;
		l->at = 0;
	}
	want = MIN(USER_LINE_MAX - l->len, l->left);
	if (want == 0)
		return false;
	do
		n = read(l->fd, l->buf + l->len, want);
	while (n == -1 && errno == EINTR);
	if (n <= 0)
		return false;
	l->len += (size_t)n;
	l->left -= (size_t)n;
	return true;
}

/* The next whole line, terminated in place; NULL at the end. A last line
 * without a newline does not count: it may have been cut by our limit. */
static char *
lines_next(struct lines *l)
{
	bool skip = false;
	char *nl, *line;

	for (;;) {
		line = l->buf + l->at;
		nl = memchr(line, '\n', l->len - l->at);
		if (nl != NULL) {
			*nl = '\0';
			l->at = (size_t)(nl - l->buf) + 1;
			if (!skip && strlen(line) == (size_t)(nl - line))
				return line;
			skip = false;
			continue;
		}
		if (l->at == 0 && l->len == USER_LINE_MAX) {
			l->len = 0;
			skip = true;
		}
		if (lines_fill(l))
			continue;
		if (l->left == 0 || skip || l->len == l->at ||
		    l->len == USER_LINE_MAX)
			return NULL;
		/* The file ends without a newline: supply it. */
		l->buf[l->len++] = '\n';
	}
}

/* Split LINE at its colons into at most N fields; the last keeps the rest.
 * Returns how many there are. */
static size_t
fields_split(char *line, char **fields, size_t n)
{
	size_t k = 0;
	char *colon;

	while (k < n) {
		fields[k++] = line;
		colon = strchr(line, ':');
		if (colon == NULL)
			break;
		if (k < n)
			*colon = '\0';
		line = colon + 1;
	}
	return k;
}

static int
id_parse(const char *s, uint32_t *id_out)
{
	int64_t v;

	if (str_to_int(s, 0, USER_ID_MAX, &v) == -1)
		return -1;
	*id_out = (uint32_t)v;
	return 0;
}

struct want {		  /* one entry looked for, by name or by number */
	const char *name; /* NULL: by id */
	uint32_t id;
	char found[USER_NAME_MAX]; /* name of the entry, if it fits */
};

static bool
want_matches(struct want *w, const char *name, uint32_t id)
{
	if (w->name != NULL ? strcmp(w->name, name) != 0 : w->id != id)
		return false;
	/* Too long a name only means no supplementary groups. */
	(void)!str_copy(w->found, sizeof(w->found), name);
	return true;
}

static bool
home_usable(const char *s)
{
	if (s[0] != '/' || strlen(s) >= PATH_MAX)
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

/* 1: found, 0: not. */
static int
passwd_find(int root_fd, struct want *w, struct user *u)
{
	struct lines l;
	char *f[7], *line;
	uint32_t uid, gid;
	int found = 0;

	if (lines_open(&l, root_fd, "etc/passwd") == -1) {
		lines_close(&l);
		return 0;
	}
	while (!found && (line = lines_next(&l)) != NULL) {
		if (fields_split(line, f, countof(f)) < 6 || *f[0] == '\0')
			continue;
		if (id_parse(f[2], &uid) == -1 || id_parse(f[3], &gid) == -1)
			continue;
		if (!want_matches(w, f[0], uid))
			continue;
		u->uid = uid;
		u->gid = gid;
		if (!home_usable(f[5]) ||
		    str_copy(u->home, sizeof(u->home), f[5]) == -1)
			u->home[0] = '\0';
		found = 1;
	}
	lines_close(&l);
	return found;
}

static int
group_find(int root_fd, struct want *w, gid_t *gid_out)
{
	struct lines l;
	char *f[4], *line;
	uint32_t gid;
	int found = 0;

	if (lines_open(&l, root_fd, "etc/group") == -1) {
		lines_close(&l);
		return 0;
	}
	while (!found && (line = lines_next(&l)) != NULL) {
		if (fields_split(line, f, countof(f)) < 3 || *f[0] == '\0' ||
		    id_parse(f[2], &gid) == -1 || !want_matches(w, f[0], gid))
			continue;
		*gid_out = gid;
		found = 1;
	}
	lines_close(&l);
	return found;
}

/* Is NAME one of the words of the comma-separated LIST? */
static bool
list_has(const char *list, const char *name)
{
	size_t n = strlen(name), k;

	for (;; list += k + 1) {
		k = strcspn(list, ",");
		if (k == n && memcmp(list, name, n) == 0)
			return true;
		if (list[k] == '\0')
			return false;
	}
}

static void
user_add_group(struct user *u, gid_t gid)
{
	size_t i;

	for (i = 0; i < u->ngroups; i++)
		if (u->groups[i] == gid)
			return;
	if (u->ngroups < USER_GROUPS_MAX)
		u->groups[u->ngroups++] = gid;
}

static void
groups_collect(int root_fd, const char *name, struct user *u)
{
	struct lines l;
	char *f[4], *line;
	uint32_t gid;

	if (lines_open(&l, root_fd, "etc/group") == 0) {
		while ((line = lines_next(&l)) != NULL) {
			if (fields_split(line, f, countof(f)) == 4 &&
			    id_parse(f[2], &gid) == 0 && list_has(f[3], name))
				user_add_group(u, gid);
		}
	}
	lines_close(&l);
}

static bool root_is_self;

void
user_root_is_self(void)
{
	root_is_self = geteuid() != 0;
}

/* Ourselves, with the home that passwd tells. */
static void
user_self(int root_fd, struct user *u)
{
	struct want who = { .id = geteuid() };

	*u = (struct user){ 0 };
	(void)passwd_find(root_fd, &who, u); /* or has no home */
	u->uid = geteuid();
	u->gid = getegid();
	user_add_group(u, u->gid);
}

int
user_find(int root_fd, const char *spec, struct user *u_out, struct err *e)
{
	struct want who = { 0 }, grp = { 0 };
	char name[USER_NAME_MAX + 1];
	const char *colon = strchr(spec, ':');
	size_t n = colon != NULL ? (size_t)(colon - spec) : strlen(spec);
	uint32_t gid;
	int found;

	*u_out = (struct user){ 0 };
	if (n == 0 || n >= sizeof(name))
		return err_set(e, ERR_USER_NOT_FOUND,
		    "user: %.40s: not a user's name", spec);
	memcpy(name, spec, n);
	name[n] = '\0';
	if (id_parse(name, &who.id) == -1)
		who.name = name;
	found = passwd_find(root_fd, &who, u_out);
	if (!found && who.name != NULL)
		return err_set(
		    e, ERR_USER_NOT_FOUND, "user: %s: no such user", name);
	if (!found) {
		u_out->uid = who.id;
		u_out->gid = who.id;
	}
	if (root_is_self && u_out->uid == 0) {
		user_self(root_fd, u_out);
		return 0;
	}
	if (colon != NULL) {
		gid = 0;
		if (id_parse(colon + 1, &gid) == -1) {
			grp.name = colon + 1;
			if (!group_find(root_fd, &grp, &gid))
				return err_set(e, ERR_USER_NOT_FOUND,
				    "user: %s: no such group", colon + 1);
		}
		u_out->gid = gid;
	}
	user_add_group(u_out, u_out->gid);
	if (colon == NULL && who.found[0] != '\0')
		groups_collect(root_fd, who.found, u_out);
	return 0;
}
