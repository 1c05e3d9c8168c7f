/*
 * The pure parts of the file API: patterns of paths (init/files_glob), and
 * dates, tags and ranges of HTTP (gateway/doors/files_cond).
 */
#include "gateway/doors/files_cond.h"
#include "init/files_glob.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
globs_fit(void **state ATTR_UNUSED)
{
	static const struct {
		const char *glob, *path;
		bool fits;
	} rows[] = {
		{ "a", "a", true },
		{ "a", "b", false },
		{ "", "", true },
		{ "", "a", false },
		{ "*", "abc", true },
		{ "*", "", true },
		{ "*", "a/b", false },
		{ "a*c", "abbbc", true },
		{ "a*c", "abbb", false },
		{ "a*b*c", "aXbYbZc", true },
		{ "?", "a", true },
		{ "?", "/", false },
		{ "[a-c]x", "bx", true },
		{ "[!a-c]x", "bx", false },
		{ "[^a]x", "bx", true },
		{ "[]]", "]", true },
		{ "[a", "[a", true },
		{ "[!/]", "/", false },
		{ "\\*", "*", true },
		{ "\\*", "a", false },
		{ "**", "a/b/c", true },
		{ "**/c", "c", true },
		{ "**/c", "a/b/c", true },
		{ "**/c", "ac", false },
		{ "**/c", "a/bc", false },
		{ "a/**/c", "a/c", true },
		{ "a/**/c", "a/b/b/c", true },
		{ "a/**/c", "ab/c", false },
		{ "a/**", "a/b/c", true },
		{ "a/**", "a", false },
		{ "**/*.c", "x/y.c", true },
		{ "**/a*/b", "a1/a2/b", true },
		{ "**/x/**/y", "q/x/w/x/y", true },
		{ "*/**/d.*", "a/b/c/d.e", true },
		{ "a**c", "ab/bc", true },
	};
	size_t i;

	for (i = 0; i < countof(rows); i++)
		if (files_glob(rows[i].glob, rows[i].path) != rows[i].fits)
			fail_msg("%s on %s", rows[i].glob, rows[i].path);
}

static void
braces_open_up(void **state ATTR_UNUSED)
{
	struct glob_list l;
	struct err e;

	assert_int_equal(files_globs(&l, "{a,b{c,d}}x", &e), 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.glob[0], "ax");
	assert_string_equal(l.glob[1], "bcx");
	assert_string_equal(l.glob[2], "bdx");
	assert_true(files_globs_fit(&l, "bdx"));
	assert_false(files_globs_fit(&l, "bx"));
	files_globs_free(&l);
	assert_int_equal(files_globs(&l, "\\{a,b}", &e), 0);
	assert_int_equal(l.n, 1);
	assert_true(files_globs_fit(&l, "{a,b}"));
	files_globs_free(&l);
	assert_int_equal(files_globs(&l, "{a", &e), -1);
	files_globs_free(&l);
	assert_int_equal(files_globs(&l,
			     "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"
			     "{a,b}{a,b}",
			     &e),
	    -1);
	files_globs_free(&l);
}

static void
dates_go_both_ways(void **state ATTR_UNUSED)
{
	static const int64_t times[] = { 0, 784111777, 951782400, 1700000000,
		4102444800 };
	char text[HTTP_DATE_MAX];
	int64_t t;
	size_t i;

	for (i = 0; i < countof(times); i++) {
		http_date(text, times[i]);
		assert_int_equal(http_date_parse(text, &t), 0);
		assert_int_equal(t, times[i]);
	}
	http_date(text, 784111777);
	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_int_equal(
	    http_date_parse("Sunday, 06-Nov-94 08:49:37 GMT", &t), 0);
	assert_int_equal(t, 784111777);
	assert_int_equal(http_date_parse("Sun Nov  6 08:49:37 1994", &t), 0);
	assert_int_equal(t, 784111777);
	assert_int_equal(http_date_parse("", &t), -1);
	assert_int_equal(
	    http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT x", &t), -1);
	http_date(text, INT64_MAX); /* of the sandbox's choosing */
	http_date(text, INT64_MIN);
}

static void
tags_in_lists(void **state ATTR_UNUSED)
{
	assert_true(etag_listed("\"a\"", "\"a\"", false));
	assert_true(etag_listed(" \"x\" ,\"a\"", "\"a\"", false));
	assert_true(etag_listed("\"x,y\", \"a\"", "\"a\"", false));
	assert_false(etag_listed("\"x\"a\"", "\"a\"", false));
	assert_false(etag_listed("W/\"a\"", "\"a\"", false));
	assert_true(etag_listed("W/\"a\"", "\"a\"", true));
	assert_true(etag_listed(" * ", "\"a\"", false));
	assert_false(etag_listed("*", NULL, false));
	assert_false(etag_listed("a", "\"a\"", true));
	assert_false(etag_listed("\"a", "\"a\"", true));
	assert_false(etag_listed("", "\"a\"", true));
	assert_true(etag_valid("\"1-2\""));
	assert_false(etag_valid("\"\""));
	assert_false(etag_valid("\"a\r\nx\""));
	assert_false(etag_valid("a"));
}

static void
ranges(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text;
		uint64_t size;
		int kind;
		uint64_t from, len;
	} rows[] = {
		{ "bytes=0-0", 10, 1, 0, 1 },
		{ "bytes=3-", 10, 1, 3, 7 },
		{ "bytes=-3", 10, 1, 7, 3 },
		{ "bytes=-30", 10, 1, 0, 10 },
		{ "bytes=0-18446744073709551610", 10, 0, 0, 0 },
		{ "bytes=10-", 10, -1, 0, 0 },
		{ "bytes=-0", 10, -1, 0, 0 },
		{ "bytes=0-", 0, -1, 0, 0 },
		{ "bytes=5-4", 10, 0, 0, 0 },
		{ "bytes=1-2,4-5", 10, 0, 0, 0 },
		{ "bytes=", 10, 0, 0, 0 },
		{ "bytes", 10, 0, 0, 0 },
		{ "items=0-1", 10, 0, 0, 0 },
	};
	uint64_t from, len;
	size_t i;

	for (i = 0; i < countof(rows); i++) {
		from = len = 0;
		if (range_parse(rows[i].text, rows[i].size, &from, &len) !=
			rows[i].kind ||
		    (rows[i].kind == 1 &&
			(from != rows[i].from || len != rows[i].len)))
			fail_msg("%s of %d", rows[i].text, (int)rows[i].size);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(globs_fit),
		cmocka_unit_test(braces_open_up),
		cmocka_unit_test(dates_go_both_ways),
		cmocka_unit_test(tags_in_lists),
		cmocka_unit_test(ranges),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
