/*
 * Which ids the host lends to us; see subids.h. Runs in the supervisor of an
 * ordinary user, at its start. The files that it reads are root's, and so must
 * the programs be that it names: what it finds wrong it does not use, and says.
 */
#include "sandbox/subids.h"

#include "lib/strutil.h"
#include "sandbox/plan.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SUBUID "/etc/subuid"
#define SUBGID "/etc/subgid"
#define FREE_FROM 100000u  /* SUB_UID_MIN of login.defs */
#define FREE_TO 600100000u /* SUB_UID_MAX */
#define FREE_TRIES 4096
#define LINE_BYTES 256

static void ATTR_PRINTF(3, 4)
    lack(struct subids *si, enum subids_lack what, const char *fmt, ...)
{
	va_list ap;

	si->lack = what;
	va_start(ap, fmt);
	(void)vsnprintf(si->why, sizeof(si->why), fmt, ap); /* cut */
	va_end(ap);
}

/* --- the files ----------------------------------------------------------- */

/* The next well-formed line of F: whose it is, and what. Others are skipped. */
static bool
line_next(FILE *f, char who[LINE_BYTES], struct id_range *r)
{
	char line[LINE_BYTES];
	char *first, *count;
	int64_t a, n;
	int c;

	while (fgets(line, sizeof(line), f) != NULL) {
		if (strchr(line, '\n') == NULL && !feof(f)) {
			while ((c = getc(f)) != '\n' && c != EOF)
				;
			continue;
		}
		line[strcspn(line, "\n")] = '\0';
		first = strchr(line, ':');
		count = first == NULL ? NULL : strchr(first + 1, ':');
		if (count == NULL)
			continue;
		*first++ = *count++ = '\0';
		/* 0 is the host's root: whoever lends that has erred. */
		if (str_to_int(first, 1, UINT32_MAX - 1, &a) == -1 ||
		    str_to_int(count, 1, UINT32_MAX - a, &n) == -1)
			continue;
		(void)!str_copy(who, LINE_BYTES, line); /* same size */
		*r = (struct id_range){ (uint32_t)a, (uint32_t)n };
		return true;
	}
	return false;
}

static bool
overlap(const struct id_range *a, const struct id_range *b)
{
	return a->first < b->first + b->count && b->first < a->first + a->count;
}

/* What PATH lends to the caller. Ranges that overlap could not be mapped
 * together, nor one with OWN in it, which has a line of its own. */
static size_t
ranges_read(const char *path, const struct subids *si, uint32_t own,
    struct id_range v[SUBIDS_RANGES])
{
	struct id_range r, self = { own, 1 };
	char who[LINE_BYTES], number[16];
	FILE *f = fopen(path, "re");
	size_t n = 0, i;
	bool good;

	if (f == NULL)
		return 0;
	(void)snprintf(
	    number, sizeof(number), "%lu", (unsigned long)si->own_uid);
	while (n < SUBIDS_RANGES && line_next(f, who, &r)) {
		good = strcmp(who, number) == 0 || strcmp(who, si->name) == 0;
		good = good && !overlap(&r, &self);
		for (i = 0; i < n; i++)
			good = good && !overlap(&r, &v[i]);
		if (good)
			v[n++] = r;
	}
	(void)fclose(f); /* only read */
	return n;
}

/* The first range that reaches into WANT moves it behind itself. */
static bool
moved_on(const char *path, struct id_range *want)
{
	char who[LINE_BYTES];
	FILE *f = fopen(path, "re");
	struct id_range r;
	bool moved = false;

	if (f == NULL)
		return false;
	while (!moved && line_next(f, who, &r)) {
		moved = overlap(&r, want);
		if (moved)
			want->first = r.first + r.count;
	}
	(void)fclose(f); /* only read */
	return moved;
}

uint32_t
subids_free_range(void)
{
	struct id_range want = { FREE_FROM, PLAN_IDS };
	int i;

	for (i = 0; i < FREE_TRIES && want.first < FREE_TO; i++)
		if (!moved_on(SUBUID, &want) && !moved_on(SUBGID, &want))
			break;
	return want.first;
}

/* --- the programs -------------------------------------------------------- */

static bool
is_roots(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* PATH is canonical. Nobody but root can have put it there, or can put another
 * in its place before it is executed. */
static bool
place_safe(const char *path)
{
	char dir[PATH_MAX];
	struct stat st;
	char *slash;

	if (str_copy(dir, sizeof(dir), path) == -1)
		return false;
	while ((slash = strrchr(dir, '/')) != NULL) {
		slash[slash == dir] = '\0';
		if (lstat(dir, &st) == -1 || !S_ISDIR(st.st_mode) ||
		    !is_roots(&st))
			return false;
		if (slash == dir)
			return true;
	}
	return false;
}

/* What is wrong with the program of this canonical path; NULL: nothing. */
static const char *
program_flaw(const char *path)
{
	struct stat st;

	if (!place_safe(path))
		return "others than root can write where it lies";
	if (lstat(path, &st) == -1 || !S_ISREG(st.st_mode) || !is_roots(&st))
		return "it is not root's, or others can write it";
	if (access(path, X_OK) == -1)
		return "we may not execute it";
	if ((st.st_mode & S_ISUID) == 0 &&
	    getxattr(path, "security.capability", NULL, 0) <= 0)
		return "it is neither set-user-id nor has capabilities";
	return NULL;
}

static bool
program_find(struct subids *si, const char *name, char *dst, size_t size)
{
	static const char *const dirs[] = { "/usr/bin", "/bin",
		"/run/wrappers/bin" };
	char path[64], real[PATH_MAX];
	const char *flaw;
	size_t i;

	for (i = 0; i < countof(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dirs[i], name);
		if (realpath(path, real) == NULL)
			continue;
		flaw = program_flaw(real);
		if (flaw == NULL && str_copy(dst, size, real) == 0)
			return true;
		lack(si, SUBIDS_NO_PROGRAM, "%s is not used: %s", path,
		    flaw != NULL ? flaw : "its name is too long");
		return false;
	}
	lack(si, SUBIDS_NO_PROGRAM, "there is no %s in %s, %s or %s", name,
	    dirs[0], dirs[1], dirs[2]);
	return false;
}

/* --- all of it ----------------------------------------------------------- */

/* As newuidmap looks for it; but only where that can be done without asking
 * anybody over the network. */
static bool
name_find(struct subids *si)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *pw;
	bool found = false;

	while (f != NULL && !found && (pw = fgetpwent(f)) != NULL)
		found = pw->pw_uid == si->own_uid &&
			str_copy(si->name, sizeof(si->name), pw->pw_name) == 0;
	if (f != NULL)
		(void)fclose(f); /* only read */
	if (!found)
		lack(si, SUBIDS_NO_NAME,
		    "uid %lu is not in /etc/passwd, and newuidmap serves "
		    "nobody without a name",
		    (unsigned long)si->own_uid);
	return found;
}

static const struct id_range *
largest(const struct id_range *v, size_t n)
{
	const struct id_range *best = NULL;
	size_t i;

	for (i = 0; i < n; i++)
		if (best == NULL || v[i].count > best->count)
			best = &v[i];
	return best;
}

static bool
ranges_find(struct subids *si)
{
	const struct id_range *r;

	si->nuids = ranges_read(SUBUID, si, si->own_uid, si->uids);
	si->ngids = ranges_read(SUBGID, si, si->own_gid, si->gids);
	r = largest(si->uids, si->nuids);
	if (r == NULL || r->count < SUBIDS_MIN)
		lack(si, SUBIDS_NO_UIDS, "%s has no range of %u ids for %s",
		    SUBUID, SUBIDS_MIN, si->name);
	else if ((r = largest(si->gids, si->ngids)) == NULL ||
		 r->count < SUBIDS_MIN)
		lack(si, SUBIDS_NO_GIDS, "%s has no range of %u ids for %s",
		    SUBGID, SUBIDS_MIN, si->name);
	else
		return true;
	return false;
}

void
subids_find(struct subids *si)
{
	memset(si, 0, sizeof(*si));
	si->own_uid = geteuid();
	si->own_gid = getegid();
	if (!name_find(si) || !ranges_find(si) ||
	    !program_find(
		si, "newuidmap", si->newuidmap, sizeof(si->newuidmap)) ||
	    !program_find(
		si, "newgidmap", si->newgidmap, sizeof(si->newgidmap)))
		return;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		lack(si, SUBIDS_BARRED,
		    "sandboxd was started with no_new_privs, which takes "
		    "newuidmap its rights");
}

/* --- slices -------------------------------------------------------------- */

static uint32_t
total(const struct subids *si)
{
	return si->lack != SUBIDS_HAVE
		   ? 0
		   : MIN(largest(si->uids, si->nuids)->count,
			 largest(si->gids, si->ngids)->count);
}

static uint32_t
slice_size(uint32_t n)
{
	if (n >= 2 * PLAN_IDS)
		return PLAN_IDS;
	return n >= 2 * SUBIDS_SLICE ? SUBIDS_SLICE : n;
}

unsigned
subids_count(const struct subids *si)
{
	uint32_t n = total(si);

	return n == 0 ? 0 : n / slice_size(n);
}

struct subids_slice
subids_slice(const struct subids *si, unsigned k)
{
	uint32_t size = slice_size(total(si));

	return (struct subids_slice){ largest(si->uids, si->nuids)->first +
					  k * size,
		largest(si->gids, si->ngids)->first + k * size, size };
}

static bool
within(const struct id_range *v, size_t n, uint32_t first, uint32_t count)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (first >= v[i].first && count <= v[i].count &&
		    first - v[i].first <= v[i].count - count)
			return true;
	return false;
}

bool
subids_holds(const struct subids *si, const struct subids_slice *sl)
{
	return si->lack == SUBIDS_HAVE && sl->count >= SUBIDS_MIN &&
	       sl->count <= PLAN_IDS &&
	       within(si->uids, si->nuids, sl->uid, sl->count) &&
	       within(si->gids, si->ngids, sl->gid, sl->count);
}

static void
line_add(struct id_map *m, uint32_t inside, uint32_t outside, uint32_t count)
{
	if (count > 0)
		m->v[m->n++] = (struct id_line){ inside, outside, count };
}

/* Nobody is somebody in every distribution: in a small slice he has its last
 * id. */
static bool
is_small(uint32_t count)
{
	return count <= SUBIDS_NOBODY;
}

uint32_t
subids_self(uint32_t count, uint32_t inside)
{
	if (count <= 1)
		return 0;
	if (is_small(count) && inside == SUBIDS_NOBODY)
		return inside;
	return inside < count - is_small(count) ? inside : 0;
}

void
subids_slice_map(struct id_map *m, uint32_t first, uint32_t count, uint32_t own,
    uint32_t inside)
{
	bool small = is_small(count);
	uint32_t top = small ? count - 1 : count;

	inside = subids_self(count, inside);
	m->n = 0;
	/* Who a file belongs to must not hang on who the user is: the id that
	 * he would have had stays unused. */
	line_add(m, 0, first, MIN(inside, top));
	line_add(m, inside, own, 1);
	if (inside < top)
		line_add(m, inside + 1, first + inside + 1, top - inside - 1);
	if (small && inside != SUBIDS_NOBODY)
		line_add(m, SUBIDS_NOBODY, first + top, 1);
}
