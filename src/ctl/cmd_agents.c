/*
 * agents ls|install|report|reload: which agents there are, installing them,
 * and what each can do. Runs as the caller. What an agent tells of itself is
 * foreign text and is cleaned as any.
 */
#include "ctl/commands.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <string.h>

#define ID_MAX 64
#define REPORT_MAX (8u << 20)

/* --- agents ls ----------------------------------------------------------- */

static int
ask_list(struct ctl *ctl, bool all, struct answer *a_out, struct err *e)
{
	struct client c;
	struct jw *w;
	int r;

	client_init(&c, ctl);
	w = client_begin(&c, "agent.list");
	if (all)
		jw_kbool(w, "all", true);
	r = client_call(&c, a_out, e);
	client_close(&c);
	return r;
}

static const char *
credentials_word(const struct json *agent)
{
	const struct json *needs = json_get(agent, "credentials");

	if (needs == NULL || needs->len == 0)
		return "none needed";
	return json_bool(agent, "credentials_available", false) ? "there"
								: "missing";
}

static void
print_agents(const struct ctl *ctl, const struct json *list)
{
	static const char *const head[] = { "ID", "NAME", "INSTALLED",
		"VERSION", "PROTOCOL", "CREDENTIALS", "PROGRAM", NULL };
	struct table t;

	table_init(&t, head);
	json_foreach (k, list) {
		bool there = json_bool(k, "installed", false);

		table_cell(&t, json_str(k, "id", "?"));
		table_cell(&t, json_str(k, "name", NULL));
		table_cell(&t, there ? "yes"
			       : json_bool(k, "installable", false)
				   ? "no"
				   : "by hand only");
		table_cell(&t, json_str(k, "version", NULL));
		table_cell(&t, json_str(k, "protocol", NULL));
		table_cell(&t, credentials_word(k));
		table_cell(
		    &t, json_str(k, "path", json_str(k, "program", NULL)));
	}
	table_end(&t, ctl);
}

static int
run_agents_ls(struct ctl *ctl, const struct args *a)
{
	struct answer ans;
	struct err e;

	if (ask_list(ctl, args_has(a, "all"), &ans, &e) == -1)
		return ctl_fail(ctl, &e);
	if (ctl->json)
		ctl_print_json(ans.body);
	else if (args_has(a, "quiet"))
		show_ids(show_list(ans.body));
	else
		print_agents(ctl, show_list(ans.body));
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def ls_opts[] = {
	{ "all", 'a', NULL, "Also those that are left out of lists." },
	{ "quiet", 'q', NULL, "Only ids." },
};

const struct command cmd_agents_ls = {
	.name = "agents ls",
	.operands = "",
	.help = "List agents: what is installed, and where.",
	COMMAND_OPTS(ls_opts),
	.run = run_agents_ls,
};

/* --- agents report ------------------------------------------------------- */

/* The options of AGENT: as it has told them itself, if it could be asked, else
 * as its definition has them. REC is to be freed. */
static const struct json *
options_of(struct ctl *ctl, const struct json *agent, bool ask,
    struct answer *rec, const char **version_out)
{
	const char *id = json_str(agent, "id", "");
	autofree char *session = xasprintf("probe:%.*s", ID_MAX, id);
	const struct json *told;
	struct answer probed;
	struct err e;

	*rec = (struct answer){ .root = NULL };
	*version_out = json_str(agent, "version", NULL);
	if (!json_bool(agent, "installed", false) ||
	    !json_bool(agent, "askable", false))
		return json_get(agent, "options");
	if (ask && client_ask(ctl, "agent.probe", id, &probed, &e) == 0)
		answer_free(&probed);
	else if (ask)
		ctl_note(ctl, "%s: not asked: %s", id, e.text);
	if (client_ask(ctl, "session.get", session, rec, &e) == -1)
		return json_get(agent, "options");
	*version_out = json_str(rec->body, "version", *version_out);
	told = json_get(rec->body, "options");
	return told != NULL && told->type == JSON_ARRAY && told->len > 0
		   ? told
		   : json_get(agent, "options");
}

static int
by_value(const void *a, const void *b)
{
	const struct json *const *x = a, *const *y = b;

	return strcmp(json_str(*x, "value", ""), json_str(*y, "value", ""));
}

/* {"currentValue":…,"values":[…]} of the first option of a category. */
static void
category_write(struct jw *w, const char *key, const struct json *options,
    const char *category)
{
	autofree const struct json **v = NULL;
	const struct json *found = NULL;
	size_t n = 0;

	json_foreach (o, options) {
		if (found == NULL &&
		    strcmp(json_str(o, "category", ""), category) == 0)
			found = o;
	}
	json_foreach (c, json_get(found, "options")) {
		v = xreallocarray(v, n + 1, sizeof(struct json *));
		v[n++] = c;
	}
	if (n > 0)
		qsort(v, n, sizeof(struct json *), by_value);
	jw_key(w, key);
	jw_object(w);
	if (json_str(found, "currentValue", NULL) != NULL)
		jw_kstr(w, "currentValue", json_str(found, "currentValue", ""));
	jw_key(w, "values");
	jw_array(w);
	for (size_t i = 0; i < n; i++) {
		jw_object(w);
		jw_kstr(w, "value", json_str(v[i], "value", ""));
		if (json_str(v[i], "name", NULL) != NULL)
			jw_kstr(w, "name", json_str(v[i], "name", ""));
		jw_object_end(w);
	}
	jw_array_end(w);
	jw_object_end(w);
}

static void
report_write(struct ctl *ctl, struct jw *w, const struct json *list, bool ask)
{
	jw_object(w);
	jw_kint(w, "generatedAtMs", now_realtime_ms());
	jw_kstr(
	    w, "endpoint", ctl->endpoint != NULL ? ctl->endpoint : ctl->socket);
	jw_key(w, "agents");
	jw_array(w);
	json_foreach (agent, list) {
		const struct json *options;
		const char *version;
		struct answer rec;

		options = options_of(ctl, agent, ask, &rec, &version);
		jw_object(w);
		jw_kstr(w, "id", json_str(agent, "id", ""));
		jw_kbool(w, "installed", json_bool(agent, "installed", false));
		if (version != NULL)
			jw_kstr(w, "version", version);
		category_write(w, "models", options, "model");
		category_write(w, "modes", options, "mode");
		category_write(w, "thoughtLevels", options, "thought_level");
		jw_kvalue(w, "capabilities", json_get(agent, "capabilities"));
		jw_object_end(w);
		answer_free(&rec);
	}
	jw_array_end(w);
	jw_object_end(w);
}

static void
print_values(const char *what, const struct json *category)
{
	const char *now = json_str(category, "currentValue", "");
	const struct json *values = json_get(category, "values");

	if (values == NULL || values->len == 0)
		return;
	(void)printf("  %s:", what);
	json_foreach (v, values) {
		const char *value = json_str(v, "value", "");

		(void)printf(" %s", strcmp(value, now) == 0 ? "*" : "");
		ctl_put(value);
	}
	(void)putchar('\n');
}

static void
print_report(const struct json *report)
{
	json_foreach (agent, json_get(report, "agents")) {
		const char *version = json_str(agent, "version", NULL);
		bool any = false;

		ctl_put(json_str(agent, "id", "?"));
		(void)printf("  %s", json_bool(agent, "installed", false)
					 ? "installed"
					 : "not installed");
		if (version != NULL) {
			(void)printf("  ");
			ctl_put(version);
		}
		(void)putchar('\n');
		print_values("models", json_get(agent, "models"));
		print_values("modes", json_get(agent, "modes"));
		print_values(
		    "thought levels", json_get(agent, "thoughtLevels"));
		json_foreach (c, json_get(agent, "capabilities")) {
			if (c->type != JSON_BOOL || !c->b)
				continue;
			(void)printf("%s", any ? " " : "  can: ");
			ctl_put(c->key);
			any = true;
		}
		if (any)
			(void)putchar('\n');
	}
}

static int
run_agents_report(struct ctl *ctl, const struct args *a)
{
	struct answer ans;
	struct json *report = NULL;
	struct buf b;
	struct jw w;
	struct err e;
	int r;

	if (ask_list(ctl, args_has(a, "all"), &ans, &e) == -1)
		return ctl_fail(ctl, &e);
	buf_init(&b, REPORT_MAX);
	jw_init(&w, &b);
	report_write(ctl, &w, show_list(ans.body), !args_has(a, "no-ask"));
	answer_free(&ans);
	r = b.failed ? err_set(&e, ERR_TOO_LARGE, "the report is too long")
		     : json_parse(b.data, b.len, CTL_JSON_DEPTH, &report, &e);
	buf_free(&b);
	if (r == -1)
		return ctl_fail(ctl, &e);
	if (ctl->json)
		ctl_print_json(report);
	else
		print_report(report);
	json_free(report);
	return EXIT_OK;
}

static const struct opt_def report_opts[] = {
	{ "all", 'a', NULL, "Also agents that are left out of lists." },
	{ "no-ask", '\0', NULL,
	    "Do not start agents to ask them: what they told last." },
};

const struct command cmd_agents_report = {
	.name = "agents report",
	.operands = "",
	.help =
	    "Tell models, modes, thought levels and capabilities of agents.",
	COMMAND_OPTS(report_opts),
	.run = run_agents_report,
};

/* --- agents reload ------------------------------------------------------- */

static int
run_agents_reload(struct ctl *ctl, const struct args *a ATTR_UNUSED)
{
	struct answer ans;
	struct err e;

	if (client_ask(ctl, "agent.reload", NULL, &ans, &e) == -1)
		return ctl_fail(ctl, &e);
	if (ctl->json)
		ctl_print_json(ans.body);
	else
		(void)printf("%lld agents\n",
		    (long long)json_int(ans.body, "agents", 0));
	answer_free(&ans);
	return EXIT_OK;
}

const struct command cmd_agents_reload = {
	.name = "agents reload",
	.operands = "",
	.help = "Read the definitions of agents again.",
	.run = run_agents_reload,
};
