/*
 * The adapter of Pi in a real worker, against a stand-in for `pi --mode rpc`.
 */
#include "stand_in.h"

#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_NAME "/tmp/pi-no-such-file.jsonl"

/* The first part of an item's content. */
static const struct json *
part(const struct json *event)
{
	const struct json *list = json_path(event, "data.item.content");

	assert_non_null(list);
	return list->child;
}

/* The Nth completed item of this kind. */
static const struct json *
item(const struct play *p, const char *kind, size_t n)
{
	size_t i;

	for (i = 0; i < p->nevents; i++)
		if (strcmp(json_str(p->events[i], "type", ""),
			"item.completed") == 0 &&
		    strcmp(play_str(p->events[i], "item.kind"), kind) == 0 &&
		    n-- == 0)
			return p->events[i];
	fail_msg("no such item: %s", kind);
	return NULL;
}

static void
test_turns(void **state)
{
	autofree char *text = NULL;
	const struct json *ev;
	struct play p;

	(void)state;
	stand_in_open(&p, "pi", "pi-turn");
	assert_int_equal(p.nevents, 1); /* not started before it is needed */
	stand_in_turn(&p, "first");
	assert_string_equal(p.native, FILE_NAME);
	assert_string_equal(stand_in_stop_reason(&p, 0), "end_turn");
	ev = play_event(&p, "turn.ended", 0);
	assert_int_equal(
	    json_int(json_path(ev, "data.metadata.usage"), "total_tokens", 0),
	    250);
	/* user, thinking, text, call, result, retry, text */
	assert_int_equal(play_count(&p, "item.completed"), 7);
	assert_int_equal(play_count(&p, "error"), 0);
	assert_string_equal(
	    json_str(part(item(&p, "message", 1)), "type", ""), "reasoning");
	assert_string_equal(json_str(part(item(&p, "message", 2)), "text", ""),
	    "a \"partial\":{ b");
	assert_string_equal(
	    json_str(part(item(&p, "tool_call", 0)), "arguments", ""),
	    "{\"command\":\"ls\"}");
	assert_string_equal(
	    json_str(part(item(&p, "tool_result", 0)), "output", ""),
	    "one\ntwo\n\n[image]");
	assert_string_equal(
	    json_str(part(item(&p, "status", 0)), "label", ""), "api_retry");
	assert_string_equal(play_last_text(&p), "Done.");
	/* What a line repeats is not logged. */
	ev = play_event(&p, "item.delta", 1);
	assert_string_equal(play_str(ev, "delta"), "a \"partial\":{ ");
	assert_null(json_path(ev, "raw.assistantMessageEvent.partial"));
	assert_non_null(json_path(ev, "raw.assistantMessageEvent.delta"));

	stand_in_turn(&p, "/fix");
	assert_string_equal(stand_in_stop_reason(&p, 1), "end_turn");
	stand_in_turn(&p, "third");
	assert_string_equal(stand_in_stop_reason(&p, 2), "max_tokens");
	ev = item(&p, "tool_result", 1);
	assert_string_equal(json_str(part(ev)->next, "path", ""), "a.c");
	assert_string_equal(
	    json_str(part(ev)->next, "diff", ""), "-1 one\n+1 two");
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_true(str_starts(text, "--mode rpc\n"));
}

static void
answered(struct play *p, const char *what, size_t n)
{
	play_until(p, play_count(p, what) == n);
}

static void
test_dialogs(void **state)
{
	autofree char *text = NULL;
	const struct json *ev;
	struct play p;

	(void)state;
	stand_in_open(&p, "pi", "pi-ask");
	play_prompt(&p, "ask");
	answered(&p, "permission.requested", 1);
	ev = play_event(&p, "permission.requested", 0);
	assert_string_equal(play_str(ev, "action"), "bash");
	assert_string_equal(play_str(ev, "metadata.toolCallId"), "c1");
	play_ok(
	    &p, "permission", ",\"permission_id\":\"d1\",\"reply\":\"once\"");
	answered(&p, "question.requested", 1);
	assert_string_equal(
	    play_str(play_event(&p, "question.requested", 0), "prompt"),
	    "Which colour?");
	play_error(&p, "permission",
	    ",\"permission_id\":\"d2\",\"reply\":\"once\"",
	    "permission_not_found");
	play_ok(
	    &p, "question", ",\"question_id\":\"d2\",\"answers\":[[\"Blue\"]]");
	answered(&p, "permission.requested", 2);
	play_ok(
	    &p, "permission", ",\"permission_id\":\"d3\",\"reply\":\"reject\"");
	answered(&p, "question.requested", 2);
	play_ok(&p, "question", ",\"question_id\":\"d4\"");
	/* Pi answers d5 itself; d6 is open when the user cancels. */
	answered(&p, "question.requested", 4);
	assert_string_equal(
	    play_str(play_event(&p, "question.resolved", 2), "question_id"),
	    "d5");
	assert_string_equal(
	    play_str(play_event(&p, "question.requested", 3), "prompt"),
	    "Write\n\nold");
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_string_equal(stand_in_stop_reason(&p, 0), "cancelled");
	assert_int_equal(play_count(&p, "agent.unparsed"), 1); /* the dance */
	assert_int_equal(play_count(&p, "error"), 0);
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_non_null(strstr(text, "\"id\":\"d1\",\"value\":\"Allow\""));
	assert_non_null(strstr(text, "\"id\":\"d2\",\"value\":\"Blue\""));
	assert_non_null(strstr(text, "\"id\":\"d3\",\"confirmed\":false"));
	assert_non_null(strstr(text, "\"id\":\"d4\",\"cancelled\":true"));
}

static void
test_errors(void **state)
{
	autofree char *text = NULL;
	const struct json *ev;
	const char *at;
	struct play p;

	(void)state;
	stand_in_open(&p, "pi", "pi-errors");
	stand_in_turn(&p, "first");
	ev = play_event(&p, "error", 0);
	assert_string_equal(play_str(ev, "code"), "auth_required");
	assert_string_equal(stand_in_stop_reason(&p, 0), "error");
	stand_in_turn(&p, "second");
	ev = play_event(&p, "error", 1);
	assert_string_equal(play_str(ev, "code"), "api_error");
	assert_string_equal(play_str(ev, "message"), "400 bad");
	assert_string_equal(
	    play_str(item(&p, "message", 2), "item.status"), "failed");
	stand_in_turn(&p, "third");
	ev = play_event(&p, "error", 2);
	assert_string_equal(play_str(ev, "code"), "process_exit");
	assert_string_equal(
	    play_str(ev, "message"), "pi exited with status 3: the last words");
	assert_int_equal(play_count(&p, "agent.unparsed"), 6);
	/* The file that it spoke of is not there: what was said is said again,
	 * to a process that knows nothing. */
	stand_in_turn(&p, "fourth");
	assert_int_equal(play_count(&p, "error"), 3);
	assert_string_equal(play_last_text(&p), "Here.");
	assert_string_equal(json_str(part(item(&p, "status", 0)), "label", ""),
	    "resume_failed");
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	at = strstr(strstr(text, "--mode rpc\n") + 1, "--mode rpc\n");
	assert_non_null(at);
	assert_non_null(strstr(at, "second"));
}

static void
test_cancel(void **state)
{
	int64_t start;
	struct play p;

	(void)state;
	stand_in_open(&p, "pi", "pi-cancel");
	play_prompt(&p, "slow");
	play_until(&p, play_count(&p, "item.delta") == 1);
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_string_equal(stand_in_stop_reason(&p, 0), "cancelled");
	assert_string_equal(
	    play_str(item(&p, "message", 1), "item.status"), "failed");
	play_prompt(&p, "deaf");
	play_until(&p, strcmp(p.state, "turn") == 0);
	play_step(&p, 300);
	start = now_monotonic_ms();
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_in_range(now_monotonic_ms() - start, 2500, 10000);
	assert_string_equal(stand_in_stop_reason(&p, 1), "cancelled");
	assert_int_equal(play_count(&p, "error"), 0);
	play_check_log(&p, false);
	play_close(&p);
}

/* A line that is too long is not understood, but the turn still ends. */
static void
test_long_lines(void **state)
{
	struct play p;

	(void)state;
	stand_in_open(&p, "pi", "pi-long");
	stand_in_turn(&p, "long");
	assert_string_equal(stand_in_stop_reason(&p, 0), "end_turn");
	assert_string_equal(play_last_text(&p), "piece");
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	assert_non_null(
	    strstr(json_str(part(item(&p, "tool_result", 0)), "output", ""),
		"bytes]"));
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_settings(void **state)
{
	autofree char *members = stand_in_members("pi-settings", "",
	    ",\"model\":\"fake/m-1\",\"thought_level\":\"low\","
	    "\"mcp\":{\"tool\":{\"type\":\"local\",\"command\":\"x\"}},"
	    "\"permission_mode\":\"bypass\",\"agent_mode\":\"build\"");
	autofree char *text = NULL;
	const struct json *r;
	struct play p;

	(void)state;
	assert_non_null(json_get(play_open(&p, "pi", members), "ok"));
	stand_in_turn(&p, "first");
	assert_string_equal(json_str(part(item(&p, "status", 0)), "label", ""),
	    "mcp.unsupported");
	play_error(&p, "configure", ",\"model\":\"fake/m-9\"", "bad_request");
	play_error(&p, "configure", ",\"thought_level\":\"huge\"",
	    "mode_not_supported");
	play_error(&p, "configure", ",\"permission_mode\":\"plan\"",
	    "mode_not_supported");
	play_ok(
	    &p, "configure", ",\"model\":\"m-2\",\"thought_level\":\"high\"");
	stand_in_turn(&p, "second");
	assert_string_equal(play_last_text(&p), "Two.");
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_true(
	    str_starts(text, "--mode rpc --model fake/m-1 --thinking low\n"));
	assert_non_null(strstr(text, "\"type\":\"set_model\",\"provider\":"
				     "\"fake\",\"modelId\":\"m-2\""));
	assert_non_null(
	    strstr(text, "\"type\":\"set_thinking_level\",\"level\":\"high\""));
	r = play_open(&p, "pi",
	    ",\"env\":{\"PATH\":\"/nowhere\"},\"directory\":\"/"
	    "tmp\"" STAND_IN_MODES);
	assert_string_equal(
	    json_str(json_get(r, "error"), "code", ""), "agent_not_installed");
	play_close(&p);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_dialogs),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_settings),
	};
	int rc;

	if (stand_in_main(argc, argv, "test-pi") == -1)
		return 99;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	stand_in_end();
	return rc;
}
