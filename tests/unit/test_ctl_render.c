/*
 * Events as people see them: streamed text once, tools in a line, and nothing
 * of an agent's that a terminal would obey. Also which of the caller's
 * environment and files an agent gets to see.
 */
#include "test_ctl.h"

#include "ctl/agents.h"
#include "ctl/render.h"

struct screen {
	struct render r;
	char *text;
	size_t len;
};

static void
screen_open(struct screen *s)
{
	struct ctl ctl = { 0 };
	FILE *f;

	s->text = NULL;
	f = open_memstream(&s->text, &s->len);
	assert_non_null(f);
	render_init(&s->r, &ctl, f);
	s->r.width = 60;
}

static void
screen_close(struct screen *s)
{
	render_free(&s->r);
	(void)fclose(s->r.out);
	free(s->text);
}

static void
event(struct screen *s, const char *type, const char *data)
{
	struct json *j = NULL;
	struct buf b;
	struct err e;

	buf_init(&b, 65536);
	(void)buf_addf(&b, "{\"type\":\"%s\",\"data\":%s}", type, data);
	if (json_parse(b.data, b.len, JSON_DEPTH_AGENT, &j, &e) == -1)
		fail_msg("%s: %s", b.data, e.text);
	render_event(&s->r, j);
	json_free(j);
	buf_free(&b);
	(void)fflush(s->r.out);
}

#define ITEM(id, kind, role, status, content)                        \
	"{\"item\":{\"item_id\":\"" id "\",\"native_item_id\":null," \
	"\"parent_id\":null,\"kind\":\"" kind "\",\"role\":\"" role  \
	"\",\"content\":[" content "],\"status\":\"" status "\"}}"
#define TEXT(t) "{\"type\":\"text\",\"text\":\"" t "\"}"

static void
test_streamed_once(void **state)
{
	struct screen s;

	(void)state;
	screen_open(&s);
	event(&s, "turn.started", "{\"phase\":\"started\"}");
	event(&s, "item.started",
	    ITEM("u", "message", "user", "in_progress", TEXT("question")));
	event(&s, "item.completed",
	    ITEM("u", "message", "user", "completed", TEXT("question")));
	event(&s, "item.started",
	    ITEM("i", "message", "assistant", "in_progress", ""));
	event(&s, "item.delta", "{\"item_id\":\"i\",\"delta\":\"Hello \"}");
	event(&s, "item.delta", "{\"item_id\":\"i\",\"delta\":\"world\"}");
	assert_string_equal(s.text, "Hello world");
	event(&s, "item.completed",
	    ITEM("i", "message", "assistant", "completed",
		TEXT("Hello world!")));
	event(&s, "turn.ended", "{\"phase\":\"ended\"}");
	assert_string_equal(s.text, "Hello world!\n");
	screen_close(&s);
}

/* The end may say something else than the deltas: it counts. */
static void
test_end_counts(void **state)
{
	struct screen s;

	(void)state;
	screen_open(&s);
	event(&s, "item.delta", "{\"item_id\":\"i\",\"delta\":\"draft\"}");
	event(&s, "item.completed",
	    ITEM("i", "message", "assistant", "completed", TEXT("final")));
	assert_string_equal(s.text, "draft\nfinal\n");
	screen_close(&s);
}

static void
test_tools(void **state)
{
	struct screen s;

	(void)state;
	screen_open(&s);
	event(&s, "item.started",
	    ITEM("c", "tool_call", "assistant", "in_progress",
		"{\"type\":\"tool_call\",\"name\":\"Bash\",\"arguments\":"
		"\"{\\\"command\\\":\\\"ls -la\\\"}\",\"call_id\":\"1\"}"));
	event(&s, "item.completed",
	    ITEM("c", "tool_call", "assistant", "completed",
		"{\"type\":\"tool_call\",\"name\":\"Bash\",\"arguments\":"
		"\"{\\\"command\\\":\\\"ls -la\\\"}\",\"call_id\":\"1\"}"));
	event(&s, "item.completed",
	    ITEM("r", "tool_result", "tool", "completed",
		"{\"type\":\"tool_result\",\"call_id\":\"1\",\"output\":"
		"\"1\\n2\\n3\\n4\\n5\\n6\\n7\\n\"}"));
	assert_string_equal(s.text,
	    "* Bash ls -la\n"
	    "  | 1\n  | 2\n  | 3\n  | 4\n  | 5\n  | 2 more lines\n");
	screen_close(&s);
}

/* Everything an agent can write goes through here; none of it may bring a
 * control character but newline and tab to the terminal. */
static void
test_nothing_is_obeyed(void **state)
{
#define EVIL "x\\u001b]0;t\\u0007\\u001b[2J\\r\\u009b1m\\u202e"
	static const struct {
		const char *type, *data;
	} t[] = {
		{ "item.delta", "{\"item_id\":\"i\",\"delta\":\"" EVIL "\"}" },
		{ "item.completed", ITEM("a", "message", "assistant",
					"completed", TEXT(EVIL)) },
		{ "item.completed",
		    ITEM(EVIL, "tool_call", "assistant", "completed",
			"{\"type\":\"tool_call\",\"name\":\"" EVIL
			"\",\"arguments\":\"" EVIL "\"}") },
		{ "item.completed",
		    ITEM("b", "tool_call", "assistant", "completed",
			"{\"type\":\"tool_call\",\"name\":\"n\","
			"\"arguments\":\"{\\\"path\\\":\\\"\\\\u001b[1m\\\"}"
			"\"}") },
		{ "item.completed",
		    ITEM("c", "tool_result", "tool", "failed",
			"{\"type\":\"tool_result\",\"output\":\"" EVIL
			"\"},{\"type\":\"file_ref\",\"path\":\"" EVIL
			"\",\"action\":\"" EVIL "\",\"diff\":\"" EVIL
			"\"},{\"type\":\"image\",\"path\":\"" EVIL
			"\"},{\"type\":\"status\",\"label\":\"" EVIL
			"\",\"detail\":\"" EVIL
			"\"},{\"type\":\"reasoning\",\"text\":\"" EVIL
			"\"},{\"type\":\"json\",\"json\":\"" EVIL
			"\"},{\"type\":\"" EVIL "\"}") },
		{ "error", "{\"message\":\"" EVIL "\",\"code\":\"" EVIL "\"}" },
		{ "permission.requested",
		    "{\"action\":\"" EVIL "\",\"status\":\"requested\"}" },
		{ "permission.resolved",
		    "{\"action\":\"" EVIL "\",\"status\":\"" EVIL "\"}" },
		{ "question.requested",
		    "{\"prompt\":\"" EVIL "\",\"status\":\"requested\"}" },
		{ "question.resolved",
		    "{\"prompt\":\"a\",\"status\":\"b\",\"response\":\"" EVIL
		    "\"}" },
		{ "session.ended",
		    "{\"reason\":\"" EVIL "\",\"message\":\"" EVIL "\"}" },
		{ "agent.unparsed", "{\"error\":\"" EVIL "\"}" },
		{ EVIL, "{}" },
	};
	struct screen s;
	size_t i;

	(void)state;
	screen_open(&s);
	s.r.show_user = true;
	for (i = 0; i < countof(t); i++)
		event(&s, t[i].type, t[i].data);
	assert_true(s.len > 100);
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.text[i];

		if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			fail_msg("byte %02x at %zu", c, i);
	}
	assert_null(strstr(s.text, "\xc2\x9b"));
	assert_null(strstr(s.text, "\xe2\x80\xae"));
	screen_close(&s);
}

/* Wrong types everywhere: no crash, no reading beyond. */
static void
test_nonsense(void **state)
{
	static const char *const types[] = { "item.started", "item.delta",
		"item.completed", "permission.requested", "question.resolved",
		"error", "agent.unparsed", "session.ended", "turn.ended" };
	static const char *const data[] = { "null", "[]", "{}", "1",
		"{\"item\":1,\"delta\":{},\"item_id\":[]}",
		"{\"item\":{\"content\":[1,null,[],{},{\"type\":1},"
		"{\"type\":\"text\"},{\"type\":\"tool_call\"},"
		"{\"type\":\"tool_result\"},{\"type\":\"file_ref\"},"
		"{\"type\":\"json\"}],\"role\":2,\"kind\":{}}}",
		"{\"metadata\":{\"input\":[]},\"message\":3}" };
	struct screen s;
	size_t i, k;

	(void)state;
	screen_open(&s);
	for (i = 0; i < countof(types); i++)
		for (k = 0; k < countof(data); k++)
			event(&s, types[i], data[k]);
	screen_close(&s);
}

/* More open items than there are slots. */
static void
test_many_items(void **state)
{
	struct screen s;
	int i;

	(void)state;
	screen_open(&s);
	for (i = 0; i < 1000; i++) {
		char data[128];

		(void)snprintf(data, sizeof(data),
		    "{\"item_id\":\"i%d\",\"delta\":\"x\"}", i);
		event(&s, "item.delta", data);
	}
	screen_close(&s);
}

static void
test_agent_env(void **state)
{
	const struct agent_info *ai = agent_info_find("claude");

	(void)state;
	assert_non_null(ai);
	assert_true(ai->needs_network);
	assert_true(agent_info_env(ai, "ANTHROPIC_API_KEY=x", 17));
	assert_true(agent_info_env(ai, "CLAUDE_CODE_OAUTH_TOKEN", 23));
	assert_false(agent_info_env(ai, "ANTHROPIC_API_KEY2", 18));
	assert_false(agent_info_env(ai, "AWS_SECRET_ACCESS_KEY", 21));
	assert_false(agent_info_env(ai, "CLAUDE_COD", 10));
	assert_null(agent_info_find("nobody"));
	ai = agent_info_find("mock");
	assert_non_null(ai);
	assert_false(agent_info_env(ai, "PATH", 4));
}

static void
test_agent_dirs(void **state)
{
	static const struct {
		const char *program, *dir;
	} t[] = {
		{ "/opt/x/lib/node_modules/@a/b/cli.js",
		    "/opt/x/lib/node_modules" },
		{ "/a/node_modules/b/node_modules/c/x.js", "/a/node_modules" },
		{ "/opt/tool/bin/agent", "/opt/tool/bin" },
		{ "/home/me/agent", "/home/me/agent" },
		{ "/home/me/bin/agent", "/home/me/bin" },
		{ "/here/agent", "/here/agent" },
		{ "/agent", "/agent" },
		{ "/test-home/me/agent", "/test-home/me/agent" },
	};
	char dir[PATH_MAX];
	size_t i;

	(void)state;
	assert_int_equal(setenv("HOME", "/test-home/me", 1), 0);
	for (i = 0; i < countof(t); i++) {
		assert_int_equal(agent_program_dir(t[i].program, dir), 0);
		assert_string_equal(dir, t[i].dir);
	}
	assert_true(agent_path_is_shown("/usr/bin/env"));
	assert_false(agent_path_is_shown("/root/x"));
	assert_false(agent_path_is_shown("/home/x"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streamed_once),
		cmocka_unit_test(test_end_counts),
		cmocka_unit_test(test_tools),
		cmocka_unit_test(test_nothing_is_obeyed),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_many_items),
		cmocka_unit_test(test_agent_env),
		cmocka_unit_test(test_agent_dirs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
