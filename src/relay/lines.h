/*
 * Output of a command as lines of JSON: pure, no I/O.
 */
#ifndef RELAY_LINES_H
#define RELAY_LINES_H

#include "lib/buf.h"
#include "lib/defs.h"
#include <stdbool.h>

#define LINES_TAIL_MAX 3 /* bytes of a character that a read has cut */

/* How much of P[0..n) may go out as one item now: N, or less when the end is
 * the beginning of a UTF-8 character whose rest is still to come. */
size_t lines_whole(const char *p, size_t n);

/* Append one item line with P[0..n) to B: as "data" when it is valid UTF-8, as
 * "base64" otherwise. REQUEST is JSON text. */
void lines_item(struct buf *b, const char *request, const char *stream,
    const char *p, size_t n);

struct lines_totals {
	int64_t stdout_bytes, stderr_bytes;
	bool truncated;
};

/* Append the final line. OK and ERROR are JSON objects as text, one of them
 * NULL; the totals become members of OK. */
void lines_final(struct buf *b, const char *request, const char *ok,
    const char *error, const struct lines_totals *t);

#endif
