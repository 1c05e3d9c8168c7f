/*
 * sandboxctl: the chapters of a run, and the commands that tell of others
 * (status, raw, help). Runs as the caller, holds no privilege.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "ctl/backend.h"
#include "ctl/commands.h"
#include "ctl/compat/compat.h"
#include "lib/fdio.h"
#include "lib/ops.h"
#include "lib/strutil.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#	define PACKAGE_VERSION "0.1.0"
#endif

static const struct command *const commands[] = {
#define X(sym) &cmd_##sym,
	COMMANDS(X)
#undef X
};

/* Other words for commands, and what is meant by them. Those with `same` work,
 * the others only get a hint. */
static const struct {
	const char *word, *name;
	bool same;
} words[] = {
	{ "sessions", "session ls", true },
	{ "inspect", "get", true },
	{ "list", "ls", true },
	{ "destroy", "rm", false },
	{ "delete", "rm", false },
	{ "remove", "rm", false },
	{ "log", "logs", false },
	{ "copy", "cp", false },
	{ "top", "stats", false },
	{ "send", "prompt", false },
	{ "answer", "reply", false },
	{ "info", "status", false },
	{ "version", "--version", false },
	{ "enter", "shell", false },
	{ "new", "create", false },
	{ "tokens", "token list", true },
	{ "token ls", "token list", false },
	{ "token new", "token create", false },
	{ "token rm", "token revoke", false },
	{ "credentials", "credentials extract", true },
};

/* --- finding a command --------------------------------------------------- */

/* The command named by the first one or two words; how many it took. */
static const struct command *
find_command(int argc, char **argv, int *used_out)
{
	size_t i;

	for (i = 0; i < countof(commands); i++) {
		const char *name = commands[i]->name;
		const char *blank = strchr(name, ' ');
		size_t n =
		    blank == NULL ? strlen(name) : (size_t)(blank - name);

		if (strlen(argv[0]) != n || memcmp(argv[0], name, n) != 0)
			continue;
		*used_out = blank == NULL ? 1 : 2;
		if (blank == NULL ||
		    (argc > 1 && strcmp(argv[1], blank + 1) == 0))
			return commands[i];
	}
	for (i = 0; i < countof(words); i++) {
		char *two[2];
		char name[32];

		if (!words[i].same || strcmp(words[i].word, argv[0]) != 0 ||
		    str_copy(name, sizeof(name), words[i].name) == -1)
			continue;
		two[0] = name;
		two[1] = strchr(name, ' ');
		if (two[1] != NULL)
			*two[1]++ = '\0';
		/* Names in the table are no other words: one level deep. */
		const struct command *cmd =
		    find_command(two[1] == NULL ? 1 : 2, two, used_out);
		*used_out = 1;
		return cmd;
	}
	return NULL;
}

/* The first word of commands of two. */
static bool
is_group(const char *word)
{
	size_t n = strlen(word);
	size_t i;

	for (i = 0; i < countof(commands); i++)
		if (strncmp(commands[i]->name, word, n) == 0 &&
		    commands[i]->name[n] == ' ')
			return true;
	return false;
}

static int
unknown_command(const struct ctl *ctl, int argc, char **argv)
{
	const char *best = NULL;
	unsigned best_d = 3;
	char said[64];
	struct err e;
	size_t i;

	if (argc > 1 &&
	    (opt_distance(argv[0], "session", 2) <= 2 || is_group(argv[0])))
		(void)snprintf(
		    said, sizeof(said), "%.16s %.40s", argv[0], argv[1]);
	else
		(void)snprintf(said, sizeof(said), "%.60s", argv[0]);
	for (i = 0; i < countof(words); i++)
		if (strcmp(words[i].word, said) == 0)
			best = words[i].name;
	for (i = 0; best == NULL && i < countof(commands); i++)
		best_d = MIN(best_d, opt_distance(said, commands[i]->name, 2));
	for (i = 0; best == NULL && best_d < 3 && i < countof(commands); i++)
		if (opt_distance(said, commands[i]->name, 2) == best_d)
			best = commands[i]->name;
	if (best != NULL)
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "there is no command '%s'; did you mean '%s'?", said, best);
	else
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "there is no command '%s'; `sandboxctl help` lists them",
		    said);
	return ctl_fail(ctl, &e);
}

/* --- help ---------------------------------------------------------------- */

static void
help_overview(FILE *f)
{
	size_t i;

	(void)fputs(
	    "usage: sandboxctl [--socket PATH | --endpoint URL] [--json] "
	    "COMMAND ...\n\n"
	    "Runs coding agents and commands in isolated sandboxes.\n\n",
	    f);
	for (i = 0; i < countof(commands); i++)
		(void)fprintf(
		    f, "  %-12s %s\n", commands[i]->name, commands[i]->help);
	(void)fputs("\n`sandboxctl help COMMAND` tells more. "
		    "The manual: sandboxctl(1).\n",
	    f);
}

static void
help_json(void)
{
	struct buf b;
	struct jw w;
	size_t i;

	buf_init(&b, 1u << 20);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "version", PACKAGE_VERSION);
	jw_key(&w, "global");
	opt_write_json(&w, opt_global, opt_nglobal);
	jw_key(&w, "commands");
	jw_array(&w);
	for (i = 0; i < countof(commands); i++) {
		jw_object(&w);
		jw_kstr(&w, "name", commands[i]->name);
		jw_kstr(&w, "operands", commands[i]->operands);
		jw_kstr(&w, "help", commands[i]->help);
		jw_key(&w, "flags");
		opt_write_json(&w, commands[i]->opts, commands[i]->nopts);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	ctl_print_json_buf(&b);
	buf_free(&b);
}

/* For completion: names of commands, or the flags of one. */
static void
help_words(const struct command *cmd)
{
	size_t i;

	if (cmd == NULL) {
		for (i = 0; i < countof(commands); i++)
			(void)puts(commands[i]->name);
		return;
	}
	for (i = 0; i < cmd->nopts; i++)
		(void)printf("--%s\n", cmd->opts[i].name);
	for (i = 0; i < opt_nglobal; i++)
		(void)printf("--%s\n", opt_global[i].name);
}

static int
run_help(struct ctl *ctl, const struct args *a)
{
	const struct command *cmd = NULL;
	int used;

	if (a->noperands > 0) {
		cmd = find_command((int)a->noperands, a->operands, &used);
		if (cmd == NULL && a->noperands == 1 &&
		    is_group(a->operands[0]))
			a = &(struct args){ 0 }; /* all of them, below */
		else if (cmd == NULL)
			return unknown_command(
			    ctl, (int)a->noperands, a->operands);
	}
	if (args_has(a, "words"))
		help_words(cmd);
	else if (ctl->json)
		help_json();
	else if (cmd != NULL)
		opt_usage(cmd, stdout);
	else
		help_overview(stdout);
	return EXIT_OK;
}

static const struct opt_def help_opts[] = {
	{ "words", '\0', NULL, "Only names, for completion." },
};

const struct command cmd_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.help = "Tell about commands; with --json all of them and their flags.",
	COMMAND_OPTS(help_opts),
	.max = 2,
	.run = run_help,
};

/* --- status and raw ------------------------------------------------------ */

static int
run_status(struct ctl *ctl, const struct args *a)
{
	(void)a;
	return command_look(ctl, "status", NULL);
}

const struct command cmd_status = {
	.name = "status",
	.operands = "",
	.help = "Version, counts, and the isolation this host can give.",
	.run = run_status,
};

/* One request line as it was typed: the request's form is the caller's, so
 * the lines that come back are looked at only to know the last. */
static int
raw_lines(struct client *c, const char *line, bool *failed_out, struct err *e)
{
	struct buf *in = &c->in;
	char *nl;

	if (client_send_text(c, line, e) == -1)
		return -1;
	for (;;) {
		struct json *j = NULL;
		bool final;
		size_t len;

		if (client_text(c, &nl, e) == -1)
			return -1;
		len = (size_t)(nl - in->data);
		if (json_parse(in->data, len, CTL_JSON_DEPTH, &j, e) == -1)
			return err_prefix(e, "the supervisor's answer");
		ctl_print_json(j);
		(void)fflush(stdout);
		*failed_out = json_get(j, "error") != NULL;
		final = *failed_out || json_get(j, "ok") != NULL;
		json_free(j);
		client_text_done(c, len);
		if (final)
			return 0;
	}
}

static int
run_raw(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct buf line;
	struct err e;
	bool failed = false;
	size_t i;
	int r;

	buf_init(&line, CONTROL_LINE_MAX);
	for (i = 0; i < a->noperands; i++) {
		(void)buf_adds(&line, i == 0 ? "" : " ");
		(void)buf_adds(&line, a->operands[i]);
	}
	client_init(&c, ctl);
	if (line.failed)
		r = err_set(&e, ERR_BAD_REQUEST, "the line is too long");
	else if (memchr(line.data, '\n', line.len) != NULL)
		r = err_set(&e, ERR_BAD_REQUEST, "a request is one line");
	else
		r = raw_lines(&c, line.data, &failed, &e);
	client_close(&c);
	buf_free(&line);
	if (r == -1)
		return ctl_fail(ctl, &e);
	return failed ? EXIT_FAILED : EXIT_OK;
}

const struct command cmd_raw = {
	.name = "raw",
	.operands = "REQUEST...",
	.help = "Send one request line as it is and print the lines that come "
		"back.",
	.min = 1,
	.max = -1,
	.verbatim = true,
	.run = run_raw,
};

/* --- api ----------------------------------------------------------------- */

/* Only for help: main() hands the command over before its flags are read. */
static int
run_api(struct ctl *ctl, const struct args *a)
{
	(void)ctl;
	(void)a;
	return EXIT_BUG;
}

const struct command cmd_api = {
	.name = "api",
	.operands = "GROUP ACTION [...]",
	.help = "The HTTP interface for scripts; `sandboxctl api --help` lists "
		"it.",
	.max = -1,
	.run = run_api,
};

/* --- main ---------------------------------------------------------------- */

/* A descriptor that is not open would be taken by the socket, and then be
 * written to as if it were the caller's output. */
static void
open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

/* Flags before the command and behind it; A may be NULL. */
static void
find_where(struct backend_where *where, const struct args *global,
    const struct args *a)
{
	const char *env = getenv("SANDBOXCTL_ENDPOINT");
	bool told;

	where->endpoint = args_str(global, "endpoint", NULL);
	where->token = args_str(global, "token", NULL);
	where->token_file = args_str(global, "token-file", NULL);
	told = args_has(global, "socket");
	if (a != NULL) {
		where->endpoint = args_str(a, "endpoint", where->endpoint);
		where->token = args_str(a, "token", where->token);
		where->token_file =
		    args_str(a, "token-file", where->token_file);
		told = told || args_has(a, "socket");
	}
	/* A flag is said for this run, a variable for many. */
	if (where->endpoint == NULL && !told && env != NULL && *env != '\0')
		where->endpoint = env;
}

/* Where CTL's requests go: over HTTP, or to the control socket. */
static int
find_supervisor(struct ctl *ctl, const struct args *global,
    const struct args *a, char **whole, struct err *e)
{
	struct backend_where where;

	find_where(&where, global, a);
	if (where.endpoint != NULL)
		return backend_http(ctl, &where, whole, e);
	if (where.token != NULL || where.token_file != NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "a token is for --endpoint; the control socket knows its "
		    "callers by their uid");
	return ctl_find_socket(
	    ctl, args_str(a, "socket", args_str(global, "socket", NULL)), e);
}

static int
run_command(struct ctl *ctl, const struct args *global,
    const struct command *cmd, int argc, char **argv, char **whole)
{
	struct args a;
	struct err e;
	int code;

	if (args_parse(&a, cmd, argc, argv, &e) == -1) {
		ctl->json = ctl->json || args_has(&a, "json");
		code = ctl_fail(ctl, &e);
		if (!ctl->json)
			(void)fprintf(stderr, "usage: sandboxctl %s%s %s\n",
			    cmd->name, cmd->nopts > 0 ? " [flags]" : "",
			    cmd->operands);
		args_free(&a);
		return code;
	}
	ctl->json = ctl->json || args_has(&a, "json");
	if (args_has(&a, "version")) {
		(void)puts("sandboxctl " PACKAGE_VERSION);
		code = EXIT_OK;
	} else if (args_has(&a, "help")) {
		opt_usage(cmd, stdout);
		code = EXIT_OK;
	} else if (cmd != &cmd_help &&
		   find_supervisor(ctl, global, &a, whole, &e) == -1) {
		code = ctl_fail(ctl, &e);
	} else {
		code = cmd->run(ctl, &a);
	}
	args_free(&a);
	return code;
}

/* Output that got lost is a failure, unless nobody wanted the rest. */
static int
finish(const struct ctl *ctl, int code)
{
	struct err e;

	if ((fflush(stdout) != 0 || ferror(stdout) != 0) && code == EXIT_OK) {
		if (errno == EPIPE)
			return 128 + SIGPIPE;
		(void)err_sys(&e, "write the answer");
		return ctl_fail(ctl, &e);
	}
	return code;
}

int
main(int argc, char *argv[])
{
	struct backend_where where;
	const struct command *cmd;
	struct args global;
	struct ctl ctl;
	struct err e;
	char **whole = argv;
	int used;
	int code;

	open_standard_fds();
	(void)signal(SIGPIPE, SIG_IGN); /* writing tells as well */
	ctl_init(&ctl);
	if (compat_called(argv[0]))
		return finish(&ctl, compat_main(&ctl, argc, argv));
	code = args_parse_global(&global, argc - 1, argv + 1, &used, &e);
	ctl.json = args_has(&global, "json");
	if (code == -1)
		return ctl_fail(&ctl, &e);
	argc -= 1 + used;
	argv += 1 + used;
	if (args_has(&global, "help") || args_has(&global, "version") ||
	    argc == 0) {
		if (args_has(&global, "version"))
			(void)puts("sandboxctl " PACKAGE_VERSION);
		else
			help_overview(
			    args_has(&global, "help") ? stdout : stderr);
		code = args_has(&global, "help") || args_has(&global, "version")
			   ? EXIT_OK
			   : EXIT_USAGE;
	} else if ((cmd = find_command(argc, argv, &used)) == NULL) {
		code = unknown_command(&ctl, argc, argv);
	} else if (cmd == &cmd_api) {
		/* It has flags and codes of its own, which scripts know. */
		find_where(&where, &global, NULL);
		code = backend_api(&ctl, &where, argc - 1, argv + 1, whole);
	} else {
		code = run_command(
		    &ctl, &global, cmd, argc - used, argv + used, whole);
	}
	code = finish(&ctl, code);
	args_free(&global);
	return code;
}
