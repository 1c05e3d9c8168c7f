/*
 * Reading what a server inside a sandbox answers. Strict: a server that is
 * hostile must not be able to make us, or whoever reads behind us, see an end
 * of the answer where there is none. Knows no descriptors and no loop.
 */
#ifndef GATEWAY_PROXY_PARSE_H
#define GATEWAY_PROXY_PARSE_H

#include "lib/defs.h"
#include "lib/err.h"
#include <stdbool.h>
#include <sys/types.h>

#define PROXY_HEAD_MAX 16384 /* bytes of one head */
#define PROXY_HEADERS_MAX 100
#define PROXY_TRAILER_MAX 8192 /* bytes of trailers and chunk extensions */

enum proxy_framing {
	PROXY_NO_BODY,
	PROXY_LENGTH,
	PROXY_CHUNKED,
	PROXY_UNTIL_CLOSE
};

struct proxy_header {
	char *name, *value; /* in the text that was parsed */
};

struct proxy_head {
	unsigned status;
	enum proxy_framing framing;
	int64_t
	    length; /* PROXY_LENGTH, or what an answer to HEAD says; or -1 */
	/* Without those that only concern the connection, and framing. */
	struct proxy_header headers[PROXY_HEADERS_MAX];
	size_t nheaders;
	const char *upgrade; /* the protocol of a 101 */
};

/* Where the head in TEXT[0..LEN) ends: how long it is, blank line included; 0:
 * not there yet. SCANNED is 0 at first and remembers how far it looked. */
size_t proxy_head_end(const char *text, size_t len, size_t *scanned);
/* Parse a head of LEN bytes, which is cut up. HEAD: the request was a HEAD. */
int proxy_head_parse(char *text, size_t len, bool head,
    struct proxy_head *h_out, struct err *e) ATTR_WARN_UNUSED;

/* A body as it comes. */
enum proxy_body_state {
	PB_DATA, /* LEFT more bytes of a chunk, or of all */
	PB_SIZE,
	PB_SIZE_LF,
	PB_EXT,
	PB_DATA_CR,
	PB_DATA_LF,
	PB_TRAILER, /* at the beginning of a line */
	PB_TRAILER_LINE,
	PB_TRAILER_LF,
	PB_LAST_LF,
	PB_DONE,
	PB_BROKEN
};
struct proxy_body {
	enum proxy_framing framing;
	enum proxy_body_state state;
	uint64_t left;
	unsigned digits; /* of the chunk's size so far */
	size_t extra;	 /* bytes of extensions and trailers so far */
};
void proxy_body_begin(struct proxy_body *b, const struct proxy_head *h);
/* Decode IN[0..N) to OUT, at most ROOM bytes: how many; *USED_OUT of IN are
 * done with. Look at B->state after. */
size_t proxy_body_decode(struct proxy_body *b, const char *in, size_t n,
    size_t *used_out, char *out, size_t room);
/* The server closed: was that the end? */
bool proxy_body_eof(struct proxy_body *b);

/* Is TOKEN in LIST, words with commas between, in any case? */
bool header_lists(const char *list, const char *token);
/* Does it only concern one connection, by its name? */
bool header_is_hop(const char *name);
bool header_name_ok(const char *name);
bool header_value_ok(const char *value);

#endif
