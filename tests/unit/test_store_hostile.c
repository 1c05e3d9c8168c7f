/*
 * Workers that misbehave: each loses its channel and nobody else notices.
 */
#include "test_store_fixture.h"

#define EV_HEAD                                                             \
	"{\"time\":\"" FX_TIME "\",\"native_session_id\":null,"             \
	"\"synthetic\":false,\"source\":\"agent\",\"type\":\"item.delta\"," \
	"\"data\":{}"
#define APPEND(first, events)                                                 \
	"{\"op\":\"append\",\"id\":1,\"first\":" first ",\"events\":[" events \
	"]}"

struct world {
	struct fx f;
	int good;      /* the end of a worker that behaves */
	int64_t next;  /* of the good one */
	int64_t bad_n; /* events that are stored of the bad one's session */
};

static int
setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));
	int64_t next;

	fx_init(&w->f);
	fx_start(&w->f);
	fx_session(&w->f, "good");
	fx_session(&w->f, "bad");
	w->good = fx_attach(&w->f, "good", &next);
	w->next = next;
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	(void)close(w->good);
	fx_remove(&w->f);
	free(w);
	return 0;
}

/* The bad one's channel has ended, its session has what it had, the good one
 * goes on, and there is a line in the log. */
static void
only_it_suffers(struct world *w, int bad)
{
	struct client c;
	struct json *j;
	bool logged = false;

	while ((j = fx_recv(bad)) != NULL)
		json_free(j);
	(void)close(bad);
	while (!logged) {
		j = fx_recv(w->f.fd);
		assert_non_null(j);
		assert_string_equal(json_str(j, "op", ""), "log");
		logged = strstr(json_str(j, "line", ""), "breach") != NULL;
		json_free(j);
	}
	fx_append(w->good, w->next, w->next, 2);
	w->next += 2;
	fx_serve(&w->f, &c, ",\"kind\":\"events\",\"session\":\"bad\"");
	client_items(&c, 1, w->bad_n);
	client_final(&w->f, &c, w->bad_n, w->bad_n, false);
}

static int
bad_one(struct world *w)
{
	int64_t next;
	int bad = fx_attach(&w->f, "bad", &next);

	assert_int_equal(next, w->bad_n + 1);
	return bad;
}

static void
wrong_frames(void **state)
{
	static const char *const frames[] = {
		"garbage",
		"{}",
		"{\"op\":\"put\",\"id\":1,\"db\":\"sessions\",\"key\":\"good\","
		"\"record\":{}}",
		"{\"id\":1,\"ok\":{}}",
		APPEND("2", EV_HEAD ",\"raw\":null}"),
		APPEND("9223372036854775807", EV_HEAD ",\"raw\":null}"),
		APPEND("1", EV_HEAD ",\"raw\":null,\"sequence\":9}"),
		APPEND("1", EV_HEAD ",\"session_id\":\"good\",\"raw\":null}"),
		APPEND("1", EV_HEAD "}"),
		APPEND("1", EV_HEAD ",\"raw\":null}," EV_HEAD "}"),
		APPEND("1", EV_HEAD ",\"raw\":\"\xff\"}"),
		APPEND("1", EV_HEAD ",\"raw\":{\"a\":1,\"a\":2}}"),
		"{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],"
		"\"set\":{\"log\":1}}",
		"{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],"
		"\"set\":{\"state\":\"stopped\"}}",
		"{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],"
		"\"set\":{\"state\":\"idle\",\"state\":\"turn\"}}",
		"{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],"
		"\"set\":{\"env\":{}}}",
		"{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],"
		"\"set\":{\"model\":\"a\\u0007b\"}}",
		"{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],"
		"\"set\":{\"checkpoint\":[]}}",
	};
	struct world *w = *state;
	size_t i;
	int bad;

	for (i = 0; i < countof(frames); i++) {
		bad = bad_one(w);
		fx_send(bad, frames[i], NULL, 0);
		only_it_suffers(w, bad);
	}
}

static void
wrong_lengths(void **state)
{
	static const char *const heads[] = { "\0\0\0\0", "\xff\xff\xff\xff",
		"\0\x10\0\1" };
	struct world *w = *state;
	size_t i;
	int bad;

	for (i = 0; i < countof(heads); i++) {
		bad = bad_one(w);
		assert_int_equal(write(bad, heads[i], 4), 4);
		only_it_suffers(w, bad);
	}
}

static void
too_large(void **state)
{
	struct world *w = *state;
	struct buf b;
	int bad;

	buf_init(&b, FRAME_MAX);
	(void)buf_addf(&b,
	    "{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[" EV_HEAD
	    ",\"raw\":\"%0930000d\"}]}",
	    0);
	bad = bad_one(w);
	(void)fx_try_send(bad, b.data, b.len, NULL, 0); /* may be cut off */
	only_it_suffers(w, bad);
	buf_clear(&b);
	(void)buf_addf(&b,
	    "{\"op\":\"append\",\"id\":1,\"first\":1,\"events\":[],"
	    "\"set\":{\"checkpoint\":{\"a\":\"%0120000d\"}}}",
	    0);
	bad = bad_one(w);
	(void)fx_try_send(bad, b.data, b.len, NULL, 0);
	only_it_suffers(w, bad);
	buf_free(&b);
}

static void
descriptors_nobody_asked_for(void **state)
{
	struct world *w = *state;
	int bad = bad_one(w), fds[2] = { 0, 0 };

	(void)fx_try_send(bad, APPEND("1", EV_HEAD ",\"raw\":null}"),
	    strlen(APPEND("1", EV_HEAD ",\"raw\":null}")), fds, 2);
	only_it_suffers(w, bad);
}

/* A frame that is cut off at any byte stores nothing and breaks nothing. */
static void
half_a_frame(void **state)
{
	static const char text[] = APPEND("1", EV_HEAD ",\"raw\":null}");
	struct world *w = *state;
	struct buf b;
	size_t n, pos;
	int bad;

	buf_init(&b, FRAME_MAX);
	pos = frame_begin(&b);
	(void)buf_adds(&b, text);
	assert_int_equal(frame_end(&b, pos), 0);
	for (n = 1; n < b.len; n += 7) {
		bad = bad_one(w);
		assert_int_equal(write(bad, b.data, n), n);
		(void)close(bad);
	}
	bad = bad_one(w);
	(void)close(bad);
	buf_free(&b);
	fx_append(w->good, w->next, w->next, 1);
}

/* What a worker said before its breach is stored; what follows is not. */
static void
good_words_before_the_breach_count(void **state)
{
	struct world *w = *state;
	struct buf b;
	int bad = bad_one(w);

	buf_init(&b, FRAME_MAX);
	fx_deltas(&b, 1, 1, 3);
	fx_send(bad, b.data, NULL, 0);
	fx_send(bad, "{\"op\":\"append\"}", NULL, 0);
	buf_clear(&b);
	fx_deltas(&b, 2, 4, 3);
	(void)fx_try_send(bad, b.data, b.len, NULL, 0);
	w->bad_n = 3;
	only_it_suffers(w, bad);
	buf_free(&b);
}

/* Repeating is allowed, whole and in parts of what was said. */
static void
repeating_changes_nothing(void **state)
{
	struct world *w = *state;
	struct json *j;
	struct buf b;
	int64_t first[][2] = { { 1, 10 }, { 1, 10 }, { 1, 5 }, { 6, 5 },
		{ 10, 1 }, { 11, 2 }, { 1, 12 } };
	int bad = bad_one(w);
	size_t i;

	buf_init(&b, FRAME_MAX);
	for (i = 0; i < countof(first); i++)
		fx_append(bad, (int64_t)i + 1, first[i][0], (int)first[i][1]);
	/* Also when the first one has not been answered yet. */
	fx_deltas(&b, 20, 13, 4);
	fx_send(bad, b.data, NULL, 0);
	fx_send(bad, b.data, NULL, 0);
	for (i = 0; i < 2; i++) {
		j = fx_recv(bad);
		assert_int_equal(json_int(json_get(j, "ok"), "last", 0), 16);
		json_free(j);
	}
	/* Half of it new is neither the one nor the other. */
	buf_clear(&b);
	fx_deltas(&b, 21, 16, 2);
	fx_send(bad, b.data, NULL, 0);
	w->bad_n = 16;
	only_it_suffers(w, bad);
	buf_free(&b);
}

/* It never reads its answers: its channel is closed when too many wait. */
static void
never_reads(void **state)
{
	struct world *w = *state;
	struct pollfd p;
	struct buf b;
	size_t pos;
	int bad = bad_one(w), i;

	buf_init(&b, FRAME_MAX);
	for (i = 0; i < 500; i++) {
		pos = frame_begin(&b);
		(void)buf_adds(&b, APPEND("1", ""));
		assert_int_equal(frame_end(&b, pos), 0);
	}
	p = (struct pollfd){ .fd = bad, .events = POLLOUT };
	for (i = 0; i < 2000; i++) {
		if (poll(&p, 1, FX_TIMEOUT_MS) != 1 ||
		    (p.revents & (POLLHUP | POLLERR)))
			break;
		if (fd_write_all(bad, b.data, b.len) == -1)
			break;
	}
	assert_true(i < 2000);
	buf_free(&b);
	(void)close(bad);
	fx_append(w->good, w->next, w->next, 1);
}

/* A new worker of a session shuts the old one out. */
static void
a_new_worker_replaces_the_old(void **state)
{
	struct world *w = *state;
	int old = bad_one(w), young;

	fx_append(old, 1, 1, 2);
	w->bad_n = 2;
	young = bad_one(w);
	assert_null(fx_recv(old));
	(void)close(old);
	fx_append(young, 1, 3, 2);
	(void)close(young);
}

static void
attach_to_nothing(void **state)
{
	struct world *w = *state;
	struct err e;
	int ours, theirs;
	int64_t id;

	assert_int_equal(fd_socketpair(&ours, &theirs, &e), 0);
	(void)fd_set_nonblock(ours, 0);
	id = fx_ask(&w->f, "attach", ",\"session\":\"none\"", theirs);
	fx_error(fx_reply(&w->f, id), "session_not_found");
	assert_null(fx_recv(ours));
	(void)close(ours);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(wrong_frames),
		TEST(wrong_lengths),
		TEST(too_large),
		TEST(descriptors_nobody_asked_for),
		TEST(half_a_frame),
		TEST(good_words_before_the_breach_count),
		TEST(repeating_changes_nothing),
		TEST(never_reads),
		TEST(a_new_worker_replaces_the_old),
		TEST(attach_to_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
