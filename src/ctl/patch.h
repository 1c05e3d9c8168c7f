/*
 * One change as a patch in git's format: names quoted the way git does it, on
 * a terminal cleaned and in colour.
 */
#ifndef CTL_PATCH_H
#define CTL_PATCH_H

#include "ctl/ctl.h"

/* One side of a file's difference. */
struct side {
	char *data; /* owned */
	size_t len;
	unsigned mode; /* as git writes it; 0: does not exist */
	bool is_large; /* content was not read */
	bool is_equal; /* of the new side: content as in the old */
};

/* HUNKS: from udiff. OPAQUE: the content is not shown; true is returned when
 * that hides a difference. */
bool
patch_print(const struct ctl *ctl, const char *path, const struct side *old,
    const struct side *new, const struct buf *hunks, bool opaque);

#endif
