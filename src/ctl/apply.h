/*
 * Taking a sandbox's changes over into the original directory. Nothing outside
 * of that directory is touched, whatever the stream says.
 */
#ifndef CTL_APPLY_H
#define CTL_APPLY_H

#include "ctl/review.h"

struct apply {
	struct ctl *ctl;   /* borrowed */
	struct review *rv; /* borrowed */
	bool dry_run;
	bool force;	      /* also over what was changed here meanwhile */
	bool with_git_config; /* also what git would run */
	struct jw *json;      /* array being written; NULL without --json */
	int64_t applied, left_out;
	char **refused; /* owned: directories below which nothing is done */
	size_t nrefused;
};

/* Everything that the stream tells. What cannot be applied is told, counted
 * and left out; -1 only when going on makes no sense. */
int apply_all(struct apply *ap, struct err *e);
void apply_free(struct apply *ap);

/* Would git run something because of this path, or read from it what to run?
 * IS_DIR: the path is a directory. */
bool apply_is_git_config(const char *path, bool is_dir);

#endif
