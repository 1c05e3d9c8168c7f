/*
 * The strict parser: yajl's callbacks build a tree in an arena. Runs in every
 * process of ours and stands first before everything that peers, agents and
 * control clients say; TEXT may be anything at all.
 *
 * What it must hold to: time and memory stay proportional to the text, the
 * tree is NUL-terminated UTF-8 throughout, and whatever happens one json_free
 * of the root (or nothing, on failure) gives all memory back.
 */
#include "json.h"
#include "strutil.h"
#include "xalloc.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <yajl/yajl_parse.h>

#define TEXT_MAX (64u << 20)	    /* bytes of one text */
#define DEPTH_HARD 256u		    /* whatever the caller allows */
#define NUMBER_MAX 64u		    /* bytes of one number */
#define NODES_BASE 16384u	    /* values in one text: these, and */
#define NODES_PER_BYTE(n) ((n) / 4) /* one more for each four bytes */
#define CHUNK_MIN 512u
#define CHUNK_MAX (32u << 10)
#define BIG_STRING 4096u /* longer ones get a chunk of their own */
#define PAIRWISE_MAX 8u	 /* members compared each with each */

/* The arena: values grow up from the front of a chunk, strings down from its
 * end. The root is the first value of the first chunk, so the tree needs no
 * other handle. */
struct chunk {
	struct chunk *next; /* owned */
	size_t size;
	struct json front[]; /* SIZE bytes, whatever stands in them */
};

struct level {
	struct json *node;  /* in the arena */
	struct json **tail; /* where its next member goes */
};

struct parser {
	struct chunk *first; /* owned until the parse has succeeded */
	char *lo, *hi;	     /* free space of the newest common chunk */
	size_t next_size;
	size_t nodes, nodes_max;
	size_t at; /* where it went wrong, if it did */
	unsigned depth, depth_max;
	const char *key; /* waiting for its value */
	struct json *root;
	struct err *e;
	struct err ignored; /* where a text goes that nobody wants */
	struct level stack[DEPTH_HARD];
};

static struct chunk *
chunk_add(struct parser *p, size_t size)
{
	struct chunk *c;

	c = malloc(sizeof(*c) + size);
	if (c == NULL) {
		err_set(p->e, ERR_LIMIT, "no memory for a JSON text");
		return NULL;
	}
	c->size = size;
	/* Order does not matter beyond the first, which holds the root. */
	if (p->first == NULL) {
		c->next = NULL;
		p->first = c;
	} else {
		c->next = p->first->next;
		p->first->next = c;
	}
	return c;
}

static int
arena_more(struct parser *p, size_t need)
{
	struct chunk *c;
	size_t size = MAX(p->next_size, need);

	c = chunk_add(p, size);
	if (c == NULL)
		return -1;
	p->lo = (char *)c->front;
	p->hi = p->lo + size;
	p->next_size = MIN(p->next_size * 2, (size_t)CHUNK_MAX);
	return 0;
}

static void
chunks_free(struct chunk *c)
{
	struct chunk *next;

	for (; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
}

/* A copy with a NUL behind it, which callers count on even where the text has
 * NULs of its own. */
static const char *
arena_string(struct parser *p, const char *s, size_t n)
{
	struct chunk *c;
	char *to;

	if (n >= BIG_STRING) {
		c = chunk_add(p, n + 1);
		if (c == NULL)
			return NULL;
		to = (char *)c->front;
	} else {
		if ((size_t)(p->hi - p->lo) <= n && arena_more(p, n + 1) == -1)
			return NULL;
		p->hi -= n + 1;
		to = p->hi;
	}
	memcpy(to, s, n);
	to[n] = '\0';
	return to;
}

/* A value, linked where the text stands: under the container that is open, by
 * the key that waits. */
static struct json *
node_add(struct parser *p, enum json_type type)
{
	struct level *up;
	struct json *j;

	if (++p->nodes > p->nodes_max) {
		err_set(
		    p->e, ERR_TOO_LARGE, "more than %zu values", p->nodes_max);
		return NULL;
	}
	if ((size_t)(p->hi - p->lo) < sizeof(*j) &&
	    arena_more(p, sizeof(*j)) == -1)
		return NULL;
	j = (struct json *)(void *)p->lo;
	p->lo += sizeof(*j);
	memset(j, 0, sizeof(*j));
	j->type = type;
	if (p->depth == 0) {
		p->root = j;
		return j;
	}
	up = &p->stack[p->depth - 1];
	j->key = STEAL(p->key);
	*up->tail = j;
	up->tail = &j->next;
	up->node->len++;
	return j;
}

/* --- duplicate keys ------------------------------------------------------ */

/* Multiply, and fold the halves of the product. */
static uint64_t
fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Keyed by what no peer can know, so that nobody can choose keys that all
 * fall into one place of the table. */
static uint64_t
key_hash(const char *s)
{
	static uint64_t secret[2];
	size_t n = strlen(s);
	uint64_t h, w;

	while (secret[0] == 0) {
		if (getrandom(secret, sizeof(secret), 0) != sizeof(secret) &&
		    errno != EINTR)
			secret[0] = (uintptr_t)&w | 1; /* of ASLR, at least */
		secret[1] |= 1;
	}
	h = secret[0] ^ n;
	for (; n >= sizeof(w); n -= sizeof(w), s += sizeof(w)) {
		memcpy(&w, s, sizeof(w));
		h = fold(h ^ w, secret[1]);
	}
	w = 0;
	memcpy(&w, s, n);
	return fold(h ^ w, secret[1]);
}

static bool
same_key(const struct json *a, const struct json *b)
{
	return a->key[0] == b->key[0] && strcmp(a->key, b->key) == 0;
}

static int
keys_check_hashed(struct parser *p, const struct json *obj)
{
	autofree const struct json **table = NULL;
	const struct json *m;
	size_t size = 32, i;

	while (size < obj->len * 2)
		size *= 2;
	table = calloc(size, sizeof(*table));
	if (table == NULL)
		return err_set(p->e, ERR_LIMIT, "no memory for a JSON text");
	for (m = obj->child; m != NULL; m = m->next) {
		i = (size_t)key_hash(m->key) & (size - 1);
		for (; table[i] != NULL; i = (i + 1) & (size - 1)) {
			if (same_key(table[i], m))
				return err_set(p->e, ERR_BAD_REQUEST,
				    "a key stands twice in one object");
		}
		table[i] = m;
	}
	return 0;
}

/* Made when the object is complete: most have so few members that looking at
 * each pair beats building any table. */
static int
keys_check(struct parser *p, const struct json *obj)
{
	const struct json *a, *b;

	if (obj->len > PAIRWISE_MAX)
		return keys_check_hashed(p, obj);
	for (a = obj->child; a != NULL; a = a->next) {
		for (b = obj->child; b != a; b = b->next) {
			if (same_key(a, b))
				return err_set(p->e, ERR_BAD_REQUEST,
				    "a key stands twice in one object");
		}
	}
	return 0;
}

/* --- yajl's callbacks: 1 to go on, 0 to stop with p->e set --------------- */

static int
on_null(void *ctx)
{
	return node_add(ctx, JSON_NULL) != NULL;
}

static int
on_boolean(void *ctx, int value)
{
	struct json *j = node_add(ctx, JSON_BOOL);

	if (j == NULL)
		return 0;
	j->b = value != 0;
	return 1;
}

static int
on_number(void *ctx, const char *s, size_t n)
{
	struct parser *p = ctx;
	struct json *j;
	double d;

	if (n > NUMBER_MAX) {
		err_set(p->e, ERR_BAD_REQUEST, "a number of more than %u bytes",
		    NUMBER_MAX);
		return 0;
	}
	j = node_add(p, JSON_NUMBER);
	if (j == NULL)
		return 0;
	j->str = arena_string(p, s, n);
	if (j->str == NULL)
		return 0;
	j->len = n;
	/* Without an exponent so few digits cannot be beyond a double. */
	if (memchr(s, 'e', n) == NULL && memchr(s, 'E', n) == NULL)
		return 1;
	d = strtod(j->str, NULL);
	if (!__builtin_isfinite(d)) {
		err_set(p->e, ERR_BAD_REQUEST, "a number that is too large");
		return 0;
	}
	return 1;
}

static int
on_string(void *ctx, const unsigned char *s, size_t n)
{
	struct json *j = node_add(ctx, JSON_STRING);

	if (j == NULL)
		return 0;
	j->str = arena_string(ctx, (const char *)s, n);
	j->len = n;
	return j->str != NULL;
}

static int
on_key(void *ctx, const unsigned char *s, size_t n)
{
	struct parser *p = ctx;

	/* Keys have no length in the tree: "id\0x" must not pass for "id". */
	if (memchr(s, '\0', n) != NULL) {
		err_set(p->e, ERR_BAD_REQUEST, "a key with a NUL in it");
		return 0;
	}
	p->key = arena_string(p, (const char *)s, n);
	return p->key != NULL;
}

static int
container_open(struct parser *p, enum json_type type)
{
	struct json *j;

	if (p->depth >= p->depth_max) {
		err_set(p->e, ERR_BAD_REQUEST, "nested deeper than %u",
		    p->depth_max);
		return 0;
	}
	j = node_add(p, type);
	if (j == NULL)
		return 0;
	p->stack[p->depth].node = j;
	p->stack[p->depth].tail = &j->child;
	p->depth++;
	return 1;
}

static int
on_object(void *ctx)
{
	return container_open(ctx, JSON_OBJECT);
}

static int
on_object_end(void *ctx)
{
	struct parser *p = ctx;

	p->depth--;
	return keys_check(p, p->stack[p->depth].node) == 0;
}

static int
on_array(void *ctx)
{
	return container_open(ctx, JSON_ARRAY);
}

static int
on_array_end(void *ctx)
{
	struct parser *p = ctx;

	p->depth--;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object,
	.yajl_map_key = on_key,
	.yajl_end_map = on_object_end,
	.yajl_start_array = on_array,
	.yajl_end_array = on_array_end,
};

/* yajl does not look whether it got memory. What it asks for is a small
 * multiple of a text whose length we bound. */
static void *
yajl_get(void *ctx ATTR_UNUSED, size_t n)
{
	return xmalloc(n);
}

static void *
yajl_more(void *ctx ATTR_UNUSED, void *p, size_t n)
{
	return xreallocarray(p, 1, n);
}

static void
yajl_drop(void *ctx ATTR_UNUSED, void *p)
{
	free(p);
}

static yajl_alloc_funcs yajl_memory = { yajl_get, yajl_more, yajl_drop, NULL };

/* --- text ---------------------------------------------------------------- */

static int
text_check(const char *text, size_t len, size_t *at_out, struct err *e)
{
	size_t valid;

	*at_out = 0;
	if (len > TEXT_MAX)
		return err_set(e, ERR_TOO_LARGE,
		    "JSON text longer than %u bytes", TEXT_MAX);
	*at_out = valid = utf8_valid_prefix(text, len);
	if (valid < len)
		return err_set(e, ERR_BAD_REQUEST,
		    "not valid JSON: byte %zu is not UTF-8", valid);
	/* yajl takes these two for blanks. */
	for (size_t i = 0; len > 0 && i < 2; i++) {
		const char *bad = memchr(text, "\f\v"[i], len);

		if (bad != NULL) {
			*at_out = (size_t)(bad - text);
			return err_set(e, ERR_BAD_REQUEST,
			    "not valid JSON: byte %zu is no blank", *at_out);
		}
	}
	return 0;
}

static int
yajl_explain(yajl_handle y, size_t at, struct err *e)
{
	unsigned char *why;

	why = yajl_get_error(y, 0, NULL, 0);
	if (why == NULL)
		return err_set(e, ERR_BAD_REQUEST, "not valid JSON");
	err_set(e, ERR_BAD_REQUEST, "not valid JSON: byte %zu: %.*s", at,
	    (int)strcspn((char *)why, "\n"), (char *)why);
	yajl_free_error(y, why);
	return -1;
}

static int
run(struct parser *p, const char *text, size_t len)
{
	bool unfinished = false;
	yajl_status st;
	yajl_handle y;
	size_t at;
	int r = 0;

	if (p->e == NULL)
		p->e = &p->ignored;
	y = yajl_alloc(&callbacks, &yajl_memory, p);
	if (y == NULL)
		return err_set(p->e, ERR_LIMIT, "no memory for a JSON text");
	/* The whole text has been validated, faster than yajl would. */
	(void)yajl_config(y, yajl_dont_validate_strings, 1); /* a constant */
	st = yajl_parse(y, (const unsigned char *)text, len);
	at = yajl_get_bytes_consumed(y);
	if (st == yajl_status_ok) {
		at = len;
		/* A string that was begun behind the value would pass for its
		 * end: no string may hold this. */
		st = yajl_parse(y, (const unsigned char *)"\n", 1);
		unfinished = st == yajl_status_error;
	}
	if (st == yajl_status_ok)
		st = yajl_complete_parse(y);
	p->at = at;
	if (st == yajl_status_client_canceled)
		r = err_prefix(p->e, "not valid JSON: byte %zu", at);
	else if (unfinished)
		r = err_set(p->e, ERR_BAD_REQUEST,
		    "not valid JSON: byte %zu: parse error: premature EOF", at);
	else if (st != yajl_status_ok)
		r = yajl_explain(y, at, p->e);
	else if (p->root == NULL)
		r = err_set(p->e, ERR_BAD_REQUEST, "not valid JSON: no value");
	yajl_free(y);
	return r;
}

int
json_parse(const char *text, size_t len, unsigned max_depth,
    struct json **j_out, struct err *e)
{
	size_t at;

	return json_parse_at(text, len, max_depth, j_out, &at, e);
}

int
json_parse_at(const char *text, size_t len, unsigned max_depth,
    struct json **j_out, size_t *at_out, struct err *e)
{
	struct parser p;
	autofree char *copy = NULL;

	if (text_check(text, len, at_out, e) == -1)
		return -1;
	if (!json_whole(text, len)) {
		copy = malloc(len);
		if (copy == NULL)
			return err_set(
			    e, ERR_LIMIT, "no memory for a JSON text");
		memcpy(copy, text, len);
		json_mend(copy, len);
		text = copy;
	}
	/* The stack stays as it is: each level is written when entered. */
	memset(&p, 0, offsetof(struct parser, stack));
	p.nodes_max = NODES_BASE + NODES_PER_BYTE(len);
	p.depth_max = MIN(max_depth, DEPTH_HARD);
	p.e = e;
	p.next_size = MIN(CHUNK_MIN + len * 3, (size_t)CHUNK_MAX);
	if (arena_more(&p, sizeof(struct json)) == -1)
		return -1;
	if (run(&p, text, len) == -1) {
		*at_out = p.at;
		chunks_free(p.first);
		return -1;
	}
	*j_out = p.root;
	return 0;
}

void
json_free(struct json *j)
{
	void *first;

	if (j == NULL)
		return;
	/* The root is the first thing in the first chunk. */
	first = (char *)j - offsetof(struct chunk, front);
	chunks_free(first);
}
