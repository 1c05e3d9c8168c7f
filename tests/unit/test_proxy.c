/*
 * gateway/proxy_parse: heads and bodies of hostile servers, in one piece and
 * byte by byte; and init/ports_scan: lines of /proc/net/tcp.
 */
#include "gateway/proxy_parse.h"
#include "init/ports_scan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int
parse(const char *text, bool head, struct proxy_head *h, char **copy_out)
{
	struct err e;

	*copy_out = strdup(text);
	assert_non_null(*copy_out);
	return proxy_head_parse(*copy_out, strlen(text), head, h, &e);
}

static void
the_end_of_a_head(void **state ATTR_UNUSED)
{
	static const char *const heads[] = { "A\r\n\r\n", "A\n\n", "A\r\n\n",
		"A\r\nb: c\r\nd: e\r\n\r\n", "A\nb: c\n\r\n" };
	size_t i, n, scanned;

	for (i = 0; i < countof(heads); i++) {
		size_t len = strlen(heads[i]);

		scanned = 0;
		assert_int_equal(proxy_head_end(heads[i], len, &scanned), len);
		scanned = 0;
		for (n = 0; n < len; n++) /* byte by byte */
			assert_int_equal(
			    proxy_head_end(heads[i], n, &scanned), 0);
		assert_int_equal(proxy_head_end(heads[i], len, &scanned), len);
	}
	scanned = 0;
	assert_int_equal(proxy_head_end("A\r\n\r\nbody", 9, &scanned), 5);
}

static void
a_head(void **state ATTR_UNUSED)
{
	struct proxy_head h;
	char *text;

	assert_int_equal(
	    parse(
		"HTTP/1.1 200 Very Fine\r\nX-A:  b c \r\nContent-Length: 12\r\n"
		"Connection: close, X-Hop\r\nx-hop: 1\r\nTE: x\r\n\r\n",
		false, &h, &text),
	    0);
	assert_int_equal(h.status, 200);
	assert_int_equal(h.framing, PROXY_LENGTH);
	assert_int_equal(h.length, 12);
	assert_int_equal(h.nheaders, 1);
	assert_string_equal(h.headers[0].name, "X-A");
	assert_string_equal(h.headers[0].value, "b c");
	free(text);
	assert_int_equal(parse("HTTP/1.0 404\n\n", false, &h, &text), 0);
	assert_int_equal(h.framing, PROXY_UNTIL_CLOSE);
	free(text);
	assert_int_equal(parse("HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n"
			       "\r\n",
			     false, &h, &text),
	    0);
	assert_int_equal(h.framing, PROXY_CHUNKED);
	assert_int_equal(h.nheaders, 0);
	free(text);
	assert_int_equal(parse("HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n",
			     true, &h, &text),
	    0);
	assert_int_equal(h.framing, PROXY_NO_BODY);
	assert_int_equal(h.length, 7);
	free(text);
	assert_int_equal(
	    parse(
		"HTTP/1.1 101 \r\nUpgrade: x/2\r\nConnection: upgrade\r\n\r\n",
		false, &h, &text),
	    0);
	assert_string_equal(h.upgrade, "x/2");
	free(text);
}

static void
broken_heads(void **state ATTR_UNUSED)
{
	static const char *const bad[] = { "", "\r\n\r\n", "HTTP/1.1\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
		"HTTP/2.0 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
		"HTTP/1.1 200 OK\r\n A: c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1 2\r\n\r\n",
		("HTTP/1.1 200 OK\r\nContent-Length: "
		 "9223372036854775808\r\n\r\n"),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n",
		"HTTP/1.1 200 O\x7fK\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n" };
	struct proxy_head h;
	char *text;
	size_t i;

	for (i = 0; i < countof(bad); i++) {
		assert_int_equal(parse(bad[i], false, &h, &text), -1);
		free(text);
	}
}

/* The body that comes out of WIRE, fed in pieces of STEP, taken in of ROOM. */
static enum proxy_body_state
decode(enum proxy_framing framing, int64_t length, const char *wire,
    size_t step, size_t room, char *out)
{
	struct proxy_head h = { .framing = framing, .length = length };
	struct proxy_body b;
	size_t len = strlen(wire), at = 0, n = 0, used, tries = 0;

	proxy_body_begin(&b, &h);
	while (at < len && b.state != PB_DONE && b.state != PB_BROKEN) {
		n += proxy_body_decode(
		    &b, wire + at, MIN(step, len - at), &used, out + n, room);
		at += used;
		assert_true(tries++ < 10000);
	}
	out[n] = '\0';
	if (at == len)
		(void)proxy_body_eof(&b);
	return b.state;
}

static void
bodies(void **state ATTR_UNUSED)
{
	static const char chunks[] = "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n"
				     "0\r\nX: y\r\nZ: w\r\n\r\nmore";
	char out[200];
	size_t step, room;

	for (step = 1; step < sizeof(chunks); step++) {
		for (room = 1; room < 20; room++) {
			assert_int_equal(
			    decode(PROXY_CHUNKED, -1, chunks, step, room, out),
			    PB_DONE);
			assert_string_equal(out, "abc0123456789");
		}
		assert_int_equal(
		    decode(PROXY_LENGTH, 4, "abcdefg", step, 3, out), PB_DONE);
		assert_string_equal(out, "abcd");
		assert_int_equal(
		    decode(PROXY_LENGTH, 9, "abcd", step, 3, out), PB_BROKEN);
		assert_int_equal(
		    decode(PROXY_UNTIL_CLOSE, -1, "abcd", step, 3, out),
		    PB_DONE);
		assert_string_equal(out, "abcd");
	}
	assert_int_equal(decode(PROXY_NO_BODY, 4, "abcd", 4, 4, out), PB_DONE);
	assert_string_equal(out, "");
}

static void
broken_chunks(void **state ATTR_UNUSED)
{
	static const char *const bad[] = { "\r\n", "x\r\n", "-1\r\n", "+1\r\n",
		"1\na\r\n0\r\n\r\n", "1\r\nab\r\n", "1\r\na\n0\r\n\r\n",
		"1\r\na\r\n0\r\n\n", "0\r\n", "0\r\nX: y\r\n", "1\r\na\r\n",
		"1234567890abcdef\r\n", "1\r\ra", "0\r\nX\x01\r\n\r\n",
		" 1\r\na" };
	char out[200];
	size_t i, step;

	for (i = 0; i < countof(bad); i++)
		for (step = 1; step < 8; step++)
			assert_int_equal(
			    decode(PROXY_CHUNKED, -1, bad[i], step, 8, out),
			    PB_BROKEN);
}

static void
names_and_lists(void **state ATTR_UNUSED)
{
	assert_true(header_lists("keep-alive, Upgrade", "upgrade"));
	assert_true(header_lists("\tupgrade ", "Upgrade"));
	assert_false(header_lists("upgrades", "upgrade"));
	assert_false(header_lists("", "upgrade"));
	assert_true(header_name_ok("X-a.B!"));
	assert_false(header_name_ok(""));
	assert_false(header_name_ok("a b"));
	assert_false(header_name_ok("a:"));
	assert_false(header_name_ok("\xc3\xa4"));
	assert_true(header_value_ok("a\tb \xc3\xa4"));
	assert_false(header_value_ok("a\nb"));
	assert_true(header_is_hop("transfer-ENCODING"));
	assert_false(header_is_hop("Content-Type"));
}

/* --- /proc/net/tcp -------------------------------------------------------- */

static void
lines_of_proc(void **state ATTR_UNUSED)
{
	struct listener l;

	assert_int_equal(
	    listener_parse(
		"   0: 0100007F:1F90 00000000:0000 0A "
		"00000000:00000000 00:00000000 00000000  1000        "
		"0 123456 1 0000000000000000 100 0 0 10 0",
		false, &l),
	    1);
	assert_int_equal(l.port, 8080);
	assert_int_equal(l.uid, 1000);
	assert_int_equal(l.inode, 123456);
	assert_memory_equal(l.addr, "\x7f\0\0\1", 4);
	assert_true(listener_takes(&l, false));
	assert_false(listener_takes(&l, true));
	assert_int_equal(
	    listener_parse(
		"  12: 00000000000000000000000001000000:0050 "
		"00000000000000000000000000000000:0000 0A "
		"00000000:00000000 00:00000000 00000000     0        "
		"0 7",
		true, &l),
	    1);
	assert_int_equal(l.port, 80);
	assert_true(listener_takes(&l, true));
	assert_false(listener_takes(&l, false));
	assert_int_equal(
	    listener_parse(
		"   1: 0100007F:1F90 0100007F:9C40 01 "
		"00000000:00000000 00:00000000 00000000     0        "
		"0 5 1",
		false, &l),
	    0);
}

static void
other_lines(void **state ATTR_UNUSED)
{
	static const char *const bad[] = { "",
		"  sl  local_address rem_address   st tx_queue",
		"0:", "0: 0100007F:1F90", "0: 0100007F 00000000:0000 0A",
		"0: 0100007G:1F90 00000000:0000 0A 0 0 0 0 0 5",
		"0: 0100007F:1F90 00000000:0000 0A 0 0 0 0 0",
		"0: 0100007F:1F90 00000000:0000 0A 0 0 0 0 0 5x",
		"0: 0100007F:1F90 00000000:0000 0A 0 0 0 9999999999 0 5",
		("0: 0100007F:1F90 00000000:0000 0A 0 0 0 0 0 "
		 "99999999999999999999999") };
	struct listener l;
	size_t i;

	for (i = 0; i < countof(bad); i++)
		assert_int_equal(listener_parse(bad[i], false, &l), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_a_head),
		cmocka_unit_test(a_head),
		cmocka_unit_test(broken_heads),
		cmocka_unit_test(bodies),
		cmocka_unit_test(broken_chunks),
		cmocka_unit_test(names_and_lists),
		cmocka_unit_test(lines_of_proc),
		cmocka_unit_test(other_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
