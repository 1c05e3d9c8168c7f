/*
 * A set of names by their hashes. Runs in the store on names that a worker
 * inside a sandbox chose: their number is bounded by the frame that they came
 * in, and the seed keeps them from being chosen to collide.
 */
#include "store/names.h"

#include "lib/xalloc.h"

#include <string.h>
#include <sys/random.h>

#define NAMES_FIRST 64
#define NAMES_KEEP 4096 /* a larger table is somebody's huge object */

void
names_init(struct names *t)
{
	t->size = NAMES_FIRST;
	t->used = 0;
	t->slots = xcalloc(NAMES_FIRST, sizeof(*t->slots));
	t->seed = 0;
	/* Without randomness the hash is only less secret. */
	(void)!getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK);
}

void
names_free(struct names *t)
{
	free(STEAL(t->slots));
}

static uint64_t
mix(uint64_t h)
{
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 29;
}

static uint64_t
name_hash(uint64_t h, const unsigned char *s, size_t n)
{
	uint64_t w;

	h ^= n;
	for (; n >= sizeof(w); s += sizeof(w), n -= sizeof(w)) {
		memcpy(&w, s, sizeof(w));
		h = mix(h ^ w);
	}
	w = 0;
	memcpy(&w, s, n);
	h = mix(h ^ w);
	return h != 0 ? h : 1;
}

static void
names_insert(uint64_t *slots, size_t size, uint64_t h)
{
	size_t i = (size_t)h & (size - 1);

	while (slots[i] != 0)
		i = (i + 1) & (size - 1);
	slots[i] = h;
}

static void
names_grow(struct names *t)
{
	size_t size = t->size * 2, i;
	uint64_t *slots = xcalloc(size, sizeof(*slots));

	for (i = 0; i < t->size; i++) {
		if (t->slots[i] != 0)
			names_insert(slots, size, t->slots[i]);
	}
	free(t->slots);
	t->slots = slots;
	t->size = size;
}

void
names_clear(struct names *t)
{
	if (t->size > NAMES_KEEP) {
		free(t->slots);
		t->size = NAMES_FIRST;
		t->slots = xcalloc(t->size, sizeof(*t->slots));
	} else if (t->used > 0) {
		memset(t->slots, 0, t->size * sizeof(*t->slots));
	}
	t->used = 0;
}

bool
names_add(struct names *t, uint64_t object, const unsigned char *s, size_t n)
{
	uint64_t h = name_hash(mix(t->seed ^ object), s, n);
	size_t i = (size_t)h & (t->size - 1);

	for (; t->slots[i] != 0; i = (i + 1) & (t->size - 1)) {
		if (t->slots[i] == h)
			return false;
	}
	t->slots[i] = h;
	if (++t->used * 2 > t->size)
		names_grow(t);
	return true;
}
