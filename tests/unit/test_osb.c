/*
 * The words of OpenSandbox's API: quantities, times, labels, states, paths.
 */
#include "gateway/doors/osb_parse.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void
test_quantities(void **state)
{
	static const struct {
		const char *text;
		int64_t millis;
	} good[] = { { "1", 1000 }, { "500m", 500 }, { "1.5", 1500 },
		{ "0.001", 1 }, { ".5", 500 }, { "2Gi", 2000ll << 30 },
		{ "512Mi", 512000ll << 20 }, { "1k", 1000000 },
		{ "1e3", 1000000 }, { "1E0", 1000 }, { "1.5Gi", 1500ll << 30 },
		{ "0", 0 }, { "2.", 2000 }, { "0.0000000001", 0 },
		{ "128974848", 128974848000ll } };
	static const char *const bad[] = { "", ".", "m", "x", "-1", "+1", " 1",
		"1 ", "1Zi", "1e", "1e99", "1Mib", "0x1", "1,5", "1..5", "NaN",
		"9223372036854775807", "99999999999999999999",
		"9000000000000000Ti", "1\n" };
	int64_t v;

	(void)state;
	for (size_t i = 0; i < countof(good); i++) {
		v = -1;
		if (osb_quantity(good[i].text, &v) == -1 || v != good[i].millis)
			fail_msg("%s: %lld", good[i].text, (long long)v);
	}
	for (size_t i = 0; i < countof(bad); i++) {
		if (osb_quantity(bad[i], &v) != -1)
			fail_msg("taken: %s", bad[i]);
	}
}

static void
test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = { { "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01T00:00:01.5Z", 1500 },
		{ "1970-01-01T00:00:00.123456789Z", 123 },
		{ "1970-01-01T01:00:00+01:00", 0 },
		{ "1970-01-01T00:00:00-00:30", 1800000 },
		{ "2026-11-21t03:40:22.931z", 1795232422931 },
		{ "2024-02-29T00:00:00Z", 1709164800000 },
		{ "9999-12-31T23:59:59Z", 253402300799000 } };
	static const char *const bad[] = { "", "1", "1970-01-01",
		"1970-01-01T00:00:00", "1970-1-01T00:00:00Z",
		"1969-12-31T23:59:59Z", "2023-02-29T00:00:00Z",
		"2023-13-01T00:00:00Z", "2023-00-01T00:00:00Z",
		"2023-04-31T00:00:00Z", "2023-01-01T24:00:00Z",
		"2023-01-01T00:60:00Z", "2023-01-01T00:00:60Z",
		"2023-01-01T00:00:00.Z", "2023-01-01T00:00:00ZZ",
		"2023-01-01T00:00:00+1:00", "2023-01-01T00:00:00+0100",
		"2023-01-01T00:00:00+24:00", " 2023-01-01T00:00:00Z",
		"20233-01-01T00:00:00Z" };
	char text[TIME_TEXT_MAX];
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < countof(good); i++) {
		ms = -1;
		if (osb_time_parse(good[i].text, &ms) == -1 || ms != good[i].ms)
			fail_msg("%s: %lld", good[i].text, (long long)ms);
	}
	for (size_t i = 0; i < countof(bad); i++) {
		if (osb_time_parse(bad[i], &ms) != -1)
			fail_msg("taken: %s", bad[i]);
	}
	osb_time_write(text, 1795232422931);
	assert_string_equal(text, "2026-11-21T03:40:22.931Z");
	assert_int_equal(osb_time_parse(text, &ms), 0);
	assert_int_equal(ms, 1795232422931);
}

static int
labels(const char *text, bool patch)
{
	struct json *j;
	struct err e;
	int rc;

	if (json_parse(text, strlen(text), 8, &j, &e) == -1)
		fail_msg("%s: %s", text, e.text);
	rc = osb_labels_check(j, patch, &e);
	json_free(j);
	return rc;
}

static void
test_labels(void **state)
{
	static const char *const good[] = { "{}", "{\"a\":\"b\"}",
		"{\"a\":\"\"}", "{\"a.b-c_d\":\"1.2-3_4\"}",
		"{\"example.com/name\":\"x\"}", "{\"9\":\"9\"}" };
	static const char *const bad[] = { "{\"\":\"x\"}", "{\"-a\":\"x\"}",
		"{\"a-\":\"x\"}", "{\"a\":\"-x\"}", "{\"a\":\"x y\"}",
		"{\"a\":1}", "{\"a\":{}}", "{\"a\":[]}", "{\"a/b/c\":\"x\"}",
		"{\"/a\":\"x\"}", "{\"a/\":\"x\"}", "{\"a=b\":\"x\"}",
		"{\"opensandbox.io/a\":\"x\"}", "{\"\xc3\xa4\":\"x\"}",
		"{\"a\":\"x\\u0000y\"}" };
	char text[200], name[65];

	(void)state;
	for (size_t i = 0; i < countof(good); i++) {
		if (labels(good[i], false) == -1)
			fail_msg("refused: %s", good[i]);
	}
	for (size_t i = 0; i < countof(bad); i++) {
		if (labels(bad[i], true) == 0)
			fail_msg("taken: %s", bad[i]);
	}
	assert_int_equal(labels("{\"a\":null}", true), 0);
	assert_int_equal(labels("{\"a\":null}", false), -1);
	for (size_t n = 63; n <= 64; n++) {
		memset(name, 'x', n);
		name[n] = '\0';
		(void)snprintf(text, sizeof(text), "{\"%s\":\"y\"}", name);
		assert_int_equal(labels(text, false), n == 63 ? 0 : -1);
		(void)snprintf(text, sizeof(text), "{\"y\":\"%s\"}", name);
		assert_int_equal(labels(text, false), n == 63 ? 0 : -1);
	}
}

static void
test_states(void **state)
{
	static const char *const ours[] = { "creating", "running", "paused",
		"stopped", "error" };

	(void)state;
	for (size_t i = 0; i < countof(ours); i++)
		assert_string_equal(
		    osb_state_ours(osb_state(ours[i])), ours[i]);
	assert_string_equal(osb_state_ours("rUNNing"), "running");
	assert_null(osb_state_ours("Snapshotting"));
	assert_null(osb_state_ours(""));
	assert_string_equal(osb_state("new word"), "Failed");
	assert_string_equal(osb_reason("paused"), "CONTAINER_PAUSED");
}

static void
test_paths(void **state)
{
	static const char *const bad[] = { "..", "a/..", "a/../b", "/a", ".",
		"a/./b", "a//b" };
	char text[64], small[8];

	(void)state;
	assert_int_equal(osb_path_join("/srv", NULL, text, sizeof(text)), 0);
	assert_string_equal(text, "/srv");
	assert_int_equal(osb_path_join("/srv/", "a/b", text, sizeof(text)), 0);
	assert_string_equal(text, "/srv/a/b");
	assert_int_equal(
	    osb_path_join("/srv", "..a/.b", text, sizeof(text)), 0);
	for (size_t i = 0; i < countof(bad); i++) {
		if (osb_path_join("/srv", bad[i], text, sizeof(text)) != -1)
			fail_msg("taken: %s", bad[i]);
	}
	assert_int_equal(
	    osb_path_join("/srv", "abcdef", small, sizeof(small)), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantities),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
