/*
 * See keys.h. Runs in the session worker. Keys are hashed: what is stored has
 * a fixed size whatever clients send. The hash needs no secret: who makes two
 * keys collide has lost only a message of his own.
 */
#include "session/keys.h"

#include "lib/xalloc.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELDS 5
#define FIELD_DIGITS 16
#define KEY_DIGITS (FIELDS * FIELD_DIGITS)
#define FNV_BASE UINT64_C(0xcbf29ce484222325)
#define FNV_OTHER UINT64_C(0x84222325cbf29ce4)
#define ATTACHMENTS_MAX (1u << 20) /* a frame's */

static uint64_t
hash(uint64_t h, const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * UINT64_C(0x100000001b3);
	return h;
}

struct key
key_of(
    const char *name, const struct json *text, const struct json *attachments)
{
	struct key k = { .name = { hash(FNV_BASE, name, strlen(name)),
			     hash(FNV_OTHER, name, strlen(name)) } };
	struct buf b;
	struct jw w;

	k.content = hash(FNV_BASE, text->str, text->len);
	if (attachments != NULL && attachments->len > 0) {
		buf_init(&b, ATTACHMENTS_MAX);
		jw_init(&w, &b);
		jw_value(&w, attachments);
		k.content = hash(k.content, b.data, b.len);
		buf_free(&b);
	}
	return k;
}

bool
key_same(const struct key *a, const struct key *b)
{
	return a->name[0] == b->name[0] && a->name[1] == b->name[1];
}

const struct key *
keys_find(const struct keys *ks, const struct key *k)
{
	unsigned i;

	for (i = 0; i < ks->n; i++) {
		if (key_same(&ks->k[i], k))
			return &ks->k[i];
	}
	return NULL;
}

void
keys_add(struct keys *ks, const struct key *k)
{
	if (ks->k == NULL)
		ks->k = xcalloc(KEYS_MAX, sizeof(*ks->k));
	ks->k[ks->next] = *k;
	ks->next = (ks->next + 1) % KEYS_MAX;
	ks->n = MIN(ks->n + 1, KEYS_MAX);
}

void
keys_free(struct keys *ks)
{
	free(STEAL(ks->k));
	ks->n = 0;
	ks->next = 0;
}

/* Oldest first. */
void
keys_write(const struct keys *ks, struct jw *w)
{
	unsigned i, at = ks->n < KEYS_MAX ? 0 : ks->next;
	char text[KEY_DIGITS + 1];
	const struct key *k;

	jw_str_begin(w);
	for (i = 0; i < ks->n; i++) {
		k = &ks->k[(at + i) % KEYS_MAX];
		(void)snprintf(text, sizeof(text), /* fits */
		    "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64
		    "%016" PRIx64,
		    k->name[0], k->name[1], k->content, k->turn,
		    (uint64_t)k->after);
		jw_str_add(w, text, KEY_DIGITS);
	}
	jw_str_end(w);
}

static bool
field_read(const char *s, uint64_t *v_out)
{
	char text[FIELD_DIGITS + 1];
	char *end;

	memcpy(text, s, FIELD_DIGITS);
	text[FIELD_DIGITS] = '\0';
	*v_out = strtoull(text, &end, 16);
	return *end == '\0';
}

void
keys_read(struct keys *ks, const struct json *v)
{
	uint64_t f[FIELDS];
	struct key k;
	unsigned i;
	size_t at;

	if (v == NULL || v->type != JSON_STRING)
		return;
	for (at = 0; v->len - at >= KEY_DIGITS; at += KEY_DIGITS) {
		for (i = 0; i < FIELDS; i++) {
			if (!field_read(v->str + at + i * FIELD_DIGITS, &f[i]))
				return;
		}
		k = (struct key){ .name = { f[0], f[1] },
			.content = f[2],
			.turn = f[3],
			.after = (int64_t)(f[4] & INT64_MAX) };
		keys_add(ks, &k);
	}
}
