/*
 * supervisor/logfile: however much is logged, so many files of such a size are
 * there, the newest lines among them; and what the file does not take is not
 * lost while standard error takes it. LOG_BYTES in the environment says how
 * much is logged, in bytes.
 */
#include "test_supervisor.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "supervisor/logfile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define BYTES ((int64_t)8 << 20)
#define MAX_BYTES 65536
#define FILES 4

static char dir[] = "/tmp/test_logfile.XXXXXX";
static char path[64];

static int
setup(void **state ATTR_UNUSED)
{
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	log_init("test", LOG_L_INFO, LOG_F_TEXT);
	return 0;
}

static const char *
numbered(int i)
{
	static char name[80];

	(void)snprintf(name, sizeof(name), i == 0 ? "%s" : "%s.%d", path, i);
	return name;
}

static int
teardown(void **state ATTR_UNUSED)
{
	for (int i = 0; i < 10; i++)
		(void)unlink(numbered(i)); /* or there is none */
	return rmdir(dir);
}

static void
conf_of(struct conf *c)
{
	struct err e;

	conf_defaults(c, geteuid() == 0);
	assert_int_equal(conf_set(c, "daemon.log_file", path, &e), 0);
	c->log_max_bytes = MAX_BYTES;
	c->log_files = FILES;
}

static int64_t
size_of(int i)
{
	struct stat st;

	return stat(numbered(i), &st) == 0 ? (int64_t)st.st_size : -1;
}

/* The numbers of the lines in file I, checked to follow each other. */
static void
numbers(int i, long long *first_out, long long *last_out)
{
	char line[LOG_LINE_MAX + 2];
	long long n, next = -1;
	FILE *f = fopen(numbered(i), "re");
	const char *at;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		at = strstr(line, " n=");
		assert_non_null(at);
		assert_non_null(strchr(line, '\n'));
		n = strtoll(at + 3, NULL, 10);
		if (next == -1)
			*first_out = n;
		else
			assert_true(n == next);
		next = n + 1;
		*last_out = n;
	}
	assert_int_equal(fclose(f), 0);
}

static void
test_bounded(void **state ATTR_UNUSED)
{
	const char *want = getenv("LOG_BYTES");
	int64_t bytes = BYTES, logged = 0;
	long long n = 0, first = 0, last = 0, follows;
	char text[800];
	struct logfile *lf;
	struct conf c;

	if (want != NULL)
		assert_int_equal(str_to_bytes(want, &bytes), 0);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	conf_of(&c);
	lf = logfile_new(&c);
	logfile_settle(lf);
	for (; logged < bytes; n++, logged += (int64_t)sizeof(text)) {
		log_info("test", "line", LOG_INT("n", n), LOG_STR("t", text));
		if (n % 1000 == 0)
			assert_true(size_of(0) <= MAX_BYTES);
	}
	follows = n;
	for (int i = 0; i < FILES; i++) {
		assert_in_range(size_of(i), 1, MAX_BYTES);
		numbers(i, &first, &last);
		assert_true(last + 1 == follows); /* the newest, and no gap */
		follows = first;
	}
	assert_int_equal(size_of(FILES), -1);
	/* Fewer of them from now on. */
	c.log_files = 2;
	logfile_free(lf);
	lf = logfile_new(&c);
	assert_int_equal(size_of(2), -1);
	assert_int_equal(size_of(3), -1);
	assert_true(size_of(1) > 0);
	logfile_free(lf);
	conf_free(&c);
}

/* A write beyond the limit of files' sizes would end us. */
static void
test_file_limit(void **state ATTR_UNUSED)
{
	struct rlimit was, small;
	struct logfile *lf;
	struct conf c;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = was;
	small.rlim_cur = 8192;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	conf_of(&c);
	lf = logfile_new(&c);
	logfile_settle(lf);
	for (int i = 0; i < 1000; i++)
		log_info("test", "line", LOG_INT("n", i));
	assert_in_range(size_of(0), 1, 8192);
	assert_in_range(size_of(1), 1, 8192);
	logfile_free(lf);
	conf_free(&c);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_limit),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
