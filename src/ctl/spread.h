/*
 * JSON for people: spread over lines, two blanks a level.
 */
#ifndef CTL_SPREAD_H
#define CTL_SPREAD_H

#include "ctl/ctl.h"

/* Append V to B. SORTED: members in the order of their names, at every level;
 * else as they came. */
void spread_json(struct buf *b, const struct json *v, bool sorted);
/* Write the text in B, which must be JSON, spread and a newline, safe on a
 * terminal. -1: it is no JSON, and nothing was written. */
int spread_text(FILE *f, const char *text, size_t len, bool sorted);

#endif
