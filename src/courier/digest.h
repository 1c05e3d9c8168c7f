/*
 * Digests that say what a download must be, and counting them as bytes come.
 */
#ifndef COURIER_DIGEST_H
#define COURIER_DIGEST_H

#include "lib/err.h"
#include <sha1.h>
#include <sha2.h>
#include <stddef.h>

enum digest_kind {
	DIGEST_NONE,
	DIGEST_SHA1,
	DIGEST_SHA256,
	DIGEST_SHA384,
	DIGEST_SHA512,
	DIGEST_N
};

struct digest {
	enum digest_kind kind;
	unsigned char bytes[SHA512_DIGEST_LENGTH];
};

struct hasher {
	enum digest_kind kind;
	union {
		SHA1_CTX sha1;
		SHA2_CTX sha2;
	} u;
};

size_t digest_size(enum digest_kind kind);
const char *digest_name(enum digest_kind kind);
/* The strongest digest that an `integrity` of npm holds: words such as
 * sha512-BASE64, separated by blanks. -1: there is none that we know. */
int digest_integrity(struct digest *d_out, const char *text);
int digest_hex(struct digest *d_out, enum digest_kind kind, const char *hex);
/* As hex, two digits a byte, at most SIZE - 1 of them. */
void digest_text(const struct digest *d, char *dst, size_t size);

void hasher_init(struct hasher *h, enum digest_kind kind);
void hasher_add(struct hasher *h, const void *p, size_t n);
/* H is of no use after. */
void hasher_end(struct hasher *h, struct digest *d_out);
/* ERR_INSTALL_FAILED, naming what was wanted and what came. */
int digest_compare(
    const struct digest *want, const struct digest *got, struct err *e);

#endif
