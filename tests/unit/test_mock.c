/*
 * The mock agent in a real worker: every scripted message with its number of
 * events and its fixed payloads, the requests and their answers, and the
 * commands that do something.
 */
#include "session_play.h"

#include "lib/defs.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define START                                                           \
	",\"env\":{\"PATH\":\"/usr/bin:/bin\"},\"directory\":\"/tmp\"," \
	"\"permission_mode\":\"default\",\"agent_mode\":\"build\""

static void
open_mock(struct play *p)
{
	assert_non_null(json_get(play_open(p, "mock", START), "ok"));
	assert_string_equal(p->native, "mock-s1");
}

/* Events after session.started for MESSAGE, once no more come. */
static size_t
events_of(const char *message, bool ends)
{
	struct play p;
	size_t n;
	int i;

	open_mock(&p);
	play_prompt(&p, message);
	if (ends)
		play_idle(&p);
	/* More would be wrong: give them a chance to come. */
	for (i = 0; i < 5; i++)
		play_step(&p, 10);
	n = p.nevents - 1;
	play_check_log(&p, !ends);
	play_close(&p);
	return n;
}

static void
test_counts(void **state)
{
	static const struct {
		const char *message;
		size_t n;
		bool ends;
	} expected[] = {
		{ "hello there", 7, true },
		{ "help", 7, true },
		{ "HELP me", 7, true },
		{ "markdown", 14, true },
		{ "tool", 8, true },
		{ "status", 6, true },
		{ "image", 7, true },
		{ "unknown", 6, true },
		{ "permission", 5, false },
		{ "question", 5, false },
		{ "error", 6, true },
		{ "unparsed", 5, true },
		{ "end", 4, false },
		{ "  ", 1, false },
		{ "Answer briefly and include your reasoning.", 8, true },
		{ "Provide a short status update.", 6, true },
		{ "List files in the current directory using available tools.",
		    4, false },
		{ "demo", 67, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < countof(expected); i++)
		if (events_of(expected[i].message, expected[i].ends) !=
		    expected[i].n)
			fail_msg("%s: another number of events",
			    expected[i].message);
}

static void
test_payloads(void **state)
{
	const struct json *ev, *part;
	struct play p;

	(void)state;
	open_mock(&p);
	play_prompt(&p, " say  one   two ");
	play_idle(&p);
	assert_string_equal(play_last_text(&p), "one two");
	assert_string_equal(
	    play_str(p.events[2], "item.native_item_id"), "mock_1_user");
	assert_true(json_bool(p.events[5], "synthetic", false));
	assert_string_equal(play_str(p.events[5], "delta"), "one two");

	play_prompt(&p, "tool");
	play_idle(&p);
	ev = play_event(&p, "item.completed", 4);
	assert_string_equal(play_str(ev, "item.status"), "failed");
	assert_string_equal(play_str(ev, "item.role"), "tool");
	part = json_path(ev, "data.item.content")->child;
	assert_string_equal(
	    json_str(part, "output", ""), "mock search results");
	assert_string_equal(json_str(part, "call_id", ""), "mock_2_call");
	assert_string_equal(
	    json_str(part->next->next, "diff", ""), "+mock output\n");

	play_prompt(&p, "unparsed");
	play_idle(&p);
	ev = play_event(&p, "agent.unparsed", 0);
	assert_string_equal(json_str(json_get(ev, "raw"), "raw", ""), "mock");
	assert_string_equal(play_str(ev, "location"), "mock.stream");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_permissions(void **state)
{
	struct play p;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "permission");
	play_until(&p, play_count(&p, "permission.requested") == 2);
	play_error(&p, "permission",
	    ",\"permission_id\":\"nope\",\"reply\":\"once\"",
	    "permission_not_found");
	play_error(&p, "permission",
	    ",\"permission_id\":\"mock_1_permission\",\"reply\":\"maybe\"",
	    "bad_request");
	play_ok(&p, "permission",
	    ",\"permission_id\":\"mock_1_permission\",\"reply\":\"always\"");
	assert_string_equal(
	    play_str(play_event(&p, "permission.resolved", 0), "status"),
	    "accept_for_session");
	play_error(&p, "permission",
	    ",\"permission_id\":\"mock_1_permission\",\"reply\":\"once\"",
	    "permission_not_found");
	/* The like is allowed now: the next command request answers itself;
	 * the file request of the first turn stays open, its turn ends. */
	play_prompt(&p, "permission");
	play_until(&p, play_count(&p, "permission.requested") == 4);
	assert_int_equal(play_count(&p, "permission.resolved"), 2);
	assert_int_equal(play_count(&p, "turn.ended"), 1);
	play_ok(&p, "permission",
	    ",\"permission_id\":\"mock_1_permission_denied\","
	    "\"reply\":\"reject\"");
	assert_string_equal(p.state, "turn");
	/* The last request of the turn ends it. */
	play_ok(&p, "permission",
	    ",\"permission_id\":\"mock_2_permission_denied\","
	    "\"reply\":\"once\"");
	play_idle(&p);
	assert_int_equal(play_count(&p, "turn.ended"), 2);
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_questions(void **state)
{
	const struct json *ev;
	struct play p;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "question");
	play_until(&p, play_count(&p, "question.requested") == 2);
	play_error(&p, "permission",
	    ",\"permission_id\":\"mock_1_question\",\"reply\":\"once\"",
	    "permission_not_found");
	play_ok(&p, "question",
	    ",\"question_id\":\"mock_1_question\","
	    "\"answers\":[[\"Blue\",\"Red\"]]");
	ev = play_event(&p, "question.resolved", 0);
	assert_string_equal(play_str(ev, "response"), "Blue");
	assert_string_equal(play_str(ev, "status"), "answered");
	play_ok(&p, "question", ",\"question_id\":\"mock_1_question_reject\"");
	ev = play_event(&p, "question.resolved", 1);
	assert_string_equal(play_str(ev, "status"), "rejected");
	assert_int_equal(json_path(ev, "data.response")->type, JSON_NULL);
	play_idle(&p);
	play_close(&p);
}

static void
test_queue_and_cancel(void **state)
{
	const struct json *r;
	struct play p;

	(void)state;
	open_mock(&p);
	play_error(&p, "cancel", "", "turn_not_running");
	play_prompt(&p, "sleep 60000");
	r = json_get(play_call(&p, "prompt", ",\"text\":\"say next\""), "ok");
	assert_true(json_bool(r, "queued", false));
	assert_string_equal(json_str(r, "turn_id", ""), "turn_2");
	assert_non_null(strstr(p.checkpoint, "say next"));
	play_ok(&p, "cancel", "");
	play_until(&p, play_count(&p, "turn.ended") == 2);
	/* Both are in the log, each with its end; the second did nothing. */
	assert_string_equal(
	    play_str(play_event(&p, "turn.ended", 1), "turn_id"), "turn_2");
	assert_string_equal(
	    play_str(play_event(&p, "turn.ended", 1), "metadata.stop_reason"),
	    "cancelled");
	assert_string_equal(play_last_text(&p), "");
	play_error(&p, "cancel", "", "turn_not_running");

	/* Without a cancel what waits is done in order. */
	play_prompt(&p, "sleep 100");
	play_prompt(&p, "say first");
	play_prompt(&p, "say second");
	play_until(&p, play_count(&p, "turn.ended") == 5);
	assert_string_equal(play_last_text(&p), "second");
	play_check_log(&p, false);
	play_close(&p);
}

static void
test_long_waiting_message(void **state)
{
	struct play p;
	struct buf b;
	int64_t id;
	int i;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "sleep 300");
	/* Too long for the checkpoint: acknowledged when its turn starts. */
	buf_init(&b, 1u << 20);
	(void)buf_adds(&b, ",\"text\":\"say ");
	for (i = 0; i < 20000; i++)
		(void)buf_addc(&b, 'x');
	(void)buf_adds(&b, "\"");
	id = play_send(&p, "prompt", b.data);
	play_step(&p, 50);
	assert_null(p.replies[id]);
	assert_non_null(json_get(play_reply(&p, id), "ok"));
	assert_int_equal(play_count(&p, "turn.started"), 2);
	play_until(&p, play_count(&p, "turn.ended") == 2);
	buf_free(&b);
	play_close(&p);
}

static void
test_work(void **state)
{
	char dir[] = "/tmp/test-mock.XXXXXX", path[64], text[64] = "";
	autofree char *start = NULL;
	const struct json *ev, *part;
	struct play p;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	start = xasprintf(",\"env\":{\"PATH\":\"/usr/bin:/bin\",\"X\":\"y\"},"
			  "\"directory\":\"%s\",\"permission_mode\":"
			  "\"default\",\"agent_mode\":\"build\"",
	    dir);
	assert_non_null(json_get(play_open(&p, "mock", start), "ok"));
	play_prompt(&p, "write a.txt one two  three");
	play_idle(&p);
	assert_int_equal(str_format(path, sizeof(path), "%s/a.txt", dir), 0);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	(void)fclose(f);
	assert_string_equal(text, "one two  three\n");

	play_prompt(&p, "run cat a.txt; pwd; env; echo bad >&2; exit 3");
	play_idle(&p);
	ev = play_event(&p, "item.completed", 6);
	assert_string_equal(play_str(ev, "item.status"), "failed");
	part = json_path(ev, "data.item.content")->child;
	assert_non_null(strstr(json_str(part, "output", ""), dir));
	assert_non_null(strstr(json_str(part, "output", ""), "X=y\n"));
	assert_non_null(strstr(json_str(part, "output", ""), "bad\n"));
	/* Its environment is the session's and nothing else's. */
	assert_null(strstr(json_str(part, "output", ""), "HOME="));
	assert_string_equal(
	    play_last_text(&p), "The command exited with status 3.");

	play_prompt(&p, "exit 7");
	play_until(&p, play_count(&p, "error") == 1);
	assert_string_equal(
	    play_str(play_event(&p, "error", 0), "code"), "process_exit");
	play_check_log(&p, true);
	play_close(&p);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* A cancelled command is dead, and so is what it left in the background. */
static void
test_run_cancelled(void **state)
{
	char pid_text[32] = "", path[] = "/tmp/test-mock.XXXXXX", cmd[256];
	struct play p;
	int fd = mkstemp(path), i;
	pid_t pid = 0;

	(void)state;
	assert_int_not_equal(fd, -1);
	open_mock(&p);
	assert_int_equal(
	    str_format(cmd, sizeof(cmd),
		"run setsid sh -c 'echo $$ >%s; exec sleep 300' & wait", path),
	    0);
	play_prompt(&p, cmd);
	for (i = 0; i < 500 && pid == 0; i++) {
		play_step(&p, 10);
		if (pread(fd, pid_text, sizeof(pid_text) - 1, 0) > 0 &&
		    strchr(pid_text, '\n') != NULL)
			pid = (pid_t)strtol(pid_text, NULL, 10);
	}
	assert_true(pid > 0);
	assert_int_equal(kill(pid, 0), 0);
	play_ok(&p, "cancel", "");
	play_idle(&p);
	for (i = 0; i < 500 && kill(pid, 0) == 0; i++)
		play_step(&p, 10);
	assert_int_equal(kill(pid, 0), -1);
	play_close(&p);
	(void)close(fd);
	assert_int_equal(unlink(path), 0);
}

static void
test_flood(void **state)
{
	const struct json *ev;
	struct play p;
	size_t i, n = 0;

	(void)state;
	open_mock(&p);
	play_prompt(&p, "flood 50000 80");
	play_idle(&p);
	/* Each delta once and in order. */
	for (i = 0; i < p.nevents; i++) {
		ev = p.events[i];
		if (strcmp(json_str(ev, "type", ""), "item.delta") == 0)
			assert_int_equal(
			    strtoul(play_str(ev, "delta"), NULL, 10), ++n);
	}
	assert_int_equal(n, 50000);
	/* The load shared appends: far fewer than events. */
	assert_true(p.appends < 1000);
	play_close(&p);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_payloads),
		cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_queue_and_cancel),
		cmocka_unit_test(test_long_waiting_message),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_run_cancelled),
		cmocka_unit_test(test_flood),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
