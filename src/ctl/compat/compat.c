/*
 * Finding the command of a `sandbox-agent` command line; see compat.h. Runs as
 * the caller. A token among the words is wiped from where everybody could read
 * it by whoever uses it, not here.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "ctl/compat/compat.h"

#include "ctl/backend.h"
#include "ctl/cmd_credentials.h"
#include "ctl/commands.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>

#ifndef PACKAGE_VERSION
#	define PACKAGE_VERSION "0.1.0"
#endif

#define WORDS_MAX 3
#define NAME_MAX_BYTES 64

static const struct opt_def global_opts[] = {
	{ "token", 't', "TOKEN", "What lets clients in." },
	{ "no-token", 'n', NULL, "There is none." },
	{ "help", 'h', NULL, "Tell how the command is used." },
};

/* Not for help: only programs start it. */
#define IS_HIDDEN(c) ((c) == &compat_mock_process)

static const struct command *const commands[] = {
	&compat_server,
	&compat_install_desktop,
	&compat_install_agent,
	&compat_opencode,
	&compat_daemon_start,
	&compat_daemon_stop,
	&compat_daemon_status,
	&cmd_credentials_extract,
	&cmd_credentials_env,
	&compat_mock_process,
};

bool
compat_called(const char *argv0)
{
	const char *slash;

	if (argv0 == NULL)
		return false;
	slash = strrchr(argv0, '/');
	return strcmp(slash == NULL ? argv0 : slash + 1, COMPAT_PROGRAM) == 0;
}

/* --- help ---------------------------------------------------------------- */

/* GROUP "": all; else those that begin with it and a blank. */
static bool
is_in(const char *name, const char *group)
{
	size_t n = strlen(group);

	return n == 0 || (str_starts(name, group) && name[n] == ' ');
}

static void
list_commands(FILE *f, const char *group)
{
	(void)fprintf(f, "usage: %s%s%s [-t TOKEN | -n] COMMAND ...\n\n",
	    COMPAT_PROGRAM, *group == '\0' ? "" : " ", group);
	for (size_t i = 0; i < countof(commands); i++) {
		const struct command *c = commands[i];

		if (!IS_HIDDEN(c) && is_in(c->name, group))
			(void)fprintf(f, "  %-24s %s\n", c->name, c->help);
	}
	if (*group == '\0')
		(void)fprintf(f, "  %-24s %s\n", "api GROUP ACTION",
		    "The HTTP interface for scripts; `api --help` lists it.");
	(void)fputs("\nEach tells of its flags with --help. The manual: "
		    "sandbox-agent(1).\n",
	    f);
}

/* --- finding ------------------------------------------------------------- */

/* What the words so far mean: a command; or NULL, and *GROUP_OUT says whether
 * more words may make one of them. */
static const struct command *
find(const char *name, bool *group_out)
{
	*group_out = false;
	for (size_t i = 0; i < countof(commands); i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
		*group_out = *group_out || is_in(commands[i]->name, name);
	}
	return NULL;
}

/* CMD with the flags that all have behind its own. */
static int
run(struct ctl *ctl, const struct command *cmd, int argc, char **argv)
{
	struct opt_def *opts =
	    xcalloc(cmd->nopts + countof(global_opts), sizeof(*opts));
	struct command full = *cmd;
	struct args a;
	struct err e;
	int code;

	if (cmd->nopts > 0)
		memcpy(opts, cmd->opts, cmd->nopts * sizeof(*opts));
	memcpy(opts + cmd->nopts, global_opts, sizeof(global_opts));
	full.opts = opts;
	full.nopts = cmd->nopts + countof(global_opts);
	full.program = COMPAT_PROGRAM;
	if (args_parse(&a, &full, argc, argv, &e) == -1) {
		code = ctl_misuse(ctl, &e);
	} else if (args_has(&a, "help")) {
		opt_usage(&full, stdout);
		code = EXIT_OK;
	} else {
		code = cmd->run(ctl, &a);
	}
	args_free(&a);
	free(opts);
	return code;
}

/* --- the command line ---------------------------------------------------- */

/* Flags between the words, which count for the command; then its own words. */
struct line {
	char **v; /* owned vector of borrowed words */
	int n;
	char name[NAME_MAX_BYTES];
	size_t nwords;
};

static int
add_word(struct ctl *ctl, struct line *l, const char *word)
{
	size_t used = strlen(l->name);
	struct err e;

	if (l->nwords == WORDS_MAX ||
	    str_format(l->name + used, sizeof(l->name) - used, "%s%s",
		l->nwords == 0 ? "" : " ", word) == -1) {
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "unrecognized subcommand '%.64s'", word);
		return ctl_misuse(ctl, &e);
	}
	l->nwords++;
	return EXIT_OK;
}

/* A flag in front of a command's last word; *I is moved over its value. -1: go
 * on; else the code to end with. */
static int
take_flag(struct ctl *ctl, struct line *l, int argc, char **argv, int *i)
{
	const char *flag = argv[*i];
	struct err e;

	if (strcmp(flag, "-h") == 0 || strcmp(flag, "--help") == 0) {
		list_commands(stdout, l->name);
		return EXIT_OK;
	}
	if (l->nwords == 0 &&
	    (strcmp(flag, "-V") == 0 || strcmp(flag, "--version") == 0)) {
		(void)puts(COMPAT_PROGRAM " " PACKAGE_VERSION);
		return EXIT_OK;
	}
	l->v[l->n++] = argv[*i];
	if (strcmp(flag, "-n") == 0 || strcmp(flag, "--no-token") == 0 ||
	    str_starts(flag, "--token=") ||
	    (str_starts(flag, "-t") && flag[2] != '\0'))
		return -1;
	if (strcmp(flag, "-t") == 0 || strcmp(flag, "--token") == 0) {
		if (*i + 1 < argc) {
			l->v[l->n++] = argv[++*i];
			return -1;
		}
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "a value is required for '--token <TOKEN>'");
		return ctl_misuse(ctl, &e);
	}
	(void)err_set(
	    &e, ERR_BAD_REQUEST, "unexpected argument '%.64s' found", flag);
	return ctl_misuse(ctl, &e);
}

static int
run_rest(struct ctl *ctl, struct line *l, int argc, char **argv, int i,
    const struct command *cmd, char **whole)
{
	const struct backend_where nowhere = { 0 };

	for (; i < argc; i++)
		l->v[l->n++] = argv[i];
	if (cmd != NULL)
		return run(ctl, cmd, l->n, l->v);
	return backend_api(ctl, &nowhere, l->n, l->v, whole);
}

static int
help(struct ctl *ctl, int argc, char **argv)
{
	const struct command *cmd;
	struct line l = { 0 };
	bool is_group = true;
	struct err e;

	for (int i = 0; i < argc; i++) {
		if (add_word(ctl, &l, argv[i]) != EXIT_OK)
			return CTL_EXIT_MISUSE;
	}
	cmd = find(l.name, &is_group);
	if (cmd != NULL)
		return run(ctl, cmd, 1, (char *[]){ (char[]){ "-h" }, NULL });
	if (l.nwords > 0 && !is_group) {
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "unrecognized subcommand '%s'", l.name);
		return ctl_misuse(ctl, &e);
	}
	list_commands(stdout, l.name);
	return EXIT_OK;
}

static int
read_line(struct ctl *ctl, struct line *l, int argc, char **argv)
{
	const struct command *cmd;
	bool is_group;
	struct err e;
	int code;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1] != '\0') {
			code = take_flag(ctl, l, argc, argv, &i);
			if (code != -1)
				return code;
			continue;
		}
		if (l->nwords == 0 && strcmp(argv[i], "help") == 0)
			return help(ctl, argc - i - 1, argv + i + 1);
		code = add_word(ctl, l, argv[i]);
		if (code != EXIT_OK)
			return code;
		cmd = find(l->name, &is_group);
		if (cmd != NULL || strcmp(l->name, "api") == 0)
			return run_rest(ctl, l, argc, argv, i + 1, cmd, argv);
		if (is_group)
			continue;
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "unrecognized subcommand '%.64s'", argv[i]);
		return ctl_misuse(ctl, &e);
	}
	list_commands(stderr, l->name);
	return CTL_EXIT_MISUSE;
}

int
compat_main(struct ctl *ctl, int argc, char **argv)
{
	struct line l = { 0 };
	int code;

	ctl->program = COMPAT_PROGRAM;
	l.v = xcalloc((size_t)MAX(argc, 1) + 1, sizeof(char *));
	code = read_line(ctl, &l, argc, argv);
	free(l.v);
	return code;
}

int
compat_where(
    const struct args *a, const char **host_out, int *port_out, struct err *e)
{
	const char *port = args_str(a, "port", NULL);
	int64_t v = COMPAT_PORT;

	*host_out = args_str(a, "host", COMPAT_HOST);
	if (port != NULL && str_to_int(port, 0, 65535, &v) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "invalid value '%.32s' for '--port <PORT>'", port);
	*port_out = (int)v;
	return 0;
}
