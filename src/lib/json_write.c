/*
 * The streaming writer. Runs in every process of ours. Keys and strings may
 * hold anything: what comes out is valid JSON in valid UTF-8 on one line, or
 * the buf has failed. Misuse (a value without its key, an end without its
 * begin) is a defect of ours and caught by assertions.
 */
#include "json.h"
#include "strutil.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define BIT64(n) (UINT64_C(1) << (n))

void
jw_init(struct jw *w, struct buf *b)
{
	memset(w, 0, sizeof(*w));
	w->b = b;
}

/* What goes before a value: nothing after a key, else a comma if due. */
static void
value_begin(struct jw *w)
{
	const uint64_t here = BIT64(w->depth);

	if (w->after_key) {
		w->after_key = false;
		return;
	}
	assert((w->object & here) == 0); /* members begin with jw_key */
	if ((w->more & here) != 0)
		(void)buf_addc(w->b, ',');
	w->more |= here;
}

/* DEPTH counts containers that are open; the bits at DEPTH are those of the
 * innermost. At 0 stands the one value that a text is. */
static void
container_begin(struct jw *w, char c, bool object)
{
	uint64_t here;

	value_begin(w);
	(void)buf_addc(w->b, c);
	w->depth++;
	assert(w->depth < 64);
	here = BIT64(w->depth);
	w->more &= ~here;
	w->object = object ? w->object | here : w->object & ~here;
}

static void
container_end(struct jw *w, char c, bool object)
{
	assert(w->depth > 0 && !w->after_key);
	assert(((w->object & BIT64(w->depth)) != 0) == object);
	w->depth--;
	(void)buf_addc(w->b, c);
}

void
jw_object(struct jw *w)
{
	container_begin(w, '{', true);
}

void
jw_object_end(struct jw *w)
{
	container_end(w, '}', true);
}

void
jw_array(struct jw *w)
{
	container_begin(w, '[', false);
}

void
jw_array_end(struct jw *w)
{
	container_end(w, ']', false);
}

/* Does a byte of the word W stand for itself no longer: below space, a quote,
 * a backslash, or not ASCII? Each test sets the high bit of such bytes; a
 * borrow may also mark a byte above one that is marked rightly, which costs a
 * closer look and nothing else. */
static bool
word_is_plain(uint64_t w)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t high = ones * 0x80;
	uint64_t quote = w ^ (ones * '"');
	uint64_t slash = w ^ (ones * '\\');

	return ((w | (w - ones * 0x20) | (quote - ones) | (slash - ones)) &
		   high) == 0;
}

static bool
byte_is_plain(char c)
{
	const unsigned char u = (unsigned char)c;

	return u >= 0x20 && u < 0x80 && u != '"' && u != '\\';
}

/* Bytes of S[0..n) that go out as they are. */
static size_t
plain_prefix(const char *s, size_t n)
{
	size_t i = 0;
	uint64_t w;

	while (n - i >= sizeof(w)) {
		memcpy(&w, s + i, sizeof(w));
		if (!word_is_plain(w))
			break;
		i += sizeof(w);
	}
	while (i < n && byte_is_plain(s[i]))
		i++;
	return i;
}

/* One ASCII byte that does not stand for itself. */
static void
escape_add(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char shorts[0x20] = {
		['\b'] = 'b',
		['\t'] = 't',
		['\n'] = 'n',
		['\f'] = 'f',
		['\r'] = 'r',
	};
	char esc[6] = { '\\', (char)c, '0', '0', '0', '0' };
	size_t n = 2;

	if (c < 0x20 && shorts[c] != 0) {
		esc[1] = shorts[c];
	} else if (c < 0x20) {
		esc[1] = 'u';
		esc[4] = hex[c >> 4];
		esc[5] = hex[c & 15];
		n = 6;
	}
	(void)buf_add(b, esc, n);
}

/* S with its escapes, and U+FFFD for each byte that is part of no character.
 * Runs of what needs nothing are copied whole. */
static void
escaped_add(struct buf *b, const char *s, size_t n)
{
	size_t i = 0, run, len;

	while (i < n && !b->failed) {
		run = plain_prefix(s + i, n - i);
		/* Valid characters beyond ASCII belong to the run as well. */
		while (i + run < n && (s[i + run] & 0x80) != 0) {
			len = utf8_char_len(s + i + run, n - i - run);
			if (len == 0)
				break;
			run += len;
			run += plain_prefix(s + i + run, n - i - run);
		}
		if (run > 0)
			(void)buf_add(b, s + i, run);
		i += run;
		if (i == n)
			break;
		if ((s[i] & 0x80) != 0)
			(void)buf_add(b, "\xef\xbf\xbd", 3);
		else
			escape_add(b, (unsigned char)s[i]);
		i++;
	}
}

/* A whole string with its quotes, in one copy when nothing needs care. */
static void
string_add(struct buf *b, const char *s, size_t n)
{
	char *to;

	if (plain_prefix(s, n) == n) {
		to = n < SIZE_MAX - 2 ? buf_reserve(b, n + 2) : NULL;
		if (to == NULL)
			return;
		to[0] = '"';
		if (n > 0)
			memcpy(to + 1, s, n);
		to[n + 1] = '"';
		b->len += n + 2;
		b->data[b->len] = '\0';
		return;
	}
	(void)buf_addc(b, '"');
	escaped_add(b, s, n);
	(void)buf_addc(b, '"');
}

void
jw_key(struct jw *w, const char *key)
{
	jw_keyn(w, key, strlen(key));
}

void
jw_keyn(struct jw *w, const char *key, size_t n)
{
	const uint64_t here = BIT64(w->depth);

	assert((w->object & here) != 0 && !w->after_key);
	if ((w->more & here) != 0)
		(void)buf_addc(w->b, ',');
	w->more |= here;
	string_add(w->b, key, n);
	(void)buf_addc(w->b, ':');
	w->after_key = true;
}

void
jw_str(struct jw *w, const char *s)
{
	if (s == NULL)
		jw_null(w);
	else
		jw_strn(w, s, strlen(s));
}

void
jw_strn(struct jw *w, const char *s, size_t n)
{
	value_begin(w);
	string_add(w->b, s, n);
}

void
jw_int(struct jw *w, int64_t v)
{
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	char text[24];
	size_t at = sizeof(text);

	value_begin(w);
	do {
		text[--at] = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	if (v < 0)
		text[--at] = '-';
	(void)buf_add(w->b, text + at, sizeof(text) - at);
}

void
jw_double(struct jw *w, double v)
{
	char text[40];
	int digits;

	if (!__builtin_isfinite(v)) {
		jw_null(w); /* JSON has no word for these */
		return;
	}
	value_begin(w);
	/* The shortest of the three that reads back as the same value. */
	for (digits = 15; digits <= 17; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	(void)buf_adds(w->b, text);
}

void
jw_bool(struct jw *w, bool v)
{
	value_begin(w);
	(void)buf_adds(w->b, v ? "true" : "false");
}

void
jw_null(struct jw *w)
{
	value_begin(w);
	(void)buf_add(w->b, "null", 4);
}

/* Recursion goes as deep as the parser let the tree become, which is more
 * than the 64 levels of a jw. */
static void
tree_add(struct buf *b, const struct json *v)
{
	const struct json *m;

	switch (v->type) {
	case JSON_BOOL:
		(void)buf_adds(b, v->b ? "true" : "false");
		return;
	case JSON_NUMBER:
		(void)buf_add(b, v->str, v->len);
		return;
	case JSON_STRING:
		string_add(b, v->str, v->len);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	case JSON_NULL:
	case JSON_TYPE_N:
		(void)buf_add(b, "null", 4);
		return;
	}
	(void)buf_addc(b, v->type == JSON_OBJECT ? '{' : '[');
	for (m = v->child; m != NULL && !b->failed; m = m->next) {
		if (m != v->child)
			(void)buf_addc(b, ',');
		if (v->type == JSON_OBJECT) {
			string_add(b, m->key, strlen(m->key));
			(void)buf_addc(b, ':');
		}
		tree_add(b, m);
	}
	(void)buf_addc(b, v->type == JSON_OBJECT ? '}' : ']');
}

void
jw_value(struct jw *w, const struct json *v)
{
	if (v == NULL) {
		jw_null(w);
		return;
	}
	value_begin(w);
	tree_add(w->b, v);
}

void
jw_raw(struct jw *w, const char *json, size_t n)
{
	value_begin(w);
	(void)buf_add(w->b, json, n);
}

void
jw_str_begin(struct jw *w)
{
	value_begin(w);
	(void)buf_addc(w->b, '"');
}

void
jw_str_add(struct jw *w, const char *s, size_t n)
{
	escaped_add(w->b, s, n);
}

void
jw_str_end(struct jw *w)
{
	(void)buf_addc(w->b, '"');
}

void
jw_kstr(struct jw *w, const char *key, const char *s)
{
	jw_key(w, key);
	jw_str(w, s);
}

void
jw_kint(struct jw *w, const char *key, int64_t v)
{
	jw_key(w, key);
	jw_int(w, v);
}

void
jw_kbool(struct jw *w, const char *key, bool v)
{
	jw_key(w, key);
	jw_bool(w, v);
}

void
jw_kvalue(struct jw *w, const char *key, const struct json *v)
{
	jw_key(w, key);
	jw_value(w, v);
}

void
jw_knull(struct jw *w, const char *key)
{
	jw_key(w, key);
	jw_null(w);
}

char *
json_text(const struct json *v, size_t max)
{
	struct buf b;
	struct jw w;

	if (v == NULL)
		return NULL;
	buf_init(&b, max);
	jw_init(&w, &b);
	jw_value(&w, v);
	if (b.failed)
		buf_free(&b);
	return b.data != NULL ? buf_steal(&b) : NULL;
}
