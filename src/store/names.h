/*
 * The names seen in one event: is one there twice in the same object?
 *
 * They are kept as 64-bit hashes of object and name in an open table. Equal
 * hashes count as equal names: with a secret seed two different names meet
 * once in an age, and then one event of somebody who tried very hard is
 * refused. The table is emptied for each event, so it stays in the cache.
 */
#ifndef STORE_NAMES_H
#define STORE_NAMES_H

#include "lib/defs.h"

#include <stdbool.h>

struct names {
	uint64_t *slots; /* owned; 0 is empty */
	size_t size;	 /* a power of two */
	size_t used;
	uint64_t seed;
};

void names_init(struct names *t);
void names_free(struct names *t);
void names_clear(struct names *t);
/* False when OBJECT has the name S[0..n) already. */
bool
names_add(struct names *t, uint64_t object, const unsigned char *s, size_t n);

#endif
