/*
 * gateway/http_scan: where requests begin and end, and which of them are not to
 * be served, however the bytes are cut.
 */
#include "gateway/http_scan.h"
#include "lib/defs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
	const char *text;
	unsigned requests, bad;
} rows[] = {
	{ "", 0, 0 },
	{ GET, 1, 0 },
	{ GET GET GET, 3, 0 },
	{ "\r\n\r\n" GET "\r\n" GET, 2, 0 },
	{ POST "Content-Length: 5\r\n\r\na\nb\rc" GET, 2, 0 },
	{ POST "content-length:\t 5 \r\n\r\na\n\r\nc" GET, 2, 0 },
	{ POST "Content-Length: 0\r\n\r\n" GET, 2, 0 },
	{ POST "X-Content-Length: 5\r\n\r\n" GET, 2, 0 },
	{ CHUNKED "3\r\na\nb\r\n0\r\n\r\n" GET, 2, 0 },
	{ CHUNKED "3;a=b\r\nabc\r\n000\r\nX: y\r\n\r\n" GET, 2, 0 },
	{ CHUNKED "A ;a\r\n0123456789\r\n0\r\n\r\n" GET, 2, 0 },
	{ CHUNKED "000000000000000000000003\r\nabc\r\n0\r\n\r\n" GET, 2, 0 },
	{ POST "TRANSFER-ENCODING:chunKED\r\n\r\n0\r\n\r\n" GET, 2, 0 },
	/* The second one's framing is its own. */
	{ CHUNKED "0\r\n\r\n" POST "Content-Length: 1\r\n\r\n\n" GET, 3, 0 },
	/* Lines that do not end in CR LF. */
	{ "\n" GET, 0, 1 },
	{ "\r" GET, 0, 1 },
	{ "GET / HTTP/1.1\nHost: x\r\n\r\n", 0, 1 },
	{ "GET / HTTP/1.1\rHost: x\r\n\r\n", 0, 1 },
	{ "GET / HTTP/1.1\r\nHost: x\n\r\n", 1, 1 },
	{ "GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n", 1, 1 },
	{ "GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", 1, 1 },
	{ "GET / HTTP/1.1\r\nHost: x\r\n\n", 1, 1 },
	{ "GET / HTTP/1.1\r\nHost: x\r\n\r\r\n", 1, 1 },
	{ "GET / HTTP/1.1\n\n", 0, 1 },
	{ GET "GET / HTTP/1.1\r\nHost: x\n\r\n", 2, 2 },
	{ "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", 1, 1 },
	{ POST "Content-Length:\r\n 5\r\n\r\n", 1, 1 },
	/* Chunks. */
	{ CHUNKED "3\nabc\r\n0\r\n\r\n", 1, 1 },
	{ CHUNKED "3\r\nabc\n0\r\n\r\n", 1, 1 },
	{ CHUNKED "3\r\nabc\r0\r\n\r\n", 1, 1 },
	{ CHUNKED "3\r\nabc\r\n0\n\r\n", 1, 1 },
	{ CHUNKED "3\r\nabc\r\n0\r\n\n", 1, 1 },
	{ CHUNKED "3\r\nabc\r\n0\r\nX: y\n\r\n", 1, 1 },
	{ CHUNKED "3;\n\r\nabc\r\n0\r\n\r\n", 1, 1 },
	{ CHUNKED "3 x\r\nabc\r\n0\r\n\r\n", 1, 1 },
	{ CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", 1, 1 },
	{ CHUNKED "-3\r\nabc\r\n0\r\n\r\n", 1, 1 },
	{ CHUNKED "\r\n", 1, 1 },
	{ CHUNKED "3\r\nabcd\r\n0\r\n\r\n", 1, 1 },
	{ GET CHUNKED "3\r\nabc\n", 2, 2 },
	/* Left to who reads the headers: nothing behind is a request. */
	{ POST "Content-Length: x\r\n\r\n" GET, 1, 0 },
	{ POST "Content-Length:\r\n\r\n" GET, 1, 0 },
	{ POST "Content-Length: 99999999999999999999\r\n\r\n" GET, 1, 0 },
	{ POST "Transfer-Encoding: gzip\r\n\r\n\n" GET, 1, 0 },
	{ CHUNKED "10000000000000000\r\n\n" GET, 1, 0 },
};

static void
check(size_t row, size_t piece)
{
	const char *text = rows[row].text;
	size_t len = strlen(text), at, n;
	struct scan s = { 0 };

	for (at = 0; at < len; at += n) {
		n = len - at < piece ? len - at : piece;
		scan_bytes(&s, text + at, n);
	}
	if (s.request != rows[row].requests || s.bad != rows[row].bad)
		fail_msg("row %zu by %zu: %u requests, %u bad", row, piece,
		    s.request, s.bad);
}

static void
however_it_is_cut(void **state ATTR_UNUSED)
{
	size_t i, piece;

	for (i = 0; i < countof(rows); i++)
		for (piece = 1; piece <= 200; piece++)
			check(i, piece);
}

static void
all_behind_a_bad_one_is_bad(void **state ATTR_UNUSED)
{
	static const char text[] = GET "GET / HTTP/1.1\n";
	struct scan s = { 0 };

	scan_bytes(&s, text, sizeof(text) - 1);
	assert_false(scan_refuses(&s, 1));
	assert_true(scan_refuses(&s, 2));
	assert_true(scan_refuses(&s, 3));
}

/* A header whose value begins behind what is kept of a line. */
static void
long_lines(void **state ATTR_UNUSED)
{
	static const char *const names[] = {
		"Content-Length:", "Transfer-Encoding:", "X-Other:"
	};
	char pad[SCAN_LINE_MAX + 1];
	size_t i;

	memset(pad, ' ', sizeof(pad));
	for (i = 0; i < countof(names); i++) {
		struct scan s = { 0 };

		scan_bytes(&s, POST, sizeof(POST) - 1);
		scan_bytes(&s, names[i], strlen(names[i]));
		scan_bytes(&s, pad, sizeof(pad));
		scan_bytes(&s, "5\r\n\r\n", 5);
		assert_int_equal(s.bad, i < 2 ? 1 : 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(however_it_is_cut),
		cmocka_unit_test(all_behind_a_bad_one_is_bad),
		cmocka_unit_test(long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
