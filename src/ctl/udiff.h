/*
 * The difference of two texts as hunks of a unified diff. Pure: no I/O, no
 * other program.
 */
#ifndef CTL_UDIFF_H
#define CTL_UDIFF_H

#include "lib/buf.h"
#include "lib/defs.h"
#include <stdbool.h>

struct udiff_stat {
	size_t added, removed; /* lines */
};

/* Append the hunks that turn A into B to OUT (NULL: only count). Nothing when
 * they are equal. -1: no memory. */
int udiff(struct buf *out, const char *a, size_t a_len, const char *b,
    size_t b_len, struct udiff_stat *stat_out);

/* Text that should not be shown line by line. */
bool udiff_is_binary(const char *s, size_t n);

#endif
