/*
 * The adapter of ACP programs in a real worker, against a stand-in for one.
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

#define MODES STAND_IN_MODES

static void
open_acp(struct play *p, const char *fixture)
{
	stand_in_open(p, "acp", fixture);
}

static void
open_with(
    struct play *p, const char *fixture, const char *env, const char *more)
{
	autofree char *members = stand_in_members(fixture, env, more);

	assert_non_null(json_get(play_open(p, "acp", members), "ok"));
}

static void
expect_said(const char *part)
{
	autofree char *text = stand_in_said();

	if (strstr(text, part) == NULL)
		fail_msg("%s was not said, but:\n%s", part, text);
}

static void
expect_not_said(const char *part)
{
	autofree char *text = stand_in_said();

	if (strstr(text, part) != NULL)
		fail_msg("%s was said:\n%s", part, text);
}

/* The Nth part of the Nth completed item of this kind. */
static const struct json *
part(struct play *p, const char *kind, size_t item, size_t n)
{
	const struct json *ev = NULL, *at;
	size_t i, seen = 0;

	for (i = 0; i < play_count(p, "item.completed"); i++) {
		ev = play_event(p, "item.completed", i);
		if (strcmp(play_str(ev, "item.kind"), kind) == 0 &&
		    seen++ == item)
			break;
	}
	assert_true(i < play_count(p, "item.completed"));
	at = json_path(ev, "data.item.content");
	assert_non_null(at);
	for (at = at->child; at != NULL && n > 0; n--)
		at = at->next;
	assert_non_null(at);
	return at;
}

static void
expect_part(struct play *p, const char *kind, size_t item, size_t n,
    const char *member, const char *value)
{
	assert_string_equal(
	    json_str(part(p, kind, item, n), member, "(none)"), value);
}

static const char *
error_of(struct play *p, size_t n, const char *member)
{
	return play_str(play_event(p, "error", n), member);
}

static void
test_turns(void **state)
{
	const struct json *usage;
	struct play p;

	(void)state;
	open_acp(&p, "acp-turn");
	assert_int_equal(p.nevents, 1); /* not started before it is needed */
	stand_in_turn(&p, "first");
	assert_string_equal(p.native, "ses-1");
	expect_part(&p, "message", 1, 0, "type", "reasoning");
	expect_part(&p, "message", 1, 0, "text", "Let me see.");
	expect_part(&p, "message", 2, 0, "text", "Hello you.");
	expect_part(&p, "message", 3, 0, "text", "Next");
	expect_part(&p, "message", 4, 0, "type", "file_ref");
	expect_part(&p, "message", 4, 0, "path", "/tmp/a.txt");
	assert_string_equal(stand_in_stop_reason(&p, 0), "max_tokens");
	usage =
	    json_path(play_event(&p, "turn.ended", 0), "data.metadata.usage");
	assert_int_equal(json_int(usage, "cached_input_tokens", 0), 1);
	assert_int_equal(json_int(usage, "reasoning_tokens", 0), 2);
	/* News: the plan, the title, and what nobody knew when this was
	 * written. What is for other clients, or sessions, is left out. */
	expect_part(&p, "status", 0, 0, "label", "turn.plan.updated");
	expect_part(&p, "status", 1, 0, "detail", "A title");
	expect_part(&p, "status", 2, 0, "label", "brand_new_update");
	stand_in_turn(&p, "second");
	assert_string_equal(play_last_text(&p), "Whole.");
	assert_string_equal(stand_in_stop_reason(&p, 1), "end_turn");
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	play_check_log(&p, false);
	play_close(&p);
	expect_said("\"clientCapabilities\":{\"fs\":{\"readTextFile\":false,"
		    "\"writeTextFile\":false},\"terminal\":false,"
		    "\"elicitation\":{\"form\":{}}}");
	expect_said("\"method\":\"session/new\",\"params\":{\"cwd\":\"/tmp\","
		    "\"mcpServers\":[]}}");
}

/* What comes with a message, as blocks where the agent takes them. */
static void
test_parts(void **state)
{
	struct play p;

	(void)state;
	open_acp(&p, "acp-turn");
	play_ok(&p, "prompt",
	    ",\"text\":\"look\",\"attachments\":[{\"path\":\"/tmp/f.txt\"}]");
	play_idle(&p);
	play_close(&p);
	expect_said(
	    "\"prompt\":[{\"type\":\"text\",\"text\":\"look\"},"
	    "{\"type\":\"resource_link\",\"uri\":\"file:///tmp/f.txt\"");
}

static void
test_tools(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_acp(&p, "acp-tools");
	play_prompt(&p, "work");
	play_until(&p, play_count(&p, "permission.requested") == 1);
	ev = play_event(&p, "permission.requested", 0);
	assert_string_equal(play_str(ev, "action"), "write");
	assert_string_equal(play_str(ev, "metadata.toolCallId"), "c1");
	assert_string_equal(play_str(ev, "metadata.kind"), "edit");
	/* The call is complete, with its last input, when leave is asked. */
	expect_part(
	    &p, "tool_call", 0, 0, "arguments", "{\"path\":\"/tmp/a.txt\"}");
	{
		autofree char *reply =
		    xasprintf(",\"permission_id\":\"%s\",\"reply\":\"reject\"",
			play_str(ev, "permission_id"));

		play_ok(&p, "permission", reply);
	}
	play_until(&p, play_count(&p, "permission.requested") == 2);
	ev = play_event(&p, "permission.requested", 1);
	/* A command of one word is not the tool's name. */
	assert_string_equal(play_str(ev, "action"), "execute");
	{
		autofree char *reply =
		    xasprintf(",\"permission_id\":\"%s\",\"reply\":\"always\"",
			play_str(ev, "permission_id"));

		play_ok(&p, "permission", reply);
	}
	play_idle(&p);
	expect_part(&p, "tool_result", 0, 0, "output", "Written.");
	expect_part(&p, "tool_result", 0, 1, "path", "/tmp/a.txt");
	expect_part(&p, "tool_result", 0, 1, "action", "patch");
	expect_part(&p, "tool_result", 0, 1, "diff",
	    "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
	expect_part(&p, "tool_result", 1, 0, "output", "a\nb\nc\n");
	expect_part(&p, "tool_result", 2, 0, "output", "sub");
	expect_part(&p, "tool_result", 3, 1, "action", "read");
	/* Left open in a turn that went well. */
	expect_part(&p, "tool_result", 4, 0, "output", "");
	expect_part(&p, "tool_call", 2, 0, "name", "Agent");
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);

	play_prompt(&p, "more");
	play_until(&p, play_count(&p, "permission.requested") == 3);
	ev = play_event(&p, "permission.requested", 2);
	{
		autofree char *reply =
		    xasprintf(",\"permission_id\":\"%s\",\"reply\":\"reject\"",
			play_str(ev, "permission_id"));

		play_ok(&p, "permission", reply);
	}
	play_idle(&p);
	/* A refusal that ends the turn. */
	assert_string_equal(stand_in_stop_reason(&p, 1), "cancelled");
	play_check_log(&p, false);
	play_close(&p);
	expect_said("\"id\":0,\"result\":{\"outcome\":{\"outcome\":"
		    "\"selected\",\"optionId\":\"x3\"}}");
	/* Always, where it is not among the options. */
	expect_said("\"id\":\"str-1\",\"result\":{\"outcome\":{\"outcome\":"
		    "\"selected\",\"optionId\":\"x2\"}}");
	/* A no by its name, where kinds do not tell. */
	expect_said("\"id\":2,\"result\":{\"outcome\":{\"outcome\":"
		    "\"selected\",\"optionId\":\"c-1\"}}");
}

static const char *
question(struct play *p, size_t n, const char *member)
{
	return play_str(play_event(p, "question.requested", n), member);
}

static void
answer(struct play *p, size_t n, const char *answers)
{
	autofree char *reply = xasprintf(",\"question_id\":\"%s\"%s",
	    question(p, n, "question_id"), answers);

	play_ok(p, "question", reply);
}

static void
test_forms(void **state)
{
	struct play p;

	(void)state;
	open_acp(&p, "acp-forms");
	play_prompt(&p, "ask");
	play_until(&p, play_count(&p, "question.requested") == 4);
	assert_string_equal(question(&p, 0, "prompt"), "Which colour?");
	assert_string_equal(question(&p, 2, "prompt"), "How many");
	/* By its title, several, a number, and a yes. */
	answer(&p, 0, ",\"answers\":[[\"red — nice\"]]");
	answer(&p, 1, ",\"answers\":[[\"S\",\"Large\"]]");
	answer(&p, 2, ",\"answers\":[[\"12\"]]");
	answer(&p, 3, ",\"answers\":[[\"Yes\"]]");
	play_until(&p, play_count(&p, "question.requested") == 5);
	assert_string_equal(question(&p, 4, "prompt"), "Which one?");
	answer(&p, 4, ",\"answers\":[[\"neither\"]]");
	play_until(&p, play_count(&p, "question.requested") == 6);
	answer(&p, 5, "");
	play_idle(&p);
	assert_string_equal(play_last_text(&p), "Thanks.");
	/* What cannot be asked. */
	assert_int_equal(play_count(&p, "agent.unparsed"), 1);
	play_check_log(&p, false);
	play_close(&p);
	expect_said(
	    "\"id\":0,\"result\":{\"action\":\"accept\",\"content\":{"
	    "\"q0\":\"Red\",\"q1\":[\"S\",\"L\"],\"n\":12,\"b\":true}}");
	expect_said("\"id\":1,\"result\":{\"action\":\"accept\",\"content\":{"
		    "\"q0_custom\":\"neither\"}}");
	expect_said("\"id\":2,\"result\":{\"action\":\"decline\"}");
}

static void
test_answered_together(void **state)
{
	struct play p;

	(void)state;
	open_acp(&p, "acp-forms");
	play_prompt(&p, "ask");
	play_until(&p, play_count(&p, "question.requested") == 4);
	answer(&p, 0, ",\"answers\":[[\"Blue\"],[\"L\"],[\"1\"],[\"no\"]]");
	play_until(&p, play_count(&p, "question.resolved") == 4);
	play_until(&p, play_count(&p, "question.requested") == 5);
	play_ok(&p, "cancel", "");
	play_until(&p, play_count(&p, "turn.ended") == 1);
	assert_string_equal(stand_in_stop_reason(&p, 0), "cancelled");
	assert_int_equal(play_count(&p, "question.requested"), 5);
	play_close(&p);
	expect_said("\"q0\":\"Blue\",\"q1\":[\"L\"],\"n\":1,\"b\":false");
	expect_said("\"id\":1,\"result\":{\"action\":\"cancel\"}");
	/* What it asks then is not shown any more. */
	expect_said("\"id\":2,\"result\":{\"action\":\"cancel\"}");
}

static void
test_cancel(void **state)
{
	struct play p;

	(void)state;
	open_acp(&p, "acp-cancel");
	play_prompt(&p, "go");
	play_until(&p, play_count(&p, "permission.requested") == 1);
	/* A second message waits: it is not sent while the first is open. */
	play_prompt(&p, "waits");
	play_step(&p, 200);
	expect_not_said("waits");
	play_ok(&p, "cancel", "");
	play_until(&p, play_count(&p, "turn.ended") == 2);
	assert_string_equal(stand_in_stop_reason(&p, 0), "cancelled");
	assert_string_equal(stand_in_stop_reason(&p, 1), "cancelled");
	/* The call that ran has failed. */
	expect_part(&p, "tool_result", 0, 0, "call_id", "c1");
	/* It does not listen any more: it is killed, the turn is over. */
	play_prompt(&p, "deaf");
	play_until(&p, strcmp(play_last_text(&p), "I begin") == 0 &&
			   play_count(&p, "item.delta") == 2);
	play_ok(&p, "cancel", "");
	play_until(&p, play_count(&p, "turn.ended") == 3);
	assert_string_equal(stand_in_stop_reason(&p, 2), "cancelled");
	assert_int_equal(play_count(&p, "error"), 0);
	stand_in_turn(&p, "again");
	assert_string_equal(play_last_text(&p), "Back again.");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_cancel_early(void **state)
{
	struct play p;

	(void)state;
	open_acp(&p, "acp-early");
	play_prompt(&p, "never mind");
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_string_equal(stand_in_stop_reason(&p, 0), "cancelled");
	stand_in_turn(&p, "first");
	assert_string_equal(stand_in_stop_reason(&p, 1), "max_tokens");
	play_close(&p);
	expect_not_said("never mind");
}

static void
test_resume(void **state)
{
	struct play p;

	(void)state;
	open_acp(&p, "acp-resume");
	stand_in_turn(&p, "one");
	stand_in_turn(&p, "two");
	assert_string_equal(stand_in_stop_reason(&p, 1), "error");
	assert_string_equal(error_of(&p, 0, "code"), "process_exit");
	assert_non_null(strstr(error_of(&p, 0, "message"), "out of memory"));
	/* session/resume fails, session/load repeats what is known. */
	stand_in_turn(&p, "three");
	assert_string_equal(play_last_text(&p), "Second.");
	assert_int_equal(play_count(&p, "error"), 1);
	expect_said("\"method\":\"session/load\",\"params\":{\"sessionId\":"
		    "\"ses-1\",\"cwd\":\"/tmp\"");
	/* The next worker's program can do neither, and is told. */
	play_kill(&p);
	assert_non_null(json_get(play_again(&p), "ok"));
	stand_in_turn(&p, "four");
	assert_string_equal(play_last_text(&p), "Third.");
	play_check_log(&p, false);
	play_close(&p);
	expect_said("began before you were started anew");
	expect_said("Second.");
}

static void
test_settings(void **state)
{
	struct play p;

	(void)state;
	open_with(&p, "acp-settings", "",
	    ",\"permission_mode\":\"plan\",\"agent_mode\":\"build\","
	    "\"model\":\"m2\",\"thought_level\":\"high\"");
	/* A wish that is refused fails the turn, and is tried again. */
	stand_in_turn(&p, "first");
	assert_string_equal(stand_in_stop_reason(&p, 0), "error");
	assert_string_equal(error_of(&p, 0, "code"), "setting_refused");
	assert_non_null(strstr(error_of(&p, 0, "message"), "no effort today"));
	stand_in_turn(&p, "second");
	assert_string_equal(play_last_text(&p), "One.");
	/* The agent's own change, in our words. */
	assert_string_equal(p.mode, "bypass");
	play_error(&p, "configure", ",\"model\":\"m3\"", "bad_request");
	play_error(
	    &p, "configure", ",\"thought_level\":\"extreme\"", "bad_request");
	play_error(&p, "configure", ",\"permission_mode\":\"wat\"",
	    "mode_not_supported");
	/* One by the agent's own name, and back. */
	play_ok(&p, "configure", ",\"permission_mode\":\"dontAsk\"");
	play_ok(&p, "configure", ",\"permission_mode\":\"default\"");
	stand_in_turn(&p, "third");
	assert_string_equal(play_last_text(&p), "Two.");
	play_check_log(&p, false);
	play_close(&p);
	expect_not_said("first");
}

static void
test_modes(void **state)
{
	struct play p;

	(void)state;
	open_with(&p, "acp-modes", "",
	    ",\"permission_mode\":\"bypass\",\"agent_mode\":\"build\","
	    "\"model\":\"a/2\",\"thought_level\":\"high\"");
	stand_in_turn(&p, "go");
	assert_string_equal(play_last_text(&p), "One.");
	assert_int_equal(play_count(&p, "permission.requested"), 0);
	play_close(&p);
	expect_said("\"method\":\"session/set_model\",\"params\":{"
		    "\"sessionId\":\"ses-1\",\"modelId\":\"a/2\"}");
	expect_said("\"method\":\"session/set_mode\",\"params\":{"
		    "\"sessionId\":\"ses-1\",\"modeId\":\"high\"}");
}

static void
test_no_such_model(void **state)
{
	struct play p;

	(void)state;
	open_with(&p, "acp-settings", "", MODES ",\"model\":\"m9\"");
	stand_in_turn(&p, "go");
	assert_string_equal(stand_in_stop_reason(&p, 0), "error");
	assert_string_equal(
	    error_of(&p, 0, "message"), "the agent has no model m9");
	play_close(&p);
}

static void
test_errors(void **state)
{
	struct play p;
	size_t i;

	(void)state;
	open_with(&p, "acp-errors", ",\"STAND_IN_KEY\":\"k\"", MODES);
	for (i = 0; i < 6; i++) {
		stand_in_turn(&p, "go");
		assert_string_equal(stand_in_stop_reason(&p, i), "error");
		assert_int_equal(play_count(&p, "error"), i + 1);
	}
	assert_string_equal(error_of(&p, 0, "code"), "api_error");
	assert_string_equal(
	    error_of(&p, 0, "message"), "Internal error: the model is out");
	assert_string_equal(error_of(&p, 1, "code"), "authentication_required");
	assert_string_equal(error_of(&p, 2, "code"), "process_exit");
	assert_string_equal(error_of(&p, 3, "message"), "not today");
	assert_non_null(strstr(error_of(&p, 4, "message"), "no such luck"));
	assert_string_equal(error_of(&p, 5, "code"), "authentication_required");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_garbage(void **state)
{
	struct play p;

	(void)state;
	open_acp(&p, "acp-garbage");
	stand_in_turn(&p, "go");
	assert_string_equal(play_last_text(&p), "Still here.");
	assert_string_equal(stand_in_stop_reason(&p, 0), "end_turn");
	/* No JSON, no object, no message, no update, no call to be shown, too
	 * deep, too long. */
	assert_int_equal(play_count(&p, "agent.unparsed"), 7);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_own_turn(void **state)
{
	struct play p;

	(void)state;
	open_acp(&p, "acp-own");
	stand_in_turn(&p, "go");
	play_until(&p, play_count(&p, "turn.ended") == 2);
	assert_string_equal(play_last_text(&p), "Unasked.");
	assert_string_equal(play_str(play_event(&p, "turn.started", 1),
				"metadata.initiated_by"),
	    "agent");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_not_there(void **state)
{
	struct play p;
	const struct json *r;

	(void)state;
	r = play_open(&p, "acp",
	    ",\"env\":{\"PATH\":\"/nonexistent\"},\"directory\":\"/tmp\","
	    "\"command\":[\"no-such-agent\"]" MODES);
	assert_string_equal(
	    json_str(json_get(r, "error"), "code", ""), "agent_not_installed");
	play_close(&p);
	r = play_open(&p, "acp", ",\"env\":{},\"directory\":\"/tmp\"" MODES);
	assert_string_equal(
	    json_str(json_get(r, "error"), "code", ""), "bad_request");
	play_close(&p);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_tools),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_answered_together),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_early),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_no_such_model),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_own_turn),
		cmocka_unit_test(test_not_there),
	};
	int rc;

	if (stand_in_main(argc, argv, "test-acp-agent") == -1)
		return 99;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	stand_in_end();
	return rc;
}
