/*
 * `sandbox-agent opencode`: would attach OpenCode's own terminal to a server.
 * Its routes are not served, so this says so. Runs as the caller.
 */
#include "ctl/compat/compat.h"

#include "ctl/compat/server.h"

static int
run_opencode(struct ctl *ctl, const struct args *a)
{
	const char *host;
	struct err e;
	int port;

	if (compat_where(a, &host, &port, &e) == -1)
		return ctl_misuse(ctl, &e);
	(void)err_set(&e, ERR_DENIED,
	    "opencode cannot attach: the OpenCode routes are not served; "
	    "sessions with the agent opencode are, through /v1/acp and "
	    "/v1/sessions");
	return ctl_fail(ctl, &e);
}

static const struct opt_def opencode_opts[] = {
	SERVER_WHERE_OPTS,
	{ "session-title", '\0', "TEXT", "Taken, and of no use yet." },
	{ "yolo", '\0', NULL, "Taken, and of no use yet." },
};

const struct command compat_opencode = {
	.name = "opencode",
	.operands = "",
	.help = "Attach OpenCode's terminal; says that it is not served.",
	COMMAND_OPTS(opencode_opts),
	.max = 0,
	.run = run_opencode,
};
