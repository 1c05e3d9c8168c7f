/*
 * lib/json: what the parser takes and refuses, look-ups, checks by table,
 * and the writer; and that what is written reads back as it was.
 */
#include "lib/json.h"
#include "lib/strutil.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct json *
parse(const char *text)
{
	struct json *j;
	struct err e;

	if (json_parse(text, strlen(text), 64, &j, &e) == -1)
		fail_msg("%s: %s", text, e.text);
	return j;
}

static void
takes_what_is_json(void **state ATTR_UNUSED)
{
	static const char *const good[] = { "null", "true", "false", "0", "-0",
		"-1.5e-3", "\"\"", "[]", "{}", " [ 1 , 2 ] ",
		"{\"a\":{\"b\":[]},\"c\":null}", "\t\r\n1\n",
		"\"\\u0000\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\x7f\"",
		"\"\xf4\x8f\xbf\xbf\"", "{\"\":1}" };
	struct json *j;
	size_t i;

	for (i = 0; i < countof(good); i++) {
		j = parse(good[i]);
		json_free(j);
	}
}

static void
refuses_what_is_not(void **state ATTR_UNUSED)
{
	static const char *const bad[] = { "", " ", "nul", "nullx", "tru", "[",
		"]", "[1", "[1,]", "[,1]", "{", "}", "{]", "[}", "{\"a\"}",
		"{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "{'a':1}", "'a'",
		"\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
		"\"\n\"", "\"\t\"", "\"\x01\"", "01", "1.", ".5", "+1", "-",
		"1e", "1e+", "0x1", "NaN", "Infinity", "-Infinity", "1 2",
		"{}{}", "[] x", "1,", "/* c */ 1", "1 // c", "# c\n1",
		"\xef\xbb\xbf 1", "\"\xff\"", "\"\xc0\x80\"",
		"\"\xed\xa0\x80\"", "\"\xe2\x82\"", "\"\xf5\x80\x80\x80\"",
		"\xff", "[1]\xff", "undefined", "[\"a\":1]", "{\"a\",1}",
		"\x80" };
	struct json *j;
	struct err e;
	size_t i;

	for (i = 0; i < countof(bad); i++) {
		if (json_parse(bad[i], strlen(bad[i]), 64, &j, &e) == 0)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(e.code, ERR_BAD_REQUEST);
		assert_true(str_starts(e.text, "not valid JSON"));
		assert_null(strchr(e.text, '\n'));
		assert_int_equal(
		    json_parse(bad[i], strlen(bad[i]), 64, &j, NULL), -1);
	}
	assert_int_equal(json_parse("1\0", 2, 64, &j, &e), -1);
	assert_int_equal(json_parse("\"a\0\"", 4, 64, &j, &e), -1);
}

static void
strings_are_decoded(void **state ATTR_UNUSED)
{
	struct json *j;

	j = parse("\"a\\u0000b\\u00e9\\u20ac\\ud83d\\ude00\\n\"");
	assert_int_equal(j->type, JSON_STRING);
	assert_int_equal(j->len, 3 + 2 + 3 + 4 + 1);
	assert_memory_equal(
	    j->str, "a\0b\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n\0", j->len + 1);
	json_free(j);
}

static void
lone_surrogates_are_replaced(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{ "\"\\ud83d\"", "\xef\xbf\xbd" },
		{ "\"\\ude00\"", "\xef\xbf\xbd" },
		{ "\"a\\uD83Db\"", "a\xef\xbf\xbd"
				   "b" },
		{ "\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80" },
		{ "\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
					"A" },
		{ "\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\"\\ude00\\ude00\"", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\"\\\\ud83d\"", "\\ud83d" },
		{ "\"\\\\\\ud83d\"", "\\\xef\xbf\xbd" },
		{ "\"\\ud83d\\n\"", "\xef\xbf\xbd\n" },
	};
	char mended[64];
	struct json *j;
	size_t i, len;

	for (i = 0; i < countof(t); i++) {
		len = strlen(t[i].text);
		memcpy(mended, t[i].text, len + 1);
		assert_int_equal(
		    json_whole(mended, len), strstr(t[i].want, "\xbf") == NULL);
		json_mend(mended, len);
		assert_true(json_whole(mended, len));
		assert_int_equal(strlen(mended), len);
		j = parse(t[i].text);
		assert_string_equal(j->str, t[i].want);
		json_free(j);
		j = parse(mended);
		assert_string_equal(j->str, t[i].want);
		json_free(j);
	}
	j = parse("{\"\\udfff\":1,\"b\":[\"\\udfff\",2]}");
	assert_int_equal(json_int(j, "\xef\xbf\xbd", 0), 1);
	json_free(j);
}

static void
numbers(void **state ATTR_UNUSED)
{
	struct json *j;
	struct err e;
	char text[80];
	int64_t v;

	j = parse("1.0500e+2");
	assert_string_equal(j->str, "1.0500e+2"); /* kept as it came */
	assert_int_equal(json_number_int(j, &v), -1);
	json_free(j);
	j = parse("-9223372036854775808");
	assert_int_equal(json_number_int(j, &v), 0);
	assert_true(v == INT64_MIN);
	json_free(j);
	j = parse("9223372036854775808");
	assert_int_equal(json_number_int(j, &v), -1);
	json_free(j);
	assert_int_equal(json_number_int(NULL, &v), -1);
	assert_int_equal(json_parse("1e400", 5, 1, &j, &e), -1);
	assert_int_equal(json_parse("-1E999", 6, 1, &j, &e), -1);
	j = parse("1e-400");
	json_free(j);
	memset(text, '9', sizeof(text));
	assert_int_equal(json_parse(text, 64, 1, &j, &e), 0);
	json_free(j);
	assert_int_equal(json_parse(text, 65, 1, &j, &e), -1);
}

static void
keys_stand_once(void **state ATTR_UNUSED)
{
	struct buf b;
	struct json *j;
	struct err e;
	unsigned n, i, twice;

	assert_int_equal(json_parse("{\"a\":1,\"a\":2}", 13, 4, &j, &e), -1);
	assert_non_null(strstr(e.text, "twice"));
	/* Not fooled by an escape. */
	assert_int_equal(
	    json_parse("{\"a\":1,\"\\u0061\":2}", 18, 4, &j, &e), -1);
	assert_int_equal(json_parse("{\"a\\u0000\":1}", 13, 4, &j, &e), -1);
	assert_non_null(strstr(e.text, "NUL"));
	j = parse("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}");
	json_free(j);
	/* Sizes on both sides of every change of method; the second of the
	 * pair at the end, the first anywhere. */
	for (n = 1; n < 80; n++) {
		for (twice = 0; twice <= n; twice++) {
			buf_init(&b, 4096);
			buf_adds(&b, "{");
			for (i = 0; i < n; i++)
				buf_addf(&b, "\"key%u\":%u,", i, i);
			buf_addf(&b, "\"key%u\":0}", twice);
			assert_int_equal(json_parse(b.data, b.len, 4, &j, &e),
			    twice == n ? 0 : -1);
			if (twice == n) {
				assert_int_equal(j->len, n + 1);
				json_free(j);
			}
			buf_free(&b);
		}
	}
}

static void
many_keys_take_no_square_of_time(void **state ATTR_UNUSED)
{
	struct buf b;
	struct json *j;
	unsigned i;

	buf_init(&b, 16 << 20);
	buf_adds(&b, "{");
	for (i = 0; i < 200000; i++)
		buf_addf(&b, "%s\"some_longer_prefix_of_key%u\":null",
		    i > 0 ? "," : "", i);
	buf_adds(&b, "}");
	alarm(10); /* pair by pair it would be minutes */
	assert_int_equal(json_parse(b.data, b.len, 4, &j, NULL), 0);
	alarm(0);
	assert_int_equal(j->len, 200000);
	json_free(j);
	buf_free(&b);
}

static void
depth_and_number_of_values(void **state ATTR_UNUSED)
{
	char text[2000];
	struct json *j;
	struct err e;
	struct buf b;
	unsigned depth, i;

	for (depth = 1; depth <= 256; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(json_parse(text, 2 * depth, depth, &j, &e), 0);
		json_free(j);
		assert_int_equal(
		    json_parse(text, 2 * depth, depth - 1, &j, &e), -1);
	}
	memset(text, '[', 257);
	memset(text + 257, ']', 257);
	assert_int_equal(json_parse(text, 2 * 257, 100000, &j, &e), -1);
	assert_int_equal(json_parse("1", 1, 0, &j, &e), 0);
	json_free(j);
	assert_int_equal(json_parse("[]", 2, 0, &j, &e), -1);

	buf_init(&b, 1 << 20);
	buf_adds(&b, "[0");
	for (i = 0; i < 400000; i++)
		buf_adds(&b, ",0");
	buf_adds(&b, "]");
	assert_int_equal(json_parse(b.data, b.len, 4, &j, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	buf_free(&b);
}

static void
strings_of_all_lengths_fit(void **state ATTR_UNUSED)
{
	struct json *j;
	struct buf b;
	size_t n;

	for (n = 0; n < 70000; n += n < 300 ? 1 : n / 7) {
		buf_init(&b, 300000);
		buf_adds(&b, "[\"");
		assert_non_null(buf_reserve(&b, n));
		memset(b.data + b.len, 'x', n);
		b.len += n;
		buf_adds(&b, "\",{\"k\":\"");
		assert_non_null(buf_reserve(&b, n));
		memset(b.data + b.len, 'y', n);
		b.len += n;
		buf_adds(&b, "\\n\"},7]");
		assert_int_equal(json_parse(b.data, b.len, 4, &j, NULL), 0);
		assert_int_equal(j->len, 3);
		assert_int_equal(j->child->len, n);
		assert_int_equal(strspn(j->child->str, "x"), n);
		assert_int_equal(
		    strlen(json_str(j->child->next, "k", "")), n + 1);
		assert_string_equal(j->child->next->next->str, "7");
		json_free(j);
		buf_free(&b);
	}
}

static void
look_ups_never_surprise(void **state ATTR_UNUSED)
{
	struct json *j;
	char **v;

	j = parse("{\"s\":\"x\",\"i\":5,\"d\":2.5,\"b\":true,\"n\":null,"
		  "\"z\":\"a\\u0000b\",\"o\":{\"p\":{\"q\":7}},"
		  "\"v\":[\"a\",\"b\"],\"w\":[\"a\",1],\"e\":[]}");
	assert_string_equal(json_str(j, "s", "def"), "x");
	assert_string_equal(json_str(j, "i", "def"), "def");
	assert_string_equal(json_str(j, "z", "def"), "def");
	assert_null(json_str(j, "none", NULL));
	assert_int_equal(json_int(j, "i", 9), 5);
	assert_int_equal(json_int(j, "d", 9), 9);
	assert_int_equal(json_int(j, "s", 9), 9);
	assert_true(json_double(j, "d", 0) == 2.5);
	assert_true(json_double(j, "i", 0) == 5);
	assert_true(json_double(j, "s", 1.5) == 1.5);
	assert_true(json_bool(j, "b", false));
	assert_true(json_bool(j, "n", true));
	assert_int_equal(json_path(j, "o.p.q")->len, 1);
	assert_null(json_path(j, "o.p.q.r"));
	assert_null(json_path(j, "o.x.q"));
	assert_null(json_path(j, "o.p."));
	assert_null(json_path(j, ""));
	assert_null(json_path(j, "."));
	assert_ptr_equal(json_path(j, "s"), json_get(j, "s"));
	assert_null(json_get(NULL, "a"));
	assert_null(json_get(j->child, "a"));
	assert_null(json_path(NULL, "a.b"));
	v = json_strv(json_get(j, "v"));
	assert_string_equal(v[0], "a");
	assert_string_equal(v[1], "b");
	assert_null(v[2]);
	free(v[0]);
	free(v[1]);
	free(v);
	v = json_strv(json_get(j, "e"));
	assert_null(v[0]);
	free(v);
	assert_null(json_strv(json_get(j, "w")));
	assert_null(json_strv(json_get(j, "o")));
	assert_null(json_strv(NULL));
	json_free(j);
	json_free(NULL);
}

static const struct json_field fields[] = {
	{ "id", JK_STR, true, 1, 4 },
	{ "n", JK_INT, false, -5, 10 },
	{ "big", JK_INT, false, 0, INT64_MAX },
	{ "b", JK_BOOL, false, 0, 0 },
	{ "argv", JK_STRV, false, 1, 2 },
	{ "env", JK_STRMAP, false, 0, 2 },
	{ "obj", JK_OBJECT, false, 0, 0 },
	{ "list", JK_ARRAY, false, 0, 2 },
	{ "any", JK_ANY, false, 0, 0 },
};

static void
checks_by_table(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text, *fault; /* NULL: good */
	} t[] = {
		{ "{\"id\":\"a\"}", NULL },
		{ "{\"id\":\"abcd\",\"n\":10,\"big\":9223372036854775807,"
		  "\"b\":false,\"argv\":[\"\"],\"env\":{\"A\":\"b\"},"
		  "\"obj\":{\"x\":[{}]},\"list\":[1,2],\"any\":null}",
		    NULL },
		{ "{}", "field id: missing" },
		{ "[]", "not an object" },
		{ "{\"id\":\"\"}", "field id: must be text of 1 to 4 bytes" },
		{ "{\"id\":\"abcde\"}",
		    "field id: must be text of 1 to 4 bytes" },
		{ "{\"id\":1}", "field id: must be text of 1 to 4 bytes" },
		{ "{\"id\":\"a\\u0000\"}",
		    "field id: must be text of 1 to 4 bytes" },
		{ "{\"id\":null}", "field id: must be text of 1 to 4 bytes" },
		{ "{\"id\":\"a\",\"n\":11}",
		    "field n: must be a whole number from -5 to 10" },
		{ "{\"id\":\"a\",\"n\":-6}",
		    "field n: must be a whole number from -5 to 10" },
		{ "{\"id\":\"a\",\"n\":1.0}",
		    "field n: must be a whole number from -5 to 10" },
		{ "{\"id\":\"a\",\"n\":\"1\"}",
		    "field n: must be a whole number from -5 to 10" },
		{ "{\"id\":\"a\",\"big\":-1}",
		    "field big: must be a whole number, at least 0" },
		{ "{\"id\":\"a\",\"b\":1}", "field b: must be true or false" },
		{ "{\"id\":\"a\",\"argv\":[]}",
		    "field argv: must be a list of 1 to 2 texts" },
		{ "{\"id\":\"a\",\"argv\":[\"a\",\"b\",\"c\"]}",
		    "field argv: must be a list of 1 to 2 texts" },
		{ "{\"id\":\"a\",\"argv\":[\"a\",null]}",
		    "field argv: must be a list of 1 to 2 texts" },
		{ "{\"id\":\"a\",\"argv\":\"a\"}",
		    "field argv: must be a list of 1 to 2 texts" },
		{ "{\"id\":\"a\",\"env\":{\"A\":1}}",
		    "field env: must be an object of at most 2 members, each a "
		    "text" },
		{ "{\"id\":\"a\",\"obj\":[]}", "field obj: must be an object" },
		{ "{\"id\":\"a\",\"list\":[1,2,3]}",
		    "field list: must be a list of 0 to 2 values" },
		{ "{\"id\":\"a\",\"x\\n\\u001b\":1}",
		    "field x??: unknown; known: id, n, big, b, argv, env, obj, "
		    "list, any" },
	};
	struct json *j;
	struct err e;
	size_t i;
	int r;

	for (i = 0; i < countof(t); i++) {
		j = parse(t[i].text);
		r = json_check(j, fields, countof(fields), &e);
		if (t[i].fault == NULL) {
			assert_int_equal(r, 0);
		} else {
			assert_int_equal(r, -1);
			assert_int_equal(e.code, ERR_BAD_REQUEST);
			assert_string_equal(e.text, t[i].fault);
		}
		json_free(j);
	}
	assert_int_equal(json_check(NULL, fields, countof(fields), &e), -1);
	j = parse("{}");
	assert_int_equal(json_check(j, NULL, 0, &e), 0);
	json_free(j);
	j = parse("{\"a\":1}");
	assert_int_equal(json_check(j, NULL, 0, &e), -1);
	json_free(j);
}

static void
writer_puts_the_commas(void **state ATTR_UNUSED)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "s", "a\"b\\c\n\x01\x7f");
	jw_kstr(&w, "none", NULL);
	jw_kint(&w, "min", INT64_MIN);
	jw_kint(&w, "max", INT64_MAX);
	jw_kint(&w, "zero", 0);
	jw_kbool(&w, "b", true);
	jw_knull(&w, "n");
	jw_key(&w, "a");
	jw_array(&w);
	jw_int(&w, 1);
	jw_array(&w);
	jw_array_end(&w);
	jw_object(&w);
	jw_object_end(&w);
	jw_bool(&w, false);
	jw_raw(&w, "{\"x\":1}", 7);
	jw_array_end(&w);
	jw_key(&w, "pieces");
	jw_str_begin(&w);
	jw_str_add(&w, "ab", 2);
	jw_str_add(&w, "\"", 1);
	jw_str_add(&w, "", 0);
	jw_str_end(&w);
	jw_kvalue(&w, "v", NULL);
	jw_object_end(&w);
	assert_false(b.failed);
	assert_string_equal(b.data,
	    "{\"s\":\"a\\\"b\\\\c\\n\\u0001\x7f\",\"none\":null,"
	    "\"min\":-9223372036854775808,\"max\":9223372036854775807,"
	    "\"zero\":0,\"b\":true,\"n\":null,\"a\":[1,[],{},false,{\"x\":1}],"
	    "\"pieces\":\"ab\\\"\",\"v\":null}");
	buf_free(&b);
}

static const char *
written_double(double v)
{
	static char text[64];
	struct buf b;
	struct jw w;

	buf_init(&b, sizeof(text) - 1);
	jw_init(&w, &b);
	jw_double(&w, v);
	memcpy(text, b.data, b.len + 1);
	buf_free(&b);
	return text;
}

static void
doubles(void **state ATTR_UNUSED)
{
	assert_string_equal(written_double(0.1), "0.1");
	assert_string_equal(written_double(-2.5), "-2.5");
	assert_string_equal(written_double(1e300), "1e+300");
	assert_string_equal(written_double(0.1 + 0.2), "0.30000000000000004");
	assert_string_equal(written_double(3), "3");
	assert_string_equal(written_double(__builtin_inf()), "null");
	assert_string_equal(written_double(__builtin_nan("")), "null");
}

static void
writer_makes_valid_text_of_any_bytes(void **state ATTR_UNUSED)
{
	char in[40];
	unsigned seed = 12345;
	struct json *j;
	struct buf b;
	struct jw w;
	size_t n, i, round;

	for (round = 0; round < 20000; round++) {
		n = round % sizeof(in);
		for (i = 0; i < n; i++) {
			seed = seed * 1103515245 + 12345;
			in[i] = (char)(seed >> 16);
			if ((seed >> 28 & 1) != 0) /* often quite ordinary */
				in[i] = (char)('a' + (seed >> 16) % 26);
		}
		buf_init(&b, 4096);
		jw_init(&w, &b);
		jw_strn(&w, in, n);
		assert_int_equal(utf8_valid_prefix(b.data, b.len), b.len);
		assert_int_equal(json_parse(b.data, b.len, 1, &j, NULL), 0);
		if (utf8_valid_prefix(in, n) == n) {
			assert_int_equal(j->len, n);
			assert_memory_equal(j->str, in, n);
		}
		json_free(j);
		buf_free(&b);
	}
	/* One replacement for each byte that is not part of a character. */
	buf_init(&b, 100);
	jw_init(&w, &b);
	jw_strn(&w, "a\xe2\x82z\xff\xc3\xa9", 7);
	assert_string_equal(
	    b.data, "\"a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xc3\xa9\"");
	buf_free(&b);
}

static void
trees_are_written_as_they_came(void **state ATTR_UNUSED)
{
	static const char text[] =
	    "{\"a\":[1,-0,1.50,2e+1,\"x\\\"\\u0000\xe2\x82\xac\"],\"\":{},"
	    "\"k\\n\":[[],{\"b\":[true,false,null]}]}";
	char deep[400];
	struct json *j;
	struct buf b;
	struct jw w;

	j = parse(text);
	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_value(&w, j);
	assert_string_equal(b.data, text);
	json_free(j);

	/* Deeper than the writer's own levels. */
	memset(deep, '[', 200);
	memset(deep + 200, ']', 200);
	assert_int_equal(json_parse(deep, 400, 200, &j, NULL), 0);
	buf_clear(&b);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kvalue(&w, "raw", j);
	jw_object_end(&w);
	assert_int_equal(b.len, 400 + 8);
	json_free(j);
	buf_free(&b);
}

static void
writer_fails_by_the_buf(void **state ATTR_UNUSED)
{
	struct buf b;
	struct jw w;
	size_t cap;

	for (cap = 0; cap < 30; cap++) {
		buf_init(&b, cap);
		jw_init(&w, &b);
		jw_object(&w);
		jw_kstr(&w, "key", "a longer\nvalue");
		jw_kint(&w, "n", 1);
		jw_object_end(&w);
		assert_true(b.failed); /* 32 bytes are needed */
		assert_true(b.len <= cap);
		buf_free(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_json),
		cmocka_unit_test(refuses_what_is_not),
		cmocka_unit_test(strings_are_decoded),
		cmocka_unit_test(lone_surrogates_are_replaced),
		cmocka_unit_test(numbers),
		cmocka_unit_test(keys_stand_once),
		cmocka_unit_test(many_keys_take_no_square_of_time),
		cmocka_unit_test(depth_and_number_of_values),
		cmocka_unit_test(strings_of_all_lengths_fit),
		cmocka_unit_test(look_ups_never_surprise),
		cmocka_unit_test(checks_by_table),
		cmocka_unit_test(writer_puts_the_commas),
		cmocka_unit_test(doubles),
		cmocka_unit_test(writer_makes_valid_text_of_any_bytes),
		cmocka_unit_test(trees_are_written_as_they_came),
		cmocka_unit_test(writer_fails_by_the_buf),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
