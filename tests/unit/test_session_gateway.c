/*
 * A session worker and its gateways: several at once, each answered on its own
 * channel; one that breaks a rule loses its channel and nothing else. The keys
 * of messages, which are said once.
 */
#include "session_play.h"

#include "lib/fdio.h"
#include "lib/frame.h"
#include "session/keys.h"
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define START                                                           \
	",\"env\":{\"PATH\":\"/usr/bin:/bin\"},\"directory\":\"/tmp\"," \
	"\"permission_mode\":\"default\",\"agent_mode\":\"build\""
#define STEPS 300 /* of 50 ms */

static void
frame_send(int fd, const char *text, const int *fds, size_t nfds)
{
	struct buf b;
	size_t pos;

	buf_init(&b, FRAME_MAX + 16);
	pos = frame_begin(&b);
	(void)buf_adds(&b, text);
	assert_int_equal(frame_end(&b, pos), 0);
	assert_int_equal(fd_send(fd, b.data, b.len, fds, nfds), b.len);
	buf_free(&b);
}

/* Give the worker one end of a new channel; the other is ours. */
static int
gateway(struct play *p)
{
	struct err e;
	int near, far;

	assert_int_equal(fd_socketpair(&near, &far, &e), 0);
	frame_send(
	    p->super_fd, "{\"op\":\"session.gateway\",\"fds\":1}", &far, 1);
	(void)close(far);
	return near;
}

/* The next frame on FD; NULL at its end. */
static struct json *
frame_read(struct play *p, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	static char text[FRAME_MAX];
	size_t have = 0, len;
	const char *body;
	struct json *j;
	struct err e;
	ssize_t n;
	int i;

	for (i = 0; i < STEPS; i++) {
		play_step(p, 50);
		if (poll(&pfd, 1, 0) <= 0)
			continue;
		/* One byte at a time would do; a frame comes as one. */
		n = recv(fd, text + have, sizeof(text) - have, MSG_DONTWAIT);
		if (n <= 0)
			return NULL;
		have += (size_t)n;
		if (frame_peek(text, have, FRAME_MAX, &body, &len) == 1) {
			assert_int_equal(have, len + FRAME_HEADER);
			assert_int_equal(json_parse(body, len, 8, &j, &e), 0);
			return j;
		}
	}
	fail_msg("%s", "nothing came in time");
	return NULL;
}

/* Ask, and compare members of the answer: of "ok", or the error's code. */
static struct json *
ask(struct play *p, int fd, const char *text)
{
	frame_send(fd, text, NULL, 0);
	return frame_read(p, fd);
}

static void
expect_error(struct play *p, int fd, const char *text, const char *code)
{
	struct json *j = ask(p, fd, text);

	assert_non_null(j);
	assert_string_equal(
	    json_str(json_get(j, "error"), "code", "no error"), code);
	json_free(j);
}

static void
each_on_its_own(void **state)
{
	struct play p;
	struct json *j, *k;
	int a, b;

	(void)state;
	assert_non_null(json_get(play_open(&p, "mock", START), "ok"));
	a = gateway(&p);
	b = gateway(&p);
	/* The same number from each, and from the supervisor. */
	frame_send(a, "{\"op\":\"prompt\",\"id\":7,\"text\":\"one\"}", NULL, 0);
	j = frame_read(&p, a);
	k = ask(&p, b, "{\"op\":\"prompt\",\"id\":7,\"text\":\"two\"}");
	assert_string_equal(
	    json_str(json_get(j, "ok"), "turn_id", ""), "turn_1");
	assert_string_equal(
	    json_str(json_get(k, "ok"), "turn_id", ""), "turn_2");
	assert_int_equal(json_int(j, "id", 0), 7);
	assert_int_equal(json_int(k, "id", 0), 7);
	json_free(j);
	json_free(k);
	play_prompt(&p, "three");
	expect_error(&p, a,
	    "{\"op\":\"permission\",\"id\":8,\"permission_id\":\"x\","
	    "\"reply\":\"once\"}",
	    "permission_not_found");
	expect_error(&p, b,
	    "{\"op\":\"question\",\"id\":9,\"question_id\":\"x\"}",
	    "question_not_found");
	play_idle(&p);
	expect_error(
	    &p, a, "{\"op\":\"cancel\",\"id\":10}", "turn_not_running");
	(void)close(a);
	j = ask(&p, b, "{\"op\":\"configure\",\"id\":11,\"model\":\"m\"}");
	assert_non_null(json_get(j, "ok"));
	json_free(j);
	(void)close(b);
	play_prompt(&p, "four");
	play_idle(&p);
	play_check_log(&p, false);
	play_close(&p);
}

static void
a_breach_costs_the_channel(void **state)
{
	static const char *const bad[] = {
		"{\"op\":\"end\",\"id\":1}", /* the supervisor's to say */
		"{\"op\":\"start\",\"id\":1}",
		"{\"op\":\"session.gateway\"}",
		"{\"op\":\"prompt\",\"id\":1}",
		"{\"op\":\"prompt\",\"id\":1,\"text\":\"x\",\"more\":1}",
		"{\"op\":\"prompt\",\"text\":\"x\"}",
		"{\"id\":1,\"ok\":{}}",
		"{\"op\":\"wat\",\"id\":1}",
		"[]",
		"no JSON",
	};
	struct play p;
	size_t i;
	int a, b;

	(void)state;
	assert_non_null(json_get(play_open(&p, "mock", START), "ok"));
	b = gateway(&p);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		a = gateway(&p);
		frame_send(a, bad[i], NULL, 0);
		assert_null(frame_read(&p, a));
		(void)close(a);
	}
	a = gateway(&p);
	frame_send(a, "{\"op\":\"cancel\",\"id\":1,\"fds\":1}", &b, 1);
	assert_null(frame_read(&p, a));
	(void)close(a);
	/* The other one, and the session, have noticed nothing. */
	json_free(ask(&p, b, "{\"op\":\"prompt\",\"id\":1,\"text\":\"x\"}"));
	play_idle(&p);
	assert_int_equal(play_count(&p, "turn.ended"), 1);
	play_check_log(&p, false);
	(void)close(b);
	play_close(&p);
}

static void
one_that_leaves(void **state)
{
	struct play p;
	int a;

	(void)state;
	assert_non_null(json_get(play_open(&p, "mock", START), "ok"));
	a = gateway(&p);
	p.hold = true;
	frame_send(a, "{\"op\":\"prompt\",\"id\":1,\"text\":\"x\"}", NULL, 0);
	play_step(&p, 100);
	(void)close(a);
	play_step(&p, 100);
	p.hold = false;
	/* What it has said is done; nobody hears the answer. */
	play_until(&p, play_count(&p, "turn.ended") == 1);
	play_prompt(&p, "y");
	play_idle(&p);
	play_check_log(&p, false);
	play_close(&p);
}

#define KEYED(n, key, text)                                    \
	"{\"op\":\"prompt\",\"id\":" n ",\"key\":\"" key "\"," \
	"\"text\":\"" text "\"}"

static void
keys_of_messages(void **state)
{
	struct play p;
	struct json *j;
	int a, b;

	(void)state;
	assert_non_null(json_get(play_open(&p, "mock", START), "ok"));
	a = gateway(&p);
	b = gateway(&p);
	j = ask(&p, a, KEYED("1", "k", "x"));
	assert_string_equal(
	    json_str(json_get(j, "ok"), "turn_id", ""), "turn_1");
	assert_false(json_bool(json_get(j, "ok"), "repeated", false));
	json_free(j);
	/* Another gateway, the same key: the first answer. */
	j = ask(&p, b, KEYED("1", "k", "x"));
	assert_string_equal(
	    json_str(json_get(j, "ok"), "turn_id", ""), "turn_1");
	assert_int_equal(json_int(json_get(j, "ok"), "after", -1), 1);
	assert_true(json_bool(json_get(j, "ok"), "repeated", false));
	json_free(j);
	expect_error(&p, b, KEYED("2", "k", "y"), "key_reused");
	play_idle(&p);
	/* One that waits for its turn, and is too long to be acknowledged
	 * before. */
	play_prompt(&p, "sleep 300");
	frame_send(a, KEYED("3", "w", "short"), NULL, 0);
	j = frame_read(&p, a);
	assert_true(json_bool(json_get(j, "ok"), "queued", false));
	json_free(j);
	j = ask(&p, b, KEYED("4", "w", "short"));
	assert_true(json_bool(json_get(j, "ok"), "repeated", false));
	json_free(j);
	play_idle(&p);
	play_until(&p, play_count(&p, "turn.ended") == 3);
	(void)close(a);
	(void)close(b);
	/* The next worker knows them. */
	play_kill(&p);
	(void)play_again(&p);
	a = gateway(&p);
	j = ask(&p, a, KEYED("1", "w", "short"));
	assert_string_equal(
	    json_str(json_get(j, "ok"), "turn_id", ""), "turn_3");
	assert_true(json_bool(json_get(j, "ok"), "repeated", false));
	json_free(j);
	expect_error(&p, a, KEYED("2", "k", "y"), "key_reused");
	assert_int_equal(play_count(&p, "turn.started"), 3);
	play_check_log(&p, false);
	(void)close(a);
	play_close(&p);
}

/* As it is stored and read back. */
static void
keys_kept(void **state)
{
	struct keys ks = { 0 }, back = { 0 };
	struct json text = { .type = JSON_STRING, .str = "x", .len = 1 };
	struct key k, first = { 0 };
	struct json *j;
	char name[32];
	struct buf b;
	struct jw w;
	unsigned i;

	(void)state;
	for (i = 0; i < KEYS_MAX + 44; i++) {
		(void)snprintf(name, sizeof(name), "key-%u", i);
		k = key_of(name, &text, NULL);
		k.turn = i + 1;
		k.after = (int64_t)i * 7;
		if (i == 0)
			first = k;
		keys_add(&ks, &k);
	}
	assert_null(keys_find(&ks, &first)); /* the oldest have gone */
	assert_int_equal(keys_find(&ks, &k)->turn, KEYS_MAX + 44);
	buf_init(&b, 1 << 20);
	jw_init(&w, &b);
	keys_write(&ks, &w);
	assert_true(b.len <= 20 * 1024 + 2); /* what the store takes */
	assert_int_equal(json_parse(b.data, b.len, 2, &j, NULL), 0);
	keys_read(&back, j);
	assert_int_equal(back.n, KEYS_MAX);
	for (i = 44; i < KEYS_MAX + 44; i++) {
		(void)snprintf(name, sizeof(name), "key-%u", i);
		k = key_of(name, &text, NULL);
		assert_non_null(keys_find(&back, &k));
		assert_int_equal(keys_find(&back, &k)->after, (int64_t)i * 7);
	}
	/* It goes on where it was. */
	k = key_of("new", &text, NULL);
	keys_add(&back, &k);
	(void)snprintf(name, sizeof(name), "key-%u", 44);
	k = key_of(name, &text, NULL);
	assert_null(keys_find(&back, &k));
	json_free(j);
	buf_free(&b);
	keys_free(&ks);
	keys_free(&back);
	/* What is no list of ours is none. */
	assert_int_equal(json_parse("\"zz\"", 4, 2, &j, NULL), 0);
	keys_read(&back, j);
	assert_int_equal(back.n, 0);
	json_free(j);
	keys_read(&back, NULL);
	assert_int_equal(back.n, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_on_its_own),
		cmocka_unit_test(a_breach_costs_the_channel),
		cmocka_unit_test(one_that_leaves),
		cmocka_unit_test(keys_of_messages),
		cmocka_unit_test(keys_kept),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
