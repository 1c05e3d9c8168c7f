/*
 * lib/log: the two formats, escapes that hold whatever a value is, and a
 * standard error that is closed, full or gone.
 */
#include "lib/log.h"
#include "lib/json.h"
#include "lib/strutil.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

static char last[LOG_LINE_MAX + 1];
static size_t nlines;

static void
collect(void *ctx, enum log_level level, const char *line, size_t len)
{
	assert_ptr_equal(ctx, &nlines);
	assert_in_range(level, LOG_L_ERROR, LOG_L_DEBUG);
	assert_in_range(len, 1, LOG_LINE_MAX);
	assert_int_equal(strlen(line), len);
	memcpy(last, line, len + 1);
	nlines++;
}

static void
collect_as(enum log_format format)
{
	log_init("sandboxd", LOG_L_INFO, format);
	log_sink(collect, &nlines);
	nlines = 0;
}

static int
reset(void **state ATTR_UNUSED)
{
	log_sink(NULL, NULL);
	log_init("-", LOG_L_INFO, LOG_F_TEXT);
	return 0;
}

static void
text_line(void **state ATTR_UNUSED)
{
	collect_as(LOG_F_TEXT);
	errno = EBADF;
	log_warn("proc", "worker lost", LOG_STR("session", "demo"),
	    LOG_INT("pid", 12));
	assert_int_equal(errno, EBADF);
	assert_int_equal(last[10], 'T');
	assert_int_equal(last[19], '.');
	assert_string_equal(
	    last + 23, "Z warn sandboxd proc: worker lost session=demo pid=12");
	log_error("x", "no fields");
	assert_string_equal(last + 23, "Z error sandboxd x: no fields");
	log_info("x", "y", LOG_STR("a", "two words"), LOG_STR("b", ""),
	    LOG_STR("c", "q\"\\"), LOG_STR("d", "k=v"), LOG_INT("e", -1));
	assert_string_equal(last + 23,
	    "Z info sandboxd x: y a=\"two words\" b=\"\" c=\"q\\\"\\\\\" "
	    "d=\"k=v\" e=-1");
}

static void
secrets_are_masked(void **state ATTR_UNUSED)
{
	const char *said = "exec sh: OPENAI_API_KEY=abcdefghijklmnop run "
			   "with Bearer 0123456789abcdef";

	collect_as(LOG_F_TEXT);
	log_info("x", "y", LOG_STR("token", "tok_1234567890"),
	    LOG_STR("detail", said));
	assert_string_equal(last + 23,
	    "Z info sandboxd x: y token=tok_1234567890 detail=\"exec sh: "
	    "OPENAI_API_KEY=abcd...mnop run with Bearer 0123...cdef\"");
	collect_as(LOG_F_JSON);
	log_info("x", "y", LOG_STR("detail", said));
	assert_non_null(strstr(last, "OPENAI_API_KEY=abcd...mnop run"));
	assert_null(strstr(last, "efgh"));
}

static void
json_line(void **state ATTR_UNUSED)
{
	struct json *j;

	collect_as(LOG_F_JSON);
	log_warn("proc", "worker \"lost\"", LOG_STR("who", "\xe2\x82\xac\xff"),
	    LOG_STR("emoji", "\xf0\x9f\x98\x80\n"), LOG_INT("pid", 12));
	assert_null(strchr(last, '\n'));
	assert_int_equal(json_parse(last, strlen(last), 2, &j, NULL), 0);
	assert_string_equal(json_str(j, "level", ""), "warn");
	assert_string_equal(json_str(j, "role", ""), "sandboxd");
	assert_string_equal(json_str(j, "subsystem", ""), "proc");
	assert_string_equal(json_str(j, "message", ""), "worker \"lost\"");
	assert_string_equal(json_str(j, "who", ""), "\xe2\x82\xac\xef\xbf\xbd");
	assert_string_equal(json_str(j, "emoji", ""), "\xf0\x9f\x98\x80\n");
	assert_int_equal(json_int(j, "pid", 0), 12);
	assert_int_equal(strlen(json_str(j, "time", "")), 24);
	json_free(j);
}

static void
assert_printable(const char *s)
{
	for (; *s != '\0'; s++)
		assert_in_range((unsigned char)*s, 0x20, 0x7e);
}

static void
no_byte_forges_a_line(void **state ATTR_UNUSED)
{
	char all[256];
	enum log_format f;
	struct json *j;
	size_t i;

	for (i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	for (f = 0; f < LOG_F_N; f++) {
		collect_as(f);
		log_info("x", "\nforged", LOG_STR("all", all));
		assert_printable(last);
		if (f != LOG_F_JSON)
			continue;
		assert_int_equal(
		    json_parse(last, strlen(last), 2, &j, NULL), 0);
		json_free(j);
	}
}

static void
long_lines_are_cut_and_stay_whole(void **state ATTR_UNUSED)
{
	char text[3000];
	enum log_format f;
	struct json *j;
	size_t n;

	for (f = 0; f < LOG_F_N; f++) {
		for (n = 850; n < 1100; n++) {
			collect_as(f);
			memset(text, n % 3 == 0 ? '"' : '\xff', n);
			text[n] = '\0';
			log_info("x", "y", LOG_STR("a", text),
			    LOG_STR("b", text), LOG_INT("c", n));
			assert_int_equal(nlines, 1);
			assert_printable(last);
			if (f != LOG_F_JSON)
				continue;
			assert_int_equal(
			    json_parse(last, strlen(last), 2, &j, NULL), 0);
			json_free(j);
		}
	}
	memset(text, 'm', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (f = 0; f < LOG_F_N; f++) {
		collect_as(f);
		log_info("x", text, LOG_STR("a", text));
		assert_int_equal(nlines, 1);
	}
}

static void
levels(void **state ATTR_UNUSED)
{
	enum log_level level;
	enum log_format format;
	unsigned i;

	collect_as(LOG_F_TEXT);
	log_debug("x", "not shown");
	assert_int_equal(nlines, 0);
	assert_false(log_enabled(LOG_L_DEBUG));
	assert_true(log_enabled(LOG_L_INFO));
	for (i = 0; i < LOG_L_N; i++) {
		assert_int_equal(
		    log_level_parse(log_level_name((enum log_level)i), &level),
		    0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse("loud", &level), -1);
	assert_int_equal(log_format_parse("json", &format), 0);
	assert_int_equal(format, LOG_F_JSON);
	assert_int_equal(log_format_parse("xml", &format), -1);
}

static void
log_again(void *ctx, enum log_level level ATTR_UNUSED,
    const char *line ATTR_UNUSED, size_t len ATTR_UNUSED)
{
	++*(int *)ctx;
	log_info("sink", "inside"); /* must not come back here */
}

static void
a_sink_may_log(void **state ATTR_UNUSED)
{
	int calls = 0;

	log_sink(log_again, &calls);
	log_info("x", "y");
	log_sink(NULL, NULL);
	assert_int_equal(calls, 1);
}

/* Put FD in place of standard error; returns the old one. */
static int
stderr_become(int fd)
{
	int old = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

	assert_true(old != -1);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	return old;
}

static void
stderr_back(int old)
{
	assert_int_equal(dup2(old, STDERR_FILENO), STDERR_FILENO);
	close(old);
}

static void
survives_a_reader_that_left(void **state ATTR_UNUSED)
{
	struct sigaction now;
	int p[2], sv[2], old;

	/* cmocka's runner leaves the default, which would kill us. */
	assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_DFL);

	assert_int_equal(pipe(p), 0);
	close(p[0]);
	old = stderr_become(p[1]);
	log_error("x", "into a broken pipe");
	stderr_back(old);
	close(p[1]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	close(sv[0]);
	old = stderr_become(sv[1]);
	log_error("x", "into a broken socket");
	stderr_back(old);
	close(sv[1]);

	old = stderr_become(STDOUT_FILENO);
	close(STDERR_FILENO);
	log_error("x", "into nothing");
	stderr_back(old);

	assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_DFL);
}

static void
does_not_wait_for_a_slow_reader(void **state ATTR_UNUSED)
{
	char in[65536 * 2];
	int p[2], i, old;
	ssize_t n;

	log_init("-", LOG_L_INFO, LOG_F_TEXT);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
	old = stderr_become(p[1]);
	alarm(20); /* a write that waits would wait for ever */
	for (i = 0; i < 5000; i++)
		log_info("x", "filling the pipe", LOG_INT("i", i));
	for (i = 0; read(p[0], in, sizeof(in)) > 0; i++)
		continue;
	assert_true(i > 0);
	log_info("x", "there is room again");
	alarm(0);
	stderr_back(old);
	n = read(p[0], in, sizeof(in) - 1);
	assert_true(n > 0);
	in[n] = '\0';
	assert_non_null(strstr(in, "lines lost lines="));
	assert_non_null(strstr(in, "there is room again\n"));
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(text_line, reset),
		cmocka_unit_test_teardown(secrets_are_masked, reset),
		cmocka_unit_test_teardown(json_line, reset),
		cmocka_unit_test_teardown(no_byte_forges_a_line, reset),
		cmocka_unit_test_teardown(
		    long_lines_are_cut_and_stay_whole, reset),
		cmocka_unit_test_teardown(levels, reset),
		cmocka_unit_test_teardown(a_sink_may_log, reset),
		cmocka_unit_test_teardown(survives_a_reader_that_left, reset),
		cmocka_unit_test_teardown(
		    does_not_wait_for_a_slow_reader, reset),
	};

	/* Whoever runs the tests may ignore it, and that is inherited. */
	(void)signal(SIGPIPE, SIG_DFL); /* cannot fail */
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
