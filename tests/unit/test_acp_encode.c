/*
 * What becomes of an adapter's items for ACP clients: chunks, tool calls and
 * their results, plans; and what becomes of a client's prompts and MCP servers
 * for adapters.
 */
#include "session/acp/door.h"
#include "session/acp/encode.h"
#include "session/acp/serve.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SAID_MAX 4096

static struct json *said[SAID_MAX];
static size_t nsaid, longest;

/* In place of the door. */
void
acp_notify(struct acp_door *d, const char *text, size_t len)
{
	struct err e;

	(void)d;
	assert_true(nsaid < SAID_MAX);
	assert_true(len <= ACP_ENVELOPE_MAX);
	assert_null(memchr(text, '\n', len));
	if (json_parse(text, len, JSON_DEPTH_AGENT, &said[nsaid], &e) == -1)
		fail_msg("said %.200s: %s", text, e.text);
	longest = len > longest ? len : longest;
	nsaid++;
}

static struct acp_encoder en;

static int
begin(void **state)
{
	(void)state;
	nsaid = longest = 0;
	enc_init(&en, NULL, "s", "/home");
	enc_turn_begins(&en);
	return 0;
}

static int
finish(void **state)
{
	size_t i;

	(void)state;
	enc_turn_ends(&en);
	enc_free(&en);
	for (i = 0; i < nsaid; i++)
		json_free(said[i]);
	return 0;
}

static const struct json *
update(size_t n)
{
	assert_true(n < nsaid);
	assert_string_equal(
	    json_str(json_get(said[n], "params"), "sessionId", ""), "s");
	return json_path(said[n], "params.update");
}

static void
expect_kind(size_t n, const char *kind)
{
	assert_string_equal(json_str(update(n), "sessionUpdate", ""), kind);
}

static const char *
chunk(size_t n)
{
	return json_str(json_get(update(n), "content"), "text", "(none)");
}

static struct item
message(const char *id, const struct part *p, size_t n)
{
	return (struct item){ .native_id = id,
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = p,
		.nparts = n };
}

/* --- messages ------------------------------------------------------------- */

static void
streamed(void **state)
{
	const struct part all = PART(PART_TEXT, "one two three");
	const struct part other = PART(PART_TEXT, "else");
	struct item it = message("m", &all, 1);

	(void)state;
	/* What was not streamed comes at the end. */
	uni_item_started(&en.u, &it);
	uni_item_delta(&en.u, "m", "one ", 4);
	uni_item_delta(&en.u, "m", "two", 3);
	uni_item_completed(&en.u, &it, ITEM_COMPLETED);
	assert_int_equal(nsaid, 3);
	expect_kind(2, "agent_message_chunk");
	assert_string_equal(chunk(2), " three");
	assert_string_equal(json_str(update(2), "messageId", ""), "m");
	/* Nothing of it when it is another text, */
	uni_item_started(&en.u, &it);
	uni_item_delta(&en.u, "m", "one ", 4);
	it.parts = &other;
	uni_item_completed(&en.u, &it, ITEM_COMPLETED);
	assert_int_equal(nsaid, 4);
	/* all of it when nothing was. */
	uni_item_completed(&en.u, &it, ITEM_COMPLETED);
	assert_int_equal(nsaid, 5);
	assert_string_equal(chunk(4), "else");
	/* A delta of nothing that was started. */
	uni_item_delta(&en.u, "x", "y", 1);
	assert_true(uni_item_close(&en.u, "x", ITEM_COMPLETED));
	assert_false(uni_item_close(&en.u, "x", ITEM_COMPLETED));
	assert_int_equal(nsaid, 6);
}

static void
thoughts_and_others(void **state)
{
	const struct part thought = {
		.type = PART_REASONING, .text = "hm", .len = 2, .word = "public"
	};
	const struct part mixed[] = {
		PART(PART_TEXT, "a"),
		{ .type = PART_REASONING,
		    .text = "b",
		    .len = 1,
		    .word = "private" },
		PART(PART_JSON, "{\"c\":1}"),
		{ .type = PART_IMAGE, .name = "d/e.png", .word = "image/png" },
	};
	struct item it = message("t", &thought, 1);

	(void)state;
	uni_item_started(&en.u, &it);
	uni_item_delta(&en.u, "t", "hm", 2);
	uni_item_completed(&en.u, &it, ITEM_COMPLETED);
	assert_int_equal(nsaid, 1);
	expect_kind(0, "agent_thought_chunk");
	it = message("u", mixed, 4);
	uni_item_completed(&en.u, &it, ITEM_COMPLETED);
	assert_int_equal(nsaid, 4);
	assert_string_equal(chunk(2), "{\"c\":1}");
	assert_string_equal(json_str(json_get(update(3), "content"), "uri", ""),
	    "file:///home/d/e.png");
	/* Who has said it knows it. */
	it.role = ROLE_OF_USER;
	uni_item_started(&en.u, &it);
	uni_item_delta(&en.u, "u", "zz", 2);
	uni_item_completed(&en.u, &it, ITEM_COMPLETED);
	assert_int_equal(nsaid, 4);
	uni_status(&en.u, "busy", "very");
	uni_error(&en.u, FROM_AGENT, "code", "message", "{\"x\":1}");
	uni_unparsed(&en.u, "where", "why", NULL, "\xff", 1);
	assert_int_equal(nsaid, 7);
	expect_kind(5, "session_info_update");
	assert_string_equal(
	    json_str(json_path(update(5), "_meta.sandboxd.error"), "text", ""),
	    "message");
	assert_string_equal(en.error_text, "message");
}

static void
long_and_dirty(void **state)
{
	size_t len = 3000001, i, n = 0;
	char *text = xmalloc(len + 1);
	struct part p;
	struct item it = message("m", &p, 1);

	(void)state;
	for (i = 0; i < len; i++)
		text[i] = "\xe2\x82\xac"[i % 3];
	text[len] = '\0';
	p = (struct part){ .type = PART_TEXT, .text = text, .len = len };
	uni_item_completed(&en.u, &it, ITEM_COMPLETED);
	for (i = 0; i < nsaid; i++)
		n += strlen(chunk(i));
	assert_in_range(n, len - 1, len + 2); /* its last byte is no UTF-8 */
	assert_true(longest < (80u << 10));
	memset(text, 1, len);
	uni_item_delta(&en.u, "d", text, len);
	assert_true(longest < (512u << 10));
	free(text);
	for (i = 0; i < 100; i++) {
		char id[32];

		(void)snprintf(id, sizeof(id), "open-%zu", i);
		uni_item_delta(&en.u, id, "x", 1);
	}
	assert_true(en.nitems <= 32);
}

/* --- tools ---------------------------------------------------------------- */

static void
call(const char *id, const char *name, const char *args, bool done)
{
	const struct part p = { .type = PART_TOOL_CALL,
		.name = name,
		.text = args,
		.len = strlen(args),
		.word = id };
	const struct item it = { .native_id = id,
		.kind = ITEM_TOOL_CALL,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	if (!done)
		uni_item_started(&en.u, &it);
	else
		uni_item_completed(&en.u, &it, ITEM_COMPLETED);
}

static void
result(const char *id, const char *text, const char *path, const char *diff,
    bool ok)
{
	const struct part p[] = {
		{ .type = PART_TOOL_RESULT,
		    .text = text,
		    .len = strlen(text),
		    .word = id },
		{ .type = PART_FILE_REF,
		    .name = path,
		    .word = "patch",
		    .text = diff,
		    .len = diff != NULL ? strlen(diff) : 0 },
	};
	const struct item it = { .native_id = id,
		.kind = ITEM_TOOL_RESULT,
		.role = ROLE_OF_TOOL,
		.parts = p,
		.nparts = path != NULL ? 2 : 1 };

	uni_item_completed(&en.u, &it, ok ? ITEM_COMPLETED : ITEM_FAILED);
}

static void
tool_life(void **state)
{
	const struct json *u;

	(void)state;
	call("c", "Edit", "", false);
	u = update(0);
	assert_string_equal(json_str(u, "sessionUpdate", ""), "tool_call");
	assert_string_equal(json_str(u, "status", ""), "pending");
	call("c", "Edit",
	    "{\"file_path\":\"/home/a.c\",\"old_string\":\"x\","
	    "\"new_string\":\"y\"}",
	    true);
	u = update(1);
	assert_string_equal(json_str(u, "status", ""), "in_progress");
	assert_string_equal(json_str(u, "title", ""), "Edit a.c");
	assert_string_equal(json_str(u, "kind", ""), "edit");
	u = json_get(u, "content")->child;
	assert_string_equal(json_str(u, "oldText", ""), "x");
	assert_string_equal(json_str(u, "newText", ""), "y");
	/* The change stays in view. */
	result("c", "edited", NULL, NULL, true);
	u = update(2);
	assert_string_equal(json_str(u, "status", ""), "completed");
	assert_null(json_get(u, "content"));
	assert_string_equal(json_str(u, "rawOutput", ""), "edited");
	/* A result of something unknown; a failure is shown in words. */
	result("d", "no", "b.c", "@@ -1 +1 @@\n-old\n+new\n same\n", false);
	u = update(3);
	assert_string_equal(json_str(u, "sessionUpdate", ""), "tool_call");
	u = update(4);
	assert_string_equal(json_str(u, "status", ""), "failed");
	assert_string_equal(
	    json_str(json_get(u, "locations")->child, "path", ""), "/home/b.c");
	u = json_get(u, "content");
	assert_int_equal(u->len, 2);
	assert_string_equal(json_str(u->child, "oldText", ""), "old\nsame\n");
	assert_string_equal(json_str(u->child, "newText", ""), "new\nsame\n");
	/* One that is open when the turn ends has failed. */
	call("e", "Bash", "{\"command\":\"sleep\"}", false);
	enc_turn_ends(&en);
	u = update(6);
	assert_string_equal(json_str(u, "toolCallId", ""), "e");
	assert_string_equal(json_str(u, "status", ""), "failed");
	assert_int_equal(nsaid, 7);
}

static void
tool_words(void **state)
{
	static const struct {
		const char *name, *args, *title, *kind;
	} tries[] = {
		{ "Bash", "{\"command\":\"ls -l\\nfoo\"}", "ls -l", "execute" },
		{ "shell", "{\"command\":[\"bash\",\"-lc\",\"make all\"]}",
		    "make all", "execute" },
		{ "shell", "{\"command\":\"/bin/bash -lc 'a; b'\"}", "a; b",
		    "execute" },
		{ "shell", "{\"command\":\"bash -c 'a' 'b'\"}",
		    "bash -c 'a' 'b'", "execute" },
		{ "shell", "{\"command\":\"sh -c \"}", "sh -c ", "execute" },
		{ "exec", "{\"command\":[\"git\",\"status\"]}", "git status",
		    "execute" },
		{ "Read", "{\"file_path\":\"/etc/x\"}", "Read /etc/x", "read" },
		{ "grep", "{\"pattern\":\"a.*b\"}", "grep a.*b", "search" },
		{ "WebFetch", "{\"url\":\"http://h/\"}", "WebFetch http://h/",
		    "fetch" },
		{ "mcp__s__t", "{}", "mcp__s__t", "other" },
		{ "mcp__s__t", "no json", "mcp__s__t", "other" },
		{ "mcp__s__t", "[1]", "mcp__s__t", "other" },
		{ "", "\"x\"", "Tool", "other" },
		{ "Bash", "{\"command\":[]}", "Bash", "execute" },
		{ "Bash", "{\"command\":[1,2,3]}", "Bash", "execute" },
		{ "Write", "{\"file_path\":5,\"content\":{}}", "Write",
		    "edit" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < countof(tries); i++) {
		char id[16];

		(void)snprintf(id, sizeof(id), "c%zu", i);
		call(id, tries[i].name, tries[i].args, false);
		assert_int_equal(nsaid, i + 1);
		assert_string_equal(
		    json_str(update(i), "title", ""), tries[i].title);
		assert_string_equal(
		    json_str(update(i), "kind", ""), tries[i].kind);
	}
}

static void
tool_changes(void **state)
{
	const struct json *list;
	char *big = xmalloc((2u << 20) + 1);
	char *args;

	(void)state;
	call("a", "edit",
	    "{\"path\":\"x\",\"edits\":[{\"oldText\":\"1\",\"newText\":\"2\"},"
	    "{\"oldText\":\"3\",\"newText\":\"4\"},{}]}",
	    false);
	list = json_get(update(0), "content");
	assert_int_equal(list->len, 2);
	assert_string_equal(json_str(list->child->next, "newText", ""), "4");
	call("b", "fileChange",
	    "{\"changes\":[{\"path\":\"y\",\"diff\":\"+new\\n\"},"
	    "{\"path\":\"z\",\"diff\":\"nothing\"},7,{\"path\":\"n\","
	    "\"kind\":{\"type\":\"add\"},\"diff\":\"all of it\\n\"}]}",
	    false);
	list = json_get(update(1), "content");
	assert_int_equal(list->len, 2);
	assert_string_equal(
	    json_str(list->child->next, "newText", ""), "all of it\n");
	assert_int_equal(json_get(update(1), "locations")->len, 3);
	assert_int_equal(json_get(list->child, "oldText")->type, JSON_NULL);
	/* Arguments and results longer than anybody would read. */
	memset(big, '"', 2u << 20);
	big[2u << 20] = '\0';
	args = xmalloc((4u << 20) + 64);
	(void)sprintf(args, "{\"path\":\"x\",\"content\":\"");
	memset(args + strlen(args), 'x', 2u << 20);
	(void)strcpy(args + 24 + (2u << 20) - 1, "\"}");
	call("c", "Write", args, false);
	result("c", big, "f", big, false);
	call("d", big, big, false);
	enc_turn_ends(&en);
	assert_true(longest <= ACP_ENVELOPE_MAX);
	free(big);
	free(args);
}

static void
plans(void **state)
{
	const struct json *list;

	(void)state;
	uni_plan(&en.u, "x",
	    "[{\"content\":\"a\",\"status\":\"completed\"},"
	    "{\"content\":5,\"status\":\"odd\"},3]");
	list = json_get(update(0), "entries");
	assert_int_equal(list->len, 3);
	assert_string_equal(json_str(list->child, "status", ""), "completed");
	assert_string_equal(json_str(list->child, "priority", ""), "medium");
	assert_string_equal(
	    json_str(list->child->next, "status", ""), "pending");
	uni_plan(&en.u, "x", "no json");
	assert_int_equal(nsaid, 1);
	enc_usage(&en, 5, 10);
	assert_int_equal(json_int(update(1), "size", 0), 10);
}

/* --- what clients bring --------------------------------------------------- */

static struct json *
parse(const char *text)
{
	struct json *j = NULL;
	struct err e;

	assert_int_equal(
	    json_parse(text, strlen(text), JSON_DEPTH_AGENT, &j, &e), 0);
	return j;
}

static void
content(void **state)
{
	static const char *const bad[] = { "{}", "5", "[{}]", "[5]",
		"[{\"type\":\"audio\",\"data\":\"\",\"mimeType\":\"x\"}]",
		"[{\"type\":\"image\",\"data\":\"x\"}]",
		"[{\"type\":\"resource\",\"resource\":{\"uri\":\"u\"}}]",
		"[{\"type\":\"resource_link\",\"name\":\"u\"}]",
		"[{\"type\":\"text\"}]", "[{\"type\":\"text\",\"text\":5}]" };
	char *text, *parts;
	struct json *j;
	struct err e;
	size_t i, len;

	(void)state;
	for (i = 0; i < countof(bad); i++) {
		j = parse(bad[i]);
		assert_int_equal(serve_content(j, &text, &len, &parts, &e), -1);
		assert_null(text);
		assert_null(parts);
		json_free(j);
	}
	assert_int_equal(serve_content(NULL, &text, &len, &parts, &e), -1);
	j = parse("[]");
	assert_int_equal(serve_content(j, &text, &len, &parts, &e), 0);
	assert_string_equal(text, "");
	assert_null(parts);
	json_free(j);
	free(text);
}

static char *
mcp(const char *list, const char *base)
{
	struct json *j = list != NULL ? parse(list) : NULL;
	char *out = NULL;
	struct err e;

	if (serve_mcp(j, base, &out, &e) == -1)
		out = xstrdup("refused");
	json_free(j);
	return out;
}

static void
mcp_servers(void **state)
{
	static const struct {
		const char *list, *base, *out;
	} tries[] = {
		{ NULL, NULL, NULL },
		{ "[]", NULL, NULL },
		{ "[{\"name\":\"a\",\"command\":\"/bin/a\",\"args\":[\"x\"],"
		  "\"env\":[{\"name\":\"N\",\"value\":\"v\"}]}]",
		    NULL,
		    "{\"a\":{\"type\":\"local\",\"command\":\"/bin/a\","
		    "\"args\":[\"x\"],\"env\":{\"N\":\"v\"}}}" },
		{ "[{\"type\":\"sse\",\"name\":\"b\",\"url\":\"http://h\","
		  "\"headers\":[{\"name\":\"H\",\"value\":\"v\"}]}]",
		    "{\"b\":{\"type\":\"local\"},\"c\":{\"type\":\"local\"}}",
		    "{\"b\":{\"type\":\"remote\",\"url\":\"http://h\","
		    "\"headers\":{\"H\":\"v\"},\"transport\":\"sse\"},"
		    "\"c\":{\"type\":\"local\"}}" },
		{ "{}", NULL, "refused" },
		{ "[5]", NULL, "refused" },
		{ "[{\"name\":\"a\"}]", NULL, "refused" },
		{ "[{\"name\":\"a\",\"command\":5}]", NULL, "refused" },
		{ "[{\"name\":\"a\",\"command\":\"x\",\"env\":[5]}]", NULL,
		    "refused" },
		{ "[{\"name\":\"a\",\"type\":\"acp\"}]", NULL, "refused" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < countof(tries); i++) {
		char *out = mcp(tries[i].list, tries[i].base);

		if (tries[i].out == NULL)
			assert_null(out);
		else
			assert_string_equal(out, tries[i].out);
		free(out);
	}
}

/* --- which program -------------------------------------------------------- */

static void
programs(void **state)
{
	char home[] = "/tmp/acp-program.XXXXXX", dir[256], path[300];
	char *env[] = { NULL, NULL }, *command[] = { (char[]){ "c" }, NULL },
	     *more[] = { (char[]){ "acp" }, NULL },
	     *own[] = { (char[]){ "x-acp" }, (char[]){ "y" }, NULL };
	struct agent_conf c = { .agent = (char[]){ "x" },
		.protocol = (char[]){ "claude" },
		.env = env,
		.command = command,
		.program_args = more };
	static const char *const dirs[] = { "/.local", "/.local/share",
		"/.local/share/sandbox-agent",
		"/.local/share/sandbox-agent/bin",
		"/.local/share/sandbox-agent/bin/agent_processes" };
	char **v;
	size_t i;
	FILE *f;

	(void)state;
	assert_null(acp_program(&c)); /* its adapter */
	c.protocol = (char[]){ "acp" };
	v = acp_program(&c);
	assert_string_equal(v[0], "c");
	assert_string_equal(v[1], "acp");
	assert_null(v[2]);
	strv_free(v);
	c.acp_command = own;
	v = acp_program(&c);
	assert_string_equal(v[0], "x-acp");
	assert_string_equal(v[1], "y");
	strv_free(v);
	/* What the sandbox's user has put there goes before. */
	assert_non_null(mkdtemp(home));
	for (i = 0; i < countof(dirs); i++) {
		(void)snprintf(dir, sizeof(dir), "%s%s", home, dirs[i]);
		assert_int_equal(mkdir(dir, 0700), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/x-acp", dir);
	env[0] = xasprintf("HOME=%s", home);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fclose(f);
	v = acp_program(&c);
	assert_string_equal(v[0], "x-acp"); /* it cannot be executed */
	strv_free(v);
	assert_int_equal(chmod(path, 0700), 0);
	v = acp_program(&c);
	assert_string_equal(v[0], path);
	assert_null(v[1]);
	strv_free(v);
	(void)unlink(path);
	for (i = countof(dirs); i-- > 0;) {
		(void)snprintf(dir, sizeof(dir), "%s%s", home, dirs[i]);
		(void)rmdir(dir);
	}
	(void)rmdir(home);
	free(env[0]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, finish)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(streamed),
		TEST(thoughts_and_others),
		TEST(long_and_dirty),
		TEST(tool_life),
		TEST(tool_words),
		TEST(tool_changes),
		TEST(plans),
		cmocka_unit_test(content),
		cmocka_unit_test(mcp_servers),
		cmocka_unit_test(programs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
