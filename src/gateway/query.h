/*
 * Query strings: "a=b&c", "+" is a blank, %XX a byte.
 */
#ifndef GATEWAY_QUERY_H
#define GATEWAY_QUERY_H

#include "lib/buf.h"

#include <stdbool.h>

struct query_pair {
	const char *name; /* not decoded */
	size_t name_len;
	const char *value;
	size_t value_len;
};

/* The next pair of *AT, which begins as the whole query. False at the end. */
bool query_next(const char **at, struct query_pair *p_out);
/* Append S[0..N) decoded to OUT: broken escapes stay as they are, what is not
 * UTF-8 becomes U+FFFD. -1: it holds a NUL, or OUT is full. */
int query_decode(struct buf *out, const char *s, size_t n);
/* What a hexadecimal digit counts; -1: it is none. */
int query_hex(char c);
/* Does S[0..N), decoded, say NAME? */
bool query_is(const char *s, size_t n, const char *name);

#endif
