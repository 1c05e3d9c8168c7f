/*
 * Text out of bytes that need not be text. Pure.
 */
#ifndef GATEWAY_LOSSY_H
#define GATEWAY_LOSSY_H

#include "lib/json.h"

/* P[0..N) as a string value: one U+FFFD for each longest piece that begins a
 * character and does not go on as one, as the Unicode standard advises. P may
 * be NULL when N is 0. */
void lossy_put(struct jw *w, const char *p, size_t n);

#endif
