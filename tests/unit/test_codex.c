/*
 * The Codex adapter in a real worker, against a stand-in for `codex
 * app-server`: this program itself, playing a fixture (codex_stand_in.h).
 */
#include "codex_stand_in.h"
#include "session_play.h"

#include "lib/defs.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char self[4096];
static char fixtures[4096];
static char said[] = "/tmp/test-codex.XXXXXX"; /* REPLAY_LOG */

/* --- the stage ----------------------------------------------------------- */

#define MODES ",\"permission_mode\":\"default\",\"agent_mode\":\"build\""

static char *
start_members(const char *fixture, const char *env, const char *more)
{
	return xasprintf(
	    ",\"protocol\":\"codex\",\"env\":{\"PATH\":\"/usr/bin:/bin\","
	    "\"FIXTURE\":\"%s/%s.play\",\"REPLAY_LOG\":\"%s\"%s},"
	    "\"directory\":\"/tmp\",\"command\":[\"%s\",\"--play\"]%s",
	    fixtures, fixture, said, env, self, more);
}

static void
open_with(
    struct play *p, const char *fixture, const char *env, const char *more)
{
	autofree char *members = start_members(fixture, env, more);

	assert_int_equal(truncate(said, 0), 0);
	assert_non_null(json_get(play_open(p, "codex", members), "ok"));
}

static void
open_codex(struct play *p, const char *fixture)
{
	open_with(p, fixture, "", MODES);
}

/* Everything that the stand-in was started with and sent; the caller's. */
static char *
what_was_said(void)
{
	autofd int fd = open(said, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t len;

	assert_int_not_equal(fd, -1);
	assert_int_equal(fd_slurp(fd, 16u << 20, &text, &len, NULL), 0);
	return text;
}

static void
turn(struct play *p, const char *text)
{
	size_t ended = play_count(p, "turn.ended");

	play_prompt(p, text);
	play_until(p, play_count(p, "turn.ended") > ended);
	play_idle(p);
}

static const char *
stop_reason(struct play *p, size_t n)
{
	return play_str(play_event(p, "turn.ended", n), "metadata.stop_reason");
}

/* The completed item of this native id and kind. */
static const struct json *
item(struct play *p, const char *id, const char *kind)
{
	size_t i;

	for (i = 0; i < p->nevents; i++)
		if (strcmp(json_str(p->events[i], "type", ""),
			"item.completed") == 0 &&
		    strcmp(play_str(p->events[i], "item.native_item_id"), id) ==
			0 &&
		    strcmp(play_str(p->events[i], "item.kind"), kind) == 0)
			return json_path(p->events[i], "data.item");
	fail_msg("no %s %s", kind, id);
	return NULL;
}

/* The status of this label, or NULL. */
static const struct json *
status(struct play *p, const char *label)
{
	size_t i;

	for (i = 0; i < p->nevents; i++) {
		const struct json *part =
		    json_path(p->events[i], "data.item.content");

		if (strcmp(json_str(p->events[i], "type", ""),
			"item.completed") == 0 &&
		    part != NULL && part->child != NULL &&
		    strcmp(json_str(part->child, "label", ""), label) == 0)
			return part->child;
	}
	return NULL;
}

static void
test_turns(void **state)
{
	const struct json *it, *ev;
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_codex(&p, "codex-turn");
	assert_int_equal(p.nevents, 1); /* not started before it is needed */
	turn(&p, "first");
	assert_string_equal(p.native, "th-1");
	it = json_get(item(&p, "r1", "message"), "content");
	assert_string_equal(json_str(it->child, "visibility", ""), "private");
	assert_string_equal(
	    json_str(it->child->next, "text", ""), "Let me see.");
	assert_string_equal(play_last_text(&p), "Hello you.");
	assert_string_equal(stop_reason(&p, 0), "end_turn");
	it = status(&p, "turn.plan.updated");
	assert_non_null(it);
	assert_non_null(strstr(json_str(it, "detail", ""), "in_progress"));
	ev = play_event(&p, "turn.ended", 0);
	it = json_path(ev, "data.metadata.usage");
	assert_int_equal(json_int(it, "input_tokens", 0), 120);
	assert_int_equal(json_int(it, "total_tokens", 0), 144);
	assert_int_equal(json_int(it, "reasoning_tokens", 0), 5);

	turn(&p, "second");
	assert_string_equal(play_last_text(&p), "Whole.");
	it = json_path(play_event(&p, "turn.ended", 1), "data.metadata.usage");
	assert_int_equal(json_int(it, "total_tokens", 0), 56);
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	/* One of the user's in each turn: what codex echoes is passed over. */
	assert_int_equal(play_count(&p, "turn.started"), 2);
	play_check_log(&p, false);
	play_close(&p);
	text = what_was_said();
	assert_true(str_starts(text,
	    "app-server -c check_for_update_on_startup=false -c "
	    "analytics.enabled=false -c features.plugins=false\n"));
	assert_non_null(strstr(text, "\"approvalPolicy\":\"untrusted\""));
	assert_non_null(strstr(text, "\"sandbox\":\"danger-full-access\""));
	assert_null(strstr(text, "collaborationMode"));
}

static const struct json *
nth_part(const struct json *it, unsigned n)
{
	const struct json *part = json_get(it, "content")->child;

	while (n-- > 0 && part != NULL)
		part = part->next;
	assert_non_null(part);
	return part;
}

static void
check_tool_items(struct play *p)
{
	const struct json *it;

	it = item(p, "c1", "tool_call");
	assert_string_equal(json_str(nth_part(it, 0), "name", ""), "shell");
	it = item(p, "c1", "tool_result");
	assert_string_equal(
	    json_str(nth_part(it, 0), "output", ""), "one\ntwo\n");
	assert_string_equal(
	    json_str(json_get(nth_part(it, 1), "json"), "status", ""),
	    "Completed");
	assert_string_equal(
	    json_str(item(p, "c2", "tool_result"), "status", ""), "failed");
	it = item(p, "f1", "tool_result");
	assert_string_equal(json_str(it, "status", ""), "failed");
	assert_string_equal(
	    json_str(nth_part(it, 1), "diff", ""), "@@ -0,0 +1,2 @@\n+a\n+b\n");
	assert_string_equal(json_str(nth_part(it, 2), "action", ""), "patch");
	it = item(p, "t1", "tool_call");
	assert_string_equal(json_str(nth_part(it, 0), "name", ""), "srv.tell");
	assert_string_equal(
	    json_str(nth_part(it, 0), "arguments", ""), "{\"word\":1.50}");
	it = item(p, "t1", "tool_result");
	assert_string_equal(
	    json_str(nth_part(it, 0), "output", ""), "told\n[image]");
	it = item(p, "w1", "tool_call");
	assert_string_equal(
	    json_str(nth_part(it, 0), "arguments", ""), "weather");
	it = item(p, "i1", "message");
	assert_string_equal(json_str(nth_part(it, 0), "path", ""), "/w/a.png");
	assert_string_equal(
	    json_str(item(p, "d1", "tool_result"), "status", ""), "failed");
	(void)item(p, "n1", "unknown");
	assert_non_null(status(p, "thread.compacted"));
	assert_non_null(status(p, "mcp.elicitation.declined"));
}

static void
test_tools(void **state)
{
	const struct json *ev;
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_codex(&p, "codex-tools");
	play_prompt(&p, "work");
	play_until(&p, play_count(&p, "permission.requested") == 1);
	ev = play_event(&p, "permission.requested", 0);
	assert_string_equal(play_str(ev, "action"), "commandExecution");
	assert_string_equal(play_str(ev, "permission_id"), "c1:0");
	assert_string_equal(play_str(ev, "metadata.toolCallId"), "c1");
	assert_string_equal(play_str(ev, "metadata.reason"), "May I?");
	assert_string_equal(
	    play_str(ev, "metadata.codexRequestKind"), "commandExecution");
	play_ok(&p, "permission",
	    ",\"permission_id\":\"c1:0\",\"reply\":\"always\"");
	/* The second command is of the same kind: answered at once. */
	play_until(&p, play_count(&p, "permission.requested") == 3);
	assert_int_equal(play_count(&p, "permission.resolved"), 2);
	ev = play_event(&p, "permission.requested", 2);
	assert_string_equal(play_str(ev, "action"), "fileChange");
	play_ok(&p, "permission",
	    ",\"permission_id\":\"f1:\\\"s-2\\\"\",\"reply\":\"reject\","
	    "\"message\":\"Not here.\"");
	play_until(&p, play_count(&p, "permission.requested") == 4);
	ev = play_event(&p, "permission.requested", 3);
	assert_string_equal(play_str(ev, "action"), "srv.tell");
	play_ok(&p, "permission",
	    ",\"permission_id\":\"tu-1:3\",\"reply\":\"once\"");
	play_until(&p, play_count(&p, "permission.requested") == 5);
	play_ok(
	    &p, "permission", ",\"permission_id\":\"p1:5\",\"reply\":\"once\"");
	play_idle(&p);
	check_tool_items(&p);
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	play_check_log(&p, false);
	play_close(&p);
	text = what_was_said();
	assert_non_null(
	    strstr(text, "The user declined this and says: Not here."));
}

static void
test_questions(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_codex(&p, "codex-questions");
	play_prompt(&p, "ask");
	play_until(&p, play_count(&p, "question.requested") == 2);
	ev = play_event(&p, "question.requested", 0);
	assert_string_equal(play_str(ev, "prompt"), "Which colour?");
	assert_string_equal(json_path(ev, "data.options")->child->str, "Red");
	play_ok(&p, "question",
	    ",\"question_id\":\"q:0\",\"answers\":[[\"Blue\"]]");
	play_ok(&p, "question",
	    ",\"question_id\":\"q:0_2\",\"answers\":[[\"S\",\"L\"]]");
	play_until(&p, play_count(&p, "question.requested") == 3);
	play_ok(&p, "question", ",\"question_id\":\"r:1\"");
	play_idle(&p);
	/* The one without a question was refused, the last taken back. */
	assert_int_equal(play_count(&p, "question.requested"), 4);
	ev = play_event(&p, "question.resolved", 3);
	assert_string_equal(play_str(ev, "status"), "rejected");
	assert_false(json_bool(ev, "synthetic", true));
	assert_int_equal(play_count(&p, "agent.unparsed"), 1);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_questions_answered_together(void **state)
{
	struct play p;

	(void)state;
	open_codex(&p, "codex-questions");
	play_prompt(&p, "ask");
	play_until(&p, play_count(&p, "question.requested") == 2);
	play_ok(&p, "question",
	    ",\"question_id\":\"q:0\","
	    "\"answers\":[[\"Blue\"],[\"S\",\"L\"]]");
	play_until(&p, play_count(&p, "question.requested") == 3);
	assert_int_equal(play_count(&p, "question.resolved"), 2);
	play_close(&p);
}

static bool
was_said(const char *text)
{
	autofree char *all = what_was_said();

	return strstr(all, text) != NULL;
}

static void
test_interrupt(void **state)
{
	struct play p;

	(void)state;
	open_codex(&p, "codex-interrupt");
	play_prompt(&p, "slow");
	/* Before it has started: an interrupt would be refused. */
	play_until(&p, was_said("turn/start"));
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_string_equal(stop_reason(&p, 0), "cancelled");
	play_prompt(&p, "slow");
	play_until(&p, play_count(&p, "permission.requested") == 1);
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_string_equal(stop_reason(&p, 1), "cancelled");
	assert_string_equal(
	    play_str(play_event(&p, "permission.resolved", 0), "status"),
	    "reject");
	assert_string_equal(
	    json_str(item(&p, "m1", "message"), "status", ""), "failed");
	assert_int_equal(play_count(&p, "error"), 0);
	turn(&p, "again");
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
	struct play p;

	(void)state;
	open_codex(&p, "codex-deaf");
	play_prompt(&p, "slow");
	play_until(&p, play_count(&p, "item.delta") == 1);
	play_ok(&p, "cancel", "");
	play_idle(&p);
	assert_string_equal(stop_reason(&p, 0), "cancelled");
	assert_string_equal(play_last_text(&p), "never ends");
	play_check_log(&p, false);
	play_prompt(&p, "slow");
	play_until(&p, play_count(&p, "item.delta") == 2);
	play_ok(&p, "end", "");
	assert_int_equal(play_wait_exit(&p), 0);
	play_check_log(&p, false);
	play_close(&p);
	text = what_was_said();
	assert_non_null(strstr(text, "turn/interrupt"));
	assert_non_null(strstr(text, "\"threadId\":\"th-1\",\"excludeTurns\""));
}

static void
test_dies(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_codex(&p, "codex-dies");
	turn(&p, "one");
	ev = play_event(&p, "error", 0);
	assert_string_equal(play_str(ev, "code"), "process_exit");
	assert_string_equal(
	    play_str(ev, "message"), "codex exited with status 3: out of luck");
	assert_string_equal(play_last_text(&p), "half");
	assert_string_equal(
	    play_str(play_event(&p, "permission.resolved", 0), "status"),
	    "reject");
	assert_string_equal(stop_reason(&p, 0), "error");
	turn(&p, "one");
	assert_int_equal(play_count(&p, "error"), 2);
	assert_true(was_said("thread/resume"));
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_errors(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_codex(&p, "codex-errors");
	turn(&p, "one");
	/* A retry is a status; the failure is one error, not two. */
	assert_non_null(status(&p, "api_retry"));
	assert_int_equal(play_count(&p, "error"), 1);
	ev = play_event(&p, "error", 0);
	assert_string_equal(play_str(ev, "code"), "api_error");
	assert_string_equal(play_str(ev, "message"), "too many");
	assert_int_equal(
	    json_int(json_path(ev, "data.details"), "status", 0), 429);
	assert_string_equal(stop_reason(&p, 0), "error");
	turn(&p, "two");
	assert_string_equal(stop_reason(&p, 1), "max_tokens");
	assert_int_equal(play_count(&p, "error"), 2);
	turn(&p, "three");
	assert_non_null(status(&p, "codex.model.unavailable"));
	turn(&p, "four");
	ev = play_event(&p, "error", 3);
	assert_string_equal(
	    play_str(ev, "message"), "codex refused: thread is busy");
	assert_string_equal(stop_reason(&p, 3), "error");
	turn(&p, "five");
	assert_string_equal(stop_reason(&p, 4), "end_turn");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_resume_after_worker_restart(void **state)
{
	struct play p;

	(void)state;
	open_codex(&p, "codex-turn");
	turn(&p, "first");
	play_kill(&p);
	assert_int_equal(truncate(said, 0), 0);
	assert_non_null(json_get(play_again(&p), "ok"));
	turn(&p, "first");
	assert_true(was_said("\"method\":\"thread/resume\""));
	assert_false(was_said("\"method\":\"thread/start\""));
	/* What was said of modes before is not known. */
	assert_true(was_said("\"collaborationMode\":{\"mode\":\"default\""));
	play_check_log(&p, false);
	play_close(&p);
}

/* A configuration that cannot be loaded does not lose the conversation. */
static void
test_refused_resume(void **state)
{
	struct play p;

	(void)state;
	open_codex(&p, "codex-turn");
	turn(&p, "first");
	play_close(&p);
	open_codex(&p, "codex-config");
	assert_int_equal(str_copy(p.native, sizeof(p.native), "th-1"), 0);
	play_kill(&p);
	free(STEAL(p.checkpoint));
	assert_non_null(json_get(play_again(&p), "ok"));
	turn(&p, "hello");
	assert_non_null(strstr(play_str(play_event(&p, "error", 0), "message"),
	    "failed to load configuration"));
	assert_string_equal(p.native, "th-1");
	turn(&p, "hello");
	assert_string_equal(play_last_text(&p), "Mended.");
	play_close(&p);
}

/* It does not know the conversation: it is told what was said. */
static void
test_forgotten(void **state)
{
	autofree char *members = NULL;
	struct play p;

	(void)state;
	open_codex(&p, "codex-turn");
	turn(&p, "My name is Ada.");
	play_kill(&p);
	free(p.start);
	members = start_members("codex-lost", "", MODES);
	p.start =
	    xasprintf(",\"session\":\"s1\",\"agent\":\"codex\"%s", members);
	assert_int_equal(truncate(said, 0), 0);
	assert_non_null(json_get(play_again(&p), "ok"));
	turn(&p, "Do you remember?");
	assert_string_equal(play_last_text(&p), "Anew.");
	assert_string_equal(p.native, "th-9");
	assert_true(was_said("My name is Ada."));
	assert_true(was_said("Do you remember?"));
	assert_int_equal(play_count(&p, "error"), 0);
	/* The user said it once. */
	assert_int_equal(play_count(&p, "turn.started"), 2);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_probe(void **state)
{
	const struct json *r;
	autofree char *members = start_members(
	    "codex-turn", "", MODES ",\"kind\":\"probe\",\"version_args\":[]");
	struct play p;

	(void)state;
	assert_int_equal(truncate(said, 0), 0);
	r = play_open(&p, "codex", members);
	assert_non_null(json_get(r, "ok"));
	assert_false(was_said("thread/start"));
	play_close(&p);
}

static void
test_garbage(void **state)
{
	struct play p;

	(void)state;
	open_codex(&p, "codex-garbage");
	turn(&p, "one");
	(void)item(&p, "m1", "message");
	assert_string_equal(
	    play_str(play_event(&p, "agent.unparsed", 0), "location"), "codex");
	/* not JSON, a number, a fish, a notice, a request, the questions, what
	 * is too deep, what is too long */
	assert_int_equal(play_count(&p, "agent.unparsed"), 8);
	assert_non_null(strstr(
	    json_str(nth_part(item(&p, "b", "tool_result"), 0), "output", ""),
	    "[cut: "));
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_goes_on_by_itself(void **state)
{
	struct play p;

	(void)state;
	open_codex(&p, "codex-own");
	play_prompt(&p, "one");
	play_until(&p, play_count(&p, "turn.ended") == 2);
	assert_string_equal(play_last_text(&p), "By the way.");
	assert_string_equal(stop_reason(&p, 1), "end_turn");
	/* The thread was put away meanwhile: it is taken up again. */
	turn(&p, "two");
	assert_true(was_said("thread/resume"));
	assert_string_equal(stop_reason(&p, 2), "end_turn");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_not_installed(void **state)
{
	const struct json *r;
	struct play p;

	(void)state;
	r = play_open(&p, "codex",
	    ",\"protocol\":\"codex\",\"env\":{\"PATH\":\"/nowhere\"},"
	    "\"directory\":\"/tmp\"" MODES);
	assert_string_equal(
	    json_str(json_get(r, "error"), "code", ""), "agent_not_installed");
	play_close(&p);
}

static void
test_settings(void **state)
{
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_with(&p, "codex-turn", "",
	    ",\"model\":\"m2\",\"permission_mode\":\"plan\","
	    "\"thought_level\":\"high\",\"agent_mode\":\"build\","
	    "\"program_args\":[\"--strict\"]");
	play_error(&p, "configure", ",\"model\":\"--evil\"", "bad_request");
	play_error(&p, "configure", ",\"permission_mode\":\"wat\"",
	    "mode_not_supported");
	play_error(
	    &p, "configure", ",\"agent_mode\":\"wat\"", "mode_not_supported");
	turn(&p, "first");
	play_ok(&p, "configure",
	    ",\"model\":\"m1\",\"permission_mode\":\"full-access\","
	    "\"thought_level\":\"low\"");
	turn(&p, "second");
	play_close(&p);
	text = what_was_said();
	assert_true(str_starts(text, "--strict app-server -c "));
	assert_non_null(strstr(text,
	    "\"approvalPolicy\":\"untrusted\",\"sandboxPolicy\":{\"type\":"
	    "\"dangerFullAccess\"},\"model\":\"m2\",\"effort\":\"high\","
	    "\"collaborationMode\":{\"mode\":\"plan\",\"settings\":{\"model\":"
	    "\"m2\",\"reasoning_effort\":\"high\","));
	assert_non_null(strstr(text,
	    "\"approvalPolicy\":\"never\",\"sandboxPolicy\":{\"type\":"
	    "\"dangerFullAccess\"},\"model\":\"m1\",\"effort\":\"low\","
	    "\"collaborationMode\":{\"mode\":\"default\""));
}

/* The mode answers for the user. */
static void
test_modes(void **state)
{
	struct play p;

	(void)state;
	open_with(&p, "codex-tools", "",
	    ",\"permission_mode\":\"acceptEdits\",\"agent_mode\":\"build\"");
	play_prompt(&p, "work");
	play_until(&p, play_count(&p, "permission.requested") == 1);
	play_ok(&p, "permission",
	    ",\"permission_id\":\"c1:0\",\"reply\":\"always\"");
	/* The change of files is accepted unseen: the stand-in, which waits
	 * for a refusal, is told otherwise. */
	play_until(&p, was_said("\"id\":\"s-2\",\"result\":{\"decision\":"
				"\"accept\"}"));
	play_until(&p, play_count(&p, "permission.requested") == 2);
	play_close(&p);

	open_with(&p, "codex-tools", "",
	    ",\"permission_mode\":\"plan\",\"agent_mode\":\"build\"");
	play_prompt(&p, "work");
	play_until(&p, play_count(&p, "permission.requested") == 1);
	play_ok(&p, "permission",
	    ",\"permission_id\":\"c1:0\",\"reply\":\"always\"");
	play_until(&p, was_said("\"id\":\"s-2\",\"result\":{\"decision\":"
				"\"decline\"}"));
	play_until(&p, play_count(&p, "permission.requested") == 2);
	play_close(&p);
}

static void
test_key(void **state)
{
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_with(&p, "codex-key",
	    ",\"OPENAI_API_KEY\":\"sk-secret\",\"HOME\":\"/nowhere\"", MODES);
	turn(&p, "one");
	assert_string_equal(stop_reason(&p, 0), "end_turn");
	play_close(&p);
	text = what_was_said();
	assert_non_null(
	    strstr(text, "-c cli_auth_credentials_store=ephemeral\n"));
	assert_non_null(
	    strstr(text, "\"type\":\"apiKey\",\"apiKey\":\"sk-secret\""));
}

/* With a server of its own the key stays in its variable. */
static void
test_key_for_server(void **state)
{
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_with(&p, "codex-turn",
	    ",\"CODEX_API_KEY\":\"sk-secret\",\"HOME\":\"/nowhere\","
	    "\"OPENAI_BASE_URL\":\"http://127.0.0.1:9/v1\"",
	    MODES);
	turn(&p, "first");
	play_close(&p);
	text = what_was_said();
	assert_non_null(strstr(text, "\"modelProvider\":\"sandbox\""));
	assert_non_null(strstr(text, "\"env_key\":\"CODEX_API_KEY\""));
	assert_null(strstr(text, "sk-secret"));
	free(STEAL(text));
	/* A provider of the user's own goes before. */
	open_with(&p, "codex-turn",
	    ",\"CODEX_API_KEY\":\"sk-secret\",\"HOME\":\"/nowhere\","
	    "\"OPENAI_BASE_URL\":\"http://127.0.0.1:9/v1\","
	    "\"CODEX_CONFIG\":\"{\\\"model_provider\\\":\\\"mine\\\"}\"",
	    MODES);
	turn(&p, "first");
	play_close(&p);
	text = what_was_said();
	assert_null(strstr(text, "modelProvider"));
	assert_null(strstr(text, "sk-secret"));
}

static void
test_mcp(void **state)
{
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_with(&p, "codex-turn", ",\"TOKEN\":\"tok\"",
	    MODES
	    ",\"mcp\":{\"pipes\":{\"type\":\"local\",\"command\":[\"node\","
	    "\"a\"],\"args\":[\"b\"],\"env\":{\"K\":\"v\"},\"cwd\":\"/c\","
	    "\"timeoutMs\":1500},\"web\":{\"type\":\"remote\",\"url\":"
	    "\"http://127.0.0.1:9/mcp\",\"bearerTokenEnvVar\":\"TOKEN\"},"
	    "\"old\":{\"type\":\"remote\",\"url\":\"http://127.0.0.1:9/\","
	    "\"transport\":\"sse\"}}");
	turn(&p, "first");
	assert_non_null(strstr(play_str(play_event(&p, "error", 0), "message"),
	    "no transport sse"));
	play_close(&p);
	text = what_was_said();
	assert_non_null(strstr(text,
	    "\"mcp_servers\":{\"pipes\":{\"command\":\"node\",\"args\":[\"a\","
	    "\"b\"],\"env\":{\"K\":\"v\"},\"cwd\":\"/c\","
	    "\"tool_timeout_sec\":2}"));
	assert_non_null(strstr(text, "\"Authorization\":\"Bearer tok\""));
	/* Not in the arguments, which any process may read. */
	assert_true(strchr(text, '\n') < strstr(text, "tok"));
}

static void
test_attachments(void **state)
{
	struct play p;

	(void)state;
	open_codex(&p, "codex-turn");
	play_ok(&p, "prompt",
	    ",\"text\":\"look\",\"attachments\":[{\"path\":\"/dev/null\","
	    "\"mime\":\"image/png\"},{\"path\":\"/nowhere.png\",\"mime\":"
	    "\"image/png\"},{\"path\":\"/a.txt\"}]");
	play_idle(&p);
	/* A picture that is there goes as one, all else in words. */
	assert_true(was_said("},{\"type\":\"localImage\",\"path\":"
			     "\"/dev/null\"}],"));
	assert_true(was_said("look\\n\\nAttachments:\\n"));
	assert_true(was_said("- /nowhere.png\\n- /a.txt\\n"));
	play_close(&p);
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
		cmocka_unit_test(test_refused_resume),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_goes_on_by_itself),
		cmocka_unit_test(test_not_installed),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_key_for_server),
		cmocka_unit_test(test_mcp),
		cmocka_unit_test(test_attachments),
	};
	const char *src = getenv("srcdir");
	char dir[2048];
	int fd, rc;

	if (argc > 1 && strcmp(argv[1], "--play") == 0)
		return codex_stand_in(argc, argv);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) == -1 ||
	    str_format(dir, sizeof(dir), "%s/tests/unit/fixtures",
		src != NULL ? src : ".") == -1 ||
	    realpath(dir, fixtures) == NULL || (fd = mkstemp(said)) == -1)
		return 99;
	(void)close(fd);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(said);
	return rc;
}
