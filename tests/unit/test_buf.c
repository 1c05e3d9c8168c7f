/*
 * lib/buf: growth, the cap, and what a failed append leaves behind.
 */
#include "lib/buf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void
grows_and_terminates(void **state ATTR_UNUSED)
{
	struct buf b;
	size_t i;

	buf_init(&b, 100000);
	for (i = 0; i < 10000; i++) {
		assert_int_equal(buf_addc(&b, (char)('a' + i % 26)), 0);
		assert_int_equal(b.data[b.len], '\0');
	}
	assert_int_equal(b.len, 10000);
	assert_int_equal(b.data[9999], 'a' + 9999 % 26);
	assert_int_equal(buf_addf(&b, "%d-%s", 7, "x"), 0);
	assert_string_equal(b.data + 10000, "7-x");
	buf_free(&b);
	assert_null(b.data);
}

static void
cap_holds_to_the_byte(void **state ATTR_UNUSED)
{
	struct buf b;

	buf_init(&b, 10);
	assert_int_equal(buf_add(&b, "0123456789", 10), 0);
	assert_false(b.failed);
	assert_int_equal(buf_addc(&b, 'x'), -1);
	assert_true(b.failed);
	assert_string_equal(b.data, "0123456789");
	buf_free(&b);
}

static void
nothing_follows_a_failure(void **state ATTR_UNUSED)
{
	struct buf b;

	buf_init(&b, 8);
	assert_int_equal(buf_adds(&b, "abc"), 0);
	assert_int_equal(buf_adds(&b, "too much"), -1);
	/* It would fit, but would come out with a hole before it. */
	assert_int_equal(buf_adds(&b, "d"), -1);
	assert_int_equal(buf_addf(&b, "%d", 1), -1);
	assert_null(buf_reserve(&b, 1));
	assert_string_equal(b.data, "abc");
	buf_clear(&b);
	assert_false(b.failed);
	assert_int_equal(buf_adds(&b, "d"), 0);
	assert_string_equal(b.data, "d");
	buf_free(&b);
}

static void
sizes_do_not_wrap(void **state ATTR_UNUSED)
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_adds(&b, "abc"), 0);
	assert_null(buf_reserve(&b, SIZE_MAX - 1));
	assert_true(b.failed);
	buf_free(&b);
}

static void
consume_and_trim(void **state ATTR_UNUSED)
{
	struct buf b;

	buf_init(&b, 100000);
	assert_int_equal(buf_adds(&b, "hello world"), 0);
	buf_consume(&b, 6);
	assert_string_equal(b.data, "world");
	buf_trim(&b, 0);
	assert_string_equal(b.data, "world"); /* not while it holds anything */
	buf_consume(&b, 100);
	assert_int_equal(b.len, 0);
	buf_trim(&b, 4096);
	assert_non_null(b.data);
	buf_trim(&b, 0);
	assert_null(b.data);
	assert_int_equal(b.room, 0);
	buf_consume(&b, 1);
	assert_int_equal(buf_adds(&b, "again"), 0);
	assert_string_equal(b.data, "again");
	buf_free(&b);
}

static void
steal_moves_the_text(void **state ATTR_UNUSED)
{
	struct buf b;
	char *s;

	buf_init(&b, 10);
	assert_int_equal(buf_adds(&b, "text"), 0);
	s = buf_steal(&b);
	assert_string_equal(s, "text");
	free(s);
	assert_null(b.data);
	s = buf_steal(&b); /* empty is a text too */
	assert_string_equal(s, "");
	free(s);
	assert_int_equal(buf_adds(&b, "longer than the cap"), -1);
	assert_null(buf_steal(&b));
	assert_false(b.failed);
	buf_free(&b);
}

static void
free_accepts_a_zeroed_one(void **state ATTR_UNUSED)
{
	struct buf b;

	memset(&b, 0, sizeof(b));
	buf_free(&b);
	buf_clear(&b);
	buf_trim(&b, 0);
	assert_int_equal(buf_addc(&b, 'x'), -1); /* its cap is 0 */
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_terminates),
		cmocka_unit_test(cap_holds_to_the_byte),
		cmocka_unit_test(nothing_follows_a_failure),
		cmocka_unit_test(sizes_do_not_wrap),
		cmocka_unit_test(consume_and_trim),
		cmocka_unit_test(steal_moves_the_text),
		cmocka_unit_test(free_accepts_a_zeroed_one),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
