/*
 * Keys of idempotent messages: the last ones, with what became of each, so
 * that a message that is sent again (its answer was lost, or its gateway died)
 * is not said twice. They are stored with the events of their message and read
 * back by the next worker.
 */
#ifndef SESSION_KEYS_H
#define SESSION_KEYS_H

#include "lib/json.h"
#include <stdbool.h>

#define KEYS_MAX 256

struct key {
	uint64_t name[2]; /* of the key's text */
	uint64_t content; /* of the message and its attachments */
	uint64_t turn;
	int64_t after;
};

struct keys {
	struct key *k; /* owned; a ring, NULL while there is none */
	unsigned n;    /* in use */
	unsigned next; /* to be written */
};

void keys_free(struct keys *ks);
/* A key with its two hashes: the rest is zero. */
struct key key_of(
    const char *name, const struct json *text, const struct json *attachments);
bool key_same(const struct key *a, const struct key *b);
/* The one of this name, or NULL. */
const struct key *keys_find(const struct keys *ks, const struct key *k);
void keys_add(struct keys *ks, const struct key *k);
/* As one string: short to parse for those who only carry it. */
void keys_write(const struct keys *ks, struct jw *w);
void keys_read(struct keys *ks, const struct json *v);

#endif
