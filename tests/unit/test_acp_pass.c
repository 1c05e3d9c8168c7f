/*
 * An ACP server whose agent is a program: envelopes that pass as they are, the
 * program's end, and what another program is told after a restart of the
 * worker.
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

#define MODES STAND_IN_MODES ",\"kind\":\"acp\",\"protocol\":\"acp\""
#define HELLO                                                              \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\","         \
	"\"params\":{\"protocolVersion\":1,\"clientInfo\":{\"name\":\"n\"" \
	"}}}"

struct stage {
	struct play p;
	struct play_gate g;
};

static void
begin(struct stage *st, const char *fixture)
{
	autofree char *members = stand_in_members(fixture, "",
	    MODES ",\"replay_max_events\":50,\"replay_max_chars\":9000");

	assert_non_null(json_get(play_open(&st->p, "stand-in", members), "ok"));
	play_gate_open(&st->p, &st->g);
}

static void
end(struct stage *st)
{
	play_gate_close(&st->g);
	play_close(&st->p);
}

static void
restart(struct stage *st)
{
	play_gate_close(&st->g);
	play_kill(&st->p);
	assert_non_null(json_get(play_again(&st->p), "ok"));
	play_gate_open(&st->p, &st->g);
}

static const struct json *
say(struct stage *st, const char *envelope)
{
	return play_acp(&st->p, &st->g, envelope);
}

static void
expect_said(const char *part)
{
	autofree char *text = stand_in_said();

	if (strstr(text, part) == NULL)
		fail_msg("%s was not said, but:\n%s", part, text);
}

static size_t
times_said(const char *part)
{
	autofree char *text = stand_in_said();
	const char *at = text;
	size_t n = 0;

	while ((at = strstr(at, part)) != NULL) {
		at += strlen(part);
		n++;
	}
	return n;
}

/* The words of all messages of the agent, with the session of the last. */
static char *
words(struct stage *st, const char **session_out)
{
	struct buf b;
	const struct json *raw;
	size_t i;

	buf_init(&b, 65536);
	for (i = 0; (raw = play_acp_said(&st->p, "session/update",
			 "agent_message_chunk", i)) != NULL;
	     i++) {
		(void)buf_addf(&b, "%s|",
		    json_str(
			json_path(raw, "params.update.content"), "text", "?"));
		*session_out =
		    json_str(json_get(raw, "params"), "sessionId", "");
	}
	return buf_steal(&b);
}

static void
talk(struct stage *st)
{
	const struct json *r;

	r = say(st, HELLO);
	/* As it came: the order of members, and a number's text. */
	assert_string_equal(r->child->key, "result");
	assert_string_equal(json_path(r, "result.protocolVersion")->str, "1e0");
	(void)say(st,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"authenticate\","
	    "\"params\":{\"methodId\":\"k\"}}");
	r = say(st,
	    "{\"jsonrpc\":\"2.0\",\"id\":\"new\",\"method\":\"session/new\","
	    "\"params\":{\"cwd\":\"/tmp\",\"mcpServers\":[],\"x\":1}}");
	assert_string_equal(
	    json_str(json_get(r, "result"), "sessionId", ""), "ses-1");
	(void)say(st,
	    "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"session/set_mode\","
	    "\"params\":{\"sessionId\":\"ses-1\",\"modeId\":\"build\"}}");
	(void)say(st,
	    "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"session/set_mode\","
	    "\"params\":{\"sessionId\":\"ses-1\",\"modeId\":\"plan\"}}");
}

static void
prompt_with_file(struct stage *st)
{
	int64_t id = play_acp_send(&st->g,
	    "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"session/prompt\","
	    "\"params\":{\"sessionId\":\"ses-1\",\"prompt\":[]}}");

	/* A request of the agent reaches the client, whatever it is. */
	play_until(
	    &st->p, play_acp_count(&st->p, "fs/read_text_file", NULL) == 1);
	(void)play_gate_reply(&st->p, &st->g,
	    play_acp_send(&st->g,
		"{\"jsonrpc\":\"2.0\",\"id\":0,  \"result\":{\"content\":"
		"\"of x\"}}"));
	(void)play_acp_reply(&st->p, &st->g, id);
	play_until(&st->p,
	    play_acp_count(&st->p, "session/request_permission", NULL) == 1);
}

static void
test_passes(void **state)
{
	struct stage st;
	const struct json *raw;

	(void)state;
	begin(&st, "acp-pass");
	assert_int_equal(st.p.nevents, 0);
	talk(&st);
	prompt_with_file(&st);
	raw = play_acp_said(&st.p, "_adapter/invalid_stdout", NULL, 0);
	assert_non_null(raw);
	assert_string_equal(
	    json_str(json_get(raw, "params"), "raw", ""), "this is no JSON");
	/* Blank lines are none, other JSON passes. */
	assert_int_equal(
	    play_acp_count(&st.p, "_adapter/invalid_stdout", NULL), 1);
	assert_int_equal(st.p.nevents, 5 + 2 + 2 + 1 + 1 + 1);
	expect_said(HELLO "\n");
	expect_said("{\"jsonrpc\":\"2.0\",\"id\":0,  \"result\":{");
	end(&st);
}

static void
test_restored(void **state)
{
	struct stage st;
	const struct json *r;
	const char *session = "";

	(void)state;
	begin(&st, "acp-pass");
	talk(&st);
	prompt_with_file(&st);
	restart(&st);
	/* For the program that went: nothing is started for these. */
	(void)play_gate_reply(&st.p, &st.g,
	    play_acp_send(
		&st.g, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}"));
	(void)play_gate_reply(&st.p, &st.g,
	    play_acp_send(&st.g,
		"{\"jsonrpc\":\"2.0\",\"method\":\"session/cancel\","
		"\"params\":{\"sessionId\":\"ses-1\"}}"));
	assert_int_equal(times_said("initialize"), 1);
	r = say(&st,
	    "{\"jsonrpc\": \"2.0\",\"id\":6,\"method\":\"session/prompt\","
	    "\"params\":{\"sessionId\":\"ses-1\",\"prompt\":[]}}");
	assert_string_equal(
	    json_str(json_get(r, "result"), "stopReason", ""), "end_turn");
	{
		autofree char *text = words(&st, &session);

		/* What a load repeats is not said twice. */
		assert_string_equal(text, "First words.|Second words.|");
		assert_string_equal(session, "ses-1");
	}
	assert_int_equal(times_said("\"id\":7,"), 0);
	restart(&st);
	(void)say(&st,
	    "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"session/prompt\","
	    "\"params\":{\"sessionId\":\"ses-1\",\"prompt\":[{\"type\":"
	    "\"text\","
	    "\"text\":\"third\"}]}}");
	(void)say(&st,
	    "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"session/prompt\","
	    "\"params\":{\"sessionId\":\"ses-1\",\"prompt\":[{\"type\":"
	    "\"text\","
	    "\"text\":\"fourth\"}]}}");
	{
		autofree char *text = words(&st, &session);

		assert_string_equal(text,
		    "First words.|Second words.|Third words.|Fourth words.|");
		/* By the name that the clients know. */
		assert_string_equal(session, "ses-1");
	}
	expect_said("\\\"text\\\":\\\"First words.\\\"");
	expect_said("\\\"title\\\":\\\"touch a\\\"");
	expect_said("},{\"type\":\"text\",\"text\":\"third\"}]");
	/* Told once. */
	expect_said("\"prompt\":[{\"type\":\"text\",\"text\":\"fourth\"}]");
	end(&st);
}

static void
test_ends(void **state)
{
	struct stage st;
	const struct json *r;
	int i;

	(void)state;
	begin(&st, "acp-pass");
	talk(&st);
	for (i = 0; i < 3; i++) {
		restart(&st);
		if (i < 2)
			(void)play_gate_reply(&st.p, &st.g,
			    play_acp_send(&st.g,
				"{\"jsonrpc\":\"2.0\",\"method\":\"x\"}"));
		play_step(&st.p, 300);
	}
	r = play_gate_reply(&st.p, &st.g,
	    play_acp_send(&st.g,
		"{\"jsonrpc\":\"2.0\",\"id\":30,\"method\":\"session/list\"}"));
	r = json_get(r, "ok");
	assert_true(json_bool(r, "exited", false));
	assert_int_equal(json_int(r, "exit_code", -1), 7);
	assert_string_equal(json_str(r, "stderr", ""), "one\ntwo");
	assert_int_equal(
	    play_acp_count(&st.p, "_adapter/agent_exited", NULL), 1);
	r = play_gate_reply(&st.p, &st.g,
	    play_acp_send(&st.g,
		"{\"jsonrpc\":\"2.0\",\"id\":31,\"method\":\"session/list\"}"));
	assert_true(json_bool(json_get(r, "ok"), "broken", false));
	end(&st);
}

static void
test_long_lines(void **state)
{
	struct stage st;
	const struct json *r;

	(void)state;
	begin(&st, "acp-pass-long");
	r = say(&st, HELLO);
	assert_true(json_bool(json_get(r, "result"), "ok", false));
	assert_int_equal(
	    play_acp_count(&st.p, "_adapter/invalid_stdout", NULL), 2);
	end(&st);
}

static void
test_deaf(void **state)
{
	struct stage st;

	(void)state;
	begin(&st, "acp-pass-deaf");
	(void)say(&st, HELLO);
	play_ok(&st.p, "end", "");
	assert_int_equal(play_wait_exit(&st.p), 0);
	assert_int_equal(
	    play_acp_count(&st.p, "_adapter/agent_exited", NULL), 1);
	end(&st);
}

static void
test_not_there(void **state)
{
	struct play p;
	const struct json *r;

	(void)state;
	r = play_open(&p, "stand-in",
	    ",\"env\":{\"PATH\":\"/nonexistent\"},\"directory\":\"/tmp\","
	    "\"command\":[\"no-such-agent\"]" MODES);
	assert_string_equal(
	    json_str(json_get(r, "error"), "code", ""), "agent_not_installed");
	play_close(&p);
}

int
main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes),
		cmocka_unit_test(test_restored),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_deaf),
		cmocka_unit_test(test_not_there),
	};
	int rc;

	if (stand_in_main(argc, argv, "test-acp-pass") == -1)
		return 99;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	stand_in_end();
	return rc;
}
