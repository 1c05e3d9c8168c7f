/*
 * compact: make the database's file smaller while sandboxes go on. Runs as the
 * caller.
 */
#include "ctl/commands.h"
#include "ctl/text.h"

static int
run_compact(struct ctl *ctl, const struct args *a ATTR_UNUSED)
{
	char before[BYTES_TEXT_MAX], after[BYTES_TEXT_MAX];
	struct client c;
	struct answer ans;
	struct err e;
	int code;

	client_init(&c, ctl);
	(void)client_begin(&c, "store.compact");
	code = command_send(&c, 0, &ans, &e);
	if (code != EXIT_OK)
		return code;
	text_bytes(before, json_int(ans.body, "bytes_before", 0));
	text_bytes(after, json_int(ans.body, "bytes_after", 0));
	if (ctl->json)
		ctl_print_json(ans.body);
	else
		(void)printf("%s before, %s now; writes waited for %lld ms\n",
		    before, after,
		    (long long)json_int(ans.body, "pause_ms", 0));
	answer_free(&ans);
	return EXIT_OK;
}

const struct command cmd_compact = {
	.name = "compact",
	.help = "Make the database's file smaller now; writes wait meanwhile.",
	.run = run_compact,
};
