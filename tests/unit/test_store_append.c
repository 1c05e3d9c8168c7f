/*
 * The scanner of appends and the form of stored events: pure functions on
 * bytes that a hostile worker could send.
 */
#include "test_store_fixture.h"

#include "store/append.h"
#include "store/stored.h"

static struct append_scanner *scanner;

static int
scan(const char *text, size_t len, struct append_in *in, struct err *e)
{
	return append_scan(scanner, text, len, in, e);
}

#define E_TIME "\"time\":\"" FX_TIME "\""
#define E_REST                                            \
	",\"native_session_id\":null,\"synthetic\":true," \
	"\"source\":\"daemon\",\"type\":\"turn.ended\""
#define E_DATA ",\"data\":{\"phase\":\"ended\"}"
#define EVENT "{" E_TIME E_REST E_DATA ",\"raw\":null}"
#define FRAME(events) \
	"{\"op\":\"append\",\"id\":1,\"first\":5,\"events\":[" events "]}"

static void
accepts_what_workers_write(void **state ATTR_UNUSED)
{
	static const char *const good[] = {
		FRAME(""),
		FRAME(EVENT),
		FRAME(EVENT "," EVENT),
		"{\"events\":[" EVENT
		"],\"first\":5,\"id\":1,\"op\":\"append\"}",
		"{\"op\":\"append\",\"id\":1,\"first\":5,\"events\":[],"
		"\"set\":{\"state\":\"idle\",\"checkpoint\":{\"a\":[1]}}}",
		FRAME("{" E_TIME E_REST ",\"data\":{\"a\":{\"b\":1},\"c\":"
		      "{\"b\":2}},\"raw\":{\"data\":[{\"x\":1},{\"x\":1}]}}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":\"\\ud83d\\ude00\"}"),
		FRAME(
		    "{" E_TIME E_REST E_DATA ",\"raw\":\"\xf0\x9f\x98\x80\"}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":-1.5e300}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":[[],{},true,null]}"),
		FRAME("{ \"time\" : \"" FX_TIME "\"\n" E_REST
		      ",\r\n\"data\" :{ } , \"raw\": null } "),
		FRAME("{\"time\":\"2026-11-21T02:56:07Z\"" E_REST E_DATA
		      ",\"raw\":1}"),
	};
	struct append_in in;
	struct err e;
	size_t i;

	for (i = 0; i < countof(good); i++) {
		e.text[0] = '\0';
		if (scan(good[i], strlen(good[i]), &in, &e) == -1)
			fail_msg("%zu: %s: %s", i, e.text, good[i]);
		assert_int_equal(in.id, 1);
		assert_int_equal(in.first, 5);
	}
}

static void
refuses_everything_else(void **state ATTR_UNUSED)
{
	static const char *const bad[] = {
		"",
		"{",
		"null",
		"[]",
		"5",
		"\"x\"",
		"{}",
		FRAME(EVENT) "x",
		FRAME(EVENT) "{}",
		"{\"op\":\"append\",\"id\":1,\"first\":5}",
		"{\"op\":\"append\",\"id\":1,\"events\":[]}",
		"{\"op\":\"append\",\"first\":5,\"events\":[]}",
		"{\"id\":1,\"first\":5,\"events\":[]}",
		"{\"op\":\"put\",\"id\":1,\"first\":5,\"events\":[]}",
		"{\"op\":\"append\",\"id\":0,\"first\":5,\"events\":[]}",
		"{\"op\":\"append\",\"id\":1,\"first\":0,\"events\":[]}",
		"{\"op\":\"append\",\"id\":1,\"first\":-5,\"events\":[]}",
		"{\"op\":\"append\",\"id\":1,\"first\":5.0,\"events\":[]}",
		"{\"op\":\"append\",\"id\":1,\"first\":9223372036854775808,"
		"\"events\":[]}",
		"{\"op\":\"append\",\"id\":1,\"first\":"
		"99999999999999999999999999,\"events\":[]}",
		"{\"op\":\"append\",\"id\":\"1\",\"first\":5,\"events\":[]}",
		"{\"op\":\"append\",\"id\":1,\"first\":5,\"events\":{}}",
		"{\"op\":\"append\",\"id\":1,\"first\":5,\"events\":null}",
		"{\"op\":\"append\",\"id\":1,\"id\":1,\"first\":5,"
		"\"events\":[]}",
		"{\"op\":\"append\",\"id\":1,\"first\":5,\"events\":[],"
		"\"events\":[]}",
		"{\"op\":\"append\",\"id\":1,\"first\":5,\"events\":[],"
		"\"set\":[]}",
		"{\"op\":\"append\",\"id\":1,\"first\":5,\"events\":[],"
		"\"fds\":1}",
		"{\"op\":\"append\",\"id\":1,\"first\":5,\"events\":[],"
		"\"more\":1}",
		FRAME("1"),
		FRAME("null"),
		FRAME("[]"),
		FRAME("{}"),
		FRAME("[" EVENT "]"),
		/* members: missing, added, out of order, twice, of a type */
		FRAME("{" E_TIME E_REST E_DATA "}"),
		FRAME("{" E_TIME E_REST ",\"raw\":null}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":null,\"sequence\":1}"),
		FRAME("{\"sequence\":1," E_TIME E_REST E_DATA ",\"raw\":null}"),
		FRAME("{" E_TIME E_REST ",\"raw\":null" E_DATA "}"),
		FRAME("{" E_TIME "," E_TIME E_REST E_DATA ",\"raw\":null}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":null,\"raw\":null}"),
		FRAME("{\"time\":null" E_REST E_DATA ",\"raw\":null}"),
		FRAME("{\"time\":1" E_REST E_DATA ",\"raw\":null}"),
		FRAME("{\"time\":\"\"" E_REST E_DATA ",\"raw\":null}"),
		FRAME("{\"time\":\"2026-11-21T02:56:07\"" E_REST E_DATA
		      ",\"raw\":null}"),
		FRAME("{\"time\":\"2026-11-21T02:56:07.Z\"" E_REST E_DATA
		      ",\"raw\":null}"),
		FRAME("{\"time\":\"2026-11-21T02:56:07.1234567890Z\"" E_REST
			E_DATA ",\"raw\":null}"),
		FRAME("{\"time\":\"2026-11-21 02:56:07Z\"" E_REST E_DATA
		      ",\"raw\":null}"),
		FRAME("{" E_TIME ",\"native_session_id\":1,\"synthetic\":true,"
		      "\"source\":\"daemon\",\"type\":\"error\"" E_DATA
		      ",\"raw\":null}"),
		FRAME(
		    "{" E_TIME ",\"native_session_id\":null,\"synthetic\":null,"
		    "\"source\":\"daemon\",\"type\":\"error\"" E_DATA
		    ",\"raw\":null}"),
		FRAME(
		    "{" E_TIME ",\"native_session_id\":null,\"synthetic\":true,"
		    "\"source\":\"root\",\"type\":\"error\"" E_DATA
		    ",\"raw\":null}"),
		FRAME(
		    "{" E_TIME ",\"native_session_id\":null,\"synthetic\":true,"
		    "\"source\":\"daemon\",\"type\":\"item.deltas\"" E_DATA
		    ",\"raw\":null}"),
		FRAME(
		    "{" E_TIME ",\"native_session_id\":null,\"synthetic\":true,"
		    "\"source\":\"daemon\",\"type\":null" E_DATA
		    ",\"raw\":null}"),
		FRAME("{" E_TIME E_REST ",\"data\":[],\"raw\":null}"),
		FRAME("{" E_TIME E_REST ",\"data\":null,\"raw\":null}"),
		FRAME("{" E_TIME E_REST ",\"data\":\"x\",\"raw\":null}"),
		/* a name twice, also when spelt in two ways */
		FRAME("{" E_TIME E_REST ",\"data\":{\"a\":1,\"a\":2},"
		      "\"raw\":null}"),
		FRAME("{" E_TIME E_REST ",\"data\":{\"a\":1,\"\\u0061\":2},"
		      "\"raw\":null}"),
		FRAME("{" E_TIME E_REST E_DATA
		      ",\"raw\":[{\"b\":{\"a\":{},\"c\":1,\"a\":2}}]}"),
		/* not UTF-8 */
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":\"\xff\"}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":\"\xc0\x80\"}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":\"\xed\xa0\x80\"}"),
		FRAME(
		    "{" E_TIME E_REST E_DATA ",\"raw\":\"\xf4\x90\x80\x80\"}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":\"a\nb\"}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":01}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":nul}"),
		FRAME("{" E_TIME E_REST E_DATA ",\"raw\":/**/1}"),
	};
	struct append_in in;
	struct err e;
	size_t i;

	for (i = 0; i < countof(bad); i++) {
		if (scan(bad[i], strlen(bad[i]), &in, &e) == 0)
			fail_msg("%zu passed: %s", i, bad[i]);
		assert_int_equal(e.code, ERR_BAD_REQUEST);
	}
	assert_int_equal(scan("\0", 1, &in, &e), -1);
}

static void
bounds_depth_and_size(void **state ATTR_UNUSED)
{
	const unsigned most = EVENT_DEPTH_MAX - 1; /* of `raw` in its event */
	struct append_in in;
	struct err e;
	struct buf b;
	unsigned depth, i;

	for (depth = most; depth <= most + 1; depth++) {
		buf_init(&b, FRAME_MAX);
		(void)buf_adds(&b,
		    "{\"op\":\"append\",\"id\":1,\"first\":5,"
		    "\"events\":[{" E_TIME E_REST E_DATA ",\"raw\":");
		for (i = 0; i < depth; i++)
			(void)buf_addc(&b, '[');
		for (i = 0; i < depth; i++)
			(void)buf_addc(&b, ']');
		(void)buf_adds(&b, "}]}");
		assert_int_equal(
		    scan(b.data, b.len, &in, &e), depth == most ? 0 : -1);
		buf_free(&b);
	}
	buf_init(&b, FRAME_MAX);
	(void)buf_adds(&b, "{\"op\":\"append\",\"id\":1,\"first\":5,"
			   "\"events\":[{" E_TIME E_REST E_DATA ",\"raw\":\"");
	for (i = 0; i < EVENT_BYTES_MAX; i++)
		(void)buf_addc(&b, 'x');
	(void)buf_adds(&b, "\"}]}");
	assert_int_equal(scan(b.data, b.len, &in, &e), -1);
	assert_string_equal(e.text, "an event too long");
	buf_free(&b);
}

/* Many names in one object: all different pass, the last one again fails. */
static void
finds_a_name_twice_among_many(void **state ATTR_UNUSED)
{
	struct append_in in;
	struct err e;
	struct buf b;
	int twice, i;

	for (twice = 0; twice < 2; twice++) {
		buf_init(&b, FRAME_MAX);
		(void)buf_adds(&b, "{\"op\":\"append\",\"id\":1,\"first\":5,"
				   "\"events\":[{" E_TIME E_REST ",\"data\":{");
		for (i = 0; i < 20000; i++)
			(void)buf_addf(&b, "\"k%d\":%d,", i, i);
		(void)buf_addf(
		    &b, "\"k%d\":0},\"raw\":null}]}", twice ? 777 : i);
		assert_int_equal(scan(b.data, b.len, &in, &e), twice ? -1 : 0);
		buf_free(&b);
	}
}

/* What is stored says the same as the body, with the three members added,
 * on one line, and the part before `raw` is where the head says. */
static void
builds_the_public_event(void **state ATTR_UNUSED)
{
	static const char frame[] =
	    "{\"op\":\"append\",\"id\":1,\"first\":5,\"events\":[ {\n"
	    " \"time\" : \"" FX_TIME "\" ,\n\"native_session_id\":\"n\\\"1\","
	    "\"synthetic\":false,\"source\":\"agent\",\"type\":"
	    "\"session.ended\",\"data\" : { \"a\": [1, {\"b\":2}]\r\n} ,\t"
	    "\"raw\" : {\"line\":\"two\\nlines\"}\n} ]}";
	struct stored_event ev = { 0 };
	struct append_in in;
	struct json *j;
	struct err e;
	struct buf b;
	uint32_t size;

	assert_int_equal(scan(frame, strlen(frame), &in, &e), 0);
	assert_int_equal(in.nevents, 1);
	buf_init(&b, FRAME_MAX);
	assert_int_equal(append_build(&b, frame, &in.events[0],
			     9223372036854775807, "\"s\\\"1\"", 6),
	    0);
	memcpy(&size, b.data, sizeof(size));
	assert_int_equal(size + sizeof(size), b.len);
	assert_true(stored_event_get(b.data + sizeof(size), size, &ev));
	assert_int_equal(ev.flags, STORED_ENDS_SESSION);
	assert_null(memchr(ev.text, '\n', ev.len));
	assert_null(memchr(ev.text, '\r', ev.len));
	assert_int_equal(json_parse(ev.text, ev.len, 80, &j, &e), 0);
	assert_int_equal(json_int(j, "sequence", 0), INT64_MAX);
	assert_string_equal(
	    json_str(j, "event_id", ""), "evt_9223372036854775807");
	assert_string_equal(json_str(j, "session_id", ""), "s\"1");
	assert_string_equal(json_str(j, "native_session_id", ""), "n\"1");
	assert_string_equal(json_str(j, "time", ""), FX_TIME);
	assert_string_equal(
	    json_str(json_get(j, "raw"), "line", ""), "two\nlines");
	assert_int_equal(j->len, 10);
	assert_string_equal(j->child->key, "event_id");
	json_free(j);

	/* Without raw. */
	b.len = sizeof(size) + STORED_HEAD_BYTES + ev.head_len;
	(void)buf_adds(&b, ",\"raw\":null}");
	assert_int_equal(
	    json_parse(b.data + sizeof(size) + STORED_HEAD_BYTES,
		b.len - sizeof(size) - STORED_HEAD_BYTES, 80, &j, &e),
	    0);
	assert_int_equal(json_get(j, "raw")->type, JSON_NULL);
	assert_int_equal(json_get(j, "data")->type, JSON_OBJECT);
	json_free(j);
	buf_free(&b);
}

/* Cut off or changed anywhere, a frame never passes as something longer than
 * itself and never crashes; run under sanitizers this is the point. */
static void
survives_every_cut_and_change(void **state ATTR_UNUSED)
{
	static const char frame[] = FRAME(EVENT "," EVENT);
	const size_t len = strlen(frame);
	struct append_in in;
	struct err e;
	char *copy;
	size_t i, n;
	int c;

	for (n = 0; n < len; n++) {
		copy = xmalloc(n + 1);
		memcpy(copy, frame, n);
		assert_int_equal(scan(copy, n, &in, &e), -1);
		free(copy);
	}
	copy = xmalloc(len);
	for (i = 0; i < len; i++) {
		for (c = 0; c < 256; c += 5) {
			memcpy(copy, frame, len);
			copy[i] = (char)c;
			if (scan(copy, len, &in, &e) == -1)
				continue;
			for (n = 0; n < in.nevents; n++) {
				assert_true(in.events[n].end <= len);
				assert_true(
				    in.events[n].start < in.events[n].time_end);
				assert_true(in.events[n].time_end <
					    in.events[n].data_end);
				assert_true(
				    in.events[n].data_end < in.events[n].end);
			}
		}
	}
	free(copy);
}

static int
setup(void **state ATTR_UNUSED)
{
	scanner = append_scanner_new();
	return 0;
}

static int
teardown(void **state ATTR_UNUSED)
{
	append_scanner_free(scanner);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_what_workers_write),
		cmocka_unit_test(refuses_everything_else),
		cmocka_unit_test(bounds_depth_and_size),
		cmocka_unit_test(finds_a_name_twice_among_many),
		cmocka_unit_test(builds_the_public_event),
		cmocka_unit_test(survives_every_cut_and_change),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
