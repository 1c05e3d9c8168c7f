/*
 * sandboxctl over HTTP, the parts that know no connection: endpoints and
 * tokens, server-sent events however they are cut.
 */
#include "test_ctl.h"

#include "ctl/http/sse.h"
#include "ctl/http/target.h"

/* --- endpoints ----------------------------------------------------------- */

static void
check_target(const char *url, const char *base, const char *host,
    const char *prefix, const char *path)
{
	struct backend_where where = { .endpoint = url };
	struct target t;
	struct err e;

	assert_int_equal(target_open(&t, &where, &e), 0);
	assert_string_equal(t.base, base);
	assert_string_equal(t.host, host);
	assert_string_equal(t.prefix, prefix);
	if (path == NULL)
		assert_null(t.unix_path);
	else
		assert_string_equal(t.unix_path, path);
	assert_null(t.token);
	target_free(&t);
}

static void
endpoints(void **state)
{
	static const char *const bad[] = { "", "http://", "https:///x",
		"ftp://x", "http://a@b", "http://x?y", "http://x#y",
		"http://x\r\nY: z", "http://a b", "unix:", "http://x\\y" };
	struct backend_where where = { 0 };
	struct target t;
	struct err e;
	size_t i;

	(void)state;
	(void)unsetenv("SANDBOXCTL_TOKEN");
	check_target("http://h:1", "http://h:1", "h:1", "", NULL);
	check_target("h:1", "http://h:1", "h:1", "", NULL);
	check_target("https://h/", "https://h", "h", "", NULL);
	check_target("http://h/i/box//", "http://h/i/box", "h", "/i/box", NULL);
	check_target(
	    "http://[::1]:2/x", "http://[::1]:2/x", "[::1]:2", "/x", NULL);
	check_target(
	    "unix:/run/x", "http://localhost", "localhost", "", "/run/x");
	check_target(
	    "unix:///run/x", "http://localhost", "localhost", "", "/run/x");
	for (i = 0; i < countof(bad); i++) {
		where.endpoint = bad[i];
		assert_int_equal(target_open(&t, &where, &e), -1);
		assert_int_equal(e.code, ERR_BAD_REQUEST);
	}
}

static void
tokens(void **state)
{
	char word[] = "secret";
	struct backend_where where = { .endpoint = "h:1", .token = word };
	struct target t;
	struct err e;

	(void)state;
	assert_int_equal(target_open(&t, &where, &e), 0);
	assert_string_equal(t.token, "secret");
	assert_string_equal(word, ""); /* wiped where it came from */
	target_free(&t);
	where.token = "a b";
	assert_int_equal(target_open(&t, &where, &e), -1);
	where.token = "a\n";
	assert_int_equal(target_open(&t, &where, &e), -1);
	where.token = NULL;
	assert_int_equal(setenv("SANDBOXCTL_TOKEN", "from-there", 1), 0);
	assert_int_equal(target_open(&t, &where, &e), 0);
	assert_string_equal(t.token, "from-there");
	target_free(&t);
	(void)unsetenv("SANDBOXCTL_TOKEN");
}

static void
escapes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	target_escape(&b, "a-Z_0.~ /%\xc3\xa9?&");
	assert_string_equal(b.data, "a-Z_0.~%20%2F%25%C3%A9%3F%26");
	buf_free(&b);
}

/* --- events -------------------------------------------------------------- */

static struct buf seen;

static int
on_event(void *ctx, const char *name, const char *data, size_t len)
{
	(void)buf_addf(&seen, "<%s|%.*s>", name, (int)len, data);
	return *(int *)ctx;
}

static const char stream[] =
    ": a comment\n\n"
    "data: one\n\n"
    "event: x\r\nid: 3\r\ndata:two\r\ndata: lines\r\n\r\n"
    "data\rdata:\r\r"
    "unknown: y\n\n"
    "event: lost\n\n"
    "data:  blanks \n\n"
    "data: cut";
static const char events[] = "<|one><x|two\nlines><|\n><| blanks >";

static void
events_cut(void **state)
{
	size_t n = sizeof(stream) - 1;
	struct sse s;
	int go = 0;
	size_t i;

	(void)state;
	for (i = 0; i <= n; i++) {
		buf_init(&seen, 4096);
		sse_init(&s, on_event, &go);
		assert_int_equal(sse_feed(&s, stream, i), 0);
		assert_int_equal(sse_feed(&s, stream + i, n - i), 0);
		assert_string_equal(seen.data, events);
		sse_free(&s);
		buf_free(&seen);
	}
	/* And one byte at a time. */
	buf_init(&seen, 4096);
	sse_init(&s, on_event, &go);
	for (i = 0; i < n; i++)
		assert_int_equal(sse_feed(&s, stream + i, 1), 0);
	assert_string_equal(seen.data, events);
	sse_free(&s);
	buf_free(&seen);
}

static void
events_stopped(void **state)
{
	struct sse s;
	int stop = -1;

	(void)state;
	buf_init(&seen, 4096);
	sse_init(&s, on_event, &stop);
	assert_int_equal(sse_feed(&s, stream, sizeof(stream) - 1), -1);
	assert_string_equal(seen.data, "<|one>");
	sse_free(&s);
	buf_free(&seen);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints),
		cmocka_unit_test(tokens),
		cmocka_unit_test(escapes),
		cmocka_unit_test(events_cut),
		cmocka_unit_test(events_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
