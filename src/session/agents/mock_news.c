/*
 * The mock agent's commands that show what an agent tells besides messages and
 * tools:
 *
 *	think		a thought, then a message
 *	plan		a plan, changed twice
 *	usage		how full the context is, and the turn's tokens
 *	commands	the slash commands that it knows
 *	mode MODE	a change of its permission mode
 *	forget		the agent wants to be told what was said before, and
 *			repeats it (mock.c)
 *
 * Runs in the session worker.
 */
#include "session/agents/mock.h"

#include "lib/xalloc.h"
#include <string.h>
#include <strings.h>

static void
thought(struct mock *m, struct mock_step *st)
{
	static const char text[] = "The mock thinks it over.";
	char id[MOCK_ID_MAX];
	const struct part p = { .type = PART_REASONING,
		.text = text,
		.len = sizeof(text) - 1,
		.word = "public" };
	const struct item it = { .native_id = mock_id(m, id, "thought"),
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT,
		.parts = &p,
		.nparts = 1 };

	if (st->n == 0) {
		uni_item_started(m->a.out, &it);
		return;
	}
	uni_item_delta(m->a.out, id, text, 9);
	uni_item_delta(m->a.out, id, text + 9, sizeof(text) - 10);
	uni_item_completed(m->a.out, &it, ITEM_COMPLETED);
}

static void
cmd_think(struct mock *m, const char *rest)
{
	(void)rest;
	mock_add(m, thought, NULL, NULL)->n = 0;
	mock_add(m, thought, NULL, NULL)->n = 1;
	mock_say(m, "thought_over", "It is thought over.");
}

static void
plan(struct mock *m, struct mock_step *st)
{
	static const char *const plans[] = {
		"[{\"content\":\"Look\",\"status\":\"pending\"},"
		"{\"content\":\"Work\",\"status\":\"pending\","
		"\"priority\":\"high\"}]",
		"[{\"content\":\"Look\",\"status\":\"completed\"},"
		"{\"content\":\"Work\",\"status\":\"in_progress\","
		"\"priority\":\"high\"}]",
		"[{\"content\":\"Look\",\"status\":\"completed\"},"
		"{\"content\":\"Work\",\"status\":\"completed\","
		"\"priority\":\"high\"}]",
	};

	uni_plan(m->a.out, "turn.plan.updated", plans[st->n]);
}

static void
cmd_plan(struct mock *m, const char *rest)
{
	int i;

	(void)rest;
	for (i = 0; i < 3; i++)
		mock_add(m, plan, NULL, NULL)->n = i;
	mock_say(m, "planned", "The plan is carried out.");
}

static void
usage(struct mock *m, struct mock_step *st)
{
	(void)st;
	agent_usage(&m->a, 1200, 200000);
	m->more = "{\"usage\":{\"input_tokens\":1000,\"output_tokens\":200,"
		  "\"cached_input_tokens\":800,\"total_tokens\":1200}}";
}

static void
cmd_usage(struct mock *m, const char *rest)
{
	(void)rest;
	(void)mock_add(m, usage, NULL, NULL);
	mock_say(m, "used", "Tokens were used.");
}

static void
slash_commands(struct mock *m, struct mock_step *st)
{
	(void)st;
	agent_commands(&m->a,
	    "[{\"name\":\"help\",\"description\":\"What the mock can do\"},"
	    "{\"name\":\"echo\",\"description\":\"Repeat words\","
	    "\"input\":{\"hint\":\"words\"}}]");
}

static void
cmd_commands(struct mock *m, const char *rest)
{
	(void)rest;
	(void)mock_add(m, slash_commands, NULL, NULL);
	mock_say(m, "commands", "These are the commands.");
}

static void
change_mode(struct mock *m, struct mock_step *st)
{
	const struct agent_settings set = { .permission_mode = st->text };
	struct err e;

	if (mock_settings_check(&set, &e) == -1) {
		mock_say(m, "mode", e.text);
		return;
	}
	agent_mode_changed(&m->a, st->text);
	mock_say(m, "mode", "The mode is changed.");
}

static void
cmd_mode(struct mock *m, const char *rest)
{
	(void)mock_add(m, change_mode, NULL, rest);
}

bool
mock_news(struct mock *m, const char *word, const char *rest)
{
	static const struct {
		const char *word;
		void (*fill)(struct mock *m, const char *rest);
		bool wants; /* something behind the word */
	} news[] = {
		{ "think", cmd_think, false },
		{ "plan", cmd_plan, false },
		{ "usage", cmd_usage, false },
		{ "commands", cmd_commands, false },
		{ "mode", cmd_mode, true },
	};
	size_t i;

	rest += strspn(rest, " \t\r\n");
	for (i = 0; i < countof(news); i++) {
		if (strcasecmp(news[i].word, word) != 0 ||
		    news[i].wants != (*rest != '\0'))
			continue;
		news[i].fill(m, rest);
		return true;
	}
	return false;
}
