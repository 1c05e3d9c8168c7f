/*
 * The stream that tells what a sandbox changed: what is well formed is read,
 * and every lie that the format allows to detect is detected.
 */
#include "test_ctl.h"

static int
read_all(const char *s, size_t n, char *seen, size_t room, struct err *e)
{
	struct changes ch;
	struct change c;
	size_t at = 0;
	int r;

	changes_init(&ch, stream_of(s, n), NULL);
	seen[0] = '\0';
	while ((r = changes_next(&ch, &c, e)) == 1) {
		char data[16];
		ssize_t got = 0;

		if (c.type == CHANGE_FILE && c.size < 10)
			got = changes_data(&ch, data, sizeof(data), e);
		if (got == -1) {
			r = -1;
			break;
		}
		at += (size_t)snprintf(seen + at, room - at,
		    "%s %s %o %lld %.*s%s\n", change_type_name(c.type), c.path,
		    (unsigned)c.mode, (long long)c.size, (int)got, data,
		    c.text);
		assert_true(at < room);
	}
	changes_free(&ch);
	return r;
}

static void
test_good(void **state)
{
	static const char s[] =
	    "{\"type\":\"dir\",\"path\":\"d\",\"mode\":493}\n"
	    "{\"type\":\"file\",\"path\":\"d/a\",\"mode\":420,\"size\":4}\n"
	    "abc\n"
	    "{\"type\":\"file\",\"path\":\"skipped\",\"mode\":2541,"
	    "\"size\":12}\n"
	    "{\"end\":true}"
	    "{\"type\":\"file\",\"path\":\"e\",\"mode\":0,\"size\":0}\n"
	    "{\"type\":\"replace_dir\",\"path\":\"r\",\"mode\":448}\n"
	    "{\"type\":\"symlink\",\"path\":\"l\",\"target\":\"../../x\"}\n"
	    "{\"type\":\"delete\",\"path\":\"..b\"}\n"
	    "{\"type\":\"error\",\"path\":\"s\",\"detail\":\"a socket\"}\n"
	    "{\"end\":true,\"entries\":8}\n";
	char seen[1024];
	struct err e;

	(void)state;
	if (read_all(s, sizeof(s) - 1, seen, sizeof(seen), &e) == -1)
		fail_msg("%s", e.text);
	/* set-user-id of "skipped" (2541 is 04755) is gone */
	assert_string_equal(seen, "dir d 755 0 \n"
				  "file d/a 644 4 abc\n\n"
				  "file skipped 755 12 \n"
				  "file e 0 0 \n"
				  "replace_dir r 700 0 \n"
				  "symlink l 0 0 ../../x\n"
				  "delete ..b 0 0 \n"
				  "error s 0 0 a socket\n");
}

static void
test_paths(void **state)
{
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".",
		"..", "a/..", "a/../b", "../a", "./a", "a/.", "a/./b" };
	static const char *const good[] = { "a", "a/b", "...", ".a", "..a",
		"a..", "a b", "-" };
	char name[300];
	size_t i;

	(void)state;
	for (i = 0; i < countof(bad); i++)
		if (change_path_ok(bad[i]))
			fail_msg("accepted: '%s'", bad[i]);
	for (i = 0; i < countof(good); i++)
		if (!change_path_ok(good[i]))
			fail_msg("refused: '%s'", good[i]);
	memset(name, 'x', sizeof(name));
	name[255] = '\0';
	assert_true(change_path_ok(name));
	name[255] = 'x';
	name[256] = '\0';
	assert_false(change_path_ok(name));
}

static void
test_lies(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"{}\n",
		"[]\n",
		"x\n",
		"{\"end\":true,\"entries\":0}",
		"{\"end\":true,\"entries\":1}\n",
		"{\"end\":false,\"entries\":0}\n",
		"{\"end\":true}\n",
		"{\"end\":true,\"entries\":0,\"x\":1}\n",
		"{\"end\":true,\"entries\":0}\nmore",
		"{\"type\":\"delete\",\"path\":\"/etc\"}\n",
		"{\"type\":\"delete\",\"path\":\"../x\"}\n",
		"{\"type\":\"delete\",\"path\":\"a/../../x\"}\n",
		"{\"type\":\"delete\",\"path\":\"a\\u0000b\"}\n",
		"{\"type\":\"delete\",\"path\":1}\n",
		"{\"type\":\"delete\"}\n",
		"{\"type\":\"delete\",\"path\":\"a\",\"mode\":1}\n",
		"{\"type\":\"device\",\"path\":\"a\"}\n",
		"{\"type\":\"file\",\"path\":\"a\",\"mode\":420}\n",
		"{\"type\":\"file\",\"path\":\"a\",\"mode\":420,\"size\":-1}"
		"\n",
		"{\"type\":\"file\",\"path\":\"a\",\"mode\":65535,\"size\":0}"
		"\n",
		"{\"type\":\"file\",\"path\":\"a\",\"mode\":420,"
		"\"size\":9223372036854775807}\n",
		"{\"type\":\"file\",\"path\":\"a\",\"mode\":420,\"size\":5}\n"
		"ab",
		"{\"type\":\"symlink\",\"path\":\"a\",\"target\":\"\"}\n",
		"{\"type\":\"dir\",\"path\":\"a\",\"path\":\"b\",\"mode\":1}\n",
	};
	char seen[1024];
	size_t i;

	(void)state;
	for (i = 0; i < countof(bad); i++) {
		struct err e;

		if (read_all(bad[i], strlen(bad[i]), seen, sizeof(seen), &e) !=
		    -1)
			fail_msg("accepted: %s", bad[i]);
		/* the caller asked nothing wrong */
		assert_int_not_equal(e.code, ERR_BAD_REQUEST);
	}
}

static void
test_long_line(void **state)
{
	size_t n = 4u << 20;
	char *s = malloc(n);
	char seen[64];
	struct err e;

	(void)state;
	assert_non_null(s);
	memset(s, 'x', n);
	assert_int_equal(read_all(s, n, seen, sizeof(seen), &e), -1);
	assert_non_null(strstr(e.text, "too long"));
	free(s);
}

/* Cut a good stream at every byte: never accepted, never read beyond. */
static void
test_cuts(void **state)
{
	static const char s[] =
	    "{\"type\":\"file\",\"path\":\"a\",\"mode\":420,\"size\":3}\nabc"
	    "{\"type\":\"delete\",\"path\":\"b\"}\n"
	    "{\"end\":true,\"entries\":2}\n";
	char seen[256];
	struct err e;
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(s) - 1; n++)
		assert_int_equal(read_all(s, n, seen, sizeof(seen), &e), -1);
	assert_int_equal(read_all(s, n, seen, sizeof(seen), &e), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_cuts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
