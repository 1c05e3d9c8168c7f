/*
 * Commands about the daemon and its host: reset, doctor. Runs as the caller.
 *
 * doctor asks the daemon; where there is none, the sandboxd beside this program
 * looks for itself, with the caller's rights.
 */
#include "ctl/commands.h"
#include "ctl/compat/place.h"
#include "lib/doctor_text.h"
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

/* --- doctor -------------------------------------------------------------- */

/* Becomes sandboxd; comes back only if that cannot be. */
static int
become_sandboxd(struct ctl *ctl, const char *conf, const char *option)
{
	char config[] = "--config";
	struct programs p;
	char what[32];
	char *argv[5];
	struct err e;
	size_t n = 0;

	if (programs_find(&p, &e) == -1)
		return ctl_fail(ctl, &e);
	(void)snprintf(
	    what, sizeof(what), "--%s%s", option, ctl->json ? "=json" : "");
	argv[n++] = p.sandboxd;
	if (conf != NULL) {
		argv[n++] = config;
		argv[n++] = (char *)(uintptr_t)conf; /* exec does not write */
	}
	argv[n++] = what;
	argv[n] = NULL;
	(void)fflush(stdout); /* nothing was written yet */
	(void)execv(p.sandboxd, argv);
	(void)err_sys(&e, "start %s", p.sandboxd);
	return ctl_fail(ctl, &e);
}

static int
run_doctor(struct ctl *ctl, const struct args *a)
{
	const char *conf = args_str(a, "config", NULL);
	struct answer ans;
	struct err e;
	bool good;

	if (args_has(a, "seccomp"))
		return become_sandboxd(ctl, NULL, "print-seccomp");
	if (args_has(a, "local") || conf != NULL)
		return become_sandboxd(ctl, conf, "doctor");
	if (client_ask(ctl, "doctor", NULL, &ans, &e) == -1) {
		if (ctl->refused || e.code != ERR_SYSTEM)
			return ctl_fail(ctl, &e);
		if (!ctl->json)
			ctl_note(ctl, "no daemon answers: this is what the "
				      "host would give to one that you start");
		return become_sandboxd(ctl, NULL, "doctor");
	}
	good = json_bool(ans.body, "ok", false);
	if (ctl->json)
		ctl_print_json(ans.body);
	else
		doctor_text(ans.body, stdout);
	answer_free(&ans);
	return good ? EXIT_OK : EXIT_FAILED;
}

static const struct opt_def doctor_opts[] = {
	{ "local", '\0', NULL, "Do not ask the daemon: look yourself." },
	{ "config", 'c', "FILE", "The same, with this configuration." },
	{ "seccomp", '\0', NULL,
	    "Print the filter of system calls, with its reasons." },
};

const struct command cmd_doctor = {
	.name = "doctor",
	.operands = "",
	.help = "What this host can give, what is missing, and how to mend it.",
	COMMAND_OPTS(doctor_opts),
	.run = run_doctor,
};
