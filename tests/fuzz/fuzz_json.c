/*
 * The parser on anything, and the writer on what came of it: a tree written
 * and parsed again must be the same tree. The writer also gets the bytes as a
 * string, and must make valid JSON of them.
 *
 * Input: a byte for the depth allowed, then the text.
 */
#include "fuzz.h"
#include "lib/json.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

#define TEXT_MAX (1u << 20)

static void
check_string(const char *s, size_t n)
{
	CHECK(utf8_valid_prefix(s, n) == n);
	CHECK(s[n] == '\0');
}

/* Returns the number of values. */
static size_t
check_tree(const struct json *j, unsigned depth)
{
	size_t members = 0, all = 1;

	CHECK(j->type < JSON_TYPE_N);
	if (j->type == JSON_STRING || j->type == JSON_NUMBER)
		check_string(j->str, j->len);
	if (j->type != JSON_ARRAY && j->type != JSON_OBJECT) {
		CHECK(j->child == NULL);
		return 1;
	}
	CHECK(depth > 0);
	json_foreach (m, j) {
		CHECK((m->key != NULL) == (j->type == JSON_OBJECT));
		if (m->key != NULL) {
			check_string(m->key, strlen(m->key));
			CHECK(all > 5000 || json_get(j, m->key) == m);
		}
		all += check_tree(m, depth - 1);
		members++;
	}
	CHECK(members == j->len);
	return all;
}

static void
check_again(const struct json *j, unsigned depth)
{
	struct json *again;
	struct buf b, c;
	struct jw w;

	buf_init(&b, 8 * TEXT_MAX);
	buf_init(&c, 8 * TEXT_MAX);
	jw_init(&w, &b);
	jw_value(&w, j);
	CHECK(!b.failed);
	CHECK(memchr(b.data, '\n', b.len) == NULL);
	CHECK(json_parse(b.data, b.len, depth, &again, NULL) == 0);
	jw_init(&w, &c);
	jw_value(&w, again);
	CHECK(b.len == c.len && memcmp(b.data, c.data, b.len) == 0);
	json_free(again);
	buf_free(&b);
	buf_free(&c);
}

static void
check_string_writer(const char *s, size_t n)
{
	struct json *j;
	struct buf b;
	struct jw w;

	buf_init(&b, 8 * TEXT_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	jw_strn(&w, s, n);
	jw_str_begin(&w);
	jw_str_add(&w, s, n / 2);
	jw_str_add(&w, s + n / 2, n - n / 2);
	jw_str_end(&w);
	jw_array_end(&w);
	CHECK(!b.failed);
	CHECK(json_parse(b.data, b.len, 1, &j, NULL) == 0);
	if (utf8_valid_prefix(s, n) == n) {
		CHECK(j->child->len == n);
		CHECK(memcmp(j->child->str, s, n) == 0);
	}
	json_free(j);
	buf_free(&b);
}

/* What is taken can stand within another text as it came. */
static void
check_inside(const char *text, size_t n, unsigned depth)
{
	struct json *j;
	struct buf b;

	buf_init(&b, 2 * TEXT_MAX);
	(void)buf_addf(&b, "[\"a\",");
	(void)buf_add(&b, text, n);
	(void)buf_addf(&b, ",\"b\"]");
	CHECK(!b.failed);
	CHECK(json_parse(b.data, b.len, depth + 1, &j, NULL) == 0);
	CHECK(j->len == 3);
	json_free(j);
	buf_free(&b);
	/* yajl takes these for blanks, JSON does not. */
	CHECK(memchr(text, '\f', n) == NULL && memchr(text, '\v', n) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct json_field fields[] = {
		{ "id", JK_STR, true, 1, 4 },
		{ "n", JK_INT, false, -5, 10 },
		{ "b", JK_BOOL, false, 0, 0 },
		{ "v", JK_STRV, false, 1, 2 },
		{ "m", JK_STRMAP, false, 0, 2 },
		{ "o", JK_OBJECT, false, 0, 0 },
		{ "a", JK_ARRAY, false, 0, 2 },
		{ "x", JK_ANY, false, 0, 0 },
	};
	const char *text = (const char *)data + 1;
	unsigned depth;
	struct json *j;
	struct err e;

	if (size < 1 || size > TEXT_MAX)
		return 0;
	depth = data[0] % 80;
	check_string_writer(text, size - 1);
	if (json_parse(text, size - 1, depth, &j, &e) == -1) {
		check_string(e.text, strlen(e.text));
		return 0;
	}
	(void)check_tree(j, depth); /* checks inside */
	check_again(j, depth);
	check_inside(text, size - 1, depth);
	if (json_check(j, fields, countof(fields), &e) == -1)
		check_string(e.text, strlen(e.text));
	strv_free(json_strv(j));
	json_free(j);
	return 0;
}
