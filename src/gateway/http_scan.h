/*
 * Where requests begin and end in the bytes of a connection, as strictly as
 * RFC 9112 writes it, beside MHD, which takes more: a line that ends in LF
 * alone, or that goes on in the next one, others would read differently.
 */
#ifndef GATEWAY_HTTP_SCAN_H
#define GATEWAY_HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a line, what decides: the longest are lengths and codings. */
#define SCAN_LINE_MAX 96

enum scan_at {
	SCAN_BEGIN, /* before a request line */
	SCAN_HEAD,
	SCAN_BODY,
	SCAN_CHUNK,	/* its line */
	SCAN_DATA,	/* what it holds */
	SCAN_DATA_LINE, /* the line end behind that */
	SCAN_TRAILER,
	SCAN_LOST /* nothing behind is a request */
};

struct scan {
	uint64_t left;	  /* of a body or a chunk */
	unsigned request; /* the number of this one, from 1 */
	unsigned bad;	  /* the first that is not to be served; 0: none */
	uint8_t at;	  /* enum scan_at */
	bool chunked;
	bool unread; /* its length or its coding was not understood */
	char last;   /* byte of the line */
	size_t len;  /* of the line */
	char line[SCAN_LINE_MAX];
};

/* N bytes came; all zero is where a connection begins. */
void scan_bytes(struct scan *s, const char *p, size_t n);

/* Is the NTH request, as far as it has come, one to refuse? */
static inline bool
scan_refuses(const struct scan *s, unsigned nth)
{
	return s->bad != 0 && nth >= s->bad;
}

#endif
