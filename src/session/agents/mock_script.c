/*
 * What the mock agent answers to which message. Runs in the session worker.
 * Each step emits one event; the fillers that the encoder adds come with it.
 * The payloads are fixed: clients test against them.
 */
#include "session/agents/mock.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>
#include <strings.h>

static void
emit(struct mock *m, const char *key, enum item_kind kind, enum item_role role,
    const struct part *parts, size_t n, enum item_status status)
{
	char id[MOCK_ID_MAX];
	const struct item it = { .native_id = mock_id(m, id, key),
		.kind = kind,
		.role = role,
		.parts = parts,
		.nparts = n };

	if (status == ITEM_IN_PROGRESS)
		uni_item_started(m->a.out, &it);
	else
		uni_item_completed(m->a.out, &it, status);
}

/* --- messages ------------------------------------------------------------ */

static void
say_started(struct mock *m, struct mock_step *st)
{
	const struct part p = PART(PART_TEXT, st->text);

	emit(m, st->key, ITEM_MESSAGE, ROLE_OF_ASSISTANT, &p, 1,
	    ITEM_IN_PROGRESS);
}

static void
say_completed(struct mock *m, struct mock_step *st)
{
	const struct part p = PART(PART_TEXT, st->text);

	emit(
	    m, st->key, ITEM_MESSAGE, ROLE_OF_ASSISTANT, &p, 1, ITEM_COMPLETED);
}

static void
say_delta(struct mock *m, struct mock_step *st)
{
	char id[MOCK_ID_MAX];

	uni_item_delta(
	    m->a.out, mock_id(m, id, st->key), st->text, strlen(st->text));
}

void
mock_say(struct mock *m, const char *key, const char *text)
{
	(void)mock_add(m, say_started, key, text);
	(void)mock_add(m, say_completed, key, text);
}

static const char *const markdown[] = { "# Mock markdown\n\n",
	"A paragraph with **bold** and *slanted* words,\n",
	"and `code` within it.\n\n", "- first point\n", "- second point\n\n",
	"```sh\n", "echo mock\n", "```\n" };

static void
script_markdown(struct mock *m)
{
	struct buf all;
	size_t i;

	buf_init(&all, 4096);
	(void)mock_add(m, say_started, "markdown", "...");
	for (i = 0; i < countof(markdown); i++) {
		(void)mock_add(m, say_delta, "markdown", markdown[i]);
		(void)buf_adds(&all, markdown[i]); /* far below the cap */
	}
	(void)mock_add(m, say_completed, "markdown", all.data);
	buf_free(&all);
}

static void
rich(struct mock *m, enum item_status status)
{
	const struct part p[] = {
		PART(PART_TEXT, "Mock assistant response with rich content."),
		{ .type = PART_REASONING,
		    .text = "Public reasoning for display.",
		    .len = 29,
		    .word = "public" },
		{ .type = PART_REASONING,
		    .text = "Private reasoning hidden by default.",
		    .len = 36,
		    .word = "private" },
		PART(PART_JSON, "{\"stage\":\"analysis\",\"ok\":true}"),
	};

	emit(m, "assistant_rich", ITEM_MESSAGE, ROLE_OF_ASSISTANT, p,
	    countof(p), status);
}

static void
rich_started(struct mock *m, struct mock_step *st)
{
	(void)st;
	rich(m, ITEM_IN_PROGRESS);
}

static void
rich_completed(struct mock *m, struct mock_step *st)
{
	(void)st;
	rich(m, ITEM_COMPLETED);
}

static void
script_rich(struct mock *m)
{
	(void)mock_add(m, rich_started, NULL, NULL);
	(void)mock_add(m, say_delta, "assistant_rich", "Mock assistant ");
	(void)mock_add(m, say_delta, "assistant_rich", "streaming delta.");
	(void)mock_add(m, rich_completed, NULL, NULL);
}

static void
image_item(struct mock *m, struct mock_step *st)
{
	char path[MOCK_ID_MAX];
	const struct part p[] = {
		PART(PART_TEXT, "Here is a mock image output."),
		{ .type = PART_IMAGE, .name = path, .word = "image/png" },
	};

	if (str_format(path, sizeof(path), "%s/image.png", m->prefix) == -1)
		return;
	emit(m, "image", ITEM_MESSAGE, ROLE_OF_ASSISTANT, p, countof(p),
	    (enum item_status)st->n);
}

/* --- other items --------------------------------------------------------- */

static void
tool_call(struct mock *m, struct mock_step *st)
{
	char call[MOCK_ID_MAX];
	const struct part p = { .type = PART_TOOL_CALL,
		.name = "mock.search",
		.text = "{\"query\":\"example\"}",
		.len = 19,
		.word = mock_id(m, call, "call") };

	emit(m, "tool_call", ITEM_TOOL_CALL, ROLE_OF_ASSISTANT, &p, 1,
	    (enum item_status)st->n);
}

static void
tool_result(struct mock *m, struct mock_step *st)
{
	static const struct {
		const char *file, *action, *diff;
	} refs[] = {
		{ "readme.md", "read", NULL },
		{ "output.txt", "write", "+mock output\n" },
		{ "patch.txt", "patch", "@@ -1,1 +1,1 @@\n-old\n+new\n" },
	};
	char call[MOCK_ID_MAX], path[countof(refs)][MOCK_ID_MAX];
	struct part p[1 + countof(refs)] = { { .type = PART_TOOL_RESULT,
	    .text = "mock search results",
	    .len = 19,
	    .word = mock_id(m, call, "call") } };
	size_t i;

	for (i = 0; i < countof(refs); i++) {
		if (str_format(path[i], sizeof(path[i]), "%s/%s", m->prefix,
			refs[i].file) == -1)
			return;
		p[i + 1].type = PART_FILE_REF;
		p[i + 1].name = path[i];
		p[i + 1].word = refs[i].action;
		p[i + 1].text = refs[i].diff;
		p[i + 1].len = refs[i].diff != NULL ? strlen(refs[i].diff) : 0;
	}
	emit(m, "tool_result", ITEM_TOOL_RESULT, ROLE_OF_TOOL, p, countof(p),
	    (enum item_status)st->n);
}

static void
status_item(struct mock *m, struct mock_step *st)
{
	const char *detail = st->n == ITEM_IN_PROGRESS ? "2 files" : "Done";
	const struct part p = { .type = PART_STATUS,
		.name = "Indexing",
		.text = detail,
		.len = strlen(detail) };

	emit(m, "status", ITEM_STATUS, ROLE_OF_ASSISTANT, &p, 1,
	    (enum item_status)st->n);
}

static void
unknown_item(struct mock *m, struct mock_step *st)
{
	const struct part p = PART(PART_TEXT, "Unknown item kind example.");

	emit(m, "unknown", ITEM_UNKNOWN, ROLE_OF_ASSISTANT, &p, 1,
	    (enum item_status)st->n);
}

static void
system_item(struct mock *m, struct mock_step *st)
{
	const struct part p = PART(PART_TEXT, "System ready for mock events.");

	emit(m, "system", ITEM_SYSTEM, ROLE_OF_SYSTEM, &p, 1,
	    (enum item_status)st->n);
}

static void
pair(struct mock *m, mock_run *run, enum item_status last)
{
	mock_add(m, run, NULL, NULL)->n = ITEM_IN_PROGRESS;
	mock_add(m, run, NULL, NULL)->n = last;
}

static void
script_tool(struct mock *m)
{
	pair(m, tool_call, ITEM_COMPLETED);
	pair(m, tool_result, ITEM_FAILED);
}

/* --- requests and errors ------------------------------------------------- */

static void
ask_command(struct mock *m, struct mock_step *st)
{
	char id[MOCK_ID_MAX];
	autofree char *meta = xasprintf(
	    "{\"codexRequestKind\":\"commandExecution\",\"command\":\"%s\"}",
	    st->text);

	(void)agent_ask_permission(&m->a, mock_id(m, id, "permission"),
	    "command_execution", meta); /* too many are open: not asked */
}

static void
ask_file(struct mock *m, struct mock_step *st)
{
	char id[MOCK_ID_MAX];
	autofree char *meta = xasprintf("{\"codexRequestKind\":\"fileChange\","
					"\"path\":\"%s/deny.txt\"}",
	    m->prefix);

	(void)st;
	(void)agent_ask_permission(
	    &m->a, mock_id(m, id, "permission_denied"), "file_change", meta);
}

static void
ask_question(struct mock *m, struct mock_step *st)
{
	static const char *const texts[][3] = {
		{ "question", "Choose a color", "[\"Red\",\"Blue\"]" },
		{ "question_reject", "Allow mock experiment?",
		    "[\"Yes\",\"No\"]" },
		{ "question", "Proceed?", "[\"Yes\",\"No\"]" },
	};
	const char *const *t = texts[st->n];
	char id[MOCK_ID_MAX];

	(void)agent_ask_question(
	    &m->a, mock_id(m, id, t[0]), t[1], t[2], false);
}

static void
script_permissions(struct mock *m)
{
	(void)mock_add(m, ask_command, NULL, "echo mock");
	(void)mock_add(m, ask_file, NULL, NULL);
}

static void
script_questions(struct mock *m)
{
	mock_add(m, ask_question, NULL, NULL)->n = 0;
	mock_add(m, ask_question, NULL, NULL)->n = 1;
}

static void
say_error(struct mock *m, struct mock_step *st)
{
	(void)st;
	uni_error(m->a.out, FROM_DAEMON, "mock_error", "Mock error event.",
	    "{\"mock\":true}");
}

static void
say_unparsed(struct mock *m, struct mock_step *st)
{
	static const char raw[] = "{\"raw\":\"mock\"}";

	(void)st;
	uni_unparsed(m->a.out, "mock.stream", "unsupported payload", raw, NULL,
	    sizeof(raw) - 1);
}

static void
say_ended(struct mock *m, struct mock_step *st)
{
	(void)st;
	uni_session_ended(m->a.out, "completed", "agent");
}

/* --- commands ------------------------------------------------------------ */

static void
cmd_help(struct mock *m)
{
	mock_say(m, "help",
	    "Commands: help, echo, markdown, tool, status, image, unknown, "
	    "permission, question, error, unparsed, end, demo; think, plan, "
	    "usage, commands, mode MODE, forget; and for real "
	    "work: run COMMAND, write PATH TEXT, sleep MS, flood N [BYTES], "
	    "exit N, crash. Anything else is repeated.");
}

static void
cmd_status(struct mock *m)
{
	pair(m, status_item, ITEM_COMPLETED);
}

static void
cmd_image(struct mock *m)
{
	pair(m, image_item, ITEM_COMPLETED);
}

static void
cmd_unknown(struct mock *m)
{
	pair(m, unknown_item, ITEM_COMPLETED);
}

static void
cmd_system(struct mock *m)
{
	pair(m, system_item, ITEM_COMPLETED);
}

static void
cmd_permission(struct mock *m)
{
	script_permissions(m);
	m->end = MOCK_PARKS;
}

static void
cmd_question(struct mock *m)
{
	script_questions(m);
	m->end = MOCK_PARKS;
}

static void
cmd_error(struct mock *m)
{
	(void)mock_add(m, say_error, NULL, NULL);
	(void)mock_add(m, say_unparsed, NULL, NULL);
}

static void
cmd_unparsed(struct mock *m)
{
	(void)mock_add(m, say_unparsed, NULL, NULL);
}

static void
cmd_end(struct mock *m)
{
	(void)mock_add(m, say_ended, NULL, NULL);
	m->end = MOCK_PARKS;
}

static void
cmd_demo(struct mock *m)
{
	static const struct {
		const char *key, *text;
		void (*fill)(struct mock *m);
	} blocks[] = {
		{ "marker_1", "Next: a system message.", cmd_system },
		{ "marker_2", "Next: a rich message.", script_rich },
		{ "marker_3", "Next: a status.", cmd_status },
		{ "marker_4", "Next: markdown.", script_markdown },
		{ "marker_5", "Next: a tool call.", script_tool },
		{ "marker_6", "Next: an image.", cmd_image },
		{ "marker_7", "Next: an unknown item.", cmd_unknown },
		{ "marker_8", "Next: permissions.", script_permissions },
		{ "marker_9", "Next: questions.", script_questions },
		{ "marker_10", "Next: an error.", cmd_error },
	};
	size_t i;

	for (i = 0; i < countof(blocks); i++) {
		mock_say(m, blocks[i].key, blocks[i].text);
		blocks[i].fill(m);
	}
}

static const struct {
	const char *word;
	void (*fill)(struct mock *m);
} commands[] = {
	{ "help", cmd_help },
	{ "markdown", script_markdown },
	{ "tool", script_tool },
	{ "tools", script_tool },
	{ "tooling", script_tool },
	{ "status", cmd_status },
	{ "image", cmd_image },
	{ "unknown", cmd_unknown },
	{ "permission", cmd_permission },
	{ "permissions", cmd_permission },
	{ "question", cmd_question },
	{ "questions", cmd_question },
	{ "error", cmd_error },
	{ "unparsed", cmd_unparsed },
	{ "end", cmd_end },
	{ "ended", cmd_end },
	{ "session.end", cmd_end },
	{ "demo", cmd_demo },
};

/* --- whole messages ------------------------------------------------------ */

static void
whole_ok(struct mock *m)
{
	mock_say(m, "ok", "OK");
}

static void
whole_first(struct mock *m)
{
	mock_say(m, "first", "FIRST");
}

static void
whole_second(struct mock *m)
{
	mock_say(m, "second", "SECOND");
}

static void
whole_list(struct mock *m)
{
	(void)mock_add(m, ask_command, NULL, "ls");
	m->end = MOCK_PARKS;
}

static void
whole_bash(struct mock *m)
{
	(void)mock_add(m, ask_command, NULL, "ls");
	script_tool(m);
}

static void
whole_ask(struct mock *m)
{
	mock_add(m, ask_question, NULL, NULL)->n = 2;
	m->end = MOCK_PARKS;
}

static const struct {
	const char *text;
	void (*fill)(struct mock *m);
} wholes[] = {
	{ "Reply with exactly the single word OK.", whole_ok },
	{ "Reply with exactly the word FIRST.", whole_first },
	{ "Reply with exactly the word SECOND.", whole_second },
	{ "Answer briefly and include your reasoning.", script_rich },
	{ "Provide a short status update.", cmd_status },
	{ "List files in the current directory using available tools.",
	    whole_list },
	{ "Use the bash tool to run `ls` in the current directory. "
	  "Do not answer without using the tool.",
	    whole_bash },
	{ "Use the AskUserQuestion tool to ask exactly one yes/no question, "
	  "then wait for a reply. Do not answer yourself.",
	    whole_ask },
	{ "Call the AskUserQuestion tool with exactly one yes/no question "
	  "and wait for a reply. Do not answer yourself.",
	    whole_ask },
};

/* Words joined by single blanks. */
static char *
join_words(const char *s)
{
	struct buf b;
	size_t len;

	buf_init(&b, strlen(s) + 1);
	for (s += strspn(s, " \t\r\n"); *s != '\0';
	     s += len, s += strspn(s, " \t\r\n")) {
		len = strcspn(s, " \t\r\n");
		if (b.len > 0)
			(void)buf_addc(&b, ' ');
		(void)buf_add(&b, s, len); /* never longer than S */
	}
	return b.data != NULL ? buf_steal(&b) : NULL;
}

void
mock_script(struct mock *m, const char *text)
{
	size_t len = strcspn(text, " \t\r\n"), i;
	autofree char *word = xstrndup(text, len);
	autofree char *words = NULL;

	for (i = 0; i < countof(wholes); i++)
		if (strcasecmp(wholes[i].text, text) == 0) {
			wholes[i].fill(m);
			return;
		}
	for (i = 0; i < countof(commands); i++)
		if (strcasecmp(commands[i].word, word) == 0) {
			commands[i].fill(m);
			return;
		}
	if (strcasecmp(word, "echo") == 0 || strcasecmp(word, "say") == 0) {
		words = join_words(text + len);
		mock_say(m, "echo",
		    words != NULL ? words : "Give me words to repeat.");
	} else if (!mock_work(m, word, text + len) &&
		   !mock_news(m, word, text + len)) {
		mock_say(m, "reply", text);
	}
}
