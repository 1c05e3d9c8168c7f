/*
 * apply: take a sandbox's changes over into the directory they are changes of.
 * Runs as the caller and does what he could do; see apply.h.
 */
#include "ctl/apply.h"
#include "ctl/commands.h"
#include "ctl/signals.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Another directory than the original: --to. */
static int
use_directory(struct review *rv, const char *path, struct err *e)
{
	int fd;

	if (path == NULL)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return err_sys(e, "open %s", path);
	fd_close(&rv->root_fd);
	rv->root_fd = fd;
	return 0;
}

static void
summary(const struct apply *ap, const char *where)
{
	if (ap->applied + ap->left_out == 0) {
		ctl_note(
		    ap->ctl, "%s has changed nothing in %s", ap->rv->id, where);
		return;
	}
	(void)printf("%s%lld change%s", ap->dry_run ? "would apply " : "",
	    (long long)ap->applied, ap->applied == 1 ? "" : "s");
	if (!ap->dry_run)
		(void)fputs(" applied", stdout);
	(void)fputs(" to ", stdout);
	ctl_put(where);
	if (ap->left_out > 0)
		(void)printf(", %lld left out", (long long)ap->left_out);
	(void)putchar('\n');
}

static int
apply_json(struct apply *ap, const char *where, struct err *e)
{
	struct buf b;
	struct jw w;
	int r;

	buf_init(&b, 256u << 20);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "sandbox", ap->rv->id);
	jw_kstr(&w, "directory", where);
	jw_kbool(&w, "dry_run", ap->dry_run);
	jw_key(&w, "changes");
	jw_array(&w);
	/* cppcheck-suppress autoVariables ; taken back below */
	ap->json = &w;
	r = apply_all(ap, e);
	ap->json = NULL;
	jw_array_end(&w);
	jw_kint(&w, "applied", ap->applied);
	jw_kint(&w, "left_out", ap->left_out);
	jw_object_end(&w);
	/* What was done before a failure has been done: tell it too. */
	ctl_print_json_buf(&b);
	buf_free(&b);
	return r;
}

static int
run_apply(struct ctl *ctl, const struct args *a)
{
	const char *to = args_str(a, "to", NULL);
	struct review rv;
	struct apply ap = { .ctl = ctl,
		.rv = &rv,
		.dry_run = args_has(a, "dry-run"),
		.force = args_has(a, "force"),
		.with_git_config = args_has(a, "with-git-config") };
	struct err e;
	int r;

	if (signals_open(3, &e) == -1)
		return ctl_fail(ctl, &e);
	r = review_open(
	    &rv, ctl, a->operands[0], args_str(a, "target", NULL), &e);
	rv.only = a->operands + 1;
	rv.nonly = a->noperands - 1;
	if (r == 0)
		r = use_directory(&rv, to, &e);
	if (r == 0 && ctl->json) {
		r = apply_json(&ap, to == NULL ? rv.source : to, &e);
	} else if (r == 0) {
		r = apply_all(&ap, &e);
		summary(&ap, to == NULL ? rv.source : to);
	}
	if (r == -1)
		r = ctl_fail(ctl, &e);
	else if (ap.left_out > 0)
		r = EXIT_FAILED;
	apply_free(&ap);
	review_close(&rv);
	return r;
}

static const struct opt_def apply_opts[] = {
	{ "dry-run", 'n', NULL, "Only tell what would be done." },
	{ "force", 'f', NULL, "Also over what was changed here meanwhile." },
	{ "with-git-config", '\0', NULL,
	    "Also git hooks and configuration, which run outside." },
	{ "to", '\0', "DIR", "Into this directory, not the original." },
	{ "target", 't', "PATH", "Of this copy-on-write mount." },
};

const struct command cmd_apply = {
	.name = "apply",
	.operands = "ID [PATH...]",
	.help = "Take what a sandbox changed over into the original directory.",
	COMMAND_OPTS(apply_opts),
	.min = 1,
	.max = -1,
	.run = run_apply,
};
