/*
 * The Claude Code adapter in a real worker, against a stand-in for claude.
 */
#include "stand_in.h"

#include "lib/defs.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MODES STAND_IN_MODES

static void
open_claude(struct play *p, const char *fixture)
{
	stand_in_open(p, "claude", fixture);
}

static void
test_turns(void **state)
{
	const struct json *ev;
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_claude(&p, "claude-turn");
	assert_int_equal(p.nevents, 1); /* not started before it is needed */
	stand_in_turn(&p, "first");
	assert_string_equal(p.native, "5e55-0001");
	/* turn, user 2, thinking 1+2+1, text 1+2+1, end */
	assert_int_equal(p.nevents, 1 + 1 + 2 + 4 + 4 + 1);
	ev = p.events[4];
	assert_string_equal(json_str(ev, "type", ""), "item.started");
	assert_string_equal(
	    json_str(json_path(ev, "data.item.content")->child, "type", ""),
	    "reasoning");
	assert_string_equal(play_str(ev, "item.native_item_id"), "msg_a:0");
	assert_non_null(json_get(json_get(ev, "raw"), "event"));
	assert_string_equal(play_last_text(&p), "Hello you.");
	assert_string_equal(stand_in_stop_reason(&p, 0), "end_turn");
	ev = play_event(&p, "turn.ended", 0);
	assert_int_equal(
	    json_int(json_path(ev, "data.metadata.usage"), "output_tokens", 0),
	    4);

	stand_in_turn(&p, "second");
	/* Not streamed: one synthetic delta. */
	assert_int_equal(p.nevents, 13 + 1 + 2 + 3 + 1);
	assert_string_equal(play_last_text(&p), "Whole.");
	assert_string_equal(stand_in_stop_reason(&p, 1), "max_tokens");
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_true(str_starts(text,
	    "-p --output-format stream-json --input-format stream-json "
	    "--verbose --include-partial-messages --permission-prompt-tool "
	    "stdio\n"));
}

static void
test_tools(void **state)
{
	const struct json *ev;
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_claude(&p, "claude-tools");
	play_prompt(&p, "work");
	play_until(&p, play_count(&p, "permission.requested") == 1);
	ev = play_event(&p, "permission.requested", 0);
	assert_string_equal(play_str(ev, "action"), "Bash");
	assert_string_equal(play_str(ev, "metadata.blockedPath"), "/tmp/a");
	play_ok(&p, "permission",
	    ",\"permission_id\":\"ask-1\",\"reply\":\"always\"");
	/* The sub-agent's request is of the same tool: answered at once. */
	play_idle(&p);
	assert_int_equal(play_count(&p, "permission.resolved"), 2);
	assert_string_equal(
	    play_str(play_event(&p, "permission.resolved", 1), "status"),
	    "accept_for_session");
	/* Calls and results are items of their own, children know their
	 * parent, numbers keep their text. */
	ev = play_event(&p, "item.completed", 1);
	assert_string_equal(json_str(json_path(ev, "data.item.content")->child,
				"arguments", ""),
	    "{\"command\":\"touch a\",\"n\":1.50}");
	ev = play_event(&p, "item.completed", 2);
	assert_string_equal(play_str(ev, "item.kind"), "tool_result");
	assert_string_equal(play_str(ev, "item.status"), "completed");
	ev = play_event(&p, "item.completed", 4);
	assert_string_equal(play_str(ev, "item.parent_id"),
	    play_str(play_event(&p, "item.completed", 3), "item.item_id"));
	ev = play_event(&p, "item.completed", 5);
	assert_string_equal(play_str(ev, "item.status"), "failed");
	assert_string_equal(
	    json_str(json_path(ev, "data.item.content")->child, "output", ""),
	    "Exit\ncode 1\n[image]");
	ev = play_event(&p, "item.completed", 8);
	assert_string_equal(
	    json_str(
		json_path(ev, "data.item.content")->child->next, "diff", ""),
	    "@@ -1,1 +1,1 @@\n-one\n+two\n");
	/* A result's text that was never a message is one. */
	assert_string_equal(play_last_text(&p), "All done.");
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_non_null(strstr(text,
	    "\"behavior\":\"allow\",\"updatedInput\":{\"command\":\"touch a\","
	    "\"n\":1.50},\"updatedPermissions\":[{\"type\":\"addRules\","));
	/* Rules stay in the process: nothing is written into a repository. */
	assert_null(strstr(text, "localSettings"));
}

static void
test_questions(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_claude(&p, "claude-questions");
	play_prompt(&p, "ask");
	play_until(&p, play_count(&p, "question.requested") == 2);
	assert_string_equal(
	    play_str(play_event(&p, "question.requested", 0), "question_id"),
	    "toolu_q");
	assert_string_equal(
	    play_str(play_event(&p, "question.requested", 1), "question_id"),
	    "toolu_q_2");
	play_error(&p, "permission",
	    ",\"permission_id\":\"toolu_q\",\"reply\":\"once\"",
	    "permission_not_found");
	play_ok(&p, "question",
	    ",\"question_id\":\"toolu_q\",\"answers\":[[\"Blue\"]]");
	play_ok(&p, "question",
	    ",\"question_id\":\"toolu_q_2\",\"answers\":[[\"S\",\"L\"]]");
	ev = play_event(&p, "question.resolved", 1);
	assert_string_equal(play_str(ev, "response"), "S, L");
	play_until(&p, play_count(&p, "question.requested") == 3);
	play_ok(&p, "question",
	    ",\"question_id\":\"toolu_p\",\"answers\":[[\"approve\"]]");
	play_until(&p, play_count(&p, "question.requested") == 4);
	assert_string_equal(p.mode, "acceptEdits");
	/* The request that was taken back is settled by the agent. */
	ev = play_event(&p, "permission.resolved", 0);
	assert_string_equal(play_str(ev, "status"), "reject");
	assert_false(json_bool(ev, "synthetic", true));
	play_error(&p, "permission",
	    ",\"permission_id\":\"ask-3\",\"reply\":\"once\"",
	    "permission_not_found");
	play_ok(&p, "question", ",\"question_id\":\"toolu_s\"");
	play_idle(&p);
	assert_int_equal(play_count(&p, "agent.unparsed"), 1); /* the hook */
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_questions_answered_together(void **state)
{
	struct play p;

	(void)state;
	open_claude(&p, "claude-questions");
	play_prompt(&p, "ask");
	play_until(&p, play_count(&p, "question.requested") == 2);
	play_ok(&p, "question",
	    ",\"question_id\":\"toolu_q\","
	    "\"answers\":[[\"Red\"],[\"S\",\"L\"]]");
	play_until(&p, play_count(&p, "question.requested") == 3);
	assert_int_equal(play_count(&p, "question.resolved"), 2);
	play_close(&p);
}

static void
test_interrupt(void **state)
{
	struct play p;

	(void)state;
	open_claude(&p, "claude-interrupt");
	play_prompt(&p, "slow");
	play_until(&p, play_count(&p, "item.delta") == 1);
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_string_equal(stand_in_stop_reason(&p, 0), "cancelled");
	assert_int_equal(play_count(&p, "error"), 0);
	assert_string_equal(
	    play_str(play_event(&p, "item.completed", 1), "item.status"),
	    "failed");
	stand_in_turn(&p, "again");
	assert_string_equal(play_last_text(&p), "Still here.");
	play_check_log(&p, false);
	play_close(&p);
}

/* Nothing helps but KILL: the turn ends all the same, and the next message
 * gets another process that resumes. */
static void
test_deaf(void **state)
{
	autofree char *text = NULL;
	int64_t start;
	struct play p;

	(void)state;
	open_claude(&p, "claude-deaf");
	play_prompt(&p, "slow");
	play_until(&p, play_count(&p, "item.delta") == 1);
	start = now_monotonic_ms();
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_in_range(now_monotonic_ms() - start, 3500, 10000);
	assert_string_equal(stand_in_stop_reason(&p, 0), "cancelled");
	assert_string_equal(play_last_text(&p), "never ends");
	play_check_log(&p, false);
	play_prompt(&p, "slow");
	play_until(&p, play_count(&p, "item.delta") == 2);
	play_ok(&p, "end", "");
	assert_int_equal(play_wait_exit(&p), 0);
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_non_null(strstr(text, "--resume 5e55-0001\n"));
}

static void
test_dies(void **state)
{
	const struct json *ev;
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_claude(&p, "claude-dies");
	stand_in_turn(&p, "one");
	ev = play_event(&p, "error", 0);
	assert_string_equal(play_str(ev, "code"), "process_exit");
	assert_string_equal(play_str(ev, "message"),
	    "claude exited with status 3: out of luck");
	assert_string_equal(
	    play_str(ev, "details.stderr.head"), "a first word\nout of luck\n");
	assert_int_equal(
	    json_int(json_path(ev, "data.details.stderr"), "total_lines", 0),
	    2);
	assert_string_equal(play_last_text(&p), "half");
	assert_string_equal(
	    play_str(play_event(&p, "permission.resolved", 0), "status"),
	    "reject");
	assert_string_equal(stand_in_stop_reason(&p, 0), "error");
	stand_in_turn(&p, "one");
	assert_int_equal(play_count(&p, "error"), 2);
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_non_null(strstr(text, "--resume 5e55-0001\n"));
}

static void
test_errors(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_claude(&p, "claude-errors");
	stand_in_turn(&p, "one");
	/* A retry is a status; the failure is one error, not two. */
	assert_int_equal(play_count(&p, "error"), 1);
	ev = play_event(&p, "error", 0);
	assert_string_equal(play_str(ev, "code"), "api_error");
	assert_string_equal(play_str(ev, "message"), "API Error: overloaded");
	ev = play_event(&p, "item.completed", 1);
	assert_string_equal(play_str(ev, "item.kind"), "status");
	assert_string_equal(stand_in_stop_reason(&p, 0), "error");
	stand_in_turn(&p, "two");
	assert_string_equal(stand_in_stop_reason(&p, 1), "max_turns");
	assert_int_equal(play_count(&p, "error"), 2);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_resume_after_worker_restart(void **state)
{
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_claude(&p, "claude-turn");
	stand_in_turn(&p, "first");
	play_kill(&p);
	assert_non_null(json_get(play_again(&p), "ok"));
	stand_in_turn(&p, "first");
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_non_null(strstr(text, "--resume 5e55-0001\n"));
}

/* Another process gets the message, with what was said before. */
static void
test_resume_unknown(void **state)
{
	autofree char *text = NULL;
	const struct json *ev;
	const char *at;
	struct play p;

	(void)state;
	open_claude(&p, "claude-lost");
	stand_in_turn(&p, "first words");
	assert_string_equal(play_last_text(&p), "I remember.");
	assert_string_equal(p.native, "5e55-0001");
	play_kill(&p);
	assert_non_null(json_get(play_again(&p), "ok"));
	stand_in_turn(&p, "hello again");
	assert_int_equal(play_count(&p, "error"), 0);
	assert_int_equal(play_count(&p, "turn.ended"), 2);
	assert_string_equal(stand_in_stop_reason(&p, 1), "end_turn");
	ev = play_event(&p, "item.completed", 3);
	assert_string_equal(play_str(ev, "item.kind"), "status");
	assert_string_equal(
	    json_str(json_path(ev, "data.item.content")->child, "label", ""),
	    "resume_failed");
	assert_string_equal(p.native, "5e55-0002");
	assert_string_equal(play_last_text(&p), "Anew.");
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	at = strstr(text, "--resume 5e55-0001\n");
	assert_non_null(at);
	/* The one that is new is given both. */
	at = strstr(at, "-p --output-format");
	assert_non_null(at);
	assert_non_null(strstr(at, "first words"));
	assert_non_null(strstr(strstr(at, "first words"), "hello again"));
}

static void
test_garbage(void **state)
{
	const struct json *ev, *part;
	struct play p;
	size_t i;

	(void)state;
	open_claude(&p, "claude-garbage");
	stand_in_turn(&p, "one");
	assert_string_equal(play_last_text(&p), "survived");
	assert_int_equal(play_count(&p, "agent.unparsed"), 10);
	ev = play_event(&p, "agent.unparsed", 0);
	assert_string_equal(json_str(ev, "raw", ""), "not json at all");
	assert_string_equal(play_str(ev, "location"), "claude");
	ev = play_event(&p, "agent.unparsed", 9);
	assert_non_null(strstr(play_str(ev, "error"), "5000000"));
	/* A flag is no conversation id. */
	assert_string_equal(p.native, "");
	for (i = 0; i < p.nevents; i++)
		if (strcmp(play_str(p.events[i], "item.native_item_id"), "b") ==
		    0)
			break;
	assert_true(i < p.nevents);
	part = json_path(p.events[i], "data.item.content")->child;
	assert_non_null(strstr(json_str(part, "output", ""), "[cut: "));
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_not_installed(void **state)
{
	const struct json *r;
	struct play p;

	(void)state;
	r = play_open(&p, "claude",
	    ",\"env\":{\"PATH\":\"/nowhere\"},\"directory\":\"/tmp\"" MODES);
	assert_string_equal(
	    json_str(json_get(r, "error"), "code", ""), "agent_not_installed");
	assert_int_equal(p.nevents, 0);
	play_close(&p);
}

/* Gone after the session was made: the turn says so, the session lives. */
static void
test_exec_fails(void **state)
{
	char path[] = "/tmp/test-claude-gone.XXXXXX";
	int fd = mkstemp(path);
	autofree char *members = NULL;
	struct play p;

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(fd_write_all(fd, "#!/nowhere/sh\n", 14), 0);
	assert_int_equal(fchmod(fd, 0755), 0);
	(void)close(fd);
	members = xasprintf(",\"env\":{},\"directory\":\"/tmp\","
			    "\"command\":[\"%s\"]" MODES,
	    path);
	assert_non_null(json_get(play_open(&p, "claude", members), "ok"));
	stand_in_turn(&p, "hello");
	assert_string_equal(play_str(play_event(&p, "error", 0), "code"),
	    "agent_not_installed");
	assert_int_equal(unlink(path), 0);
	stand_in_turn(&p, "hello");
	assert_int_equal(play_count(&p, "error"), 2);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_bad_directory(void **state)
{
	autofree char *members = NULL;
	struct play p;

	(void)state;
	members = xasprintf(",\"env\":{},\"directory\":\"/nowhere\","
			    "\"command\":[\"%s\"]" MODES,
	    stand_in_self);
	assert_non_null(json_get(play_open(&p, "claude", members), "ok"));
	stand_in_turn(&p, "hello");
	assert_string_equal(
	    play_str(play_event(&p, "error", 0), "code"), "exec_failed");
	play_close(&p);
}

static void
test_settings(void **state)
{
	autofree char *members = stand_in_members("claude-turn", "",
	    ",\"model\":\"m1\",\"permission_mode\":\"plan\","
	    "\"agent_mode\":\"build\"");
	autofree char *text = NULL;
	struct play p;

	(void)state;
	assert_non_null(json_get(play_open(&p, "claude", members), "ok"));
	play_error(&p, "configure", ",\"model\":\"--evil\"", "bad_request");
	play_error(&p, "configure", ",\"permission_mode\":\"wat\"",
	    "mode_not_supported");
	stand_in_turn(&p, "first");
	play_ok(&p, "configure",
	    ",\"model\":\"m2\",\"permission_mode\":\"acceptEdits\"");
	assert_string_equal(p.model, "m2");
	stand_in_turn(&p, "second");
	play_close(&p);
	text = stand_in_said();
	assert_non_null(strstr(text, "--model m1 --permission-mode plan\n"));
	assert_non_null(
	    strstr(text, "\"subtype\":\"set_model\",\"model\":\"m2\""));
	assert_non_null(strstr(text,
	    "\"subtype\":\"set_permission_mode\",\"mode\":\"acceptEdits\""));
}

/* To-do lists of both kinds become plans; effort is a thought level; modes go
 * by their native names, too. */
static void
test_plan_and_levels(void **state)
{
	autofree char *members = stand_in_members("claude-plan", "",
	    ",\"thought_level\":\"high\",\"permission_mode\":\"dontAsk\","
	    "\"agent_mode\":\"build\"");
	autofree char *text = NULL;
	struct play p;
	size_t i, plans = 0;

	(void)state;
	assert_non_null(json_get(play_open(&p, "claude", members), "ok"));
	play_error(&p, "configure", ",\"thought_level\":\"deepest\"",
	    "mode_not_supported");
	stand_in_turn(&p, "work");
	play_ok(&p, "configure", ",\"thought_level\":\"low\"");
	play_ok(&p, "configure", ",\"permission_mode\":\"acceptEdits\"");
	play_ok(&p, "configure", ",\"agent_mode\":\"auto\"");
	stand_in_turn(&p, "more");
	for (i = 0; i < p.nevents; i++)
		if (strcmp(
			json_str(
			    json_path(p.events[i], "data.item.content") != NULL
				? json_path(p.events[i], "data.item.content")
				      ->child
				: NULL,
			    "label", ""),
			"turn.plan.updated") == 0 &&
		    strcmp(json_str(p.events[i], "type", ""),
			"item.completed") == 0)
			plans++;
	assert_int_equal(plans, 3);
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	play_check_log(&p, false);
	play_close(&p);
	text = stand_in_said();
	assert_non_null(
	    strstr(text, "--permission-mode dontAsk --effort high\n"));
	assert_non_null(strstr(text, "\"subtype\":\"apply_flag_settings\","
				     "\"settings\":{\"effortLevel\":\"low\"}"));
	assert_non_null(strstr(text,
	    "\"subtype\":\"set_permission_mode\",\"mode\":\"acceptEdits\""));
	assert_non_null(strstr(
	    text, "\"subtype\":\"set_permission_mode\",\"mode\":\"auto\""));
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_tools),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_questions_answered_together),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_deaf),
		cmocka_unit_test(test_dies),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_resume_after_worker_restart),
		cmocka_unit_test(test_resume_unknown),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_not_installed),
		cmocka_unit_test(test_exec_fails),
		cmocka_unit_test(test_bad_directory),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_plan_and_levels),
	};
	int rc;

	if (stand_in_main(argc, argv, "test-claude") == -1)
		return 99;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	stand_in_end();
	return rc;
}
