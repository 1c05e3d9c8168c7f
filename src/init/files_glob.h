/*
 * Patterns of paths: `*`, `?` and `[a-z]` stay within a part, `**` spans parts
 * (between slashes also none), `{a,b}` is either, a backslash takes what
 * follows as it is.
 */
#ifndef INIT_FILES_GLOB_H
#define INIT_FILES_GLOB_H

#include "lib/err.h"
#include <stdbool.h>

#define GLOB_MAX 4096
#define GLOBS_MAX 256

struct glob_list {
	char *glob[GLOBS_MAX]; /* owned, without braces */
	size_t n;
};

/* Does PATH (relative, "/" between its parts) fit GLOB without braces? */
bool files_glob(const char *glob, const char *path);

/* GLOB with its braces resolved. Free also after a failure. */
int files_globs(struct glob_list *l, const char *glob, struct err *e);
bool files_globs_fit(const struct glob_list *l, const char *path);
void files_globs_free(struct glob_list *l);

#endif
