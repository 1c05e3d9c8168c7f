/*
 * Installations of plain archives: one download with its digest. Runs in the
 * courier; see recipe.h.
 */
#include "courier/courier.h"

#include "courier/beneath.h"
#include "lib/strutil.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FILES "files" /* so that its own bin/ is not ours */

/* The last part of an address's path. */
static int
base_name(char *dst, size_t size, const char *url, struct err *e)
{
	size_t end = strcspn(url, "?#"), begin = end;

	while (begin > 0 && url[begin - 1] != '/')
		begin--;
	if (str_format(dst, size, "%.*s", (int)(end - begin), url + begin) ==
		-1 ||
	    !recipe_word_valid(dst, 255))
		return err_set(e, ERR_BAD_REQUEST,
		    "recipe: urls: the address does not end in a file's name");
	return 0;
}

void
archive_begin(struct job *j)
{
	const struct recipe *r = &j->recipe;
	struct launcher *l = &j->launchers[0];
	char file[256], clean[BENEATH_PATH_MAX];
	struct err e;

	(void)!str_copy(j->version, sizeof(j->version), r->version);
	if (job_is_there(j))
		return;
	/* It was looked at when the recipe was read. */
	(void)beneath_clean(clean, r->bin, 0);
	l->program = r->program;
	if (base_name(file, sizeof(file), r->url, &e) == -1 ||
	    job_begin_dir(j, &e) == -1) {
		job_fail(j, &e);
		return;
	}
	if (str_format(l->target, sizeof(l->target), FILES "/%s", clean) ==
	    -1) {
		err_set(&e, ERR_BAD_REQUEST, "recipe: bin: too long");
		job_fail(j, &e);
		return;
	}
	j->nlaunchers = 1;
	(void)piece_add(j, file, r->url, j->c->mirror_fd != -1 ? file : NULL,
	    &r->digest, r->strip, FILES);
	pieces_begin(j);
}
