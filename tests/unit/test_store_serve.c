/*
 * Answers that go straight to control clients: history, following, slow and
 * vanishing clients, lists.
 */
#include "test_store_fixture.h"

/* A session with events 1..N and its worker's end. */
static int
session_with(struct fx *f, const char *id, int n)
{
	int64_t next;
	int w, first;

	fx_session(f, id);
	w = fx_attach(f, id, &next);
	assert_int_equal(next, 1);
	for (first = 1; first <= n; first += 500)
		fx_append(w, first, first, MIN(500, n - first + 1));
	return w;
}

static void
serves_history(void **state ATTR_UNUSED)
{
	static const char *const bad[] = { "none", "s1x", "S1" };
	struct client c;
	struct json *j;
	struct fx f;
	char rest[200];
	size_t i;
	int w;

	fx_init(&f);
	fx_start(&f);
	w = session_with(&f, "s1", 3000);
	fx_serve(&f, &c, ",\"kind\":\"events\",\"session\":\"s1\"");
	client_items(&c, 1, 3000);
	client_final(&f, &c, 3000, 3000, false);
	fx_serve(&f, &c,
	    ",\"kind\":\"events\",\"session\":\"s1\",\"after\":10,"
	    "\"limit\":5");
	client_items(&c, 11, 15);
	client_final(&f, &c, 15, 5, true);
	fx_serve(&f, &c,
	    ",\"kind\":\"events\",\"session\":\"s1\",\"after\":2995,"
	    "\"limit\":5");
	client_items(&c, 2996, 3000);
	client_final(&f, &c, 3000, 5, false);
	fx_serve(&f, &c, ",\"kind\":\"events\",\"session\":\"s1\",\"limit\":0");
	client_final(&f, &c, 0, 0, true);
	fx_serve(
	    &f, &c, ",\"kind\":\"events\",\"session\":\"s1\",\"after\":9000");
	client_final(&f, &c, 9000, 0, false);
	for (i = 0; i < countof(bad); i++) {
		(void)snprintf(rest, sizeof(rest),
		    ",\"kind\":\"%s\",\"session\":\"%s\"",
		    i == 0 ? "session" : "events", bad[i]);
		fx_serve(&f, &c, rest);
		fx_error(client_line(&c), "session_not_found");
		j = fx_reply(&f, c.id);
		assert_false(json_bool(json_get(j, "ok"), "gone", true));
		json_free(j);
		client_free(&c);
	}
	fx_serve(&f, &c, ",\"kind\":\"secrets\",\"session\":\"s1\"");
	fx_error(fx_reply(&f, c.id), "bad_request");
	client_free(&c);
	(void)close(w);
	fx_remove(&f);
}

static void
raw_only_when_asked_for(void **state ATTR_UNUSED)
{
	const struct json *raw;
	struct client c;
	struct json *j;
	struct fx f;
	int w, asked;

	fx_init(&f);
	fx_start(&f);
	w = session_with(&f, "s1", 1);
	for (asked = 0; asked < 2; asked++) {
		fx_serve(&f, &c,
		    asked ? ",\"kind\":\"events\",\"session\":\"s1\","
			    "\"raw\":true"
			  : ",\"kind\":\"events\",\"session\":\"s1\"");
		j = client_line(&c);
		raw = json_path(j, "item.raw");
		assert_non_null(raw);
		assert_int_equal(raw->type, asked ? JSON_OBJECT : JSON_NULL);
		assert_int_equal(json_get(j, "item")->len, 10);
		assert_string_equal(
		    json_str(json_get(j, "item"), "session_id", ""), "s1");
		json_free(j);
		client_final(&f, &c, 1, 1, false);
	}
	(void)close(w);
	fx_remove(&f);
}

static void
follows_to_the_end_of_a_turn(void **state ATTR_UNUSED)
{
	const struct json *ok;
	struct client c;
	struct json *j;
	struct fx f;
	int w;

	fx_init(&f);
	fx_start(&f);
	w = session_with(&f, "s1", 2);
	fx_append_one(w, 3, "turn.ended");
	fx_serve(&f, &c,
	    ",\"kind\":\"events\",\"session\":\"s1\",\"after\":3,"
	    "\"follow\":true,\"until\":\"turn\","
	    "\"final\":{\"turn_id\":\"t1\",\"queued\":false}");
	assert_true(client_quiet(&c, 50));
	fx_append_one(w, 4, "turn.started");
	client_items(&c, 4, 4);
	assert_true(client_quiet(&c, 50));
	fx_append_one(w, 5, "turn.ended");
	client_items(&c, 5, 5);
	j = client_line(&c);
	ok = json_get(j, "ok");
	assert_int_equal(json_int(ok, "last", 0), 5);
	assert_int_equal(json_int(ok, "count", 0), 2);
	assert_string_equal(json_str(ok, "turn_id", ""), "t1");
	assert_false(json_bool(ok, "queued", true));
	json_free(j);
	json_free(fx_reply(&f, c.id));
	client_free(&c);
	(void)close(w);
	fx_remove(&f);
}

static void
follows_to_the_end_of_a_session(void **state ATTR_UNUSED)
{
	struct client c, late;
	struct fx f;
	int w;

	fx_init(&f);
	fx_start(&f);
	w = session_with(&f, "s1", 2);
	fx_serve(
	    &f, &c, ",\"kind\":\"events\",\"session\":\"s1\",\"follow\":true");
	client_items(&c, 1, 2);
	fx_append_one(w, 3, "turn.ended");
	client_items(&c, 3, 3);
	fx_append_one(w, 4, "session.ended");
	client_items(&c, 4, 4);
	client_final(&f, &c, 4, 4, false);
	/* Who follows an ended session need not wait, also after a restart. */
	(void)close(w);
	assert_int_equal(fx_stop(&f), EXIT_OK);
	fx_start(&f);
	fx_serve(&f, &late,
	    ",\"kind\":\"events\",\"session\":\"s1\",\"after\":4,"
	    "\"follow\":true");
	client_final(&f, &late, 4, 0, false);
	fx_remove(&f);
}

/* A session whose worker cannot say so has ended when the supervisor does. */
static void
followers_end_with_the_record(void **state ATTR_UNUSED)
{
	struct client c, d;
	struct fx f;
	int w;

	fx_init(&f);
	fx_start(&f);
	w = session_with(&f, "s1", 2);
	fx_serve(
	    &f, &c, ",\"kind\":\"events\",\"session\":\"s1\",\"follow\":true");
	client_items(&c, 1, 2);
	(void)close(w);
	fx_ok(fx_call(&f, "put",
	    ",\"db\":\"sessions\",\"key\":\"s1\",\"record\":"
	    "{\"state\":\"stopped\"}"));
	assert_true(client_quiet(&c, 50));
	(void)fx_ask(&f, "put",
	    ",\"db\":\"sessions\",\"key\":\"s1\",\"record\":"
	    "{\"state\":\"ended\"}",
	    -1);
	fx_ok(fx_super_recv(&f));
	/* No worker could say so: the store ends the log itself, once. */
	client_items(&c, 3, 3);
	client_final(&f, &c, 3, 3, false);
	fx_ok(fx_call(&f, "put",
	    ",\"db\":\"sessions\",\"key\":\"s1\",\"record\":"
	    "{\"state\":\"ended\"}"));
	fx_serve(
	    &f, &d, ",\"kind\":\"events\",\"session\":\"s1\",\"follow\":true");
	client_items(&d, 1, 3);
	client_final(&f, &d, 3, 3, false);
	fx_remove(&f);
}

static void
a_removed_session_ends_its_followers(void **state ATTR_UNUSED)
{
	struct client c;
	struct json *j;
	struct fx f;
	int64_t id;
	int w;

	fx_init(&f);
	fx_start(&f);
	w = session_with(&f, "s1", 1);
	fx_serve(
	    &f, &c, ",\"kind\":\"events\",\"session\":\"s1\",\"follow\":true");
	client_items(&c, 1, 1);
	id = fx_ask(&f, "delete", ",\"db\":\"sessions\",\"key\":\"s1\"", -1);
	fx_error(client_line(&c), "session_not_found");
	j = fx_super_recv(&f);
	assert_non_null(j);
	assert_true(json_int(j, "id", 0) == id || json_int(j, "id", 0) == c.id);
	json_free(j);
	json_free(fx_super_recv(&f));
	client_free(&c);
	(void)close(w);
	fx_remove(&f);
}

/* nc with its input at the end has shut down its writing side and reads on;
 * one that has closed is gone. */
static void
tells_half_closed_from_gone(void **state ATTR_UNUSED)
{
	struct client c;
	struct json *j;
	struct fx f;
	int w;

	fx_init(&f);
	fx_start(&f);
	w = session_with(&f, "s1", 1);
	fx_serve(
	    &f, &c, ",\"kind\":\"events\",\"session\":\"s1\",\"follow\":true");
	client_items(&c, 1, 1);
	assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
	fx_append(w, 2, 2, 1);
	client_items(&c, 2, 2);
	assert_false(fx_readable(f.fd, 50));
	fd_close(&c.fd);
	j = fx_reply(&f, c.id);
	assert_true(json_bool(json_get(j, "ok"), "gone", false));
	json_free(j);
	client_free(&c);
	(void)close(w);
	fx_remove(&f);
}

/* What the client has sent for later stays unread, and does not end it. */
static void
leaves_the_clients_bytes_alone(void **state ATTR_UNUSED)
{
	char back[16];
	struct client c;
	struct json *j;
	struct err e;
	struct fx f;
	int theirs, dup_fd, w;

	fx_init(&f);
	fx_start(&f);
	w = session_with(&f, "s1", 1);
	assert_int_equal(fd_socketpair(&c.fd, &theirs, &e), 0);
	buf_init(&c.in, FRAME_MAX);
	assert_int_equal(write(c.fd, "next\n", 5), 5);
	dup_fd = fcntl(theirs, F_DUPFD_CLOEXEC, 3);
	c.id = fx_ask(&f, "serve",
	    ",\"request\":\"7\",\"kind\":\"session\",\"session\":\"s1\"",
	    dup_fd);
	j = client_line(&c);
	assert_string_equal(json_str(json_get(j, "ok"), "id", ""), "s1");
	json_free(j);
	json_free(fx_reply(&f, c.id));
	assert_int_equal(read(theirs, back, sizeof(back)), 5);
	(void)close(theirs);
	client_free(&c);
	(void)close(w);
	fx_remove(&f);
}

/* One client reads nothing while another, and the worker, go on. */
static void
a_slow_reader_delays_nobody(void **state ATTR_UNUSED)
{
	struct client slow, quick;
	struct fx f;
	int64_t start_ms;
	int w;

	fx_init(&f);
	fx_start(&f);
	w = session_with(&f, "s1", 5000);
	fx_serve(&f, &slow,
	    ",\"kind\":\"events\",\"session\":\"s1\",\"follow\":true");
	assert_true(fx_readable(slow.fd, FX_TIMEOUT_MS));
	fx_serve(&f, &quick,
	    ",\"kind\":\"events\",\"session\":\"s1\",\"follow\":true");
	client_items(&quick, 1, 5000);
	start_ms = now_monotonic_ms();
	fx_append(w, 6000, 5001, 100);
	client_items(&quick, 5001, 5100);
	assert_true(now_monotonic_ms() - start_ms < 5000);
	fx_append_one(w, 5101, "session.ended");
	client_items(&quick, 5101, 5101);
	client_final(&f, &quick, 5101, 5101, false);
	/* And gets all of it when it reads after all. */
	client_items(&slow, 1, 5101);
	client_final(&f, &slow, 5101, 5101, false);
	(void)close(w);
	fx_remove(&f);
}

#define MANY 300

static void
many_followers_of_many_sessions(void **state ATTR_UNUSED)
{
	struct client c[MANY];
	int64_t next;
	char rest[200];
	struct json *j;
	struct fx f;
	int w[3], i;

	fx_init(&f);
	fx_start(&f);
	for (i = 0; i < 3; i++) {
		(void)snprintf(rest, sizeof(rest), "s%d", i);
		fx_session(&f, rest);
		w[i] = fx_attach(&f, rest, &next);
	}
	for (i = 0; i < MANY; i++) {
		(void)snprintf(rest, sizeof(rest),
		    ",\"kind\":\"events\",\"session\":\"s%d\","
		    "\"follow\":true,\"until\":\"turn\"",
		    i % 3);
		fx_serve(&f, &c[i], rest);
	}
	j = fx_call(&f, "stats", "");
	assert_int_equal(json_int(json_get(j, "ok"), "followers", -1), MANY);
	json_free(j);
	fx_append(w[0], 1, 1, 2);
	fx_append_one(w[1], 1, "turn.started");
	for (i = 0; i < MANY; i++) {
		if (i % 3 == 2)
			assert_true(client_quiet(&c[i], 0));
		else
			client_items(&c[i], 1, i % 3 == 0 ? 2 : 1);
	}
	for (i = 0; i < 3; i++)
		fx_append_one(w[i], i == 0 ? 3 : i == 1 ? 2 : 1, "turn.ended");
	for (i = 0; i < MANY; i++) {
		client_items(&c[i],
		    i % 3 == 0	 ? 3
		    : i % 3 == 1 ? 2
				 : 1,
		    i % 3 == 0	 ? 3
		    : i % 3 == 1 ? 2
				 : 1);
		j = client_line(&c[i]);
		assert_non_null(json_get(j, "ok"));
		json_free(j);
		client_free(&c[i]);
	}
	for (i = 0; i < MANY; i++) {
		j = fx_super_recv(&f);
		assert_false(json_bool(json_get(j, "ok"), "gone", true));
		json_free(j);
	}
	for (i = 0; i < 3; i++)
		(void)close(w[i]);
	fx_remove(&f);
}

static void
lists_sessions_newest_first(void **state ATTR_UNUSED)
{
	const struct json *list;
	struct client c;
	struct json *j;
	struct fx f;
	char rec[1300], key[32];
	int i;

	fx_init(&f);
	fx_start(&f);
	fx_serve(&f, &c, ",\"kind\":\"sessions\"");
	j = client_line(&c);
	assert_int_equal(json_path(j, "ok.sessions")->len, 0);
	json_free(j);
	json_free(fx_reply(&f, c.id));
	client_free(&c);
	for (i = 0; i < 1500; i++) {
		(void)snprintf(key, sizeof(key), "s%d", i);
		(void)snprintf(rec, sizeof(rec),
		    ",\"db\":\"sessions\",\"key\":\"%s\",\"record\":{"
		    "\"id\":\"%s\",\"sandbox\":\"%s\",\"env\":{\"K\":\"v\"},"
		    "\"title\":\"%0800d\",\"created_at\":%d}",
		    key, key, i % 10 == 0 ? "box1" : "box2", i, 1000 + i);
		(void)fx_ask(&f, "put", rec, -1);
		if (i % 100 == 99) {
			for (int k = 0; k < 100; k++)
				fx_ok(fx_super_recv(&f));
		}
	}
	fx_serve(&f, &c, ",\"kind\":\"sessions\"");
	j = client_line(&c);
	list = json_path(j, "ok.sessions");
	assert_int_equal(list->len, 1500);
	i = 1500;
	json_foreach (it, list) {
		i--;
		assert_int_equal(json_int(it, "created_at", 0), 1000 + i);
		assert_int_equal(json_int(it, "event_count", -1), 0);
		assert_null(json_get(it, "log"));
		assert_null(json_get(it, "env"));
	}
	json_free(j);
	json_free(fx_reply(&f, c.id));
	client_free(&c);
	fx_serve(&f, &c, ",\"kind\":\"sessions\",\"sandbox\":\"box1\"");
	j = client_line(&c);
	assert_int_equal(json_path(j, "ok.sessions")->len, 150);
	json_free(j);
	json_free(fx_reply(&f, c.id));
	client_free(&c);
	fx_serve(&f, &c, ",\"kind\":\"sessions\",\"sandbox\":\"box3\"");
	j = client_line(&c);
	assert_int_equal(json_path(j, "ok.sessions")->len, 0);
	json_free(j);
	json_free(fx_reply(&f, c.id));
	client_free(&c);
	fx_remove(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_history),
		cmocka_unit_test(raw_only_when_asked_for),
		cmocka_unit_test(follows_to_the_end_of_a_turn),
		cmocka_unit_test(follows_to_the_end_of_a_session),
		cmocka_unit_test(followers_end_with_the_record),
		cmocka_unit_test(a_removed_session_ends_its_followers),
		cmocka_unit_test(tells_half_closed_from_gone),
		cmocka_unit_test(leaves_the_clients_bytes_alone),
		cmocka_unit_test(a_slow_reader_delays_nobody),
		cmocka_unit_test(many_followers_of_many_sessions),
		cmocka_unit_test(lists_sessions_newest_first),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
