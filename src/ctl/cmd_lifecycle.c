/*
 * pause resume renew update expose unexpose: what becomes of sandboxes.
 * Runs as the caller.
 */
#include "ctl/commands.h"
#include "ctl/spec.h"
#include "lib/strutil.h"
#include <string.h>

/* --- pause and resume ---------------------------------------------------- */

static int
run_pause(struct ctl *ctl, const struct args *a)
{
	return command_each(ctl, a, "sandbox.pause", "paused");
}

const struct command cmd_pause = {
	.name = "pause",
	.operands = "ID...",
	.help = "Freeze every process of sandboxes.",
	.min = 1,
	.max = -1,
	.run = run_pause,
};

static int
run_resume(struct ctl *ctl, const struct args *a)
{
	return command_each(ctl, a, "sandbox.resume", "resumed");
}

const struct command cmd_resume = {
	.name = "resume",
	.operands = "ID...",
	.help = "Let paused sandboxes go on.",
	.min = 1,
	.max = -1,
	.run = run_resume,
};

/* --- renew and update ---------------------------------------------------- */

/* The time as seconds; a part of one counts as one. */
static int
write_timeout(struct jw *w, const char *text, struct err *e)
{
	int64_t ms;

	if (spec_ms(text, &ms, e) == -1)
		return -1;
	jw_kint(w, "timeout", (ms + 999) / 1000);
	return 0;
}

static int
run_renew(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct err e;
	struct jw *w;

	client_init(&c, ctl);
	w = client_begin(&c, "sandbox.renew");
	jw_kstr(w, "id", a->operands[0]);
	return command_finish(&c, write_timeout(w, a->operands[1], &e),
	    a->operands[0], "renewed", &e);
}

const struct command cmd_renew = {
	.name = "renew",
	.operands = "ID TIME",
	.help = "Let a sandbox that expires live so long from now.",
	.min = 2,
	.max = 2,
	.run = run_renew,
};

/* "NAME=VALUE" sets, "NAME" alone removes. */
static int
write_label(struct jw *w, const char *text, struct err *e)
{
	if (strchr(text, '=') != NULL)
		return spec_pair(w, text, e);
	jw_knull(w, text);
	return 0;
}

static int
run_update(struct ctl *ctl, const struct args *a)
{
	const char *expire = args_str(a, "expire", NULL);
	struct client c;
	struct err e;
	struct jw *w;
	int r;

	client_init(&c, ctl);
	w = client_begin(&c, "sandbox.update");
	jw_kstr(w, "id", a->operands[0]);
	r = spec_map(w, a, "label", "labels", write_label, &e);
	if (r == 0)
		r = spec_limits(w, a, &e);
	spec_egress(w, a);
	if (r == 0 && expire != NULL) {
		if (strcmp(expire, "never") == 0)
			jw_kint(w, "timeout", 0);
		else
			r = write_timeout(w, expire, &e);
	}
	return command_finish(&c, r, a->operands[0], "updated", &e);
}

static const struct opt_def update_opts[] = {
	{ "label", 'l', "NAME[=VALUE]",
	    "Set a label; without =VALUE drop it." },
	{ "expire", '\0', "TIME", "Destroy it after this time, or never." },
	SPEC_EGRESS_OPTS,
	SPEC_LIMIT_OPTS,
};

const struct command cmd_update = {
	.name = "update",
	.operands = "ID",
	.help = "Change labels, limits, network rules or the end of a sandbox.",
	COMMAND_OPTS(update_opts),
	.min = 1,
	.max = 1,
	.run = run_update,
};

/* --- expose and unexpose ------------------------------------------------- */

static int
port_begin(
    struct client *c, const struct args *a, const char *op, struct err *e)
{
	struct jw *w = client_begin(c, op);
	int64_t port;

	if (str_to_int(a->operands[1], 1, 65535, &port) == -1)
		return err_set(
		    e, ERR_BAD_REQUEST, "'%s' is no port", a->operands[1]);
	jw_kstr(w, "id", a->operands[0]);
	jw_kint(w, "port", port);
	return 0;
}

static int
run_expose(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct answer ans;
	struct err e;
	int code, r;

	client_init(&c, ctl);
	r = port_begin(&c, a, "sandbox.expose", &e);
	if (r == 0) {
		spec_copy(&c.w, a, "listen", "listen");
		if (args_has(a, "public"))
			jw_kbool(&c.w, "public", true);
	}
	code = command_send(&c, r, &ans, &e);
	return code == EXIT_OK ? command_record(ctl, &ans) : code;
}

static const struct opt_def expose_opts[] = {
	{ "listen", 'L', "ADDRESS:PORT",
	    "Also on this socket of the host; port 0: any." },
	{ "public", '\0', NULL, "Its URL needs no token." },
};

const struct command cmd_expose = {
	.name = "expose",
	.operands = "ID PORT",
	.help = "Let others reach a port of a sandbox.",
	COMMAND_OPTS(expose_opts),
	.min = 2,
	.max = 2,
	.run = run_expose,
};

static int
run_unexpose(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct err e;

	client_init(&c, ctl);
	return command_finish(&c, port_begin(&c, a, "sandbox.unexpose", &e),
	    a->operands[0], "unexposed", &e);
}

const struct command cmd_unexpose = {
	.name = "unexpose",
	.operands = "ID PORT",
	.help = "Undo expose; connections that are there go on.",
	.min = 2,
	.max = 2,
	.run = run_unexpose,
};
