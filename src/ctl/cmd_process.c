/*
 * exec --detach, attach, execs, logs, wait, kill, forget: commands that go on
 * without us. Runs as the caller. What they print goes out as it came, as that
 * of `exec` does; what is told about them is cleaned.
 */
#include "ctl/attach.h"
#include "ctl/exec.h"
#include "ctl/show.h"
#include "ctl/spec.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "lib/strutil.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

#define WAIT_MAX_MS 600000 /* of one request */

/* --- what they share ----------------------------------------------------- */

static int
number(const char *text, int64_t *n_out, struct err *e)
{
	if (str_to_int(text, 1, INT64_MAX, n_out) == 0)
		return 0;
	return err_set(e, ERR_BAD_REQUEST,
	    "'%.40s' is no number of a process; `sandboxctl execs` lists them",
	    text);
}

/* A request about the process that A names; NULL with E. */
static struct jw *
begin(struct client *c, struct ctl *ctl, const char *op, const struct args *a,
    struct err *e)
{
	struct jw *w;
	int64_t n;

	client_init(c, ctl);
	if (number(a->operands[1], &n, e) == -1)
		return NULL;
	w = client_begin(c, op);
	jw_kstr(w, "id", a->operands[0]);
	jw_kint(w, "process", n);
	return w;
}

static bool
has_exited(const struct json *p)
{
	return strcmp(json_str(p, "state", ""), "exited") == 0;
}

static int
code_of(const struct json *p)
{
	return (int)(json_int(p, "exit_code", 0) & 0xff);
}

/* --- attach -------------------------------------------------------------- */

/* The end of ours: its code, or that it goes on. */
static int
attach_and_tell(struct ctl *ctl, struct attach_opts *o, bool forget)
{
	enum attach_end end;
	struct client c;
	struct answer a;
	struct err e;
	struct jw *w;
	int code;

	if (attach(ctl, o, &end, &code, &e) == -1)
		return ctl_fail(ctl, &e);
	if (end == ATTACH_LEFT) {
		ctl_note(ctl,
		    "process %lld goes on; `sandboxctl attach %s %lld`"
		    " comes back to it",
		    (long long)o->process, o->sandbox, (long long)o->process);
		return code;
	}
	if (!forget)
		return code;
	/* Nobody has heard of it but us, and we have seen its end. */
	client_init(&c, ctl);
	w = client_begin(&c, "process.delete");
	jw_kstr(w, "id", o->sandbox);
	jw_kint(w, "process", o->process);
	if (client_call(&c, &a, &e) == 0)
		answer_free(&a);
	client_close(&c);
	return code;
}

static int
run_attach(struct ctl *ctl, const struct args *a)
{
	struct attach_opts o = {
		.sandbox = a->operands[0],
		.replay = !args_has(a, "no-replay"),
		.with_stdin = !args_has(a, "no-stdin"),
	};
	struct answer ans;
	struct client c;
	struct err e;
	int code;

	if (ctl->json) {
		(void)err_set(&e, ERR_BAD_REQUEST, "what it prints is no JSON");
		return ctl_fail(ctl, &e);
	}
	if (attach_keys(&o, args_str(a, "detach-keys", ATTACH_KEYS), &e) == -1)
		return ctl_fail(ctl, &e);
	code = command_send(&c,
	    begin(&c, ctl, "process.get", a, &e) == NULL ? -1 : 0, &ans, &e);
	if (code != EXIT_OK)
		return code;
	o.process = json_int(ans.body, "process", 0);
	o.tty = json_bool(ans.body, "tty", false);
	answer_free(&ans);
	return attach_and_tell(ctl, &o, false);
}

static const struct opt_def attach_opts[] = {
	{ "detach-keys", '\0', "KEYS",
	    "Leave it running by these: ctrl-p,ctrl-q; or none." },
	{ "no-replay", '\0', NULL, "Not what it has printed before." },
	{ "no-stdin", '\0', NULL, "Do not hand on our standard input." },
};

const struct command cmd_attach = {
	.name = "attach",
	.operands = "ID PROCESS",
	.help = "See what a process prints and type to it, until it ends.",
	COMMAND_OPTS(attach_opts),
	.min = 2,
	.max = 2,
	.run = run_attach,
};

/* --- exec ---------------------------------------------------------------- */

static int
write_create(struct jw *w, const struct args *a, bool tty, bool with_stdin,
    struct err *e)
{
	if (args_has(a, "timeout"))
		return err_set(e, ERR_BAD_REQUEST,
		    "--timeout is not for a process that may be left");
	if (exec_write(w, a, a->operands + 1, tty, e) == -1)
		return -1;
	if (tty)
		jw_kbool(w, "tty", true);
	if (with_stdin)
		jw_kbool(w, "input", true);
	return 0;
}

int
process_exec(struct ctl *ctl, const struct args *a, bool tty, bool with_stdin)
{
	bool leave = args_has(a, "detach");
	struct attach_opts o = {
		.sandbox = a->operands[0],
		.replay = true,
		.with_stdin = with_stdin,
		.tty = tty,
	};
	struct answer ans;
	struct client c;
	struct err e;
	int code;

	if (attach_keys(&o, args_str(a, "detach-keys", ATTACH_KEYS), &e) == -1)
		return ctl_fail(ctl, &e);
	client_init(&c, ctl);
	code = command_send(&c,
	    write_create(
		client_begin(&c, "process.create"), a, tty, with_stdin, &e),
	    &ans, &e);
	if (code != EXIT_OK)
		return code;
	o.process = json_int(ans.body, "process", 0);
	if (leave && ctl->json)
		ctl_print_json(ans.body);
	else if (leave)
		(void)printf("%lld\n", (long long)o.process);
	answer_free(&ans);
	return leave ? EXIT_OK : attach_and_tell(ctl, &o, true);
}

/* --- execs --------------------------------------------------------------- */

static void
row(struct table *t, const struct json *p)
{
	int64_t now = now_realtime_ms(), at = json_int(p, "created_at", now);
	char age[AGE_TEXT_MAX];
	struct buf line;

	buf_init(&line, 65536);
	json_foreach (word, json_get(p, "command")) {
		if (line.len > 0)
			(void)buf_addc(&line, ' ');
		(void)buf_adds(&line, word->str);
	}
	text_age(age, now - at);
	table_cellf(t, "%lld", (long long)json_int(p, "process", 0));
	if (has_exited(p) && json_get(p, "signal") != NULL)
		table_cellf(
		    t, "signal %lld", (long long)json_int(p, "signal", 0));
	else if (has_exited(p))
		table_cellf(t, "exited %d", code_of(p));
	else
		table_cell(t, "running");
	table_cell(t, json_bool(p, "tty", false) ? "yes" : "no");
	table_cell(t, age);
	table_cell(t, line.failed || line.len == 0 ? NULL : line.data);
	buf_free(&line);
}

static int
run_execs(struct ctl *ctl, const struct args *a)
{
	static const char *const head[] = { "PROCESS", "STATE", "TTY", "AGE",
		"COMMAND", NULL };
	struct answer ans;
	struct table t;
	struct err e;

	if (client_ask(ctl, "process.list", a->operands[0], &ans, &e) == -1)
		return ctl_fail(ctl, &e);
	if (ctl->json) {
		ctl_print_json(ans.body);
	} else {
		table_init(&t, head);
		json_foreach (p, json_get(ans.body, "processes"))
			row(&t, p);
		table_end(&t, ctl);
		if (json_bool(ans.body, "more", false))
			ctl_note(ctl, "there are more; `sandboxctl raw` with "
				      "\"after\" shows them");
	}
	answer_free(&ans);
	return EXIT_OK;
}

const struct command cmd_execs = {
	.name = "execs",
	.operands = "ID",
	.help = "The commands that go on without us, or did, in a sandbox.",
	.min = 1,
	.max = 1,
	.run = run_execs,
};

/* --- logs ---------------------------------------------------------------- */

static int
run_logs(struct ctl *ctl, const struct args *a)
{
	int fd = STDOUT_FILENO, read_fd = -1, write_fd = -1;
	struct answer ans;
	char buf[65536];
	struct client c;
	struct err e;
	struct jw *w;
	ssize_t n;
	int r = -1;

	w = begin(&c, ctl, "process.logs", a, &e);
	if (w == NULL)
		return ctl_fail(ctl, &e);
	spec_copy(w, a, "stream", "stream");
	jw_kint(w, "fds", 1);
	/* Never our own file: what writes there is the sandbox's. */
	if (fd_pipe(&read_fd, &write_fd, &e) == 0)
		r = client_send(&c, &write_fd, 1, &e);
	fd_close(&write_fd);
	while (r == 0 && (n = read(read_fd, buf, sizeof(buf))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 || fd_write_all(fd, buf, (size_t)n) == -1)
			r = err_sys(&e, "standard output");
	}
	fd_close(&read_fd);
	if (r == 0)
		r = client_final(&c, &ans, &e);
	client_close(&c);
	if (r == -1)
		return ctl_fail(ctl, &e);
	answer_free(&ans);
	return EXIT_OK;
}

static const struct opt_def logs_opts[] = {
	{ "stream", '\0', "NAME", "stdout, stderr, or all." },
};

const struct command cmd_logs = {
	.name = "logs",
	.operands = "ID PROCESS",
	.help = "What a process has printed so far, as far as it is kept.",
	COMMAND_OPTS(logs_opts),
	.min = 2,
	.max = 2,
	.run = run_logs,
};

/* --- wait, kill, forget -------------------------------------------------- */

static int
run_wait(struct ctl *ctl, const struct args *a)
{
	const char *limit = args_str(a, "timeout", NULL);
	int64_t left = INT64_MAX, ms;
	struct answer ans;
	struct client c;
	struct err e;
	struct jw *w;
	int code;

	if (limit != NULL && spec_ms(limit, &left, &e) == -1)
		return ctl_fail(ctl, &e);
	for (;;) {
		ms = MIN(left, (int64_t)WAIT_MAX_MS);
		w = begin(&c, ctl, "process.wait", a, &e);
		if (w != NULL)
			jw_kint(w, "timeout_ms", ms);
		code = command_send(&c, w == NULL ? -1 : 0, &ans, &e);
		if (code != EXIT_OK)
			return code;
		left = left == INT64_MAX ? left : left - ms;
		if (has_exited(ans.body) || left <= 0)
			break;
		answer_free(&ans);
	}
	code = has_exited(ans.body) ? code_of(ans.body) : 124;
	if (ctl->json)
		ctl_print_json(ans.body);
	else if (!has_exited(ans.body))
		ctl_note(ctl, "it still runs");
	answer_free(&ans);
	return code;
}

static const struct opt_def wait_opts[] = {
	{ "timeout", '\0', "TIME", "At most so long; then the code is 124." },
};

const struct command cmd_wait = {
	.name = "wait",
	.operands = "ID PROCESS",
	.help = "Wait until a process has ended; ends with its code.",
	COMMAND_OPTS(wait_opts),
	.min = 2,
	.max = 2,
	.run = run_wait,
};

/* "TERM", "SIGTERM", "15" */
static int
signal_parse(const char *text, int64_t *sig_out, struct err *e)
{
	const char *name = str_starts(text, "SIG") ? text + 3 : text;
	int sig;

	if (str_to_int(text, 1, 64, sig_out) == 0)
		return 0;
	for (sig = 1; sig < NSIG; sig++) {
		const char *known = sigabbrev_np(sig);

		if (known == NULL || strcmp(known, name) != 0)
			continue;
		*sig_out = sig;
		return 0;
	}
	return err_set(e, ERR_BAD_REQUEST, "'%.20s' is no signal", text);
}

static int
run_kill(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct err e;
	struct jw *w;
	int64_t sig;
	int r;

	w = begin(&c, ctl, "process.signal", a, &e);
	r = w == NULL ? -1
		      : signal_parse(args_str(a, "signal", "TERM"), &sig, &e);
	if (r == 0)
		jw_kint(w, "signal", sig);
	return command_finish(&c, r, a->operands[1], "was signalled", &e);
}

static const struct opt_def kill_opts[] = {
	{ "signal", 's', "SIGNAL", "Name or number; TERM by default." },
};

const struct command cmd_kill = {
	.name = "kill",
	.operands = "ID PROCESS",
	.help = "Signal all that a process has started.",
	COMMAND_OPTS(kill_opts),
	.min = 2,
	.max = 2,
	.run = run_kill,
};

static int
run_forget(struct ctl *ctl, const struct args *a)
{
	struct client c;
	struct err e;

	return command_finish(&c,
	    begin(&c, ctl, "process.delete", a, &e) == NULL ? -1 : 0,
	    a->operands[1], "is forgotten", &e);
}

const struct command cmd_forget = {
	.name = "forget",
	.operands = "ID PROCESS",
	.help = "Forget a process that has ended, and what it has printed.",
	.min = 2,
	.max = 2,
	.run = run_forget,
};
