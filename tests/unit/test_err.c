/*
 * lib/err: texts, cuts, errno, and the list of codes.
 */
#include "lib/err.h"
#include "lib/strutil.h"
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void
set_prefix_clear(void **state ATTR_UNUSED)
{
	struct err e;

	errno = EBADF;
	assert_int_equal(err_set(&e, ERR_LIMIT, "at most %d", 3), -1);
	assert_int_equal(e.code, ERR_LIMIT);
	assert_int_equal(e.sys, 0);
	assert_string_equal(e.text, "at most 3");
	assert_int_equal(err_prefix(&e, "sandbox %s", "box1"), -1);
	assert_string_equal(e.text, "sandbox box1: at most 3");
	assert_int_equal(e.code, ERR_LIMIT);
	assert_int_equal(errno, EBADF);
	err_clear(&e);
	assert_int_equal(e.code, ERR_NONE);
	assert_string_equal(e.text, "");
}

static void
sys_tells_the_reason(void **state ATTR_UNUSED)
{
	struct err e;

	errno = ENOENT;
	assert_int_equal(err_sys(&e, "open %s", "/x"), -1);
	assert_int_equal(e.code, ERR_SYSTEM);
	assert_int_equal(e.sys, ENOENT);
	assert_string_equal(e.text, "open /x: No such file or directory");
	assert_int_equal(errno, ENOENT);
	errno = ENOSPC;
	assert_int_equal(err_sys(&e, "write"), -1);
	assert_int_equal(e.code, ERR_DISK_FULL);
	errno = EDQUOT;
	assert_int_equal(err_sys(&e, "write"), -1);
	assert_int_equal(e.code, ERR_DISK_FULL);
}

static void
long_texts_end_with_a_whole_character(void **state ATTR_UNUSED)
{
	char text[3 * ERR_TEXT_MAX];
	struct err e;
	size_t shift, i;

	/* However the cut falls between the bytes of the characters. */
	for (shift = 0; shift < 4; shift++) {
		memset(text, 'a', shift);
		for (i = shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x98\x80", 4);
		text[i] = '\0';
		err_set(&e, ERR_SYSTEM, "%s", text);
		assert_in_range(
		    strlen(e.text), ERR_TEXT_MAX - 4, ERR_TEXT_MAX - 1);
		assert_int_equal(
		    utf8_valid_prefix(e.text, strlen(e.text)), strlen(e.text));
		err_prefix(&e, "a prefix of %zu", shift);
		assert_true(str_starts(e.text, "a prefix of "));
		assert_int_equal(
		    utf8_valid_prefix(e.text, strlen(e.text)), strlen(e.text));
		errno = EPERM;
		err_sys(&e, "%s", text);
		assert_int_equal(
		    utf8_valid_prefix(e.text, strlen(e.text)), strlen(e.text));
	}
}

static void
nobody_needs_to_care(void **state ATTR_UNUSED)
{
	assert_int_equal(err_set(NULL, ERR_LIMIT, "x"), -1);
	assert_int_equal(err_sys(NULL, "x"), -1);
	assert_int_equal(err_prefix(NULL, "x"), -1);
	err_clear(NULL);
}

static void
codes_and_names_go_both_ways(void **state ATTR_UNUSED)
{
	unsigned i, j;
	const char *p;

	for (i = 0; i < ERR_N; i++) {
		assert_int_equal(err_from_wire(err_wire((enum err_code)i)), i);
		for (p = err_wire((enum err_code)i); *p != '\0'; p++)
			assert_true(islower(*p) || *p == '_');
		p = err_help((enum err_code)i);
		assert_true(strlen(p) > 5 && p[strlen(p) - 1] == '.');
		for (j = 0; j < i; j++)
			assert_string_not_equal(err_wire((enum err_code)i),
			    err_wire((enum err_code)j));
	}
	assert_int_equal(err_from_wire("no_such_code"), ERR_INTERNAL);
	assert_int_equal(err_from_wire(""), ERR_INTERNAL);
	assert_int_equal(err_from_wire(NULL), ERR_INTERNAL);
	assert_string_equal(err_wire(ERR_N), "internal");
	assert_string_equal(err_wire((enum err_code)9999), "internal");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_prefix_clear),
		cmocka_unit_test(sys_tells_the_reason),
		cmocka_unit_test(long_texts_end_with_a_whole_character),
		cmocka_unit_test(nobody_needs_to_care),
		cmocka_unit_test(codes_and_names_go_both_ways),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
