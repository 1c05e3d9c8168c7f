/*
 * Masking: what is shown of a secret, and what is taken for one in a text.
 */
#include "lib/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *
masked(const char *secret)
{
	static char dst[SECRET_MASK_MAX];

	secret_mask(dst, secret);
	return dst;
}

static const char *
scrubbed(const char *text)
{
	static char out[1024];
	size_t n = strlen(text);

	assert_true(n < sizeof(out));
	memcpy(out, text, n + 1);
	n = secret_scrub(out, n);
	assert_true(n <= strlen(text));
	out[n] = '\0';
	return out;
}

static void
test_mask(void **state)
{
	(void)state;
	assert_string_equal(masked("sk-ant-api03-CCCC"), "sk-a...CCCC");
	assert_string_equal(masked("123456789"), "1234...6789");
	assert_string_equal(masked("12345678"), "****");
	assert_string_equal(masked("x"), "****");
	assert_string_equal(masked(""), "****");
	/* Nothing of it may act on a terminal. */
	assert_string_equal(
	    masked("\033[31mabcdefgh\n\xff\x7f."), "?[31...???.");
}

static void
test_scrub(void **state)
{
	(void)state;
	assert_string_equal(scrubbed(""), "");
	assert_string_equal(scrubbed("a line about nothing, 10 = 5 + 5\n"),
	    "a line about nothing, 10 = 5 + 5\n");
	assert_string_equal(scrubbed("key sk-ant-"
				     "api03-0123456789 end"),
	    "key sk-a...6789 end");
	assert_string_equal(
	    scrubbed("\"sk-proj-abcdefghijkl\","), "\"sk-p...ijkl\",");
	assert_string_equal(scrubbed("Authorization: Bearer abcdefghijklmn"),
	    "Authorization: Bearer abcd...klmn");
	assert_string_equal(scrubbed("authorization: bearer short"),
	    "authorization: bearer ****");
	assert_string_equal(scrubbed("env OPENAI_API_KEY=abcdefghijkl run"),
	    "env OPENAI_API_KEY=abcd...ijkl run");
	assert_string_equal(
	    scrubbed("db_password=hunter2"), "db_password=****");
	assert_string_equal(
	    scrubbed("MODEL=sk-abcdefghijklmnop"), "MODEL=sk-a...mnop");
	/* No secret: too short, or the name of one without it. */
	assert_string_equal(scrubbed("sk-x"), "sk-x");
	assert_string_equal(scrubbed("API_KEY= is unset"), "API_KEY= is unset");
	assert_string_equal(
	    scrubbed("risk-averse-people-here"), "risk-averse-people-here");
	assert_string_equal(scrubbed("Bearer, they said"), "Bearer, they said");
}

static void
test_names(void **state)
{
	(void)state;
#define NAME(s) secret_name("" s, sizeof(s) - 1)
	assert_true(NAME("ANTHROPIC_API_KEY"));
	assert_true(NAME("github_token"));
	assert_true(NAME("clientSecret"));
	assert_false(NAME("KEYBOARD"));
	assert_false(NAME("PATH"));
	assert_false(NAME(""));
}

/* Bytes of every kind, also after the end: none is written there. */
static void
test_any_bytes(void **state)
{
	static const char bytes[] = "sk-Bearer KEY=x\0\xff\n\t9";
	char text[300], copy[300];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t n = (size_t)round % (sizeof(text) - 1);

		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = bytes[(i * 7 + (size_t)round * (i / 11)) %
					(sizeof(bytes) - 1)];
		memcpy(copy, text, sizeof(text));
		assert_true(secret_scrub(text, n) <= n);
		assert_memory_equal(text + n, copy + n, sizeof(text) - n);
	}
	assert_int_equal(secret_scrub(text, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_scrub),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_any_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
