/*
 * Growable bytes with a hard cap. Runs in every process of ours and holds
 * what peers send, so every size is checked against the cap before memory is
 * asked for. Once an append has failed all later ones fail too: a text with a
 * hole in the middle never comes out.
 */
#include "buf.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUF_FIRST 120 /* first allocation, without the NUL */

void
buf_init(struct buf *b, size_t cap)
{
	memset(b, 0, sizeof(*b));
	b->cap = cap < SIZE_MAX / 2 ? cap : SIZE_MAX / 2;
}

void
buf_free(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = 0;
	b->room = 0;
	b->failed = false;
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

/* All growth happens here, and so do all checks of size. */
char *
buf_reserve(struct buf *b, size_t n)
{
	size_t room;
	char *p;

	if (b->failed)
		return NULL;
	if (n <= b->room - b->len && b->data != NULL)
		return b->data + b->len;
	if (b->len > b->cap || n > b->cap - b->len) {
		b->failed = true;
		return NULL;
	}
	/* Doubling keeps appends linear; the cap bounds the last step. */
	room = MAX(b->len + n, BUF_FIRST);
	if (room < b->room * 2)
		room = b->room * 2;
	if (room > b->cap)
		room = b->cap;
	p = realloc(b->data, room + 1);
	if (p == NULL) {
		b->failed = true;
		return NULL;
	}
	b->data = p;
	b->room = room;
	b->data[b->len] = '\0';
	return p + b->len;
}

int
buf_add(struct buf *b, const void *p, size_t n)
{
	char *to;

	to = buf_reserve(b, n);
	if (to == NULL)
		return -1;
	if (n > 0)
		memcpy(to, p, n);
	b->len += n;
	b->data[b->len] = '\0';
	return 0;
}

int
buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int
buf_addc(struct buf *b, char c)
{
	char *to;

	to = buf_reserve(b, 1);
	if (to == NULL)
		return -1;
	to[0] = c;
	to[1] = '\0';
	b->len++;
	return 0;
}

int
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *to;
	int n;

	/* Measured first: the text may be longer than all room there is. */
	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return -1;
	}
	to = buf_reserve(b, (size_t)n);
	if (to == NULL)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(to, (size_t)n + 1, fmt, ap); /* measured above */
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
	b->data[b->len] = '\0';
}

void
buf_trim(struct buf *b, size_t keep)
{
	if (b->len == 0 && b->room > keep) {
		free(b->data);
		b->data = NULL;
		b->room = 0;
	}
}

char *
buf_steal(struct buf *b)
{
	char *s;

	/* An empty text is still a text: make the NUL exist. */
	if (buf_reserve(b, 0) == NULL) {
		buf_free(b);
		return NULL;
	}
	s = STEAL(b->data);
	buf_free(b);
	return s;
}
