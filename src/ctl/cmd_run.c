/*
 * run: an agent on a directory, in a sandbox made for it. Runs as the caller.
 *
 * The agent works on a copy-on-write view: nothing of the directory changes
 * until `apply`. When it has changed something the sandbox stays, stopped;
 * when not it is removed. Whatever goes wrong after the sandbox was made, it
 * is removed again, unless it holds changes or is to be kept.
 */
#include "ctl/agents.h"
#include "ctl/commands.h"
#include "ctl/review.h"
#include "ctl/signals.h"
#include "ctl/spec.h"
#include "ctl/turn.h"
#include "lib/strutil.h"
#include <errno.h>
#include <string.h>

#define WORKSPACE "/workspace"
#define RUN_ID_DIGITS 8

struct run {
	struct ctl *ctl;
	const struct args *a;
	const char *agent_name;
	const struct agent_info *agent; /* NULL: not known here */
	struct agent_program program;
	char dir[PATH_MAX]; /* "" with --no-dir */
	char id[64];	    /* of sandbox and session */
	const char *network;
	const char *yes;
	bool write, keep;
	bool has_sandbox;
	enum outcome outcome;
	bool has_turn;
	int64_t changes; /* -1: not known */
	int64_t files;	 /* of these */
};

/* --- what was asked for -------------------------------------------------- */

static int
check_dir(struct run *r, struct err *e)
{
	const char *told = args_str(r->a, "dir", NULL);
	const char *home = getenv("HOME");
	char real_home[PATH_MAX];

	if (args_has(r->a, "no-dir"))
		return 0;
	if (realpath(told == NULL ? "." : told, r->dir) == NULL)
		return err_set(e, ERR_BAD_REQUEST, "--dir %s: %s",
		    told == NULL ? "." : told, strerror(errno));
	if (strcmp(r->dir, "/") == 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "the root directory is no workspace; say --dir PATH or "
		    "--no-dir");
	/* A home holds keys. Who means it says so. */
	if (told == NULL && home != NULL && realpath(home, real_home) != NULL &&
	    strcmp(real_home, r->dir) == 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "this is your home directory, with all that is private in "
		    "it; say --dir PATH (--dir . if you mean it) or --no-dir");
	return 0;
}

static void
pick_network(struct run *r)
{
	bool needs = r->agent != NULL && r->agent->needs_network;

	r->network = args_str(r->a, "network", NULL);
	if (r->network != NULL) {
		if (needs && strcmp(r->network, "none") == 0)
			ctl_note(r->ctl,
			    "%s needs the network to reach its model; with "
			    "network none it will not",
			    r->agent_name);
		return;
	}
	if (spec_has_egress(r->a)) {
		r->network = "filtered";
		return;
	}
	r->network = needs ? "host" : "none";
	if (needs)
		ctl_note(r->ctl,
		    "network: host. %s needs it to reach its model; it can "
		    "reach all that this host can",
		    r->agent_name);
}

static void
note_keys(const struct run *r)
{
	const char *const *k;

	if (r->agent == NULL || r->agent->keys[0] == NULL)
		return;
	for (k = r->agent->keys; *k != NULL; k++)
		if (getenv(*k) != NULL ||
		    spec_has_name(r->a, "env", 0, *k, strlen(*k)))
			return;
	ctl_note(r->ctl, "no key for %s in the environment (%s)", r->agent_name,
	    r->agent->keys[0]);
}

static int
prepare(struct run *r, struct err *e)
{
	const char *image = args_str(r->a, "image", "host");
	const char *id = args_str(r->a, "sandbox-id", NULL);
	char made[RANDOM_ID_MAX];

	r->yes = args_str(r->a, "yes", NULL);
	if (r->yes != NULL && strcmp(r->yes, "once") != 0 &&
	    strcmp(r->yes, "always") != 0 && strcmp(r->yes, "reject") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "--yes is once, always or reject, not '%s'", r->yes);
	if (check_dir(r, e) == -1)
		return -1;
	/* The server may be elsewhere; and what an agent changed is taken over
	 * by whoever can reach the files on both sides. */
	if (r->ctl->connect != NULL && r->dir[0] != '\0')
		return err_set(e, ERR_BAD_REQUEST,
		    "over HTTP there is no workspace: say --no-dir, or use the "
		    "control socket (leave out --endpoint)");
	if (id == NULL) {
		random_id(made, "run-");
		made[strlen("run-") + RUN_ID_DIGITS] = '\0';
		id = made;
	}
	if (!sandbox_id_valid(id) || str_copy(r->id, sizeof(r->id), id) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "'%s' is no id: letters, digits, '.', '_' and '-'", id);
	if (r->agent != NULL &&
	    agent_program_find(
		r->agent, strcmp(image, "host") == 0, &r->program, e) == -1) {
		/* The supervisor may know a place that PATH does not. */
		ctl_note(r->ctl, "%s; the supervisor's own is tried", e->text);
	}
	pick_network(r);
	note_keys(r);
	return 0;
}

/* --- sandbox and session ------------------------------------------------- */

static int
write_mounts(struct run *r, struct jw *w, struct err *e)
{
	struct spec_mount m = { 0 };
	size_t pos = 0;
	const char *v;
	size_t i;

	jw_key(w, "mounts");
	jw_array(w);
	if (r->dir[0] != '\0') {
		jw_object(w);
		jw_kstr(w, "source", r->dir);
		jw_kstr(w, "target", WORKSPACE);
		jw_kstr(w, "mode", r->write ? "rw" : "cow");
		jw_object_end(w);
	}
	for (i = 0; i < r->program.nmounts; i++) {
		jw_object(w);
		jw_kstr(w, "source", r->program.mounts[i]);
		jw_kstr(w, "target", r->program.mounts[i]);
		jw_kstr(w, "mode", "ro");
		jw_object_end(w);
	}
	while ((v = args_next(r->a, "mount", &pos)) != NULL) {
		if (spec_mount_parse(v, &m, e) == -1)
			return -1;
		spec_mount_write(w, &m);
	}
	jw_array_end(w);
	return 0;
}

static int
create_sandbox(struct run *r, struct err *e)
{
	struct client c;
	struct answer a;
	struct jw *w;
	int ret = -1;

	client_init(&c, r->ctl);
	w = client_begin(&c, "sandbox.create");
	jw_kstr(w, "id", r->id);
	jw_kstr(w, "network", r->network);
	spec_egress(w, r->a);
	spec_copy(w, r->a, "image", "image");
	spec_copy(w, r->a, "user", "user");
	if (r->dir[0] != '\0')
		jw_kstr(w, "directory", WORKSPACE);
	jw_key(w, "labels");
	jw_object(w);
	jw_kstr(w, "agent", r->agent_name);
	jw_object_end(w);
	if (spec_limits(w, r->a, e) == 0 && write_mounts(r, w, e) == 0)
		ret = client_call(&c, &a, e);
	if (ret == 0) {
		r->has_sandbox = true;
		answer_free(&a);
	}
	client_close(&c);
	return ret;
}

/* The caller's variables that the agent may have, then what --env says. */
static int
write_env(struct run *r, struct jw *w, struct err *e)
{
	size_t pos = 0;
	const char *v;
	char **p;

	jw_key(w, "env");
	jw_object(w);
	for (p = environ; r->agent != NULL && *p != NULL; p++) {
		size_t n = strcspn(*p, "=");
		char name[256];

		if (!agent_info_env(r->agent, *p, n) ||
		    spec_has_name(r->a, "env", 0, *p, n) ||
		    str_format(name, sizeof(name), "%.*s", (int)n, *p) == -1 ||
		    !env_name_valid(name) || (*p)[n] != '=' ||
		    strcmp(getenv(name), *p + n + 1) != 0)
			continue;
		jw_kstr(w, name, *p + n + 1);
	}
	while ((v = args_next(r->a, "env", &pos)) != NULL)
		if (!spec_has_name(r->a, "env", pos, v, strcspn(v, "=")) &&
		    spec_env(w, v, e) == -1)
			return err_prefix(e, "--env");
	jw_object_end(w);
	return 0;
}

static int
create_session(struct run *r, struct err *e)
{
	struct client c;
	struct answer a;
	struct jw *w;
	int ret;
	size_t i;

	client_init(&c, r->ctl);
	w = client_begin(&c, "session.create");
	jw_kstr(w, "id", r->id);
	jw_kstr(w, "agent", r->agent_name);
	jw_kstr(w, "sandbox", r->id);
	if (r->dir[0] != '\0')
		jw_kstr(w, "directory", WORKSPACE);
	spec_copy(w, r->a, "model", "model");
	spec_copy(w, r->a, "mode", "permission_mode");
	spec_copy(w, r->a, "agent-mode", "agent_mode");
	spec_copy(w, r->a, "thought-level", "thought_level");
	if (r->program.ncommand > 0) {
		jw_key(w, "command");
		jw_array(w);
		for (i = 0; i < r->program.ncommand; i++)
			jw_str(w, r->program.command[i]);
		jw_array_end(w);
	}
	ret = write_env(r, w, e);
	if (ret == 0)
		ret = spec_install(w, r->a, e);
	if (ret == 0)
		ret = client_call(&c, &a, e);
	if (ret == 0)
		answer_free(&a);
	client_close(&c);
	return ret;
}

/* --- the turn ------------------------------------------------------------ */

static int
converse(struct run *r, struct err *e)
{
	struct turn t;
	bool queued;
	int ret = 0;

	turn_init(&t, r->ctl, r->id, 0, r->yes);
	if (turn_subscribe(&t, e) == -1 ||
	    turn_prompt(&t, r->a->operands[1], &queued, e) == -1 ||
	    turn_run(&t, e) == -1)
		ret = -1;
	render_fresh_line(&t.render);
	(void)fflush(stdout);
	r->outcome = t.outcome;
	r->has_turn = ret == 0;
	turn_free(&t);
	return ret;
}

/* --- the end ------------------------------------------------------------- */

static void
count_changes(struct run *r)
{
	struct review rv;
	struct err e;

	r->changes = 0;
	if (r->dir[0] == '\0' || r->write)
		return;
	if (review_open(&rv, r->ctl, r->id, WORKSPACE, &e) == -1 ||
	    review_count(&rv, &r->changes, &r->files, &e) == -1) {
		r->changes = -1;
		ctl_note(r->ctl, "what changed is not known: %s", e.text);
	}
	review_close(&rv);
}

static void
tidy(struct run *r)
{
	struct answer a;
	struct err e;
	const char *op = NULL;

	if (r->changes == 0 && !r->keep)
		op = "sandbox.destroy";
	else if (!r->keep)
		op = "sandbox.stop";
	if (op == NULL)
		return;
	if (client_ask(r->ctl, op, r->id, &a, &e) == -1)
		ctl_note(r->ctl, "%s %s: %s", op, r->id, e.text);
	else
		answer_free(&a);
}

static void
print_end(const struct run *r)
{
	bool stays = r->keep || r->changes != 0;

	if (r->has_turn && r->outcome != OUT_COMPLETED)
		(void)printf("turn %s\n", outcome_name(r->outcome));
	if (r->changes > 0) {
		if (r->files > 0)
			(void)printf("%lld file%s changed", (long long)r->files,
			    r->files == 1 ? "" : "s");
		else
			(void)fputs("directories changed", stdout);
		(void)fputs(" in the sandbox's copy of ", stdout);
		ctl_put(r->dir);
		(void)putchar('\n');
		(void)printf(
		    "  sandboxctl diff %s    see the changes\n", r->id);
		(void)printf("  sandboxctl apply %s   take them over\n", r->id);
	}
	if (stays)
		(void)printf("  sandboxctl rm %s      remove the sandbox%s\n",
		    r->id, r->keep ? " (it is running)" : "");
}

static void
print_end_json(const struct run *r)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 4096);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "outcome", outcome_name(r->outcome));
	jw_kstr(&w, "sandbox", r->id);
	jw_kstr(&w, "session", r->id);
	if (r->changes >= 0)
		jw_kint(&w, "changes", r->changes);
	else
		jw_knull(&w, "changes");
	jw_kbool(&w, "kept", r->keep || r->changes != 0);
	jw_object_end(&w);
	ctl_print_json_buf(&b);
	buf_free(&b);
}

static int
run_in_sandbox(struct run *r, struct err *e)
{
	int ret;

	ret = create_session(r, e);
	if (ret == 0)
		ret = converse(r, e);
	if (ret == -1)
		r->outcome = OUT_FAILED;
	return ret;
}

static int
run_run(struct ctl *ctl, const struct args *a)
{
	struct run r = { .ctl = ctl,
		.a = a,
		.agent_name = a->operands[0],
		.agent = agent_info_find(a->operands[0]),
		.write = args_has(a, "write"),
		.keep = args_has(a, "keep"),
		.outcome = OUT_FAILED };
	struct err e;
	int code = -1;

	if (r.agent == NULL)
		r.agent = agent_info_ask(ctl, r.agent_name);
	if (prepare(&r, &e) == -1 || signals_open(3, &e) == -1 ||
	    create_sandbox(&r, &e) == -1)
		return ctl_fail(ctl, &e);
	if (run_in_sandbox(&r, &e) == -1)
		code = ctl_fail(ctl, &e);
	count_changes(&r);
	tidy(&r);
	if (ctl->json)
		print_end_json(&r);
	else
		print_end(&r);
	return code == -1 ? outcome_exit(r.outcome) : code;
}

static const struct opt_def run_opts[] = {
	{ "dir", 'd', "PATH", "The workspace; else the current directory." },
	{ "no-dir", '\0', NULL, "No workspace." },
	{ "write", 'w', NULL, "Let the agent change the directory itself." },
	{ "keep", 'k', NULL, "Leave the sandbox running in any case." },
	{ "yes", 'y', "REPLY",
	    "Answer permission requests: once, always or reject." },
	{ "model", '\0', "MODEL", "The model." },
	{ "mode", '\0', "MODE",
	    "default, acceptEdits, plan, bypass, or the agent's own." },
	{ "agent-mode", '\0', "MODE",
	    "build (the default), plan, or its own." },
	{ "thought-level", '\0', "LEVEL", "How much the model thinks." },
	{ "env", 'e', "NAME[=VALUE]", "A variable for the agent." },
	{ "network", 'n', "NET",
	    "none, filtered or host; else what the agent needs." },
	{ "image", 'i', "IMAGE", "Root file system: host, or a directory." },
	{ "mount", 'v', "SRC:DST[:MODE]", "Show another host path inside." },
	{ "user", 'u', "USER", "Who the agent runs as inside." },
	{ "sandbox-id", '\0', "ID", "Name of sandbox and session." },
	SPEC_EGRESS_OPTS,
	SPEC_INSTALL_OPTS,
	SPEC_LIMIT_OPTS,
};

const struct command cmd_run = {
	.name = "run",
	.operands = "AGENT PROMPT",
	.help = "Let an agent work on a directory in a sandbox of its own.",
	COMMAND_OPTS(run_opts),
	.min = 2,
	.max = 2,
	.run = run_run,
};
