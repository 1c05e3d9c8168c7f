/*
 * Secrets that must not be shown: keys and tokens, masked so that a person
 * still knows which one is meant.
 */
#ifndef LIB_SECRET_H
#define LIB_SECRET_H

#include "defs.h"
#include <stdbool.h>

/* "sk-a...CCCC": the first four bytes and the last four; "****" for a secret of
 * eight bytes or less. Bytes that are no printable ASCII become "?". */
#define SECRET_MASK_MAX 12
void secret_mask(char dst[SECRET_MASK_MAX], const char *secret);

/* Mask in TEXT[0..n), in place, what has the form of a key: words that begin as
 * those of the known providers do, what follows "Bearer ", and the values of
 * NAME=VALUE where the name ends in KEY, TOKEN, SECRET, PASSWORD or
 * CREDENTIALS. Returns the new length, never more than N. For values in logs
 * and for titles of processes; text that only looks like a key is masked as
 * well. */
size_t secret_scrub(char *text, size_t n);

/* Does NAME (of a variable, a member, a flag) tell that its value is secret? */
bool secret_name(const char *name, size_t n);

#endif
