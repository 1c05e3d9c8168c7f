/*
 * An ACP server whose agent is the mock: sessions, turns, updates, requests of
 * the agent, settings, and what is left of it all after a restart.
 */
#include "session_play.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define START                                                           \
	",\"env\":{\"PATH\":\"/usr/bin:/bin\"},\"directory\":\"/tmp\"," \
	"\"permission_mode\":\"default\",\"agent_mode\":\"build\","     \
	"\"kind\":\"acp\",\"options\":" OPTIONS
#define OPTIONS                                                         \
	"[{\"id\":\"model\",\"name\":\"Model\",\"category\":\"model\"," \
	"\"type\":\"select\",\"currentValue\":\"mock\",\"options\":["   \
	"{\"value\":\"mock\",\"name\":\"Mock\"},"                       \
	"{\"value\":\"mock-fast\",\"name\":\"Mock Fast\"}]},"           \
	"{\"id\":\"mode\",\"name\":\"Mode\",\"category\":\"mode\","     \
	"\"type\":\"select\",\"currentValue\":\"normal\",\"options\":[" \
	"{\"value\":\"normal\",\"name\":\"Normal\"},"                   \
	"{\"value\":\"plan\",\"name\":\"Plan\"}]}]"
#define CLIENT                                                     \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\"," \
	"\"params\":{\"protocolVersion\":1,\"clientCapabilities\":{%s}}}"

struct stage {
	struct play p;
	struct play_gate g;
	char session[64];
	int64_t ids;
};

/* A request; PARAMS are members, without the session's id. */
static char *
envelope(struct stage *st, const char *method, const char *params)
{
	return xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":\"%s\","
			 "\"params\":{\"sessionId\":\"%s\"%s%s}}",
	    (long long)++st->ids, method, st->session,
	    *params != '\0' ? "," : "", params);
}

static int64_t
ask(struct stage *st, const char *method, const char *params)
{
	autofree char *text = envelope(st, method, params);

	return play_acp_send(&st->g, text);
}

static const struct json *
call(struct stage *st, const char *method, const char *params)
{
	return play_acp_reply(&st->p, &st->g, ask(st, method, params));
}

static int64_t
ask_prompt(struct stage *st, const char *text)
{
	autofree char *params =
	    xasprintf("\"prompt\":[{\"type\":\"text\",\"text\":\"%s\"}]", text);

	return ask(st, "session/prompt", params);
}

static const struct json *
prompt(struct stage *st, const char *text)
{
	return play_acp_reply(&st->p, &st->g, ask_prompt(st, text));
}

static void
expect_stop(const struct json *response, const char *reason)
{
	const struct json *result = json_get(response, "result");

	assert_string_equal(json_str(result, "stopReason", "(none)"), reason);
	assert_non_null(json_get(result, "echoed"));
}

static void
new_session(struct stage *st)
{
	const struct json *r;

	r = json_get(play_acp(&st->p, &st->g,
			 "{\"jsonrpc\":\"2.0\",\"id\":\"new\",\"method\":"
			 "\"session/new\",\"params\":{\"cwd\":\"/tmp\","
			 "\"mcpServers\":[]}}"),
	    "result");
	assert_int_equal(str_copy(st->session, sizeof(st->session),
			     json_str(r, "sessionId", "")),
	    0);
	assert_true(st->session[0] != '\0');
}

/* A server with one session; CAN are members of clientCapabilities. */
static void
begin(struct stage *st, const char *can)
{
	autofree char *hello = xasprintf(CLIENT, can);

	memset(st, 0, sizeof(*st));
	assert_non_null(json_get(play_open(&st->p, "mock", START), "ok"));
	assert_int_equal(st->p.nevents, 0);
	play_gate_open(&st->p, &st->g);
	(void)play_acp(&st->p, &st->g, hello);
	new_session(st);
}

static void
finish(struct stage *st)
{
	play_gate_close(&st->g);
	play_close(&st->p);
}

/* Of the Nth update of this kind. */
static const struct json *
update(const struct stage *st, const char *kind, size_t n)
{
	const struct json *raw =
	    play_acp_said(&st->p, "session/update", kind, n);

	if (raw == NULL)
		fail_msg("no update %s number %zu", kind, n);
	return json_path(raw, "params.update");
}

/* All text of the chunks of this kind. */
static char *
text_of(const struct stage *st, const char *kind)
{
	const struct json *raw;
	struct buf b;
	size_t n;

	buf_init(&b, 16u << 20);
	for (n = 0;
	     (raw = play_acp_said(&st->p, "session/update", kind, n)) != NULL;
	     n++)
		(void)buf_adds(
		    &b, json_str(json_path(raw, "params.update.content"),
			    "text", ""));
	return b.data != NULL ? buf_steal(&b) : xstrdup("");
}

/* --- the door ------------------------------------------------------------- */

static void
as_the_reference(void **state)
{
	struct stage st;
	const struct json *r;

	(void)state;
	begin(&st, "");
	/* The first thing of all. */
	r = json_get(st.p.events[0], "raw");
	assert_string_equal(json_str(r, "method", ""), "mock/echo");
	assert_string_equal(
	    json_str(json_path(r, "params.message"), "method", ""),
	    "initialize");
	assert_string_equal(json_str(st.p.events[0], "type", ""), "acp");
	/* Ids of any type, requests of any name. */
	r = play_acp(&st.p, &st.g,
	    "{\"id\":null,\"method\":\"_x/y\",\"params\":{\"a\":[1]}}");
	assert_int_equal(json_get(r, "id")->type, JSON_NULL);
	assert_string_equal(
	    json_str(json_path(r, "result.echoed"), "method", ""), "_x/y");
	r = play_acp(&st.p, &st.g, "{\"id\":{\"a\":1},\"method\":\"m\"}");
	assert_int_equal(json_int(json_get(r, "id"), "a", 0), 1);
	r = play_acp(&st.p, &st.g, "{\"id\":1.5,\"method\":5}");
	assert_non_null(json_path(r, "result.echoed"));
	/* What is no request is answered at once, without a sequence. */
	r = play_gate_reply(
	    &st.p, &st.g, play_acp_send(&st.g, "{\"jsonrpc\":\"2.0\"}"));
	assert_null(json_get(json_get(r, "ok"), "seq"));
	r = play_gate_reply(&st.p, &st.g,
	    play_acp_send(
		&st.g, "{\"id\":\"agent-req-1\",\n\t\"result\":{\"ok\":1}}"));
	assert_null(json_get(json_get(r, "ok"), "seq"));
	play_until(
	    &st.p, play_acp_count(&st.p, "mock/client_response", NULL) == 1);
	r = json_get(
	    play_acp_said(&st.p, "mock/client_response", NULL, 0), "params");
	assert_string_equal(json_str(r, "id", ""), "agent-req-1");
	assert_int_equal(json_get(r, "error")->type, JSON_NULL);
	assert_int_equal(json_int(json_get(r, "result"), "ok", 0), 1);
	/* An unknown session is no error of the mock's. */
	r = play_acp(&st.p, &st.g,
	    "{\"id\":2,\"method\":\"session/prompt\",\"params\":{"
	    "\"sessionId\":\"x\",\"prompt\":[]}}");
	assert_non_null(json_path(r, "result.echoed"));
	finish(&st);
}

static void
what_is_no_envelope(void **state)
{
	static const char *const bad[] = { "[]", "12", "\"x\"", "null", "{ ",
		"{\"a\":1,\"a\":2}", "  ", "\x01{}" };
	struct stage st;
	const struct json *r;
	struct buf b;
	size_t i, before;

	(void)state;
	begin(&st, "");
	before = st.p.nevents;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = play_gate_reply(&st.p, &st.g, play_acp_send(&st.g, bad[i]));
		assert_string_equal(
		    json_str(json_get(r, "error"), "code", ""), "bad_request");
	}
	buf_init(&b, 65536);
	(void)buf_adds(&b, "{\"id\":\"");
	for (i = 0; i < 5000; i++)
		(void)buf_addc(&b, 'x');
	(void)buf_adds(&b, "\",\"method\":\"m\"}");
	r = play_gate_reply(&st.p, &st.g, play_acp_send(&st.g, b.data));
	assert_string_equal(
	    json_str(json_get(r, "error"), "code", ""), "bad_request");
	buf_free(&b);
	assert_int_equal(st.p.nevents, before);
	/* Another kind's requests. */
	play_error(&st.p, "prompt", ",\"text\":\"x\"", "bad_request");
	play_error(&st.p, "cancel", "", "bad_request");
	r = play_gate_reply(
	    &st.p, &st.g, play_gate_send(&st.g, "session.acp", ""));
	assert_non_null(json_get(r, "error"));
	finish(&st);
}

static void
large_ones(void **state)
{
	struct stage st;
	const struct json *r;
	struct buf b;
	size_t i;

	(void)state;
	begin(&st, "");
	buf_init(&b, 16u << 20);
	(void)buf_adds(&b, "{\"id\":7,\"method\":\"m\",\"params\":\"");
	for (i = 0; i < 700000; i++)
		(void)buf_addc(&b, 'x');
	(void)buf_adds(&b, "\"}");
	r = play_acp(&st.p, &st.g, b.data);
	assert_true(json_bool(json_path(r, "result.echoed"), "truncated", 0));
	buf_clear(&b);
	/* Text of a prompt arrives as it is. */
	(void)buf_addf(&b,
	    "{\"id\":8,\"method\":\"session/prompt\",\"params\":{\"sessionId\":"
	    "\"%s\",\"prompt\":[{\"type\":\"text\",\"text\":\"",
	    st.session);
	for (i = 0; i < 300000; i++)
		(void)buf_addc(&b, "abcdefghij"[i % 10]);
	(void)buf_adds(&b, "\"}]}}");
	expect_stop(play_acp(&st.p, &st.g, b.data), "end_turn");
	buf_free(&b);
	{
		autofree char *text = text_of(&st, "agent_message_chunk");

		assert_int_equal(strlen(text), 300000);
		for (i = 0; i < 300000; i++)
			if (text[i] != "abcdefghij"[i % 10])
				fail_msg("differs at %zu", i);
	}
	finish(&st);
}

/* --- turns ---------------------------------------------------------------- */

static void
a_session(void **state)
{
	struct stage st;
	const struct json *r;

	(void)state;
	begin(&st, "");
	r = json_get(play_acp(&st.p, &st.g,
			 "{\"id\":5,\"method\":\"initialize\",\"params\":{}}"),
	    "result");
	assert_int_equal(json_int(r, "protocolVersion", 0), 1);
	assert_non_null(json_path(r, "agentCapabilities.promptCapabilities"));
	r = json_get(call(&st, "session/resume", ""), "result");
	assert_string_equal(
	    json_str(json_get(r, "modes"), "currentModeId", ""), "normal");
	assert_string_equal(
	    json_str(json_get(r, "models"), "currentModelId", ""), "mock");
	assert_int_equal(json_get(r, "configOptions")->len, 2);
	expect_stop(prompt(&st, "hello there"), "end_turn");
	r = update(&st, "agent_message_chunk", 0);
	assert_string_equal(
	    json_str(json_get(r, "content"), "text", ""), "hello there");
	expect_stop(prompt(&st, ""), "end_turn");
	expect_stop(prompt(&st, "exit 3 now"), "end_turn");
	r = prompt(&st, "exit 3");
	assert_int_equal(json_int(json_get(r, "error"), "code", 0), -32603);
	assert_string_equal(
	    json_str(json_path(r, "error.data"), "code", ""), "process_exit");
	r = json_get(call(&st, "session/list", ""), "result");
	r = json_get(r, "sessions")->child;
	assert_string_equal(json_str(r, "sessionId", ""), st.session);
	assert_string_equal(json_str(r, "title", ""), "hello there");
	assert_string_equal(json_str(r, "cwd", ""), "/tmp");
	(void)call(&st, "session/close", "");
	r = json_get(call(&st, "session/list", ""), "result");
	assert_int_equal(json_get(r, "sessions")->len, 0);
	finish(&st);
}

static void
updates(void **state)
{
	struct stage st;
	const struct json *r;
	autofree char *text = NULL;

	(void)state;
	begin(&st, "");
	expect_stop(prompt(&st, "demo"), "end_turn");
	assert_null(
	    play_acp_said(&st.p, "session/request_permission", NULL, 4));
	r = update(&st, "tool_call", 0);
	assert_string_equal(json_str(r, "toolCallId", ""), "mock_1_call");
	assert_string_equal(json_str(r, "status", ""), "pending");
	assert_string_equal(
	    json_str(json_get(r, "rawInput"), "query", ""), "example");
	r = update(&st, "tool_call_update", 1);
	assert_string_equal(json_str(r, "status", ""), "failed");
	assert_string_equal(
	    json_str(json_get(r, "content")->child, "type", ""), "diff");
	expect_stop(prompt(&st, "think"), "end_turn");
	text = text_of(&st, "agent_thought_chunk");
	assert_non_null(strstr(text, "The mock thinks it over."));
	assert_non_null(strstr(text, "Public reasoning for display."));
	assert_null(strstr(text, "Private"));
	expect_stop(prompt(&st, "plan"), "end_turn");
	r = json_get(update(&st, "plan", 0), "entries");
	assert_int_equal(r->len, 2);
	assert_string_equal(json_str(r->child, "priority", ""), "medium");
	r = prompt(&st, "usage");
	assert_int_equal(
	    json_int(json_path(r, "result.usage"), "totalTokens", 0), 1200);
	assert_int_equal(
	    json_int(update(&st, "usage_update", 0), "size", 0), 200000);
	expect_stop(prompt(&st, "commands"), "end_turn");
	r = json_get(
	    update(&st, "available_commands_update", 0), "availableCommands");
	assert_int_equal(r->len, 2);
	expect_stop(prompt(&st, "mode plan"), "end_turn");
	assert_string_equal(json_str(update(&st, "current_mode_update", 0),
				"currentModeId", ""),
	    "plan");
	expect_stop(prompt(&st, "write acp-serve.txt words"), "end_turn");
	r = update(&st, "tool_call", 1);
	assert_string_equal(json_str(r, "kind", ""), "edit");
	assert_string_equal(json_str(r, "title", ""), "write acp-serve.txt");
	r = json_get(r, "content")->child;
	assert_string_equal(json_str(r, "newText", ""), "words");
	assert_int_equal(json_get(r, "oldText")->type, JSON_NULL);
	(void)unlink("/tmp/acp-serve.txt"); /* it is there */
	expect_stop(prompt(&st, "run echo one; echo two"), "end_turn");
	r = update(&st, "tool_call", 2);
	assert_string_equal(json_str(r, "kind", ""), "execute");
	assert_string_equal(json_str(r, "title", ""), "echo one; echo two");
	finish(&st);
}

static void
in_a_terminal(void **state)
{
	struct stage st;
	const struct json *r;

	(void)state;
	begin(&st, "\"_meta\":{\"terminal_output\":true}");
	expect_stop(prompt(&st, "run echo one"), "end_turn");
	r = update(&st, "tool_call", 0);
	assert_string_equal(
	    json_str(json_get(r, "content")->child, "type", ""), "terminal");
	assert_non_null(json_path(r, "_meta.terminal_info"));
	/* in_progress, the output, the end */
	r = json_path(
	    update(&st, "tool_call_update", 1), "_meta.terminal_output");
	assert_string_equal(json_str(r, "data", ""), "one\n");
	r = json_path(
	    update(&st, "tool_call_update", 2), "_meta.terminal_exit");
	assert_int_equal(json_int(r, "exit_code", -1), 0);
	finish(&st);
}

static void
prompts_wait(void **state)
{
	struct stage st;
	int64_t first, second, third;
	char other[64];

	(void)state;
	begin(&st, "");
	first = ask_prompt(&st, "sleep 150");
	second = ask_prompt(&st, "say second");
	/* Another session does not wait. */
	memcpy(other, st.session, sizeof(other));
	new_session(&st);
	assert_string_not_equal(other, st.session);
	expect_stop(prompt(&st, "say third"), "end_turn");
	assert_null(st.g.replies[first]);
	expect_stop(play_acp_reply(&st.p, &st.g, first), "end_turn");
	expect_stop(play_acp_reply(&st.p, &st.g, second), "end_turn");
	/* A cancel ends what runs and what waits. */
	first = ask_prompt(&st, "sleep 60000");
	second = ask_prompt(&st, "say never");
	third = ask(&st, "session/cancel", "");
	(void)play_acp_reply(&st.p, &st.g, third);
	expect_stop(play_acp_reply(&st.p, &st.g, first), "cancelled");
	expect_stop(play_acp_reply(&st.p, &st.g, second), "cancelled");
	/* Closing a session does so, too. */
	first = ask_prompt(&st, "sleep 60000");
	(void)call(&st, "session/close", "");
	expect_stop(play_acp_reply(&st.p, &st.g, first), "cancelled");
	finish(&st);
}

static void
blocks(void **state)
{
	struct stage st;
	const struct json *r;
	autofree char *text = NULL;

	(void)state;
	begin(&st, "");
	r = call(&st, "session/prompt",
	    "\"prompt\":[{\"type\":\"text\",\"text\":\"look\"},"
	    "{\"type\":\"resource_link\",\"uri\":\"file:///tmp/a.c\","
	    "\"name\":\"a.c\"},{\"type\":\"image\",\"data\":\"AAAA\","
	    "\"mimeType\":\"image/png\"},{\"type\":\"text\",\"text\":"
	    "\"closely\"},{\"type\":\"resource\",\"resource\":{\"uri\":"
	    "\"file:///b\",\"text\":\"inside\"}}]");
	expect_stop(r, "end_turn");
	text = text_of(&st, "agent_message_chunk");
	assert_non_null(strstr(text, "look\nclosely"));
	assert_non_null(strstr(text, "- /tmp/a.c"));
	assert_non_null(strstr(text, "inside"));
	assert_non_null(strstr(text, "[image image/png]"));
	finish(&st);
}

/* --- what the agent asks -------------------------------------------------- */

static const struct json *
permission(const struct stage *st, size_t n)
{
	return play_acp_said(&st->p, "session/request_permission", NULL, n);
}

static void
respond(struct stage *st, const struct json *request, const char *result)
{
	autofree char *text =
	    xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":%s}",
		(long long)json_int(request, "id", -1), result);

	assert_non_null(json_get(
	    play_gate_reply(&st->p, &st->g, play_acp_send(&st->g, text)),
	    "ok"));
}

#define CHOSEN(id) \
	"{\"outcome\":{\"outcome\":\"selected\",\"optionId\":\"" id "\"}}"

static void
permissions(void **state)
{
	struct stage st;
	const struct json *r;
	int64_t id;

	(void)state;
	begin(&st, "");
	id = ask_prompt(&st, "permission");
	play_until(&st.p, permission(&st, 1) != NULL);
	r = json_get(permission(&st, 0), "params");
	assert_string_equal(json_str(r, "sessionId", ""), st.session);
	assert_int_equal(json_get(r, "options")->len, 3);
	r = json_get(r, "toolCall");
	assert_string_equal(json_str(r, "kind", ""), "execute");
	assert_true(json_str(r, "toolCallId", "")[0] != '\0');
	respond(&st, permission(&st, 0), CHOSEN("allow_always"));
	assert_null(st.g.replies[id]);
	respond(&st, permission(&st, 1),
	    "{\"outcome\":{\"outcome\":\"cancelled\"}}");
	expect_stop(play_acp_reply(&st.p, &st.g, id), "end_turn");
	/* The first is allowed for good, and not asked again. */
	id = ask_prompt(&st, "permission");
	play_until(&st.p, permission(&st, 2) != NULL);
	assert_string_equal(
	    json_str(
		json_path(permission(&st, 2), "params.toolCall"), "title", ""),
	    "file_change mock_2/deny.txt");
	/* An answer that nobody waits for, and one that makes no sense. */
	respond(&st, permission(&st, 0), CHOSEN("allow_once"));
	respond(&st, permission(&st, 2), "{\"what\":1}");
	expect_stop(play_acp_reply(&st.p, &st.g, id), "end_turn");
	/* With the turn its requests go. */
	id = ask_prompt(&st, "permission");
	play_until(&st.p, permission(&st, 3) != NULL);
	(void)call(&st, "session/cancel", "");
	expect_stop(play_acp_reply(&st.p, &st.g, id), "cancelled");
	respond(&st, permission(&st, 3), CHOSEN("allow_once"));
	expect_stop(prompt(&st, "say done"), "end_turn");
	finish(&st);
}

static void
questions(void **state)
{
	struct stage st;
	const struct json *r;
	int64_t id;

	(void)state;
	begin(&st, "");
	id = ask_prompt(&st, "question");
	play_until(&st.p, permission(&st, 1) != NULL);
	r = json_path(permission(&st, 0), "params.options");
	assert_true(r->len >= 3);
	assert_string_equal(json_str(r->child, "optionId", ""), "choice-0");
	respond(&st, permission(&st, 0), CHOSEN("choice-0"));
	respond(&st, permission(&st, 1), CHOSEN("decline"));
	expect_stop(play_acp_reply(&st.p, &st.g, id), "end_turn");
	finish(&st);

	begin(&st, "\"elicitation\":{\"form\":{}}");
	id = ask_prompt(&st, "question");
	play_until(
	    &st.p, play_acp_count(&st.p, "elicitation/create", NULL) == 2);
	r = play_acp_said(&st.p, "elicitation/create", NULL, 0);
	assert_string_equal(
	    json_str(json_get(r, "params"), "mode", ""), "form");
	assert_non_null(
	    json_path(r, "params.requestedSchema.properties.answer.oneOf"));
	respond(
	    &st, r, "{\"action\":\"accept\",\"content\":{\"answer\":\"x\"}}");
	r = play_acp_said(&st.p, "elicitation/create", NULL, 1);
	respond(&st, r, "{\"action\":\"decline\"}");
	expect_stop(play_acp_reply(&st.p, &st.g, id), "end_turn");
	finish(&st);
}

/* --- settings ------------------------------------------------------------- */

static const char *
current(const struct json *options, const char *id)
{
	json_foreach (o, options)
		if (strcmp(json_str(o, "id", ""), id) == 0)
			return json_str(o, "currentValue", "");
	return "(none)";
}

static void
settings(void **state)
{
	struct stage st;
	const struct json *r;

	(void)state;
	begin(&st, "");
	r = call(&st, "session/set_config_option",
	    "\"configId\":\"model\",\"value\":\"mock-fast\"");
	r = json_path(r, "result.configOptions");
	assert_string_equal(current(r, "model"), "mock-fast");
	assert_string_equal(current(r, "mode"), "normal");
	r = call(&st, "session/set_config_option",
	    "\"configId\":\"thought_level\",\"value\":\"high\"");
	r = json_path(r, "result.configOptions");
	assert_string_equal(current(r, "thought_level"), "high");
	r = call(&st, "session/set_mode", "\"modeId\":\"plan\"");
	assert_null(json_get(r, "error"));
	assert_string_equal(json_str(update(&st, "current_mode_update", 0),
				"currentModeId", ""),
	    "plan");
	assert_int_equal(
	    play_acp_count(&st.p, "session/update", "config_option_update"), 3);
	/* What the mock does not have changes nothing. */
	(void)call(&st, "session/set_mode", "\"modeId\":\"nope\"");
	(void)call(&st, "session/set_config_option",
	    "\"configId\":\"nope\",\"value\":\"high\"");
	r = json_get(call(&st, "session/resume", ""), "result");
	assert_string_equal(
	    json_str(json_get(r, "modes"), "currentModeId", ""), "plan");
	finish(&st);
}

/* An agent that has forgotten what was said is told what the log knows. */
static void
forgotten(void **state)
{
	struct stage st;
	autofree char *text = NULL;
	char first[64];

	(void)state;
	begin(&st, "");
	memcpy(first, st.session, sizeof(first));
	expect_stop(prompt(&st, "say of-this-session"), "end_turn");
	expect_stop(prompt(&st, "run true"), "end_turn");
	new_session(&st);
	expect_stop(prompt(&st, "say of-another"), "end_turn");
	memcpy(st.session, first, sizeof(first));
	expect_stop(prompt(&st, "forget"), "end_turn");
	text = text_of(&st, "agent_message_chunk");
	assert_non_null(strstr(text, "of-this-session"));
	assert_non_null(strstr(text, "{\"kind\":\"message\",\"text\":"
				     "\"of-this-session\"}"));
	assert_non_null(strstr(text, "\"title\":\"true\""));
	assert_null(strstr(text, "\"text\":\"of-another\""));
	/* With nothing to tell. */
	new_session(&st);
	expect_stop(prompt(&st, "forget"), "end_turn");
	expect_stop(prompt(&st, "say more"), "end_turn");
	finish(&st);
}

/* --- restarts ------------------------------------------------------------- */

static void
the_next_worker(void **state)
{
	struct stage st;
	const struct json *r;
	size_t i, before;
	int64_t id;

	(void)state;
	begin(&st, "");
	expect_stop(prompt(&st, "one"), "end_turn");
	(void)call(&st, "session/set_mode", "\"modeId\":\"plan\"");
	id = ask_prompt(&st, "sleep 60000");
	(void)call(&st, "session/list", "");
	assert_null(st.g.replies[id]);
	before = st.p.nevents;
	play_kill(&st.p);
	play_gate_close(&st.g);
	assert_non_null(json_get(play_again(&st.p), "ok"));
	play_gate_open(&st.p, &st.g);
	/* Who reads the log is told that the prompt is lost. */
	play_until(&st.p, st.p.nevents > before);
	for (i = before; i < st.p.nevents; i++)
		if (json_get(json_get(st.p.events[i], "raw"), "error") != NULL)
			break;
	assert_true(i < st.p.nevents);
	/* Its sessions go on, as they were set. */
	r = json_get(call(&st, "session/resume", ""), "result");
	assert_string_equal(
	    json_str(json_get(r, "modes"), "currentModeId", ""), "plan");
	expect_stop(prompt(&st, "run echo two"), "end_turn");
	r = update(&st, "tool_call", 0);
	assert_string_equal(json_str(r, "toolCallId", ""), "mock_3_call");
	r = json_get(call(&st, "session/list", ""), "result");
	assert_string_equal(
	    json_str(json_get(r, "sessions")->child, "title", ""), "one");
	finish(&st);
}

static void
told_to_go(void **state)
{
	struct stage st;
	const struct json *r;
	size_t before;
	int64_t id;

	(void)state;
	/* For good. */
	begin(&st, "");
	id = ask_prompt(&st, "sleep 60000");
	(void)call(&st, "session/list", "");
	before = st.p.nevents;
	play_ok(&st.p, "end", "");
	r = json_get(play_gate_reply(&st.p, &st.g, id), "ok");
	assert_true(json_bool(r, "exited", false));
	assert_int_equal(json_int(r, "exit_code", -1), 0);
	assert_int_equal(st.p.nevents, before + 1);
	r = json_get(st.p.events[before], "raw");
	assert_string_equal(json_str(r, "method", ""), "_adapter/agent_exited");
	assert_string_equal(st.p.state, "ended");
	assert_int_equal(play_wait_exit(&st.p), 0);
	finish(&st);
}

static void
many_sessions(void **state)
{
	struct stage st;
	char first[64];
	const struct json *r;
	int i;

	(void)state;
	begin(&st, "");
	memcpy(first, st.session, sizeof(first));
	for (i = 0; i < 70; i++)
		new_session(&st);
	r = json_get(call(&st, "session/list", ""), "result");
	assert_int_equal(json_get(r, "sessions")->len, 64);
	json_foreach (it, json_get(r, "sessions"))
		assert_string_not_equal(json_str(it, "sessionId", ""), first);
	/* As many of them as fit in the checkpoint are there afterwards. */
	play_until(&st.p, st.p.checkpoint != NULL);
	expect_stop(prompt(&st, "say x"), "end_turn");
	play_kill(&st.p);
	play_gate_close(&st.g);
	assert_non_null(json_get(play_again(&st.p), "ok"));
	play_gate_open(&st.p, &st.g);
	r = json_get(call(&st, "session/list", ""), "result");
	assert_in_range(json_get(r, "sessions")->len, 30, 64);
	assert_string_equal(
	    json_str(json_get(r, "sessions")->child, "sessionId", ""),
	    st.session);
	finish(&st);
}

/* --- nonsense ------------------------------------------------------------- */

/* Whatever is asked with whatever parameters: each request is answered once,
 * and the server lives. */
static void
every_method(struct stage *st, const char *session)
{
	static const char *const methods[] = { "initialize", "authenticate",
		"logout", "session/new", "session/load", "session/resume",
		"session/list", "session/prompt", "session/cancel",
		"session/set_mode", "session/set_model",
		"session/set_config_option", "session/close", "nope", "" };
	static const char *const params[] = { "null", "5", "[]", "{}", "\"x\"",
		"{\"sessionId\":null}", "{\"sessionId\":[]}",
		"{\"sessionId\":\"\"}", "{\"sessionId\":\"-rf\"}",
		"{\"sessionId\":\"none\",\"cwd\":5}",
		"{\"cwd\":\"relative\",\"mcpServers\":5}",
		"{\"cwd\":\"/\",\"mcpServers\":[{\"name\":\"a\"}]}",
		"{\"cwd\":\"/\",\"mcpServers\":[{\"name\":\"a\","
		"\"command\":\"x\",\"args\":[1]}]}",
		"{\"cwd\":\"/\\u0000\",\"mcpServers\":[]}",
		"{\"sessionId\":\"%s\",\"prompt\":null}",
		"{\"sessionId\":\"%s\",\"prompt\":[5]}",
		"{\"sessionId\":\"%s\",\"prompt\":[{\"type\":\"text\"}]}",
		"{\"sessionId\":\"%s\",\"modeId\":5,\"modelId\":{}}",
		"{\"sessionId\":\"%s\",\"modeId\":\"-x\",\"modelId\":"
		"\"-x\",\"configId\":\"mode\",\"value\":\"-x\"}",
		"{\"sessionId\":\"%s\",\"configId\":[],\"value\":true}",
		"{\"sessionId\":\"%s\",\"configId\":\"model\"}",
		"{\"clientCapabilities\":{\"elicitation\":{\"form\":[]}}}" };
	autofree char *text = NULL, *filled = NULL;
	const char *at;
	size_t i, j;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		for (j = 0; j < sizeof(params) / sizeof(params[0]); j++) {
			/* a new gateway before its numbers run out */
			if (st->g.ids > PLAY_REPLIES - 8) {
				play_gate_close(&st->g);
				play_gate_open(&st->p, &st->g);
			}
			free(filled);
			free(text);
			at = strstr(params[j], "%s");
			filled = at == NULL ? xstrdup(params[j])
					    : xasprintf("%.*s%s%s",
						  (int)(at - params[j]),
						  params[j], session, at + 2);
			text = xasprintf("{\"id\":\"r%zu-%zu\",\"method\":"
					 "\"%s\",\"params\":%s}",
			    i, j, methods[i], filled);
			assert_non_null(
			    json_get(play_acp(&st->p, &st->g, text), "id"));
			free(text);
			text = xasprintf("{\"method\":\"%s\",\"params\":%s}",
			    methods[i], filled);
			assert_non_null(
			    json_get(play_gate_reply(&st->p, &st->g,
					 play_acp_send(&st->g, text)),
				"ok"));
		}
	}
}

static void
nonsense(void **state)
{
	struct stage st;

	(void)state;
	begin(&st, "");
	every_method(&st, st.session);
	finish(&st);
	/* An agent that does not repeat what it is told, and whose program
	 * ends at once. */
	memset(&st, 0, sizeof(st));
	assert_non_null(json_get(
	    play_open(&st.p, "claude", START ",\"command\":[\"/bin/true\"]"),
	    "ok"));
	play_gate_open(&st.p, &st.g);
	new_session(&st);
	every_method(&st, st.session);
	new_session(&st);
	assert_non_null(json_get(prompt(&st, "hello"), "error"));
	assert_non_null(json_get(call(&st, "nope", ""), "error"));
	finish(&st);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_reference),
		cmocka_unit_test(what_is_no_envelope),
		cmocka_unit_test(large_ones),
		cmocka_unit_test(a_session),
		cmocka_unit_test(updates),
		cmocka_unit_test(in_a_terminal),
		cmocka_unit_test(prompts_wait),
		cmocka_unit_test(blocks),
		cmocka_unit_test(permissions),
		cmocka_unit_test(questions),
		cmocka_unit_test(settings),
		cmocka_unit_test(forgotten),
		cmocka_unit_test(the_next_worker),
		cmocka_unit_test(told_to_go),
		cmocka_unit_test(many_sessions),
		cmocka_unit_test(nonsense),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
