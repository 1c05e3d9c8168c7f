/*
 * Foreign text on a terminal: shown, never obeyed. Everything that an agent, a
 * sandbox or a file name brings passes through text_clean() before it reaches
 * a terminal: printable UTF-8 stays, controls and characters that reorder or
 * hide their neighbours are spelled out (\x1b, \u202e), bytes that are no
 * UTF-8 too (\xff).
 */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H

#include "lib/buf.h"
#include "lib/defs.h"
#include <stdbool.h>

/* Append S[0..n), cleaned, to B. LINES: newlines and tabs stay (a carriage
 * return before a newline goes); else they are spelled \n and \t. */
void text_clean(struct buf *b, const char *s, size_t n, bool lines);

/* Columns that S[0..n), clean, takes on a terminal. */
size_t text_width(const char *s, size_t n);
/* Bytes of S[0..n), clean, that fit into COLUMNS. */
size_t text_fit(const char *s, size_t n, size_t columns);

/* Append S[0..n) cleaned, as one line of at most COLUMNS columns; what is cut
 * off is told by ELLIPSIS. COLUMNS 0: no limit. */
void text_line(struct buf *b, const char *s, size_t n, size_t columns,
    const char *ellipsis);

/* "5s", "12m", "3h", "9d" for a time that long ago; "-" when unknown. */
#define AGE_TEXT_MAX 24
void text_age(char dst[AGE_TEXT_MAX], int64_t ms);
/* "512 B", "1.5 MiB" */
#define BYTES_TEXT_MAX 32
void text_bytes(char dst[BYTES_TEXT_MAX], int64_t bytes);

#endif
