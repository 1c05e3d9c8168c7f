/*
 * lib/base64 and gateway/lossy: bytes as text, and text as bytes.
 */
#include "lib/base64.h"
#include "gateway/lossy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
there_and_back(void **state ATTR_UNUSED)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" },
		{ "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	char code[16], why[BASE64_WHY_MAX];
	struct buf b;
	size_t i, n;

	for (i = 0; i < countof(pairs); i++) {
		n = strlen(pairs[i][0]);
		base64_put(code, pairs[i][0], n);
		assert_int_equal(BASE64_LEN(n), strlen(pairs[i][1]));
		assert_memory_equal(code, pairs[i][1], BASE64_LEN(n));
		buf_init(&b, 16);
		assert_int_equal(base64_get(&b, code, BASE64_LEN(n), why), 0);
		assert_int_equal(b.len, n);
		if (n > 0)
			assert_memory_equal(b.data, pairs[i][0], n);
		buf_free(&b);
	}
}

static void
every_byte(void **state ATTR_UNUSED)
{
	unsigned char bytes[256];
	char why[BASE64_WHY_MAX];
	struct buf b, code;
	size_t i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	for (i = 1; i <= sizeof(bytes); i++) {
		buf_init(&code, BASE64_LEN(256));
		buf_init(&b, 256);
		assert_int_equal(base64_add(&code, bytes, i), 0);
		assert_int_equal(code.len, BASE64_LEN(i));
		assert_int_equal(base64_get(&b, code.data, code.len, why), 0);
		assert_int_equal(b.len, i);
		assert_memory_equal(b.data, bytes, i);
		buf_free(&b);
		buf_free(&code);
	}
	buf_init(&code, 3);
	assert_int_equal(base64_add(&code, bytes, 1), -1);
	assert_true(code.failed);
	assert_int_equal(code.len, 0);
	buf_free(&code);
}

static void
what_is_none(void **state ATTR_UNUSED)
{
	static const char *const bad[][2] = {
		{ "a", "Invalid input length: 1" },
		{ "YWJjZ", "Invalid input length: 5" },
		{ "YQ", "Invalid padding" },
		{ "YQ=", "Invalid padding" },
		{ "YQ===", "Invalid padding" },
		{ "YWI==", "Invalid padding" },
		{ "a bc", "Invalid symbol 32, offset 1." },
		{ "YWJj\n", "Invalid symbol 10, offset 4." },
		{ "YW_-", "Invalid symbol 95, offset 2." },
		{ "YR==", "Invalid last symbol 82, offset 1." },
		{ "YWF=", "Invalid last symbol 70, offset 2." },
	};
	char why[BASE64_WHY_MAX];
	struct buf b;
	size_t i;

	for (i = 0; i < countof(bad); i++) {
		buf_init(&b, 64);
		assert_int_equal(
		    base64_get(&b, bad[i][0], strlen(bad[i][0]), why), -1);
		assert_string_equal(why, bad[i][1]);
		buf_free(&b);
	}
	buf_init(&b, 64);
	assert_int_equal(base64_get(&b, "YQ==YQ==", 8, why), -1);
	assert_int_equal(base64_get(&b, "====", 4, why), -1);
	assert_int_equal(base64_get(&b, "=", 1, why), -1);
	buf_free(&b);
	buf_init(&b, 2);
	assert_int_equal(base64_get(&b, "Zm9v", 4, why), -1);
	assert_string_equal(why, "too long");
	buf_free(&b);
}

/* As the Unicode standard's table of maximal subparts has it. */
static void
text_out_of_bytes(void **state ATTR_UNUSED)
{
#define R "\xef\xbf\xbd"
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "h\xc3\xa4", "h\xc3\xa4" },
		{ "a\xff"
		  "b",
		    "a" R "b" },
		{ "\xe2\x82", R },
		{ "\xe2\x82x", R "x" },
		{ "\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", R R R R R R R R "A" },
		{ "\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", R R R R R R R R "A" },
		{ "\xf4\x91\x92\x93\xff\x41\x80\xbf\x42",
		    R R R R R "A" R R "B" },
		{ "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", R R R R "A" },
		{ "\xf0\x9f\x98\x80\xf0\x9f\x98", "\xf0\x9f\x98\x80" R },
	};
	struct buf b;
	struct jw w;
	size_t i, n;

	for (i = 0; i < countof(t); i++) {
		buf_init(&b, 256);
		jw_init(&w, &b);
		lossy_put(&w, t[i].in, strlen(t[i].in));
		n = strlen(t[i].out);
		assert_int_equal(b.len, n + 2);
		assert_memory_equal(b.data + 1, t[i].out, n);
		buf_free(&b);
	}
	buf_init(&b, 256);
	jw_init(&w, &b);
	lossy_put(&w, NULL, 0);
	assert_string_equal(b.data, "\"\"");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(what_is_none),
		cmocka_unit_test(text_out_of_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
