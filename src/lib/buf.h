/*
 * Growable bytes with a hard cap. Appending beyond the cap, or when memory is
 * out, fails and sets `failed`; a writer may therefore append many times and
 * look once. data[len] is always a terminating NUL once anything was added.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include "defs.h"
#include <stdbool.h>

struct buf {
	char *data; /* owned */
	size_t len;
	size_t room; /* allocated, not counting the NUL */
	size_t cap;  /* never more than this */
	bool failed;
};

void buf_init(struct buf *b, size_t cap);
void buf_free(struct buf *b);  /* also for a zeroed one; leaves it empty */
void buf_clear(struct buf *b); /* len 0, failed false, keeps the memory */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Room for N more bytes at data+len; the caller then adds to len. NULL when
 * over the cap. */
char *buf_reserve(struct buf *b, size_t n);
/* Drop N bytes at the front. */
void buf_consume(struct buf *b, size_t n);
/* Give memory back when the buffer is empty and has grown beyond KEEP. */
void buf_trim(struct buf *b, size_t keep);
/* The text, owned by the caller now; B is empty after. NULL if failed. */
char *buf_steal(struct buf *b);

#endif
