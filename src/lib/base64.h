/*
 * Base64 with the standard alphabet and padding (RFC 4648, section 4). Pure.
 */
#ifndef LIB_BASE64_H
#define LIB_BASE64_H

#include "buf.h"

#define BASE64_LEN(n) (((n) + 2) / 3 * 4)
#define BASE64_WHY_MAX 64

/* What one character stands for, or -1. */
int base64_value(char c);
/* Exactly BASE64_LEN(N) characters to DST; no terminator. */
void base64_put(char *dst, const void *p, size_t n);
/* The same, appended; -1 when B is full. */
int base64_add(struct buf *b, const void *p, size_t n);
/* Append what S[0..N) stands for, padding and all, to OUT. -1 and a sentence in
 * WHY: it is none, or OUT is full. */
int
base64_get(struct buf *out, const char *s, size_t n, char why[BASE64_WHY_MAX]);

#endif
