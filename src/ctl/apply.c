/*
 * Taking changes over; see apply.h. Runs as the caller, on a stream that a
 * sandbox wrote, in a directory that others may be working in.
 *
 * Every path is opened below the directory by openat2, without links. A file
 * is written beside its place and renamed over it: nobody sees half of one,
 * and a link that was there is replaced, not followed. No set-id bit, no
 * device, no name of the stream's choice outside.
 */
#include "ctl/apply.h"
#include "ctl/beneath.h"
#include "ctl/text.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536
#define REFUSED_MAX 10000

/* One entry at its place. */
struct place {
	const struct change *c;
	enum change_kind kind;
	struct stat st;	  /* of what is there; st_mode 0: nothing */
	struct stat dir;  /* of the directory that holds it */
	const char *name; /* last part of the path */
	int dir_fd;	  /* owned */
};

/* --- telling ------------------------------------------------------------- */

static void
tell_json(struct apply *ap, const struct change *c, const char *key,
    const char *value, const char *reason)
{
	jw_object(ap->json);
	jw_kstr(ap->json, "path", c->path);
	jw_kstr(ap->json, "type", change_type_name(c->type));
	jw_kstr(ap->json, key, value);
	if (reason != NULL) {
		jw_key(ap->json, "detail");
		jw_strn(ap->json, reason, strlen(reason));
	}
	jw_object_end(ap->json);
}

static void
tell_done(struct apply *ap, const struct change *c, const char *what)
{
	ap->applied++;
	if (ap->json != NULL) {
		tell_json(ap, c, "action", what, NULL);
		return;
	}
	(void)printf("%-7s ", what);
	ctl_put(c->path);
	if (c->type == CHANGE_SYMLINK) {
		(void)fputs(" -> ", stdout);
		ctl_put(c->text);
	}
	(void)putchar('\n');
}

static void
tell_left_out(struct apply *ap, const struct change *c, const char *why)
{
	ap->left_out++;
	if (ap->json != NULL)
		tell_json(ap, c, "action", "left_out", why);
	else
		ctl_note(ap->ctl, "left out: %s: %s", c->path, why);
}

/* The operation of errno at this entry; the others go on, except when there
 * is no room for them either. */
static int
failed(
    struct apply *ap, const struct change *c, const char *what, struct err *e)
{
	int number = errno;
	struct err why;

	(void)err_sys(&why, "%s", what);
	if (number == ENOSPC || number == EDQUOT || number == EIO ||
	    number == EROFS) {
		*e = why;
		return err_prefix(e, "%s", c->path);
	}
	tell_left_out(ap, c,
	    number == ELOOP ? "a symbolic link is in the way" : why.text);
	return 0;
}

/* --- what git would run -------------------------------------------------- */

static bool
is_part(const char *p, size_t n, const char *name)
{
	return strlen(name) == n && strncasecmp(p, name, n) == 0;
}

bool
apply_is_git_config(const char *path, bool is_dir)
{
	/* Hooks and filters run; the others say where hooks and config are,
	 * or which filters apply. */
	static const char *const names[] = { "hooks", "config",
		"config.worktree", "commondir", "gitdir", "attributes" };
	bool inside = false;
	size_t i;

	for (;;) {
		size_t n = strcspn(path, "/");
		bool last = path[n] == '\0';

		for (i = 0; inside && i < countof(names); i++)
			if (is_part(path, n, names[i]))
				return true;
		if (is_part(path, n, ".git")) {
			/* As a file or link it names another directory. */
			if (last && !is_dir)
				return true;
			inside = true;
		}
		if (last)
			return false;
		path += n + 1;
	}
}

static int
any_git_config(const char *path, const struct stat *st, void *ctx)
{
	(void)ctx;
	return apply_is_git_config(path, S_ISDIR(st->st_mode)) ? 1 : 0;
}

/* --- what was changed here meanwhile ------------------------------------- */

static bool
is_newer(const struct apply *ap, const struct stat *st)
{
	int64_t ms =
	    st->st_ctim.tv_sec * INT64_C(1000) + st->st_ctim.tv_nsec / 1000000;

	return ms > ap->rv->created_ms;
}

static int
any_newer(const char *path, const struct stat *st, void *ctx)
{
	(void)path;
	return !S_ISDIR(st->st_mode) && is_newer(ctx, st) ? 1 : 0;
}

/* May what is at PL be overwritten or removed? */
static const char *
objection(struct apply *ap, const struct place *pl)
{
	static const char changed[] =
	    "was changed here after the sandbox was made (--force)";
	const struct change *c = pl->c;
	bool is_dir = S_ISDIR(pl->st.st_mode);
	bool removes = is_dir && c->type != CHANGE_DIR;
	struct err why;
	int r = 0;

	if (pl->st.st_mode == 0 || (is_dir && !removes))
		return NULL;
	if (!is_dir)
		return !ap->force && is_newer(ap, &pl->st) ? changed : NULL;
	if (!ap->force)
		r = beneath_walk(ap->rv->root_fd, c->path, any_newer, ap, &why);
	if (r == 1)
		return changed;
	/* Deleting a repository runs nothing; putting another in its place
	 * needs its configuration to go with it. */
	if (r == 0 && !ap->with_git_config && c->type != CHANGE_DELETE)
		r = beneath_walk(
		    ap->rv->root_fd, c->path, any_git_config, NULL, &why);
	if (r == 1)
		return "holds git's hooks or configuration "
		       "(--with-git-config)";
	return r == -1 ? "cannot be looked through" : NULL;
}

static void
refuse_below(struct apply *ap, const struct change *c)
{
	if (ap->nrefused == REFUSED_MAX)
		return;
	ap->refused =
	    xreallocarray(ap->refused, ap->nrefused + 1, sizeof(char *));
	ap->refused[ap->nrefused++] = xstrdup(c->path);
}

static bool
is_below_refused(const struct apply *ap, const char *path)
{
	size_t i;

	for (i = 0; i < ap->nrefused; i++) {
		size_t n = strlen(ap->refused[i]);

		if (strncmp(path, ap->refused[i], n) == 0 && path[n] == '/')
			return true;
	}
	return false;
}

/* --- files --------------------------------------------------------------- */

/* Root works in other people's directories: what it writes there is theirs. */
static void
keep_owner(const struct place *pl, int fd)
{
	const struct stat *like = S_ISREG(pl->st.st_mode) ? &pl->st : &pl->dir;

	if (geteuid() == 0 && fchown(fd, like->st_uid, like->st_gid) == -1)
		return; /* then it is ours, as for anybody else */
}

/* The file's data into FD, compared on the way with what is there: 1 when it
 * is the same, 0 when not. -1 with E for the stream, or with *SYS_OUT true and
 * errno for the file. */
static int
copy_data(struct apply *ap, int old_fd, int fd, bool *sys_out, struct err *e)
{
	static char theirs[CHUNK];
	static char ours[CHUNK];
	bool same = old_fd != -1;
	off_t at = 0;
	ssize_t n;

	*sys_out = false;
	while ((n = changes_data(&ap->rv->changes, theirs, sizeof(theirs), e)) >
	       0) {
		same = same && pread(old_fd, ours, (size_t)n, at) == n &&
		       memcmp(ours, theirs, (size_t)n) == 0;
		at += n;
		if (fd_write_all(fd, theirs, (size_t)n) == -1) {
			*sys_out = true;
			return -1;
		}
	}
	if (n == -1)
		return -1;
	return same && pread(old_fd, ours, 1, at) == 0;
}

/* Move TEMP to its place, over whatever is there. */
static int
put_in_place(struct apply *ap, const struct place *pl, const char *temp,
    const char *what, struct err *e)
{
	struct err why;

	if (S_ISDIR(pl->st.st_mode) &&
	    beneath_remove(pl->dir_fd, pl->name, &why) == -1) {
		(void)unlinkat(pl->dir_fd, temp, 0);
		tell_left_out(ap, pl->c, why.text);
		return 0;
	}
	if (renameat(pl->dir_fd, temp, pl->dir_fd, pl->name) == -1) {
		int saved = errno;

		(void)unlinkat(pl->dir_fd, temp, 0);
		errno = saved;
		return failed(ap, pl->c, "rename", e);
	}
	tell_done(ap, pl->c, what);
	return 0;
}

/* The content is there already: at most the mode is not. */
static int
only_mode(struct apply *ap, const struct place *pl, int old_fd, struct err *e)
{
	if ((pl->st.st_mode & 0777) == pl->c->mode)
		return 0;
	if (!ap->dry_run && fchmod(old_fd, pl->c->mode) == -1)
		return failed(ap, pl->c, "chmod", e);
	tell_done(ap, pl->c, "mode");
	return 0;
}

static int
write_file(struct apply *ap, const struct place *pl, int old_fd, struct err *e)
{
	char temp[RANDOM_ID_MAX];
	int saved, same;
	bool sys;

	random_id(temp, ".sandboxctl-");
	autofd int fd = openat(pl->dir_fd, temp,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return failed(ap, pl->c, "create", e);
	same = copy_data(ap, old_fd, fd, &sys, e);
	if (same == 0) {
		keep_owner(pl, fd);
		sys = fchmod(fd, pl->c->mode) == -1;
		if (!sys)
			return put_in_place(ap, pl, temp,
			    pl->st.st_mode == 0 ? "add" : "write", e);
	}
	saved = errno;
	(void)unlinkat(pl->dir_fd, temp, 0);
	errno = saved;
	if (same == 1)
		return only_mode(ap, pl, old_fd, e);
	return sys ? failed(ap, pl->c, "write", e) : -1;
}

static int
apply_file(struct apply *ap, const struct place *pl, struct err *e)
{
	autofd int old_fd = review_open_old(ap->rv, pl->c);
	int same;

	if (!ap->dry_run)
		return write_file(ap, pl, old_fd, e);
	same = old_fd == -1 ? 0 : review_same_data(ap->rv, old_fd, e);
	if (same == -1)
		return -1;
	if (same == 1)
		return only_mode(ap, pl, old_fd, e);
	tell_done(ap, pl->c, pl->st.st_mode == 0 ? "add" : "write");
	return 0;
}

static int
apply_symlink(struct apply *ap, const struct place *pl, struct err *e)
{
	char temp[RANDOM_ID_MAX];

	if (ap->dry_run) {
		tell_done(ap, pl->c, "link");
		return 0;
	}
	random_id(temp, ".sandboxctl-");
	if (symlinkat(pl->c->text, pl->dir_fd, temp) == -1)
		return failed(ap, pl->c, "create a link", e);
	return put_in_place(ap, pl, temp, "link", e);
}

/* --- directories and removal --------------------------------------------- */

static int
make_dir(struct apply *ap, const struct place *pl, struct err *e)
{
	if (mkdirat(pl->dir_fd, pl->name, 0700) == -1)
		return failed(ap, pl->c, "mkdir", e);
	autofd int fd = openat(pl->dir_fd, pl->name,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		return failed(ap, pl->c, "open", e);
	keep_owner(pl, fd);
	if (fchmod(fd, pl->c->mode) == -1)
		return failed(ap, pl->c, "chmod", e);
	return 0;
}

static int
apply_dir(struct apply *ap, const struct place *pl, struct err *e)
{
	bool there = S_ISDIR(pl->st.st_mode) && pl->c->type == CHANGE_DIR;
	int64_t before = ap->left_out;
	struct err why;

	if (!ap->dry_run && !there) {
		if (beneath_remove(pl->dir_fd, pl->name, &why) == -1) {
			tell_left_out(ap, pl->c, why.text);
			refuse_below(ap, pl->c);
			return 0;
		}
		if (make_dir(ap, pl, e) == -1)
			return -1;
	} else if (!ap->dry_run) {
		autofd int fd = openat(pl->dir_fd, pl->name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if ((fd == -1 || fchmod(fd, pl->c->mode) == -1) &&
		    failed(ap, pl->c, "chmod", e) == -1)
			return -1;
	}
	if (ap->left_out == before)
		tell_done(ap, pl->c,
		    there		  ? "mode"
		    : pl->st.st_mode == 0 ? "mkdir"
					  : "replace");
	return 0;
}

static int
apply_delete(struct apply *ap, const struct place *pl)
{
	struct err why;

	if (!ap->dry_run && beneath_remove(pl->dir_fd, pl->name, &why) == -1) {
		tell_left_out(ap, pl->c, why.text);
		return 0;
	}
	tell_done(ap, pl->c, "delete");
	return 0;
}

/* --- entries ------------------------------------------------------------- */

/* In a dry run a directory that would be made is not there: what is below is
 * new, and needs no place. */
static int
find_place(struct apply *ap, struct place *pl, bool *usable_out, struct err *e)
{
	const char *what = "open its directory";

	*usable_out = true;
	pl->dir_fd = beneath_parent(ap->rv->root_fd, pl->c->path, &pl->name);
	if (pl->dir_fd != -1 && fstat(pl->dir_fd, &pl->dir) == 0)
		return 0;
	if (ap->dry_run && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	*usable_out = false;
	return failed(ap, pl->c, what, e);
}

static int
act(struct apply *ap, const struct place *pl, struct err *e)
{
	switch (pl->c->type) {
	case CHANGE_FILE:
		return apply_file(ap, pl, e);
	case CHANGE_SYMLINK:
		return apply_symlink(ap, pl, e);
	case CHANGE_DELETE:
		return apply_delete(ap, pl);
	default:
		return apply_dir(ap, pl, e);
	}
}

static bool
is_dir_entry(const struct change *c, const struct stat *st)
{
	return c->type == CHANGE_DIR || c->type == CHANGE_REPLACE_DIR ||
	       (c->type == CHANGE_DELETE && S_ISDIR(st->st_mode));
}

/* A file that is newer here but has the same content hurts nobody: only the
 * data can tell, and it is compared before anybody objects. */
static int
settle(struct apply *ap, const struct place *pl, const char *why, struct err *e)
{
	autofd int old_fd = -1;
	int same = 0;

	if (pl->c->type == CHANGE_FILE)
		old_fd = review_open_old(ap->rv, pl->c);
	if (old_fd != -1)
		same = review_same_data(ap->rv, old_fd, e);
	if (same == -1)
		return -1;
	if (same == 1)
		return only_mode(ap, pl, old_fd, e);
	tell_left_out(ap, pl->c, why);
	if (pl->c->type == CHANGE_REPLACE_DIR || pl->c->type == CHANGE_DIR)
		refuse_below(ap, pl->c);
	return 0;
}

static int
apply_one(struct apply *ap, const struct change *c, struct err *e)
{
	struct place pl = { .c = c, .dir_fd = -1 };
	const char *why;
	bool usable;
	int r;

	if (c->type == CHANGE_ERROR) {
		tell_left_out(ap, c, c->text);
		return 0;
	}
	if (is_below_refused(ap, c->path)) {
		tell_left_out(ap, c, "its directory was left out");
		return 0;
	}
	if (review_kind(ap->rv, c, &pl.kind, &pl.st, e) == -1)
		return -1;
	if (pl.kind == KIND_SAME)
		return 0;
	why = objection(ap, &pl);
	if (why == NULL && !ap->with_git_config &&
	    apply_is_git_config(c->path, is_dir_entry(c, &pl.st)))
		why = "git would run or obey it outside (--with-git-config)";
	if (why != NULL)
		return settle(ap, &pl, why, e);
	r = find_place(ap, &pl, &usable, e);
	if (r == 0 && usable)
		r = act(ap, &pl, e);
	fd_close(&pl.dir_fd);
	return r;
}

int
apply_all(struct apply *ap, struct err *e)
{
	struct change c;
	int r;

	while ((r = review_next(ap->rv, &c, e)) == 1)
		if (apply_one(ap, &c, e) == -1)
			return -1;
	return r;
}

void
apply_free(struct apply *ap)
{
	size_t i;

	for (i = 0; i < ap->nrefused; i++)
		free(ap->refused[i]);
	free(ap->refused);
	ap->refused = NULL;
	ap->nrefused = 0;
}
