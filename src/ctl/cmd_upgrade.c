/*
 * upgrade: replace the running supervisor, with nothing else interrupted. Runs
 * as the caller; the answer comes from the new one, on the same connection.
 */
#include "ctl/commands.h"
#include "ctl/spec.h"
#include "lib/strutil.h"

static int
write_upgrade(struct jw *w, const struct args *a, struct err *e)
{
	const char *wait = args_str(a, "wait", NULL);
	char text[32];
	int64_t ms;

	if (a->noperands > 0)
		jw_kstr(w, "path", a->operands[0]);
	if (wait == NULL)
		return 0;
	if (spec_ms(wait, &ms, e) == -1)
		return err_prefix(e, "--wait");
	if (str_format(text, sizeof(text), "%lldms", (long long)ms) == -1)
		return err_set(e, ERR_BAD_REQUEST, "--wait: too long");
	jw_kstr(w, "wait", text);
	return 0;
}

static int
run_upgrade(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct answer ans;
	struct err e;
	int code;

	client_init(&c, ctl);
	code = command_send(
	    &c, write_upgrade(client_begin(&c, "upgrade"), a, &e), &ans, &e);
	if (code != EXIT_OK)
		return code;
	if (ctl->json)
		ctl_print_json(ans.body);
	else
		(void)printf("%s is now %s; paused for %lld ms\n",
		    json_str(ans.body, "was", "?"),
		    json_str(ans.body, "version", "?"),
		    (long long)json_int(ans.body, "pause_ms", 0));
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def upgrade_opts[] = {
	{ "wait", '\0', "TIME",
	    "For what cannot be interrupted; default 10s." },
};

const struct command cmd_upgrade = {
	.name = "upgrade",
	.operands = "[PROGRAM]",
	.help = "Replace the running sandboxd by the one on disk; all goes on.",
	COMMAND_OPTS(upgrade_opts),
	.max = 1,
	.run = run_upgrade,
};
