/*
 * create ls get stop start rm: sandboxes as such. Runs as the caller.
 */
#include "ctl/commands.h"
#include "ctl/show.h"
#include "ctl/spec.h"
#include "ctl/table.h"
#include <string.h>

/* --- create -------------------------------------------------------------- */

/* When it is destroyed. */
static int
write_end(struct jw *w, const struct args *a, struct err *e)
{
	const char *expire = args_str(a, "expire", NULL);
	int64_t ms;

	if (args_has(a, "ephemeral"))
		jw_kbool(w, "ephemeral", true);
	if (expire == NULL)
		return 0;
	if (spec_ms(expire, &ms, e) == -1)
		return err_prefix(e, "--expire");
	jw_kint(w, "timeout", (ms + 999) / 1000);
	return 0;
}

static int
write_create(struct jw *w, const struct args *a, struct err *e)
{
	struct spec_mount m;
	size_t pos = 0;
	const char *v;

	if (a->noperands > 0)
		jw_kstr(w, "id", a->operands[0]);
	if (a->noperands > 1) {
		jw_key(w, "entrypoint");
		jw_array(w);
		for (size_t i = 1; i < a->noperands; i++)
			jw_str(w, a->operands[i]);
		jw_array_end(w);
	}
	spec_copy(w, a, "image", "image");
	spec_copy(w, a, "network", "network");
	if (spec_has_egress(a) && !args_has(a, "network"))
		jw_kstr(w, "network", "filtered");
	spec_egress(w, a);
	spec_copy(w, a, "user", "user");
	spec_copy(w, a, "dir", "directory");
	spec_copy(w, a, "hostname", "hostname");
	spec_copy(w, a, "isolation", "isolation");
	if (spec_map(w, a, "env", "env", spec_env, e) == -1 ||
	    spec_map(w, a, "label", "labels", spec_pair, e) == -1 ||
	    spec_limits(w, a, e) == -1 || spec_more(w, a, e) == -1 ||
	    spec_service(w, a, e) == -1 || write_end(w, a, e) == -1)
		return -1;
	if (!args_has(a, "mount"))
		return 0;
	jw_key(w, "mounts");
	jw_array(w);
	while ((v = args_next(a, "mount", &pos)) != NULL) {
		if (spec_mount_parse(v, &m, e) == -1)
			return -1;
		spec_mount_write(w, &m);
	}
	jw_array_end(w);
	return 0;
}

/* Isolation is told, never assumed: say at once what does not hold. */
static void
note_missing(const struct ctl *ctl, const struct json *record)
{
	struct buf b;

	buf_init(&b, 1024);
	json_foreach (m, json_get(record, "isolation"))
		if (m->type == JSON_BOOL && !m->b && m->key != NULL)
			(void)buf_addf(&b, " %s", m->key);
	if (!b.failed && b.len > 0)
		ctl_note(ctl, "%s lacks this isolation:%s",
		    json_str(record, "id", "it"), b.data);
	buf_free(&b);
}

static int
run_create(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct answer ans;
	struct err e;
	int code;

	client_init(&c, ctl);
	code = command_send(&c,
	    write_create(client_begin(&c, "sandbox.create"), a, &e), &ans, &e);
	if (code != EXIT_OK)
		return code;
	if (ctl->json) {
		ctl_print_json(ans.body);
	} else {
		note_missing(ctl, ans.body);
		ctl_put(json_str(ans.body, "id", "?"));
		(void)putchar('\n');
	}
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def create_opts[] = {
	{ "image", 'i', "IMAGE", "Root file system: host, or a directory." },
	{ "network", 'n', "NET", "none (the default), filtered or host." },
	{ "mount", 'v', "SRC:DST[:MODE]",
	    "Show a host path inside: ro, rw or cow. May be repeated." },
	{ "env", 'e', "NAME[=VALUE]", "Environment of all that runs inside." },
	{ "label", 'l', "NAME=VALUE", "A word of your own to find it by." },
	{ "user", 'u', "USER", "Who commands run as inside." },
	{ "dir", 'w', "DIR", "Working directory inside." },
	{ "hostname", '\0', "NAME", "Host name inside." },
	{ "isolation", '\0', "WHAT", "full: refuse unless all of it holds." },
	{ "expire", '\0', "TIME", "Destroy it after this time." },
	{ "ephemeral", '\0', NULL, "Destroy it when it stops." },
	SPEC_MORE_OPTS,
	SPEC_SERVICE_OPTS,
	SPEC_EGRESS_OPTS,
	SPEC_LIMIT_OPTS,
};

const struct command cmd_create = {
	.name = "create",
	.operands = "[ID [[--] COMMAND [ARGUMENT...]]]",
	.help = "Make a sandbox and start it, and COMMAND with it; prints its "
		"id.",
	COMMAND_OPTS(create_opts),
	.max = -1,
	.run = run_create,
};

/* --- ls ------------------------------------------------------------------ */

/* How many sessions SANDBOX has: told by its record, or counted. */
static int64_t
count_sessions(const struct json *record, const struct json *sessions)
{
	const struct json *own = json_get(record, "sessions");
	const char *id = json_str(record, "id", "");
	int64_t n = 0;

	if (own != NULL && own->type == JSON_ARRAY)
		return (int64_t)own->len;
	if (own != NULL && json_number_int(own, &n) == 0)
		return n;
	json_foreach (s, sessions)
		if (strcmp(json_str(s, "sandbox", ""), id) == 0)
			n++;
	return n;
}

static void
print_sandboxes(
    const struct ctl *ctl, const struct json *list, const struct json *sessions)
{
	static const char *const head[] = { "ID", "STATE", "IMAGE", "NETWORK",
		"AGE", "SESSIONS", "LABELS", NULL };
	struct table t;

	table_init(&t, head);
	json_foreach (s, list) {
		autofree char *labels = show_pairs(json_get(s, "labels"));
		char age[AGE_TEXT_MAX];

		table_cell(&t, json_str(s, "id", "?"));
		table_cell(&t, json_str(s, "state", "?"));
		table_cell(&t, json_str(s, "image", "host"));
		table_cell(&t, json_str(s, "network", "none"));
		table_cell(&t, show_age(age, s, "created_at"));
		table_cellf(&t, "%lld", (long long)count_sessions(s, sessions));
		table_cell(&t, labels);
	}
	table_end(&t, ctl);
}

static int
run_ls(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct answer ans = { 0 };
	struct answer sessions = { 0 };
	struct err e;
	struct jw *w;
	int r;

	client_init(&c, ctl);
	w = client_begin(&c, "sandbox.list");
	spec_copy(w, a, "state", "state");
	r = spec_map(w, a, "label", "labels", spec_pair, &e);
	if (r == 0)
		r = client_call(&c, &ans, &e);
	if (r == -1) {
		client_close(&c);
		return ctl_fail(ctl, &e);
	}
	if (ctl->json) {
		ctl_print_json(ans.body);
	} else if (args_has(a, "quiet")) {
		show_ids(show_list(ans.body));
	} else {
		/* Only a column hangs on it: without, all counts are 0. */
		(void)client_begin(&c, "session.list");
		if (client_call(&c, &sessions, &e) == -1)
			ctl_note(ctl, "sessions: %s", e.text);
		print_sandboxes(
		    ctl, show_list(ans.body), show_list(sessions.body));
	}
	answer_free(&ans);
	answer_free(&sessions);
	client_close(&c);
	return EXIT_OK;
}

static const struct opt_def ls_opts[] = {
	{ "state", 's', "STATE", "Only those in this state." },
	{ "label", 'l', "NAME=VALUE", "Only those with this label." },
	{ "quiet", 'q', NULL, "Only ids." },
};

const struct command cmd_ls = {
	.name = "ls",
	.operands = "",
	.help = "List sandboxes.",
	COMMAND_OPTS(ls_opts),
	.run = run_ls,
};

/* --- get ----------------------------------------------------------------- */

static int
run_get(struct ctl *ctl, const struct args *a)
{
	return command_look(ctl, "sandbox.get", a->operands[0]);
}

const struct command cmd_get = {
	.name = "get",
	.operands = "ID",
	.help = "Show a sandbox: its record, which isolation holds, its use.",
	.min = 1,
	.max = 1,
	.run = run_get,
};

/* --- stop start rm ------------------------------------------------------- */

static int
run_stop(struct ctl *ctl, const struct args *a)
{
	const char *grace = args_str(a, "grace", NULL);
	int worst = EXIT_OK;
	int64_t grace_ms = 0;
	struct err e;
	size_t i;

	if (grace != NULL && strcmp(grace, "0") != 0 &&
	    spec_ms(grace, &grace_ms, &e) == -1)
		return ctl_fail(ctl, &e);
	for (i = 0; i < a->noperands; i++) {
		struct client c;
		struct jw *w;
		int code;

		client_init(&c, ctl);
		w = client_begin(&c, "sandbox.stop");
		jw_kstr(w, "id", a->operands[i]);
		if (grace != NULL)
			jw_kint(w, "grace_ms", grace_ms);
		code = command_finish(&c, 0, a->operands[i], "stopped", &e);
		if (code != EXIT_OK)
			worst = code;
	}
	return worst;
}

static const struct opt_def stop_opts[] = {
	{ "grace", 'g', "TIME", "Time between TERM and KILL." },
};

const struct command cmd_stop = {
	.name = "stop",
	.operands = "ID...",
	.help = "End every process of sandboxes; their files stay.",
	COMMAND_OPTS(stop_opts),
	.min = 1,
	.max = -1,
	.run = run_stop,
};

static int
run_start(struct ctl *ctl, const struct args *a)
{
	return command_each(ctl, a, "sandbox.start", "started");
}

const struct command cmd_start = {
	.name = "start",
	.operands = "ID...",
	.help = "Start stopped sandboxes on the files they left.",
	.min = 1,
	.max = -1,
	.run = run_start,
};

static int
run_rm(struct ctl *ctl, const struct args *a)
{
	return command_each(ctl, a, "sandbox.destroy", "removed");
}

const struct command cmd_rm = {
	.name = "rm",
	.operands = "ID...",
	.help = "End sandboxes and remove their files. Events of their "
		"sessions stay.",
	.min = 1,
	.max = -1,
	.run = run_rm,
};
