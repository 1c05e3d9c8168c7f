/*
 * The adapter of Amp in a real worker, against a stand-in for amp: the real one
 * works with its service only.
 */
#include "stand_in.h"

#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FLAGS \
	"--execute --stream-json --stream-json-input --stream-json-thinking"

static void
test_turns(void **state)
{
	autofree char *text = NULL;
	const struct json *ev;
	const char *at;
	struct play p;

	(void)state;
	stand_in_open(&p, "amp", "amp-turns");
	stand_in_turn(&p, "first");
	assert_string_equal(p.native, "T-5e55-0001");
	assert_string_equal(play_last_text(&p), "Two files.");
	assert_string_equal(stand_in_stop_reason(&p, 0), "end_turn");
	/* user, thinking, text, call, result, text: the result repeats it */
	assert_int_equal(play_count(&p, "item.completed"), 6);
	ev = play_event(&p, "turn.ended", 0);
	assert_int_equal(
	    json_int(json_path(ev, "data.metadata.usage"), "total_tokens", 0),
	    110);

	stand_in_turn(&p, "second");
	ev = play_event(&p, "error", 0);
	assert_string_equal(play_str(ev, "code"), "error_during_execution");
	assert_string_equal(play_str(ev, "message"), "out of credits");
	assert_string_equal(stand_in_stop_reason(&p, 1), "error");
	stand_in_turn(&p, "third");
	assert_string_equal(play_last_text(&p), "Old words.");
	assert_string_equal(stand_in_stop_reason(&p, 2), "end_turn");

	/* Its thread is gone: another one is told what was said. */
	stand_in_turn(&p, "fourth");
	assert_string_equal(play_last_text(&p), "Anew.");
	assert_string_equal(p.native, "T-5e55-0002");
	assert_int_equal(play_count(&p, "error"), 1);
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_true(str_starts(text, FLAGS " --no-archive-after-execute\n"));
	at = strstr(text, "threads continue T-5e55-0001 " FLAGS "\n");
	assert_non_null(at);
	at = strstr(at, "\n" FLAGS);
	assert_non_null(at);
	assert_non_null(strstr(at, "Two files."));
}

static const struct json *
failed_turn(struct play *p, size_t n)
{
	const struct json *ev;

	stand_in_turn(p, "go");
	assert_string_equal(stand_in_stop_reason(p, n), "error");
	assert_int_equal(play_count(p, "error"), n + 1);
	ev = play_event(p, "error", n);
	return ev;
}

static void
test_errors(void **state)
{
	const struct json *ev;
	struct play p;
	size_t i;

	(void)state;
	stand_in_open(&p, "amp", "amp-errors");
	/* It waits for somebody to log in: nobody is kept waiting, and what
	 * one would log in with is not told. */
	ev = failed_turn(&p, 0);
	assert_string_equal(play_str(ev, "code"), "auth_required");
	assert_non_null(strstr(play_str(ev, "message"), "AMP_API_KEY"));
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	ev = failed_turn(&p, 1);
	assert_string_equal(play_str(ev, "code"), "auth_required");
	assert_true(
	    str_starts(play_str(ev, "message"), "Invalid or missing API key"));
	ev = failed_turn(&p, 2);
	assert_string_equal(play_str(ev, "code"), "service_unavailable");
	assert_string_equal(play_str(ev, "message"),
	    "Couldn't connect to the Amp server at http://127.0.0.1:1.");
	ev = failed_turn(&p, 3);
	assert_string_equal(play_str(ev, "code"), "process_exit");
	assert_int_equal(play_count(&p, "agent.unparsed"), 5);
	for (i = 0; i < p.nevents; i++) {
		struct buf b;
		struct jw w;

		buf_init(&b, 1u << 20);
		jw_init(&w, &b);
		jw_value(&w, p.events[i]);
		assert_null(strstr(b.data, "5ec7e7"));
		buf_free(&b);
	}
	/* Deaf to all signals but the last. */
	play_prompt(&p, "go");
	play_until(&p, play_count(&p, "item.delta") == 2);
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_string_equal(stand_in_stop_reason(&p, 4), "cancelled");
	stand_in_turn(&p, "go");
	ev = play_event(&p, "error", 4);
	assert_string_equal(play_str(ev, "message"), "quota");
	assert_string_equal(stand_in_stop_reason(&p, 5), "error");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_settings(void **state)
{
	autofree char *members = stand_in_members("amp-turns",
	    ",\"TOKEN\":\"s3cret\"",
	    ",\"model\":\"high\",\"permission_mode\":\"bypass\","
	    "\"agent_mode\":\"build\",\"mcp\":{\"web\":{\"type\":\"remote\","
	    "\"url\":\"http://127.0.0.1:1/\","
	    "\"bearerTokenEnvVar\":\"TOKEN\"}}");
	autofree char *text = NULL;
	struct play p;

	(void)state;
	assert_non_null(json_get(play_open(&p, "amp", members), "ok"));
	play_error(&p, "configure", ",\"permission_mode\":\"plan\"",
	    "mode_not_supported");
	play_error(
	    &p, "configure", ",\"agent_mode\":\"plan\"", "mode_not_supported");
	play_error(&p, "configure", ",\"model\":\"--evil\"", "bad_request");
	stand_in_turn(&p, "first");
	play_ok(&p, "configure",
	    ",\"model\":\"amp-default\",\"permission_mode\":\"default\"");
	stand_in_turn(&p, "second");
	play_close(&p);
	text = stand_in_said();
	assert_true(str_starts(text,
	    FLAGS " --no-archive-after-execute --dangerously-allow-all "
		  "--mode high --mcp-config /dev/fd/3\n"));
	assert_non_null(strstr(text,
	    "threads continue T-5e55-0001 " FLAGS " --mcp-config /dev/fd/3\n"));
	assert_null(strstr(text, "s3cret"));
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_settings),
	};
	int rc;

	if (stand_in_main(argc, argv, "test-amp") == -1)
		return 99;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	stand_in_end();
	return rc;
}
