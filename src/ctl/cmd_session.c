/*
 * session new|ls|get|set|end: sessions as such. Runs as the caller.
 */
#include "ctl/commands.h"
#include "ctl/show.h"
#include "ctl/spec.h"
#include "ctl/table.h"

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
	spec_copy(w, a, "dir", "directory");
	spec_copy(w, a, "title", "title");
	if (spec_map(w, a, "env", "env", spec_env, e) == -1)
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
	{ "mode", '\0', "MODE", "default, acceptEdits, plan or bypass." },
	{ "agent-mode", '\0', "MODE", "build (the default) or plan." },
	{ "dir", 'w', "DIR", "Working directory inside." },
	{ "env", 'e', "NAME[=VALUE]", "Added to the sandbox's environment." },
	{ "title", '\0', "TEXT", "A line of your own." },
	{ "command", '\0', "WORD",
	    "The agent's program; repeated: its first arguments." },
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

static void
print_sessions(const struct ctl *ctl, const struct json *list)
{
	static const char *const head[] = { "ID", "AGENT", "STATE", "SANDBOX",
		"EVENTS", "AGE", "TITLE", NULL };
	struct table t;

	table_init(&t, head);
	json_foreach (s, list) {
		char age[AGE_TEXT_MAX];

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
		ctl_print_json(ans.body);
	} else if (args_has(a, "quiet")) {
		show_ids(show_list(ans.body));
	} else {
		print_sessions(ctl, show_list(ans.body));
	}
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def sessions_opts[] = {
	{ "sandbox", 's', "ID", "Only those of this sandbox." },
	{ "quiet", 'q', NULL, "Only ids." },
};

const struct command cmd_session_ls = {
	.name = "session ls",
	.operands = "",
	.help = "List sessions, newest first.",
	COMMAND_OPTS(sessions_opts),
	.run = run_sessions,
};

/* --- session get, set, end ----------------------------------------------- */

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

	if (!args_has(a, "model") && !args_has(a, "mode")) {
		(void)err_set(
		    &e, ERR_BAD_REQUEST, "session set needs --model or --mode");
		return ctl_fail(ctl, &e);
	}
	client_init(&c, ctl);
	w = client_begin(&c, "session.configure");
	jw_kstr(w, "id", a->operands[0]);
	spec_copy(w, a, "model", "model");
	spec_copy(w, a, "mode", "permission_mode");
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
	{ "mode", '\0', "MODE", "default, acceptEdits, plan or bypass." },
};

const struct command cmd_session_set = {
	.name = "session set",
	.operands = "SESSION",
	.help = "Change a session's model or permission mode.",
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
