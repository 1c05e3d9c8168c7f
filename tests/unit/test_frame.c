/*
 * lib/frame: prefixes, limits, and frames that come in pieces.
 */
#include "lib/frame.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
one_behind_the_other(void **state ATTR_UNUSED)
{
	struct buf b;
	const char *body, *p;
	size_t pos, len, left;

	buf_init(&b, 1000);
	pos = frame_begin(&b);
	buf_adds(&b, "{}");
	assert_int_equal(frame_end(&b, pos), 0);
	pos = frame_begin(&b);
	assert_int_equal(pos, 6);
	buf_adds(&b, "[1,2]");
	assert_int_equal(frame_end(&b, pos), 0);
	assert_memory_equal(b.data, "\0\0\0\2{}\0\0\0\5[1,2]", 15);

	p = b.data;
	left = b.len;
	assert_int_equal(frame_peek(p, left, FRAME_MAX, &body, &len), 1);
	assert_int_equal(len, 2);
	assert_ptr_equal(body, p + 4);
	p += 6;
	left -= 6;
	assert_int_equal(frame_peek(p, left, FRAME_MAX, &body, &len), 1);
	assert_int_equal(len, 5);
	assert_memory_equal(body, "[1,2]", 5);
	buf_free(&b);
}

static void
pieces_wait_for_the_rest(void **state ATTR_UNUSED)
{
	static const char whole[] = "\0\0\0\4true";
	const char *body;
	size_t n, len;
	char *piece;

	for (n = 0; n <= 8; n++) {
		piece = malloc(n + 1); /* so that reading beyond is seen */
		assert_non_null(piece);
		memcpy(piece, whole, n);
		assert_int_equal(
		    frame_peek(piece, n, 4, &body, &len), n == 8 ? 1 : 0);
		free(piece);
	}
}

static void
lengths_are_not_believed(void **state ATTR_UNUSED)
{
	const char *body;
	size_t len;

	assert_int_equal(frame_peek("\0\0\0\0", 4, 100, &body, &len), -1);
	assert_int_equal(frame_peek("\0\0\0\145", 4, 100, &body, &len), -1);
	assert_int_equal(frame_peek("\0\0\0\144", 4, 100, &body, &len), 0);
	assert_int_equal(
	    frame_peek("\xff\xff\xff\xff", 4, FRAME_MAX, &body, &len), -1);
	assert_int_equal(
	    frame_peek("\0\x10\0\0", 4, FRAME_MAX, &body, &len), 0);
	assert_int_equal(
	    frame_peek("\0\x10\0\1", 4, FRAME_MAX, &body, &len), -1);
}

static void
a_bad_frame_leaves_the_good_ones(void **state ATTR_UNUSED)
{
	struct buf b;
	size_t pos;

	buf_init(&b, 20);
	pos = frame_begin(&b);
	buf_adds(&b, "{}");
	assert_int_equal(frame_end(&b, pos), 0);

	pos = frame_begin(&b); /* empty */
	assert_int_equal(frame_end(&b, pos), -1);
	assert_int_equal(b.len, 6);

	pos = frame_begin(&b); /* over the buffer's cap */
	buf_adds(&b, "[\"0123456789\"]");
	assert_int_equal(frame_end(&b, pos), -1);
	assert_int_equal(b.len, 6);
	assert_false(b.failed);

	pos = frame_begin(&b);
	buf_adds(&b, "[]");
	assert_int_equal(frame_end(&b, pos), 0);
	assert_memory_equal(b.data, "\0\0\0\2{}\0\0\0\2[]", 12);
	buf_free(&b);
}

static void
no_frame_is_over_the_limit(void **state ATTR_UNUSED)
{
	struct buf b;
	size_t pos;

	buf_init(&b, FRAME_MAX + 100);
	pos = frame_begin(&b);
	assert_non_null(buf_reserve(&b, FRAME_MAX));
	memset(b.data + b.len, ' ', FRAME_MAX);
	b.len += FRAME_MAX;
	assert_int_equal(frame_end(&b, pos), 0);
	buf_addc(&b, ' ');
	assert_int_equal(frame_end(&b, pos), -1);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_behind_the_other),
		cmocka_unit_test(pieces_wait_for_the_rest),
		cmocka_unit_test(lengths_are_not_believed),
		cmocka_unit_test(a_bad_frame_leaves_the_good_ones),
		cmocka_unit_test(no_frame_is_over_the_limit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
