/*
 * Bytes as text and back (RFC 4648, with padding).
 */
#ifndef CTL_HTTP_BASE64_H
#define CTL_HTTP_BASE64_H

#include "lib/buf.h"

/* Append N bytes as text. */
void base64_encode(struct buf *b, const void *p, size_t n);
/* Append the bytes that S[0..n) stands for. -1: it is no such text. */
int base64_decode(struct buf *b, const char *s, size_t n);

#endif
