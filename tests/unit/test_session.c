/*
 * The life of a session worker, on a real one with the mock agent: starting,
 * going on after a crash of the worker or of the store, a store that refuses,
 * leaving, ending, and order under load.
 */
#include "session_play.h"

#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define START                                                           \
	",\"env\":{\"PATH\":\"/usr/bin:/bin\"},\"directory\":\"/tmp\"," \
	"\"permission_mode\":\"default\",\"agent_mode\":\"build\""

static void
open_mock(struct play *p)
{
	assert_non_null(json_get(play_open(p, "mock", START), "ok"));
}

static void
test_start(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_mock(&p);
	assert_true(p.hello);
	/* Answered when it is stored. */
	assert_int_equal(p.nevents, 1);
	ev = p.events[0];
	assert_true(json_bool(ev, "synthetic", false));
	assert_string_equal(play_str(ev, "metadata.agent"), "mock");
	assert_string_equal(json_str(ev, "native_session_id", ""), "mock-s1");
	assert_string_equal(p.state, "idle");
	play_error(&p, "start", p.start, "bad_request");
	play_close(&p);
}

static void
test_start_refused(void **state)
{
	struct play p;
	const struct json *r;

	(void)state;
	r = play_open(&p, "nobody", START);
	assert_string_equal(
	    json_str(json_get(r, "error"), "code", ""), "agent_unknown");
	play_error(&p, "prompt", ",\"text\":\"x\"", "session_failed");
	assert_int_equal(p.nevents, 0);
	play_close(&p);

	r = play_open(&p, "mock",
	    ",\"env\":{},\"directory\":\"/\",\"permission_mode\":\"default\","
	    "\"agent_mode\":\"dance\"");
	assert_string_equal(
	    json_str(json_get(r, "error"), "code", ""), "mode_not_supported");
	assert_int_equal(p.nevents, 0);
	play_close(&p);
}

static void
test_breach_ends_the_worker(void **state)
{
	struct play p;

	(void)state;
	open_mock(&p);
	(void)play_send(&p, "prompt", ",\"text\":7");
	assert_int_equal(play_wait_exit(&p), 0);
	play_close(&p);
}

static void
test_prompt_is_stored_first(void **state)
{
	struct play p;
	const struct json *r;
	int64_t id;

	(void)state;
	open_mock(&p);
	p.hold = true;
	id = play_send(&p, "prompt", ",\"text\":\"say hi\"");
	play_step(&p, 100);
	play_step(&p, 100);
	assert_null(p.replies[id]); /* nothing is acknowledged */
	p.hold = false;
	r = json_get(play_reply(&p, id), "ok");
	assert_int_equal(json_int(r, "after", -1), 1);
	assert_false(json_bool(r, "queued", true));
	assert_true(p.nevents >= 2);
	play_idle(&p);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_worker_restart_idle(void **state)
{
	struct play p;
	size_t n;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "say one");
	play_idle(&p);
	n = p.nevents;
	play_kill(&p);
	assert_int_equal(str_copy(p.state, sizeof(p.state), "stopped"), 0);
	assert_non_null(json_get(play_again(&p), "ok"));
	play_idle(&p);
	assert_int_equal(p.nevents, n); /* nothing was open */
	play_prompt(&p, "say two");
	play_until(&p, play_count(&p, "turn.ended") == 2);
	/* Numbers go on. */
	assert_string_equal(
	    play_str(play_event(&p, "turn.started", 1), "turn_id"), "turn_2");
	assert_string_equal(play_str(p.events[n + 1], "item.item_id"), "itm_3");
	assert_string_equal(
	    play_str(p.events[n + 1], "item.native_item_id"), "mock_2_user");
	assert_int_equal(play_count(&p, "session.started"), 1);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_worker_restart_in_turn(void **state)
{
	struct play p;
	const struct json *ev;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "sleep 60000");
	play_prompt(&p, "say waited");
	play_until(&p, play_count(&p, "item.started") == 2);
	play_until(&p, p.checkpoint != NULL &&
			   strstr(p.checkpoint, "mock_1_sleep") != NULL);
	play_kill(&p);
	assert_non_null(json_get(play_again(&p), "ok"));
	/* What was open is closed, what waited is done. */
	play_until(&p, play_count(&p, "turn.ended") == 2);
	ev = play_event(&p, "item.completed", 1);
	assert_string_equal(
	    play_str(ev, "item.native_item_id"), "mock_1_sleep");
	assert_string_equal(play_str(ev, "item.status"), "failed");
	assert_string_equal(
	    play_str(play_event(&p, "error", 0), "code"), "worker_restarted");
	assert_string_equal(
	    play_str(play_event(&p, "turn.ended", 0), "metadata.stop_reason"),
	    "error");
	assert_string_equal(play_last_text(&p), "waited");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_worker_restart_with_requests(void **state)
{
	struct play p;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "permission");
	play_until(&p, play_count(&p, "permission.requested") == 2);
	play_ok(&p, "permission",
	    ",\"permission_id\":\"mock_1_permission\",\"reply\":\"always\"");
	play_prompt(&p, "question");
	play_until(&p, play_count(&p, "question.requested") == 2);
	play_kill(&p);
	assert_non_null(json_get(play_again(&p), "ok"));
	play_until(&p, play_count(&p, "turn.ended") == 2);
	/* Those of the open turn are settled; the older one is still open,
	 * with what it was about, and what is allowed stays so. */
	assert_int_equal(play_count(&p, "question.resolved"), 2);
	assert_int_equal(play_count(&p, "permission.resolved"), 1);
	play_ok(&p, "permission",
	    ",\"permission_id\":\"mock_1_permission_denied\","
	    "\"reply\":\"once\"");
	assert_string_equal(
	    play_str(play_event(&p, "permission.resolved", 1), "metadata.path"),
	    "mock_1/deny.txt");
	play_prompt(&p, "permission");
	play_until(&p, play_count(&p, "permission.resolved") == 3);
	play_check_log(&p, true);
	play_close(&p);
}

static void
test_worker_crash_is_seen(void **state)
{
	struct play p;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "crash");
	assert_int_equal(play_wait_exit(&p), -SIGKILL);
	assert_non_null(json_get(play_again(&p), "ok"));
	play_until(&p, play_count(&p, "turn.ended") == 1);
	assert_string_equal(
	    play_str(play_event(&p, "error", 0), "code"), "worker_restarted");
	play_check_log(&p, false);
	play_close(&p);
}

/* Killed at any moment of a flood: what was acknowledged is there once, and
 * the next worker goes on behind it. */
static void
test_worker_killed_in_flood(void **state)
{
	struct play p;
	size_t i, n, turns = 0;

	(void)state;
	open_mock(&p);
	for (i = 0; i < 10; i++) {
		play_prompt(&p, "flood 1000000 50");
		n = p.nevents + 1 + i * 700;
		play_until(&p, p.nevents >= n);
		play_kill(&p);
		assert_non_null(json_get(play_again(&p), "ok"));
		turns++;
		play_until(&p, play_count(&p, "turn.ended") == turns);
	}
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_store_restart(void **state)
{
	struct play p;
	size_t seen;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "flood 20000 50");
	play_until(&p, p.nevents > 500);
	/* The store dies with an append unanswered. */
	p.hold = true;
	play_step(&p, 30);
	play_new_store(&p);
	seen = p.nevents;
	play_step(&p, 50);
	assert_int_equal(p.nevents, seen); /* it waits for `attached` */
	p.hold = false;
	play_attach(&p);
	play_idle(&p);
	assert_int_equal(play_count(&p, "item.delta"), 20000);
	play_close(&p);
}

static void
test_store_restart_after_its_commit(void **state)
{
	struct play p;
	int64_t id;

	(void)state;
	open_mock(&p);
	/* It committed an append and died before it answered: the events are
	 * not sent twice, and the request is answered. */
	p.lose_answers = true;
	id = play_send(&p, "prompt", ",\"text\":\"say once\"");
	play_until(&p, p.nevents > 2);
	assert_null(p.replies[id]);
	p.lose_answers = false;
	play_new_store(&p);
	play_attach(&p);
	assert_non_null(json_get(play_reply(&p, id), "ok"));
	play_idle(&p);
	assert_int_equal(p.nevents, 8);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_store_that_lost_events(void **state)
{
	struct play p;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "say one");
	play_idle(&p);
	play_new_store(&p);
	p.nevents -= 2; /* then the log would be torn: the worker gives up */
	play_attach(&p);
	assert_int_equal(play_wait_exit(&p), 101);
	p.nevents += 2;
	play_close(&p);
}

static void
test_store_full(void **state)
{
	struct play p;

	(void)state;
	open_mock(&p);
	p.refuse = "disk_full";
	play_error(&p, "prompt", ",\"text\":\"say a\"", "disk_full");
	play_error(&p, "prompt", ",\"text\":\"say b\"", "disk_full");
	p.refuse = NULL;
	/* It is asked again until it takes what was refused. */
	play_until(&p, play_count(&p, "turn.ended") == 1);
	play_idle(&p);
	/* It may hear of that later than of the next message. */
	play_until(&p, json_get(play_call(&p, "prompt", ",\"text\":\"say c\""),
			   "ok") != NULL);
	play_until(&p, play_count(&p, "turn.ended") == 2);
	play_check_log(&p, false);
	play_close(&p);
}

/* A store that does not answer holds the agent up, not the memory. */
static void
test_backpressure(void **state)
{
	struct play p;
	char path[64], line[128];
	long kb = 0;
	FILE *f;
	int i;

	(void)state;
	open_mock(&p);
	p.hold = true;
	(void)play_send(&p, "prompt", ",\"text\":\"flood 1000000 1000\"");
	for (i = 0; i < 20; i++)
		play_step(&p, 25);
	assert_int_equal(
	    str_format(path, sizeof(path), "/proc/%d/status", (int)p.pid), 0);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmRSS:", 6) == 0)
			kb = strtol(line + 6, NULL, 10);
	(void)fclose(f);
	assert_in_range(kb, 100, getenv("SANDBOXD_SANITIZED") ? 200000 : 8000);
	p.hold = false;
	play_until(&p, play_count(&p, "item.delta") > 5000);
	play_ok(&p, "cancel", "");
	play_idle(&p);
	play_check_log(&p, true);
	play_close(&p);
}

static void
test_term(void **state)
{
	struct play p;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "sleep 60000");
	play_until(&p, play_count(&p, "item.started") == 2);
	assert_int_equal(kill(p.pid, SIGTERM), 0);
	assert_int_equal(play_wait_exit(&p), 0);
	/* The log is closed, the session is not: it goes on later. */
	assert_int_equal(play_count(&p, "turn.ended"), 1);
	assert_string_equal(
	    play_str(play_event(&p, "error", 0), "code"), "worker_stopped");
	play_check_log(&p, false);
	assert_non_null(json_get(play_again(&p), "ok"));
	play_prompt(&p, "say again");
	play_until(&p, play_count(&p, "turn.ended") == 2);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_end(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "permission");
	play_until(&p, play_count(&p, "permission.requested") == 2);
	play_ok(&p, "end", "");
	assert_int_equal(play_wait_exit(&p), 0);
	ev = p.events[p.nevents - 1];
	assert_string_equal(json_str(ev, "type", ""), "session.ended");
	assert_string_equal(play_str(ev, "reason"), "terminated");
	assert_string_equal(p.state, "ended");
	assert_int_equal(play_count(&p, "permission.resolved"), 2);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_end_with_waiting(void **state)
{
	struct play p;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "sleep 60000");
	play_prompt(&p, "say never");
	play_ok(&p, "end", "");
	assert_int_equal(play_wait_exit(&p), 0);
	assert_int_equal(play_count(&p, "turn.ended"), 2);
	assert_string_equal(play_last_text(&p), "");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_configure(void **state)
{
	struct play p;

	(void)state;
	open_mock(&p);
	play_ok(
	    &p, "configure", ",\"model\":\"m2\",\"permission_mode\":\"plan\"");
	assert_string_equal(p.model, "m2");
	assert_string_equal(p.mode, "plan");
	play_error(&p, "configure", ",\"permission_mode\":\"wat\"",
	    "mode_not_supported");
	assert_string_equal(p.mode, "plan");
	play_close(&p);
}

/* Messages without end: those that wait have a limit. */
static void
test_too_many_waiting(void **state)
{
	struct play p;
	size_t i, refused = 0;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "sleep 60000");
	for (i = 0; i < 70; i++) {
		const struct json *r =
		    play_call(&p, "prompt", ",\"text\":\"say x\"");

		refused += json_get(r, "error") != NULL ? 1 : 0;
	}
	assert_int_equal(refused, 6);
	play_ok(&p, "cancel", "");
	play_until(&p, play_count(&p, "turn.ended") == 65);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_hostile_texts(void **state)
{
	struct play p;
	struct buf b;
	size_t i;

	(void)state;
	open_mock(&p);
	/* Characters that take six bytes each when written: the echo would not
	 * fit into one event, and must be cut where it is not streamed. */
	buf_init(&b, 1u << 20);
	(void)buf_adds(&b, ",\"text\":\"");
	for (i = 0; i < 150000; i++)
		(void)buf_adds(&b, "\\u0001");
	(void)buf_adds(&b, "\xc3\xa9\"");
	assert_false(b.failed);
	play_ok(&p, "prompt", b.data);
	play_idle(&p);
	assert_non_null(strstr(play_last_text(&p), "[cut: "));
	for (i = 0; i < p.nevents; i++)
		assert_true(p.events[i] != NULL);
	play_check_log(&p, false);
	buf_free(&b);
	play_close(&p);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_start_refused),
		cmocka_unit_test(test_breach_ends_the_worker),
		cmocka_unit_test(test_prompt_is_stored_first),
		cmocka_unit_test(test_worker_restart_idle),
		cmocka_unit_test(test_worker_restart_in_turn),
		cmocka_unit_test(test_worker_restart_with_requests),
		cmocka_unit_test(test_worker_crash_is_seen),
		cmocka_unit_test(test_worker_killed_in_flood),
		cmocka_unit_test(test_store_restart),
		cmocka_unit_test(test_store_restart_after_its_commit),
		cmocka_unit_test(test_store_that_lost_events),
		cmocka_unit_test(test_store_full),
		cmocka_unit_test(test_backpressure),
		cmocka_unit_test(test_term),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_end_with_waiting),
		cmocka_unit_test(test_configure),
		cmocka_unit_test(test_too_many_waiting),
		cmocka_unit_test(test_hostile_texts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
