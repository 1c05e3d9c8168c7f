/*
 * agents install: has agents installed, and shows how far that is. Runs as the
 * caller; the supervisor's courier does the work, and goes on with it when we
 * are interrupted.
 */
#include "ctl/commands.h"
#include "ctl/show.h"
#include "ctl/term.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include <string.h>

#define BAR_COLUMNS 24
#define LINE_MAX_BYTES 1024

struct show {
	struct ctl *ctl;
	const char *agent;
	bool bar;	/* standard error is a terminal */
	size_t drawn;	/* columns of the bar that stands there */
	char stage[32]; /* told last, without a bar */
};

/* --- progress ------------------------------------------------------------ */

static void
bar_clear(struct show *sh)
{
	if (sh->drawn > 0)
		(void)fprintf(stderr, "\r%*s\r", (int)sh->drawn, "");
	sh->drawn = 0;
	(void)fflush(stderr); /* a bar less is no harm */
}

static void
bar_part(struct buf *b, int64_t done, int64_t total)
{
	size_t full = (size_t)(MIN(done, total) * BAR_COLUMNS / total);

	(void)buf_adds(b, " [");
	for (size_t i = 0; i < BAR_COLUMNS; i++)
		(void)buf_addc(b, i < full ? '#' : '.');
	(void)buf_addf(b, "] %3d%%", (int)(MIN(done, total) * 100 / total));
}

static void
bar_draw(struct show *sh, const struct json *p)
{
	int64_t done = json_int(p, "done", 0), total = json_int(p, "total", 0);
	size_t columns = term_columns(80) - 1;
	char bytes[BYTES_TEXT_MAX];
	struct buf raw, line;

	buf_init(&raw, LINE_MAX_BYTES);
	(void)buf_addf(&raw, "%s: %s", sh->agent, json_str(p, "stage", ""));
	if (total > 0)
		bar_part(&raw, MAX(done, 0), total);
	if (done > 0) {
		text_bytes(bytes, done);
		(void)buf_addf(&raw, " %s", bytes);
	}
	(void)buf_addf(&raw, "  %.200s", json_str(p, "what", ""));
	buf_init(&line, 8 * LINE_MAX_BYTES);
	if (!raw.failed)
		text_line(&line, raw.data, raw.len, columns, "~");
	bar_clear(sh);
	if (!line.failed && line.len > 0) {
		(void)fwrite(line.data, 1, line.len, stderr);
		sh->drawn = text_width(line.data, line.len);
		(void)fflush(stderr); /* as above */
	}
	buf_free(&line);
	buf_free(&raw);
}

static void
progress(struct show *sh, const struct json *p)
{
	const char *stage = json_str(p, "stage", "");

	if (sh->bar) {
		bar_draw(sh, p);
	} else if (strcmp(stage, sh->stage) != 0) {
		ctl_note(sh->ctl, "%s: %s", sh->agent, stage);
		if (str_copy(sh->stage, sizeof(sh->stage), stage) == -1)
			sh->stage[0] = '\0';
	}
}

/* --- one agent ----------------------------------------------------------- */

static void
installed(struct ctl *ctl, const struct json *ok)
{
	char bytes[BYTES_TEXT_MAX];

	if (ctl->json) {
		ctl_print_json(ok);
		return;
	}
	ctl_put(json_str(ok, "id", "?"));
	if (json_bool(ok, "builtin", false)) {
		(void)printf(" is built in\n");
		return;
	}
	(void)putchar(' ');
	ctl_put(json_str(ok, "version", "?"));
	text_bytes(bytes, json_int(ok, "bytes", 0));
	if (json_bool(ok, "already", false))
		(void)printf(" was there already\n");
	else
		(void)printf(" installed, %s fetched\n", bytes);
}

/* Lines until the last one, which is *ANS. */
static int
follow(struct client *c, struct show *sh, struct answer *ans, struct err *e)
{
	enum client_got got;

	for (;;) {
		if (client_line(c, -1, &got, ans, e) == -1)
			return -1;
		if (got != CLIENT_GOT)
			return err_set(e, ERR_SYSTEM,
			    "the supervisor hung up; what was begun goes on");
		if (ans->kind == ANSWER_OK)
			return 0;
		if (ans->kind == ANSWER_ERROR) {
			(void)answer_error(sh->ctl, ans, e);
			answer_free(ans);
			return -1;
		}
		progress(sh, ans->body);
		answer_free(ans);
	}
}

static int
install(struct ctl *ctl, const struct args *a, const char *agent)
{
	const char *version = args_str(a, "agent-version", NULL);
	struct show sh = { .ctl = ctl,
		.agent = agent,
		.bar = !ctl->json && isatty(STDERR_FILENO) == 1 };
	struct answer ans;
	struct client c;
	struct err e;
	struct jw *w;
	int r;

	client_init(&c, ctl);
	w = client_begin(&c, "agent.install");
	jw_kstr(w, "id", agent);
	if (version != NULL)
		jw_kstr(w, "version", version);
	if (args_has(a, "reinstall"))
		jw_kbool(w, "reinstall", true);
	jw_kbool(w, "progress", true);
	r = client_send(&c, NULL, 0, &e);
	if (r == 0)
		r = follow(&c, &sh, &ans, &e);
	client_close(&c);
	bar_clear(&sh);
	if (r == -1)
		return ctl_fail(ctl, &e);
	installed(ctl, ans.body);
	answer_free(&ans);
	return EXIT_OK;
}

/* Every agent that has a recipe. */
static int
install_all(struct ctl *ctl, const struct args *a)
{
	struct answer ans;
	int worst = EXIT_OK, code;
	struct err e;

	if (client_ask(ctl, "agent.list", NULL, &ans, &e) == -1)
		return ctl_fail(ctl, &e);
	json_foreach (k, show_list(ans.body)) {
		if (!json_bool(k, "installable", false))
			continue;
		code = install(ctl, a, json_str(k, "id", ""));
		if (code != EXIT_OK)
			worst = code;
	}
	answer_free(&ans);
	return worst;
}

static int
run_agents_install(struct ctl *ctl, const struct args *a)
{
	bool all = args_has(a, "all");
	int worst = EXIT_OK, code;
	struct err e;

	if (all == (a->noperands > 0) ||
	    (args_has(a, "agent-version") && a->noperands != 1)) {
		err_set(&e, ERR_BAD_REQUEST,
		    all == (a->noperands > 0)
			? "agents install needs agents, or --all"
			: "--agent-version is of one agent");
		return ctl_fail(ctl, &e);
	}
	if (all)
		return install_all(ctl, a);
	for (size_t i = 0; i < a->noperands; i++) {
		code = install(ctl, a, a->operands[i]);
		if (code != EXIT_OK)
			worst = code;
	}
	return worst;
}

static const struct opt_def install_opts[] = {
	{ "all", 'a', NULL, "Every agent that can be installed." },
	{ "reinstall", 'r', NULL, "Also what is there." },
	{ "agent-version", '\0', "VERSION", "This version of the agent." },
};

const struct command cmd_agents_install = {
	.name = "agents install",
	.operands = "AGENT...",
	.help = "Install agents, as their definitions say.",
	COMMAND_OPTS(install_opts),
	.max = -1,
	.run = run_agents_install,
};
