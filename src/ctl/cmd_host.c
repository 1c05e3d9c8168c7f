/*
 * Commands about the daemon and its host: reset. Runs as the caller.
 */
#include "ctl/commands.h"
#include <stdio.h>

/* --- reset --------------------------------------------------------------- */

static int
reset_one(struct ctl *ctl, const char *name)
{
	struct answer a;
	struct err e;

	if (client_ask(ctl, "role.reset", name, &a, &e) == -1)
		return ctl_fail(ctl, &e);
	if (ctl->json) {
		ctl_print_json(a.body);
	} else {
		json_foreach (it, json_get(a.body, "reset")) {
			ctl_put(it->str);
			(void)puts(" reset");
		}
	}
	answer_free(&a);
	return EXIT_OK;
}

static int
run_reset(struct ctl *ctl, const struct args *a)
{
	int worst = EXIT_OK;

	if (a->noperands == 0)
		return reset_one(ctl, NULL);
	for (size_t i = 0; i < a->noperands; i++) {
		int code = reset_one(ctl, a->operands[i]);

		if (code != EXIT_OK)
			worst = code;
	}
	return worst;
}

const struct command cmd_reset = {
	.name = "reset",
	.operands = "[NAME...]",
	.help = "Let processes of the daemon that have failed start again.",
	.max = -1,
	.run = run_reset,
};
