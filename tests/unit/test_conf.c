/*
 * The configuration: its own defaults are good, a good file is taken, every
 * mistake of a bad one is told with its line.
 */
#include "test_supervisor.h"

#include "lib/defs.h"
#include "supervisor/conf.h"

#include <string.h>

static char path[] = "/tmp/test_conf.XXXXXX";

static int
setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd == -1 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static void
put(const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
test_defaults_are_valid(void **state)
{
	struct conf c;
	struct err e;

	(void)state;
	conf_defaults(&c, true);
	assert_string_equal(c.log_level, "info");
	assert_true(c.max_clients > 0);
	for (size_t i = 0; i < conf_table_n; i++) {
		const struct conf_option *o = &conf_table[i];

		assert_true(strlen(o->help) > 5);
		assert_non_null(strchr(o->name, '.'));
		if (o->def == NULL || o->def[0] == '\0')
			continue;
		if (conf_set(&c, o->name, o->def, &e) == -1)
			fail_msg("%s: %s", o->name, e.text);
	}
	conf_free(&c);
}

static void
test_printed_is_read_back(void **state)
{
	char *text = NULL, mistakes[2000];
	size_t len = 0;
	struct conf a, b;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	conf_defaults(&a, true);
	a.max_clients = 77;
	conf_print(&a, f);
	assert_int_equal(fclose(f), 0);
	put(text);
	conf_defaults(&b, false);
	if (conf_load(&b, path, false, mistakes, sizeof(mistakes)) == -1)
		fail_msg("%s", mistakes);
	assert_int_equal(b.max_clients, 77);
	assert_string_equal(b.state_dir, a.state_dir);
	assert_string_equal(b.durability, a.durability);
	assert_true(b.map_bytes == a.map_bytes);
	conf_free(&a);
	conf_free(&b);
	free(text);
}

static void
test_all_mistakes_are_told(void **state)
{
	char mistakes[4000];
	struct conf c;

	(void)state;
	put("stray = 1\n"
	    "# a comment\n"
	    "[control]\n"
	    "max_clients = many\n"
	    "max_clients = 0\n"
	    "max_clients = 9\n"
	    "nothing = 1\n"
	    "no equals sign\n"
	    "[store\n"
	    "[store]\n"
	    "durability = sometimes\n"
	    "map_bytes = 99999999999999999999G\n"
	    "[daemon]\n"
	    "state_dir = relative/path\n");
	conf_defaults(&c, true);
	assert_int_equal(
	    conf_load(&c, path, false, mistakes, sizeof(mistakes)), -1);
	for (int line = 1; line <= 14; line++) {
		static const int good[] = { 2, 3, 6, 10, 13 };
		bool is_good = false;
		char at[64];

		for (size_t i = 0; i < countof(good); i++)
			is_good = is_good || good[i] == line;
		(void)snprintf(at, sizeof(at), "%s:%d: ", path, line);
		if ((strstr(mistakes, at) == NULL) != is_good)
			fail_msg("line %d in:\n%s", line, mistakes);
	}
	assert_int_equal(c.max_clients, 9);
	conf_free(&c);
}

static void
test_missing_file(void **state)
{
	char mistakes[4000];
	struct conf c;

	(void)state;
	conf_defaults(&c, true);
	assert_int_equal(
	    conf_load(&c, "/nonexistent/x", true, mistakes, sizeof(mistakes)),
	    0);
	assert_int_equal(
	    conf_load(&c, "/nonexistent/x", false, mistakes, sizeof(mistakes)),
	    -1);
	assert_non_null(strstr(mistakes, "No such file"));
	conf_free(&c);
}

static void
test_hostile_files(void **state)
{
	char mistakes[200];
	struct conf c;
	char *big = malloc(100001);

	(void)state;
	assert_non_null(big);
	memset(big, 'x', 100000);
	big[100000] = '\0';
	put(big);
	conf_defaults(&c, true);
	assert_int_equal(
	    conf_load(&c, path, false, mistakes, sizeof(mistakes)), -1);
	assert_non_null(strstr(mistakes, "line too long"));
	/* More mistakes than there is room for: cut, not overrun. */
	for (int i = 0; i < 100000; i += 2)
		memcpy(big + i, "y\n", 2);
	put(big);
	assert_int_equal(
	    conf_load(&c, path, false, mistakes, sizeof(mistakes)), -1);
	assert_true(strlen(mistakes) < sizeof(mistakes));
	conf_free(&c);
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_valid),
		cmocka_unit_test(test_printed_is_read_back),
		cmocka_unit_test(test_all_mistakes_are_told),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_hostile_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
