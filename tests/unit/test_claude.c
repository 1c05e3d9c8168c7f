/*
 * The Claude Code adapter in a real worker, against a stand-in for claude:
 * this program itself, playing a fixture. A fixture is a dialogue:
 *
 *	< TEXT		wait for a line on stdin that contains TEXT
 *	> LINE		print LINE
 *	! exit N, ! err TEXT, ! wait, ! ignore, ! bytes N C, ! deep N, ! long N,
 *	! big N		leave; write to stderr; read until stdin ends; be deaf
 *			to signals; print N bytes C, N brackets, a line of N
 *			bytes, a tool result of N bytes
 *
 * Besides it writes to the file REPLAY_LOG what it was started with and sent.
 */
#include "session_play.h"

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

static char self[4096];
static char fixtures[4096];
static char said[] = "/tmp/test-claude.XXXXXX"; /* REPLAY_LOG */

/* --- the stand-in -------------------------------------------------------- */

static void
out_many(const char *s, size_t n)
{
	while (n-- > 0)
		(void)fputs(s, stdout);
}

static void
wait_for(const char *text, FILE *log)
{
	char *line = NULL;
	size_t room = 0;

	do {
		if (getline(&line, &room, stdin) == -1)
			exit(0);
		(void)fputs(line, log);
		(void)fflush(log);
	} while (strstr(line, text) == NULL);
	free(line);
}

static void
act(const char *what)
{
	char c[2] = "x";
	int ch;

	if (str_starts(what, "exit "))
		exit(atoi(what + 5));
	if (str_starts(what, "err ")) {
		(void)fprintf(stderr, "%s\n", what + 4);
	} else if (str_starts(what, "wait")) {
		while (getchar() != EOF)
			;
		exit(0);
	} else if (str_starts(what, "ignore")) {
		(void)signal(SIGINT, SIG_IGN);
		(void)signal(SIGTERM, SIG_IGN);
	} else if (sscanf(what, "bytes %*d %d", &ch) == 1) {
		c[0] = (char)ch;
		out_many(c, strtoul(what + 6, NULL, 10));
		(void)putchar('\n');
	} else if (str_starts(what, "deep ")) {
		out_many("{\"type\":", strtoul(what + 5, NULL, 10));
		(void)putchar('\n');
	} else if (str_starts(what, "long ")) {
		out_many("x", strtoul(what + 5, NULL, 10));
		(void)putchar('\n');
	} else if (str_starts(what, "big ")) {
		(void)printf("{\"type\":\"user\",\"message\":{\"content\":[{"
			     "\"type\":\"tool_result\",\"tool_use_id\":\"b\","
			     "\"content\":\"");
		out_many("\\u0007", strtoul(what + 4, NULL, 10) / 6);
		(void)printf("\"}]}}\n");
	}
}

static int
play_fixture(int argc, char **argv)
{
	const char *name = getenv("FIXTURE");
	FILE *f = fopen(name != NULL ? name : "", "re");
	FILE *log = fopen(getenv("REPLAY_LOG"), "ae");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int i;

	if (f == NULL || log == NULL)
		return 99;
	for (i = 2; i < argc; i++)
		(void)fprintf(log, "%s%s", argv[i], i + 1 < argc ? " " : "\n");
	(void)fflush(log);
	while ((n = getline(&line, &room, f)) > 1) {
		line[n - 1] = '\0';
		if (line[0] == '<')
			wait_for(line + 2, log);
		else if (line[0] == '>')
			(void)puts(line + 2);
		else if (line[0] == '!')
			act(line + 2);
		(void)fflush(stdout);
	}
	return 0;
}

/* --- the stage ----------------------------------------------------------- */

static char *
start_members(const char *fixture, const char *more)
{
	return xasprintf(
	    ",\"env\":{\"PATH\":\"/usr/bin:/bin\",\"FIXTURE\":\"%s/%s.play\","
	    "\"REPLAY_LOG\":\"%s\"},\"directory\":\"/tmp\","
	    "\"command\":[\"%s\",\"--play\"]%s",
	    fixtures, fixture, said, self, more);
}

#define MODES ",\"permission_mode\":\"default\",\"agent_mode\":\"build\""

static void
open_claude(struct play *p, const char *fixture)
{
	autofree char *members = start_members(fixture, MODES);

	assert_int_equal(truncate(said, 0), 0);
	assert_non_null(json_get(play_open(p, "claude", members), "ok"));
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

static void
test_turns(void **state)
{
	const struct json *ev;
	autofree char *text = NULL;
	struct play p;

	(void)state;
	open_claude(&p, "claude-turn");
	assert_int_equal(p.nevents, 1); /* not started before it is needed */
	turn(&p, "first");
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
	assert_string_equal(stop_reason(&p, 0), "end_turn");
	ev = play_event(&p, "turn.ended", 0);
	assert_int_equal(
	    json_int(json_path(ev, "data.metadata.usage"), "output_tokens", 0),
	    4);

	turn(&p, "second");
	/* Not streamed: one synthetic delta. */
	assert_int_equal(p.nevents, 13 + 1 + 2 + 3 + 1);
	assert_string_equal(play_last_text(&p), "Whole.");
	assert_string_equal(stop_reason(&p, 1), "max_tokens");
	assert_int_equal(play_count(&p, "agent.unparsed"), 0);
	play_check_log(&p, false);
	play_close(&p);
	text = what_was_said();
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
	text = what_was_said();
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
	assert_string_equal(stop_reason(&p, 0), "cancelled");
	assert_int_equal(play_count(&p, "error"), 0);
	assert_string_equal(
	    play_str(play_event(&p, "item.completed", 1), "item.status"),
	    "failed");
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
	turn(&p, "one");
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
	assert_string_equal(stop_reason(&p, 0), "error");
	turn(&p, "one");
	assert_int_equal(play_count(&p, "error"), 2);
	play_check_log(&p, false);
	play_close(&p);
	text = what_was_said();
	assert_non_null(strstr(text, "--resume 5e55-0001\n"));
}

static void
test_errors(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_claude(&p, "claude-errors");
	turn(&p, "one");
	/* A retry is a status; the failure is one error, not two. */
	assert_int_equal(play_count(&p, "error"), 1);
	ev = play_event(&p, "error", 0);
	assert_string_equal(play_str(ev, "code"), "api_error");
	assert_string_equal(play_str(ev, "message"), "API Error: overloaded");
	ev = play_event(&p, "item.completed", 1);
	assert_string_equal(play_str(ev, "item.kind"), "status");
	assert_string_equal(stop_reason(&p, 0), "error");
	turn(&p, "two");
	assert_string_equal(stop_reason(&p, 1), "max_turns");
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
	turn(&p, "first");
	play_kill(&p);
	assert_int_equal(truncate(said, 0), 0);
	assert_non_null(json_get(play_again(&p), "ok"));
	turn(&p, "first");
	play_check_log(&p, false);
	play_close(&p);
	text = what_was_said();
	assert_non_null(strstr(text, "--resume 5e55-0001\n"));
}

static void
test_resume_unknown(void **state)
{
	autofree char *text = NULL;
	const struct json *ev;
	struct play p;

	(void)state;
	open_claude(&p, "claude-lost");
	assert_int_equal(str_copy(p.native, sizeof(p.native), "5e55-0001"), 0);
	play_kill(&p);
	free(STEAL(p.checkpoint));
	assert_non_null(json_get(play_again(&p), "ok"));
	turn(&p, "hello");
	ev = play_event(&p, "error", 0);
	assert_string_equal(play_str(ev, "code"), "resume_failed");
	assert_string_equal(stop_reason(&p, 0), "error");
	assert_int_equal(truncate(said, 0), 0);
	turn(&p, "hello");
	play_close(&p);
	text = what_was_said();
	assert_null(strstr(text, "--resume"));
}

static void
test_garbage(void **state)
{
	const struct json *ev, *part;
	struct play p;
	size_t i;

	(void)state;
	open_claude(&p, "claude-garbage");
	turn(&p, "one");
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
	turn(&p, "hello");
	assert_string_equal(play_str(play_event(&p, "error", 0), "code"),
	    "agent_not_installed");
	assert_int_equal(unlink(path), 0);
	turn(&p, "hello");
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
	    self);
	assert_non_null(json_get(play_open(&p, "claude", members), "ok"));
	turn(&p, "hello");
	assert_string_equal(
	    play_str(play_event(&p, "error", 0), "code"), "exec_failed");
	play_close(&p);
}

static void
test_settings(void **state)
{
	autofree char *members = start_members("claude-turn",
	    ",\"model\":\"m1\",\"permission_mode\":\"plan\","
	    "\"agent_mode\":\"build\"");
	autofree char *text = NULL;
	struct play p;

	(void)state;
	assert_int_equal(truncate(said, 0), 0);
	assert_non_null(json_get(play_open(&p, "claude", members), "ok"));
	play_error(&p, "configure", ",\"model\":\"--evil\"", "bad_request");
	play_error(&p, "configure", ",\"permission_mode\":\"wat\"",
	    "mode_not_supported");
	turn(&p, "first");
	play_ok(&p, "configure",
	    ",\"model\":\"m2\",\"permission_mode\":\"acceptEdits\"");
	assert_string_equal(p.model, "m2");
	turn(&p, "second");
	play_close(&p);
	text = what_was_said();
	assert_non_null(strstr(text, "--model m1 --permission-mode plan\n"));
	assert_non_null(
	    strstr(text, "\"subtype\":\"set_model\",\"model\":\"m2\""));
	assert_non_null(strstr(text,
	    "\"subtype\":\"set_permission_mode\",\"mode\":\"acceptEdits\""));
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
	};
	const char *src = getenv("srcdir");
	char dir[2048];
	int fd, rc;

	if (argc > 1 && strcmp(argv[1], "--play") == 0)
		return play_fixture(argc, argv);
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
