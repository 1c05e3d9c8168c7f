/*
 * diff: what a sandbox changed in its copy-on-write workspace, as a patch that
 * `git apply` and `patch -p1` take. Runs as the caller; writes nothing but its
 * output.
 *
 * Names and contents are hostile. On a terminal they are cleaned; into a pipe
 * contents go as they are, since a patch must be exact, and names are quoted
 * the way git quotes them.
 */
#include "ctl/apply.h"
#include "ctl/beneath.h"
#include "ctl/commands.h"
#include "ctl/patch.h"
#include "ctl/review.h"
#include "ctl/signals.h"
#include "ctl/text.h"
#include "ctl/udiff.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CONTENT_MAX (8u << 20) /* larger files are told, not shown */
#define PATCH_MAX (64u << 20)

struct diff {
	struct ctl *ctl;
	struct review *rv;
	bool stat;
	bool with_git;	 /* also what lies in .git, which no patch may name */
	struct jw *json; /* NULL without --json */
	int64_t files, added, removed;
	int64_t binary, in_git, git_config; /* not in the patch */
	char **gone; /* owned: below replaced directories, not seen again */
	size_t ngone;
};

/* --- telling ------------------------------------------------------------- */

/* ST is NULL for what has no lines. */
static void
print_stat(const char *path, const struct udiff_stat *st, const char *what)
{
	ctl_put(path);
	if (st != NULL)
		(void)printf(" | +%zu -%zu %s\n", st->added, st->removed, what);
	else
		(void)printf(" | binary, %s\n", what);
}

static void
json_change(struct diff *d, const char *path, const char *type,
    const char *what, unsigned mode, const struct udiff_stat *st)
{
	char octal[16];

	jw_object(d->json);
	jw_kstr(d->json, "path", path);
	jw_kstr(d->json, "change", what);
	jw_kstr(d->json, "type", type);
	if ((mode & 07777) != 0) {
		(void)snprintf(octal, sizeof(octal), "%04o", mode & 07777);
		jw_kstr(d->json, "mode", octal);
	}
	if (st != NULL) {
		jw_kint(d->json, "added", (int64_t)st->added);
		jw_kint(d->json, "removed", (int64_t)st->removed);
	}
	jw_object_end(d->json);
}

/* --- one file ------------------------------------------------------------ */

static bool
is_opaque(const struct side *s)
{
	return s->is_large || udiff_is_binary(s->data, s->len);
}

/* Is PATH in a repository's own directory? git takes no patch for that. */
static bool
is_in_git(const char *path)
{
	return strcmp(path, ".git") == 0 || str_starts(path, ".git/") ||
	       strstr(path, "/.git/") != NULL;
}

static void
show_change(struct diff *d, const char *path, const char *type,
    const struct side *old, const struct side *new, const struct buf *hunks,
    const struct udiff_stat *st)
{
	const char *what = old->mode == 0   ? "added"
			   : new->mode == 0 ? "deleted"
					    : "modified";
	bool opaque = st == NULL;

	d->files++;
	if (d->json != NULL)
		json_change(d, path, type, what,
		    new->mode == 0 ? old->mode : new->mode, st);
	else if (d->stat)
		print_stat(path, st, what);
	else if (is_in_git(path) && !d->with_git)
		d->in_git++;
	else
		d->binary += patch_print(d->ctl, path, old, new, hunks, opaque);
	if (apply_is_git_config(path, false))
		d->git_config++;
}

/* What git would say of the two sides. Same type, or one of them missing. */
static int
emit(struct diff *d, const char *path, const char *type, const struct side *old,
    struct side *new, struct err *e)
{
	bool opaque = is_opaque(old) || is_opaque(new);
	struct udiff_stat st = { 0 };
	struct buf hunks;
	int r = 0;

	if (!old->is_large && !new->is_large && old->len == new->len &&
	    (new->len == 0 || memcmp(old->data, new->data, new->len) == 0))
		new->is_equal = true;
	if (new->is_equal && old->mode == new->mode)
		return 0;
	buf_init(&hunks, PATCH_MAX);
	if (!opaque)
		r = udiff(
		    &hunks, old->data, old->len, new->data, new->len, &st);
	if (r == -1) {
		(void)err_set(e, ERR_SYSTEM, "%s: no memory to compare", path);
	} else {
		d->added += (int64_t)st.added;
		d->removed += (int64_t)st.removed;
		show_change(
		    d, path, type, old, new, &hunks, opaque ? NULL : &st);
	}
	buf_free(&hunks);
	return r;
}

static void
side_free(struct side *s)
{
	free(s->data);
	*s = (struct side){ 0 };
}

static unsigned
git_mode(mode_t mode)
{
	return (mode & 0100) != 0 ? 0100755 : 0100644;
}

/* The original of PATH, whatever it is: only files and links have a content;
 * mode stays 0 for others. */
static int
read_old(struct diff *d, const char *path, const struct stat *st,
    struct side *s, struct err *e)
{
	char target[PATH_MAX];
	size_t len = 0;

	*s = (struct side){ 0 };
	if (S_ISLNK(st->st_mode)) {
		if (beneath_readlink(
			d->rv->root_fd, path, target, sizeof(target)) == -1)
			return err_sys(e, "read the link %s", path);
		s->mode = 0120000;
		s->data = xstrdup(target);
		s->len = strlen(target);
		return 0;
	}
	if (!S_ISREG(st->st_mode))
		return 0;
	s->mode = git_mode(st->st_mode);
	s->is_large = st->st_size > (off_t)CONTENT_MAX;
	if (s->is_large)
		return 0;
	autofd int fd =
	    beneath_open(d->rv->root_fd, path, O_RDONLY | O_NONBLOCK);

	if (fd == -1)
		return err_sys(e, "open %s", path);
	if (fd_slurp(fd, CONTENT_MAX, &s->data, &len, e) == -1)
		return err_prefix(e, "%s", path);
	s->len = len;
	return 0;
}

static int
read_new(struct diff *d, const struct change *c, struct side *s, struct err *e)
{
	ssize_t n;

	*s = (struct side){ 0 };
	if (c->type == CHANGE_SYMLINK) {
		s->mode = 0120000;
		s->data = xstrdup(c->text);
		s->len = strlen(c->text);
		return 0;
	}
	s->mode = git_mode(c->mode);
	s->is_large = c->size > (int64_t)CONTENT_MAX;
	if (s->is_large)
		return 0;
	s->data = malloc((size_t)c->size + 1);
	if (s->data == NULL)
		return err_set(e, ERR_SYSTEM, "no memory");
	while ((n = changes_data(&d->rv->changes, s->data + s->len,
		    (size_t)c->size - s->len, e)) > 0)
		s->len += (size_t)n;
	return n == -1 ? -1 : 0;
}

/* --- what is gone -------------------------------------------------------- */

static int
emit_gone(
    struct diff *d, const char *path, const struct stat *st, struct err *e)
{
	struct side none = { 0 };
	struct side old;
	int r;

	if (read_old(d, path, st, &old, e) == -1)
		return -1;
	r = old.mode == 0
		? 0
		: emit(d, path, S_ISLNK(st->st_mode) ? "symlink" : "file", &old,
		      &none, e);
	side_free(&old);
	return r;
}

struct gone_ctx {
	struct diff *d;
	struct err *e;
};

static int
emit_gone_below(const char *path, const struct stat *st, void *ctx)
{
	struct gone_ctx *g = ctx;

	return emit_gone(g->d, path, st, g->e);
}

static int
keep_gone(const char *path, const struct stat *st, void *ctx)
{
	struct diff *d = ((struct gone_ctx *)ctx)->d;

	if (S_ISDIR(st->st_mode))
		return 0;
	d->gone = xreallocarray(d->gone, d->ngone + 1, sizeof(char *));
	d->gone[d->ngone++] = xstrdup(path);
	return 0;
}

static void
not_gone(struct diff *d, const char *path)
{
	size_t i;

	for (i = 0; i < d->ngone; i++) {
		if (strcmp(d->gone[i], path) != 0)
			continue;
		free(d->gone[i]);
		d->gone[i] = d->gone[--d->ngone];
		return;
	}
}

static int
emit_kept_gone(struct diff *d, struct err *e)
{
	int r = 0;
	size_t i;

	for (i = 0; i < d->ngone; i++) {
		struct stat st;

		if (r == 0 &&
		    beneath_stat(d->rv->root_fd, d->gone[i], &st) == 1)
			r = emit_gone(d, d->gone[i], &st, e);
		free(d->gone[i]);
	}
	free(d->gone);
	d->gone = NULL;
	d->ngone = 0;
	return r;
}

/* --- entries ------------------------------------------------------------- */

/* Too large to keep: compare on the way. 1, 0, -1. */
static int
is_large_same(struct diff *d, const struct change *c, struct err *e)
{
	autofd int fd = review_open_old(d->rv, c);

	return fd == -1 ? 0 : review_same_data(d->rv, fd, e);
}

static int
on_content(struct diff *d, const struct change *c, const struct stat *st,
    struct err *e)
{
	const char *type = c->type == CHANGE_SYMLINK ? "symlink" : "file";
	struct gone_ctx g = { d, e };
	struct side none = { 0 };
	struct side old = { 0 };
	struct side new = { 0 };
	int r = 0;

	not_gone(d, c->path);
	if (S_ISDIR(st->st_mode))
		r = beneath_walk(
		    d->rv->root_fd, c->path, emit_gone_below, &g, e);
	else if (st->st_mode != 0)
		r = read_old(d, c->path, st, &old, e);
	if (r == 0)
		r = read_new(d, c, &new, e);
	/* A file that became a link, or the other way round, is two changes. */
	if (r == 0 && old.mode != 0 &&
	    (old.mode == 0120000) != (new.mode == 0120000)) {
		r = emit(d, c->path, type, &old, &none, e);
		side_free(&old);
	}
	if (r == 0 && new.is_large && S_ISREG(st->st_mode)) {
		r = is_large_same(d, c, e);
		new.is_equal = r == 1;
	}
	if (r != -1)
		r = emit(d, c->path, type, &old, &new, e);
	side_free(&old);
	side_free(&new);
	return r == -1 ? -1 : 0;
}

static int
on_dir(struct diff *d, const struct change *c, enum change_kind kind,
    const struct stat *st, struct err *e)
{
	struct gone_ctx g = { d, e };

	if (kind == KIND_SAME)
		return 0;
	if (kind == KIND_REPLACED) {
		if (S_ISDIR(st->st_mode))
			return beneath_walk(
			    d->rv->root_fd, c->path, keep_gone, &g, e);
		return emit_gone(d, c->path, st, e);
	}
	/* A patch has no word for a directory. */
	if (d->json != NULL)
		json_change(
		    d, c->path, "dir", change_kind_name(kind), c->mode, NULL);
	else if (d->stat) {
		ctl_put(c->path);
		(void)printf("/ | directory, %s\n", change_kind_name(kind));
	}
	return 0;
}

static int
on_entry(struct diff *d, const struct change *c, struct err *e)
{
	struct gone_ctx g = { d, e };
	enum change_kind kind;
	struct stat st;

	if (review_kind(d->rv, c, &kind, &st, e) == -1)
		return -1;
	switch (c->type) {
	case CHANGE_DIR:
	case CHANGE_REPLACE_DIR:
		return on_dir(d, c, kind, &st, e);
	case CHANGE_DELETE:
		if (kind == KIND_SAME)
			return 0;
		if (S_ISDIR(st.st_mode))
			return beneath_walk(
			    d->rv->root_fd, c->path, emit_gone_below, &g, e);
		return emit_gone(d, c->path, &st, e);
	case CHANGE_ERROR:
		if (d->json != NULL)
			json_change(d, c->path, "error", c->text, 0, NULL);
		else
			ctl_note(d->ctl, "not shown: %s: %s", c->path, c->text);
		return 0;
	default:
		return on_content(d, c, &st, e);
	}
}

static int
diff_all(struct diff *d, struct err *e)
{
	struct change c;
	int r;

	while ((r = review_next(d->rv, &c, e)) == 1)
		if (on_entry(d, &c, e) == -1) {
			r = -1;
			break;
		}
	if (emit_kept_gone(d, e) == -1)
		return -1;
	return r;
}

/* --- the command --------------------------------------------------------- */

static int
diff_json(struct diff *d, struct err *e)
{
	struct buf b;
	struct jw w;
	int r;

	buf_init(&b, 256u << 20);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "sandbox", d->rv->id);
	jw_kstr(&w, "source", d->rv->source);
	jw_kstr(&w, "target", d->rv->target);
	jw_key(&w, "changes");
	jw_array(&w);
	/* cppcheck-suppress autoVariables ; taken back below */
	d->json = &w;
	r = diff_all(d, e);
	d->json = NULL;
	jw_array_end(&w);
	jw_kint(&w, "files", d->files);
	jw_kint(&w, "added", d->added);
	jw_kint(&w, "removed", d->removed);
	jw_object_end(&w);
	if (r == 0)
		ctl_print_json_buf(&b);
	buf_free(&b);
	return r;
}

static int
diff_text(struct diff *d, struct err *e)
{
	if (diff_all(d, e) == -1)
		return -1;
	if (d->files == 0)
		ctl_note(d->ctl, "%s has changed nothing in %s", d->rv->id,
		    d->rv->source);
	if (d->stat && d->files > 0)
		(void)printf("%lld file%s changed, +%lld -%lld\n",
		    (long long)d->files, d->files == 1 ? "" : "s",
		    (long long)d->added, (long long)d->removed);
	if (d->in_git > 0)
		ctl_note(d->ctl,
		    "not in the patch: %lld file%s in .git (--git)",
		    (long long)d->in_git, d->in_git == 1 ? "" : "s");
	if (d->git_config > 0)
		ctl_note(d->ctl,
		    "git's hooks or configuration changed: %lld file%s, which "
		    "apply leaves out",
		    (long long)d->git_config, d->git_config == 1 ? "" : "s");
	if (d->binary > 0 && !d->ctl->tty)
		ctl_note(d->ctl,
		    "%lld binary file%s: their content is not in the patch; "
		    "apply takes it over",
		    (long long)d->binary, d->binary == 1 ? "" : "s");
	return 0;
}

static int
run_diff(struct ctl *ctl, const struct args *a)
{
	struct review rv;
	struct diff d = { .ctl = ctl,
		.rv = &rv,
		.stat = args_has(a, "stat"),
		.with_git = args_has(a, "git") };
	struct err e;
	int r;

	if (signals_open(2, &e) == -1)
		return ctl_fail(ctl, &e);
	r = review_open(
	    &rv, ctl, a->operands[0], args_str(a, "target", NULL), &e);
	rv.only = a->operands + 1;
	rv.nonly = a->noperands - 1;
	if (r == 0)
		r = ctl->json ? diff_json(&d, &e) : diff_text(&d, &e);
	if (r == -1)
		r = ctl_fail(ctl, &e);
	review_close(&rv);
	return r;
}

static const struct opt_def diff_opts[] = {
	{ "stat", 's', NULL, "Only which files, and how many lines." },
	{ "git", '\0', NULL, "Also what changed in .git." },
	{ "target", 't', "PATH", "Of this copy-on-write mount." },
};

const struct command cmd_diff = {
	.name = "diff",
	.operands = "ID [PATH...]",
	.help = "Show what a sandbox changed in its workspace, as a patch.",
	COMMAND_OPTS(diff_opts),
	.min = 1,
	.max = -1,
	.run = run_diff,
};
