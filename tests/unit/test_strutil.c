/*
 * lib/strutil: copies, numbers, UTF-8, identifiers, times.
 */
#include "lib/strutil.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static void
copies_are_whole_or_empty(void **state ATTR_UNUSED)
{
	char dst[4];

	assert_int_equal(str_copy(dst, sizeof(dst), "abc"), 0);
	assert_string_equal(dst, "abc");
	assert_int_equal(str_copy(dst, sizeof(dst), "abcd"), -1);
	assert_string_equal(dst, "");
	assert_int_equal(str_format(dst, sizeof(dst), "%d", 123), 0);
	assert_string_equal(dst, "123");
	assert_int_equal(str_format(dst, sizeof(dst), "%d", 1234), -1);
	assert_string_equal(dst, "");
	assert_true(str_starts("session.end", "session."));
	assert_false(str_starts("sess", "session."));
}

static void
foreign_text_is_shown_harmless(void **state ATTR_UNUSED)
{
	char dst[8];

	str_show(dst, sizeof(dst), "abc", 3);
	assert_string_equal(dst, "abc");
	str_show(dst, sizeof(dst), "abcdefg", 7);
	assert_string_equal(dst, "abcdefg");
	str_show(dst, sizeof(dst), "abcdefgh", 8);
	assert_string_equal(dst, "abcd...");
	str_show(dst, sizeof(dst), "\x1b[2J\n\xff", 6);
	assert_string_equal(dst, "?[2J??");
	str_show(dst, sizeof(dst), "", 0);
	assert_string_equal(dst, "");
}

static void
integers_are_strict(void **state ATTR_UNUSED)
{
	static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1x",
		"0x10", "1.0", "--1", "9223372036854775808",
		"-9223372036854775809", "99999999999999999999999", "\xd9\xa1" };
	int64_t v;
	size_t i;

	for (i = 0; i < countof(bad); i++)
		assert_int_equal(
		    str_to_int(bad[i], INT64_MIN, INT64_MAX, &v), -1);
	assert_int_equal(
	    str_to_int("9223372036854775807", 0, INT64_MAX, &v), 0);
	assert_true(v == INT64_MAX);
	assert_int_equal(
	    str_to_int("-9223372036854775808", INT64_MIN, INT64_MAX, &v), 0);
	assert_true(v == INT64_MIN);
	assert_int_equal(str_to_int("10", 1, 10, &v), 0);
	assert_true(v == 10);
	assert_int_equal(str_to_int("11", 1, 10, &v), -1);
	assert_int_equal(str_to_int("0", 1, 10, &v), -1);
}

static void
sizes_and_durations(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text;
		int64_t bytes, ms; /* -1: refused */
	} t[] = {
		{ "0", 0, 0 },
		{ "512", 512, 512 },
		{ "512M", 512 << 20, -1 },
		{ "1K", 1024, -1 },
		{ "2G", INT64_C(2) << 30, -1 },
		{ "3T", INT64_C(3) << 40, -1 },
		{ "10s", -1, 10000 },
		{ "15ms", -1, 15 },
		{ "10m", -1, 600000 },
		{ "2h", -1, 7200000 },
		{ "1d", -1, 86400000 },
		{ "M", -1, -1 },
		{ "1MB", -1, -1 },
		{ "-1", -1, -1 },
		{ "1.5G", -1, -1 },
		{ "9223372036854775807T", -1, -1 },
		{ "9223372036854775807d", -1, -1 },
		{ "99999999999999999999", -1, -1 },
		{ "", -1, -1 },
	};
	int64_t v;
	size_t i;

	for (i = 0; i < countof(t); i++) {
		if (str_to_bytes(t[i].text, &v) == -1)
			v = -1;
		assert_int_equal(v, t[i].bytes);
		if (str_to_ms(t[i].text, &v) == -1)
			v = -1;
		assert_int_equal(v, t[i].ms);
	}
}

/* The bits of the definition, one by one; slow, and independent of ours. */
static bool
reference_valid(uint32_t cp, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	return cp >= least[len] && cp <= 0x10ffff &&
	       (cp < 0xd800 || cp > 0xdfff);
}

static void
utf8_every_code_of_each_length(void **state ATTR_UNUSED)
{
	char s[4];
	uint32_t cp;
	size_t len;

	for (cp = 0; cp < 0x200000; cp += cp < 0x11000 ? 1 : 61) {
		for (len = 2; len <= 4; len++) {
			if (cp >> (len * 5 + 1) != 0 && len < 4)
				continue; /* does not fit this length */
			s[0] = (char)((0xf00u >> len) | cp >> (6 * (len - 1)));
			if (len == 4 && cp >> 18 > 7)
				continue;
			s[1] = (char)(0x80 | (cp >> (6 * (len - 2)) & 0x3f));
			s[2] = (char)(0x80 |
				      (len > 2 ? cp >> (6 * (len - 3)) & 0x3f
					       : 0));
			s[3] = (char)(0x80 | (cp & 0x3f));
			assert_int_equal(utf8_valid_prefix(s, len),
			    reference_valid(cp, len) ? len : 0);
		}
	}
}

static void
utf8_stops_at_the_fault(void **state ATTR_UNUSED)
{
	char text[100];
	size_t i, n;

	/* A fault at each place, with all alignments of the words read. */
	for (n = 1; n < sizeof(text); n++) {
		for (i = 0; i < n; i++) {
			memset(text, 'x', n);
			assert_int_equal(utf8_valid_prefix(text, n), n);
			text[i] = (char)0x80;
			assert_int_equal(utf8_valid_prefix(text, n), i);
			text[i] = (char)0xff;
			assert_int_equal(utf8_valid_prefix(text, n), i);
		}
	}
	assert_int_equal(utf8_valid_prefix("a\xe2\x82\xac"
					   "b\xe2\x82",
			     7),
	    5);
}

static void
utf8_tail(void **state ATTR_UNUSED)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
	static const size_t want[] = { 0, 0, 1, 0, 1, 2, 0, 1, 2, 3, 0 };
	size_t n;

	for (n = 0; n < sizeof(text); n++)
		assert_int_equal(utf8_incomplete_tail(text, n), want[n]);
}

static void
sandbox_ids(void **state ATTR_UNUSED)
{
	char id[SANDBOX_ID_MAX + 2];

	assert_true(sandbox_id_valid("a"));
	assert_true(sandbox_id_valid("Box-1.2_x"));
	assert_true(sandbox_id_valid("0"));
	assert_false(sandbox_id_valid(""));
	assert_false(sandbox_id_valid("."));
	assert_false(sandbox_id_valid(".."));
	assert_false(sandbox_id_valid("-a"));
	assert_false(sandbox_id_valid("_a"));
	assert_false(sandbox_id_valid("a/b"));
	assert_false(sandbox_id_valid("a b"));
	assert_false(sandbox_id_valid("a\n"));
	assert_false(sandbox_id_valid("\xc3\xa9"));
	memset(id, 'a', sizeof(id));
	id[SANDBOX_ID_MAX] = '\0';
	assert_true(sandbox_id_valid(id));
	id[SANDBOX_ID_MAX] = 'a';
	id[SANDBOX_ID_MAX + 1] = '\0';
	assert_false(sandbox_id_valid(id));
}

static void
session_ids_and_names(void **state ATTR_UNUSED)
{
	char id[SESSION_ID_MAX + 2];

	assert_true(session_id_valid("my session/\xe2\x82\xac"));
	assert_false(session_id_valid(""));
	assert_false(session_id_valid("a\tb"));
	assert_false(session_id_valid("a\x7f"));
	assert_false(session_id_valid("a\xc2\x85")); /* U+0085 */
	assert_true(session_id_valid("a\xc2\xa0"));
	assert_false(session_id_valid("a\xff"));
	memset(id, 'a', sizeof(id));
	id[SESSION_ID_MAX] = '\0';
	assert_true(session_id_valid(id));
	id[SESSION_ID_MAX] = 'a';
	id[SESSION_ID_MAX + 1] = '\0';
	assert_false(session_id_valid(id));

	assert_true(env_name_valid("_A9"));
	assert_false(env_name_valid("9A"));
	assert_false(env_name_valid("A-B"));
	assert_false(env_name_valid("A="));
	assert_false(env_name_valid(""));
}

static void
random_ids_differ(void **state ATTR_UNUSED)
{
	char a[RANDOM_ID_MAX], b[RANDOM_ID_MAX];

	random_id(a, "ses_");
	random_id(b, "ses_");
	assert_true(str_starts(a, "ses_"));
	assert_int_equal(strlen(a), 4 + 16);
	assert_int_equal(strspn(a + 4, "abcdefghijklmnopqrstuvwxyz234567"), 16);
	assert_string_not_equal(a, b);
	assert_true(sandbox_id_valid(a));
}

static void
times_agree_with_the_c_library(void **state ATTR_UNUSED)
{
	char ours[TIME_TEXT_MAX], theirs[TIME_TEXT_MAX];
	int64_t sec;
	time_t t;
	struct tm tm;

	for (sec = -2000000000; sec < INT64_C(200000000000);
	     sec += 7654321 + sec % 86399) {
		t = (time_t)sec;
		assert_non_null(gmtime_r(&t, &tm));
		assert_true(strftime(theirs, sizeof(theirs),
				"%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
		(void)time_format(ours, sec, 0, 0);
		assert_string_equal(ours, theirs);
	}
	assert_int_equal(time_format(ours, 0, 123456789, 9), 30);
	assert_string_equal(ours, "1970-01-01T00:00:00.123456789Z");
	assert_int_equal(time_format(ours, 951782400, 9999999, 3), 24);
	assert_string_equal(ours, "2000-02-29T00:00:00.009Z");
	time_text(ours);
	assert_int_equal(strlen(ours), 30);
	assert_true(now_realtime_ms() / 1000 - time(NULL) <= 1);
	assert_true(now_monotonic_ms() > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_whole_or_empty),
		cmocka_unit_test(foreign_text_is_shown_harmless),
		cmocka_unit_test(integers_are_strict),
		cmocka_unit_test(sizes_and_durations),
		cmocka_unit_test(utf8_every_code_of_each_length),
		cmocka_unit_test(utf8_stops_at_the_fault),
		cmocka_unit_test(utf8_tail),
		cmocka_unit_test(sandbox_ids),
		cmocka_unit_test(session_ids_and_names),
		cmocka_unit_test(random_ids_differ),
		cmocka_unit_test(times_agree_with_the_c_library),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("strutil", tests, NULL, NULL);
}
