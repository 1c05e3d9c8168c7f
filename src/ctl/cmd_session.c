/*
 * session new|ls|get|set|end|rm: sessions as such. Runs as the caller.
 */
#include "ctl/commands.h"
#include "ctl/show.h"
#include "ctl/spec.h"
#include "ctl/table.h"
#include <string.h>

#define MODE_HELP "default, acceptEdits, plan, bypass, or the agent's own."

/* --- session new --------------------------------------------------------- */

static int
write_new(struct jw *w, const struct args *a, struct err *e)
{
	const char *command = args_str(a, "command", NULL);
	size_t pos = 0;

	jw_kstr(w, "agent", a->operands[0]);
	spec_copy(w, a, "id", "id");
	spec_copy(w, a, "sandbox", "sandbox");
	spec_copy(w, a, "model", "model");
	spec_copy(w, a, "mode", "permission_mode");
	spec_copy(w, a, "agent-mode", "agent_mode");
	spec_copy(w, a, "thought-level", "thought_level");
	spec_copy(w, a, "dir", "directory");
	spec_copy(w, a, "title", "title");
	if (spec_map(w, a, "env", "env", spec_env, e) == -1 ||
	    spec_install(w, a, e) == -1)
		return -1;
	if (command == NULL)
		return 0;
	jw_key(w, "command");
	jw_array(w);
	while ((command = args_next(a, "command", &pos)) != NULL)
		jw_str(w, command);
	jw_array_end(w);
	return 0;
}

static int
run_new(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct answer ans;
	struct err e;
	int code;

	client_init(&c, ctl);
	code = command_send(
	    &c, write_new(client_begin(&c, "session.create"), a, &e), &ans, &e);
	if (code != EXIT_OK)
		return code;
	if (ctl->json) {
		ctl_print_json(ans.body);
	} else {
		ctl_put(json_str(ans.body, "id", "?"));
		(void)putchar('\n');
	}
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def new_opts[] = {
	{ "id", '\0', "SESSION", "Its name; one is made up without." },
	{ "sandbox", 's', "ID", "Where it runs; else the sandbox default." },
	{ "model", 'm', "MODEL", "The model." },
	{ "mode", '\0', "MODE", MODE_HELP },
	{ "agent-mode", '\0', "MODE",
	    "build (the default), plan, or its own." },
	{ "thought-level", '\0', "LEVEL", "How much the model thinks." },
	{ "dir", 'w', "DIR", "Working directory inside." },
	{ "env", 'e', "NAME[=VALUE]", "Added to the sandbox's environment." },
	{ "title", '\0', "TEXT", "A line of your own." },
	{ "command", '\0', "WORD",
	    "The agent's program; repeated: its first arguments." },
	SPEC_INSTALL_OPTS,
};

const struct command cmd_session_new = {
	.name = "session new",
	.operands = "AGENT",
	.help = "Start a session with an agent; prints its id.",
	COMMAND_OPTS(new_opts),
	.min = 1,
	.max = 1,
	.run = run_new,
};

/* --- session ls ---------------------------------------------------------- */

/* ACP servers and probes are sessions too, of which nobody speaks. */
static bool
is_listed(const struct args *a, const struct json *s)
{
	return args_has(a, "all") ||
	       strcmp(json_str(s, "kind", "universal"), "universal") == 0;
}

static void
print_sessions(
    const struct ctl *ctl, const struct args *a, const struct json *list)
{
	static const char *const head[] = { "ID", "AGENT", "STATE", "SANDBOX",
		"EVENTS", "AGE", "TITLE", NULL };
	struct table t;

	table_init(&t, head);
	json_foreach (s, list) {
		char age[AGE_TEXT_MAX];

		if (!is_listed(a, s))
			continue;
		table_cell(&t, json_str(s, "id", "?"));
		table_cell(&t, json_str(s, "agent", "?"));
		table_cell(&t, json_str(s, "state", "?"));
		table_cell(&t, json_str(s, "sandbox", NULL));
		table_cellf(
		    &t, "%lld", (long long)json_int(s, "event_count", 0));
		table_cell(&t, show_age(age, s, "created_at"));
		table_cell(&t, json_str(s, "title", NULL));
	}
	table_end(&t, ctl);
}

static void
print_session_ids(const struct args *a, const struct json *list)
{
	json_foreach (s, list) {
		if (!is_listed(a, s))
			continue;
		ctl_put(json_str(s, "id", "?"));
		(void)putchar('\n');
	}
}

static void
print_sessions_json(const struct args *a, const struct json *list)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 256u << 20);
	jw_init(&w, &b);
	jw_object(&w);
	jw_key(&w, "sessions");
	jw_array(&w);
	json_foreach (s, list) {
		if (is_listed(a, s))
			jw_value(&w, s);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	ctl_print_json_buf(&b);
	buf_free(&b);
}

static int
run_sessions(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct answer ans;
	struct err e;
	int code;

	client_init(&c, ctl);
	spec_copy(client_begin(&c, "session.list"), a, "sandbox", "sandbox");
	code = command_send(&c, 0, &ans, &e);
	if (code != EXIT_OK)
		return code;
	if (ctl->json) {
		print_sessions_json(a, show_list(ans.body));
	} else if (args_has(a, "quiet")) {
		print_session_ids(a, show_list(ans.body));
	} else {
		print_sessions(ctl, a, show_list(ans.body));
	}
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def sessions_opts[] = {
	{ "sandbox", 's', "ID", "Only those of this sandbox." },
	{ "quiet", 'q', NULL, "Only ids." },
	{ "all", 'a', NULL, "ACP servers and probes of agents, too." },
};

const struct command cmd_session_ls = {
	.name = "session ls",
	.operands = "",
	.help = "List sessions, newest first.",
	COMMAND_OPTS(sessions_opts),
	.run = run_sessions,
};

/* --- session get, set, end, rm -----------------------------------------------
 */

static int
run_session_get(struct ctl *ctl, const struct args *a)
{
	return command_look(ctl, "session.get", a->operands[0]);
}

const struct command cmd_session_get = {
	.name = "session get",
	.operands = "SESSION",
	.help = "Show a session: its record, state and number of events.",
	.min = 1,
	.max = 1,
	.run = run_session_get,
};

static int
run_session_set(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct answer ans;
	struct err e;
	struct jw *w;
	int code;

	if (!args_has(a, "model") && !args_has(a, "mode") &&
	    !args_has(a, "agent-mode") && !args_has(a, "thought-level")) {
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "session set needs --model, --mode, --agent-mode or "
		    "--thought-level");
		return ctl_fail(ctl, &e);
	}
	client_init(&c, ctl);
	w = client_begin(&c, "session.configure");
	jw_kstr(w, "id", a->operands[0]);
	spec_copy(w, a, "model", "model");
	spec_copy(w, a, "mode", "permission_mode");
	spec_copy(w, a, "agent-mode", "agent_mode");
	spec_copy(w, a, "thought-level", "thought_level");
	code = command_send(&c, 0, &ans, &e);
	if (code != EXIT_OK)
		return code;
	if (ctl->json)
		ctl_print_json(ans.body);
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def set_opts[] = {
	{ "model", 'm', "MODEL", "The model." },
	{ "mode", '\0', "MODE", MODE_HELP },
	{ "agent-mode", '\0', "MODE", "build, plan, or its own." },
	{ "thought-level", '\0', "LEVEL", "How much the model thinks." },
};

const struct command cmd_session_set = {
	.name = "session set",
	.operands = "SESSION",
	.help = "Change a session's model, modes or thought level.",
	COMMAND_OPTS(set_opts),
	.min = 1,
	.max = 1,
	.run = run_session_set,
};

static int
run_session_end(struct ctl *ctl, const struct args *a)
{
	return command_simple(ctl, "session.end", a->operands[0], "ended");
}

const struct command cmd_session_end = {
	.name = "session end",
	.operands = "SESSION",
	.help = "End a session for good; its events stay.",
	.min = 1,
	.max = 1,
	.run = run_session_end,
};

static int
run_session_rm(struct ctl *ctl, const struct args *a)
{
	return command_each(ctl, a, "session.delete", "removed");
}

const struct command cmd_session_rm = {
	.name = "session rm",
	.operands = "SESSION...",
	.help = "End sessions at once, and remove their events.",
	.min = 1,
	.max = -1,
	.run = run_session_rm,
};
