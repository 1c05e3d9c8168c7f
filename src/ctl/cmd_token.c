/*
 * token create|list|revoke: who may come in over HTTP. Runs as the caller.
 *
 * The text of a token is shown once, when it is made: the supervisor keeps
 * only a hash of it.
 */
#include "ctl/commands.h"
#include "ctl/show.h"
#include "ctl/spec.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include <string.h>

/* --- token create -------------------------------------------------------- */

static int
write_create(struct jw *w, const struct args *a, struct err *e)
{
	const char *expire = args_str(a, "expire", NULL);
	char text[32];
	int64_t ms;

	if (a->noperands > 0)
		jw_kstr(w, "label", a->operands[0]);
	spec_copy(w, a, "sandbox", "sandbox");
	if (args_has(a, "read-only"))
		jw_kbool(w, "read_only", true);
	if (expire == NULL)
		return 0;
	if (spec_ms(expire, &ms, e) == -1)
		return err_prefix(e, "--expire");
	if (str_format(text, sizeof(text), "%lldms", (long long)ms) == -1)
		return err_set(e, ERR_BAD_REQUEST, "--expire: too long");
	jw_kstr(w, "expires_in", text);
	return 0;
}

static int
run_token_create(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct answer ans;
	struct err e;
	int code;

	client_init(&c, ctl);
	code = command_send(&c,
	    write_create(client_begin(&c, "token.create"), a, &e), &ans, &e);
	if (code != EXIT_OK)
		return code;
	if (ctl->json) {
		ctl_print_json(ans.body);
	} else {
		/* Alone on standard output: TOKEN=$(sandboxctl token create) */
		ctl_note(ctl, "token %s; it is shown only now",
		    json_str(ans.body, "id", "?"));
		ctl_put(json_str(ans.body, "token", "?"));
		(void)putchar('\n');
	}
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def create_opts[] = {
	{ "sandbox", 's', "ID", "Good for this sandbox only." },
	{ "read-only", 'r', NULL, "Good for looking only." },
	{ "expire", '\0', "TIME", "Good for this time, like 12h." },
};

const struct command cmd_token_create = {
	.name = "token create",
	.operands = "[LABEL]",
	.help = "Make a token for HTTP clients; prints it, once.",
	COMMAND_OPTS(create_opts),
	.max = 1,
	.run = run_token_create,
};

/* --- token list ---------------------------------------------------------- */

static void
print_tokens(const struct ctl *ctl, const struct json *list)
{
	static const char *const head[] = { "ID", "FOR", "MAY", "AGE", "ENDS",
		"LABEL", NULL };
	struct table t;

	table_init(&t, head);
	json_foreach (k, list) {
		int64_t ends = json_int(k, "expires_at_ms", 0);
		char age[AGE_TEXT_MAX];
		char left[AGE_TEXT_MAX] = "never";

		if (ends > 0 && ends <= now_realtime_ms())
			memcpy(left, "ended", sizeof("ended"));
		else if (ends > 0)
			text_age(left, ends - now_realtime_ms());
		table_cell(&t, json_str(k, "id", "?"));
		table_cell(&t, json_str(k, "sandbox", "everything"));
		table_cell(
		    &t, json_bool(k, "read_only", false) ? "read" : "write");
		table_cell(&t, show_age(age, k, "created_at_ms"));
		table_cell(&t, left);
		table_cell(&t, json_str(k, "label", NULL));
	}
	table_end(&t, ctl);
}

static int
run_token_list(struct ctl *ctl, const struct args *a)
{
	struct answer ans;
	struct err e;

	if (client_ask(ctl, "token.list", NULL, &ans, &e) == -1)
		return ctl_fail(ctl, &e);
	if (ctl->json) {
		ctl_print_json(ans.body);
	} else if (args_has(a, "quiet")) {
		show_ids(show_list(ans.body));
	} else {
		print_tokens(ctl, show_list(ans.body));
	}
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def list_opts[] = {
	{ "quiet", 'q', NULL, "Only ids." },
};

const struct command cmd_token_list = {
	.name = "token list",
	.operands = "",
	.help = "List tokens, without their texts.",
	COMMAND_OPTS(list_opts),
	.run = run_token_list,
};

/* --- token revoke -------------------------------------------------------- */

static int
run_token_revoke(struct ctl *ctl, const struct args *a)
{
	return command_each(ctl, a, "token.revoke", "revoked");
}

const struct command cmd_token_revoke = {
	.name = "token revoke",
	.operands = "ID...",
	.help = "Make tokens good for nothing.",
	.min = 1,
	.max = -1,
	.run = run_token_revoke,
};
