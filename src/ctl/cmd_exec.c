/*
 * exec and shell: a command in a sandbox as if it ran here. Runs as the caller.
 *
 * The command never gets the caller's own terminal or files: without -t it
 * has three pipes whose other ends are here, with -t a terminal that was made
 * inside, whose master comes back over the control socket. A pipe or a master
 * carries bytes and nothing else.
 *
 * Hanging up is how a command is ended: the supervisor kills it then.
 */
#include "ctl/exec.h"
#include "ctl/pump.h"
#include "ctl/signals.h"
#include "ctl/spec.h"
#include "ctl/term.h"
#include "lib/strutil.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PIPE_BYTES (256 * 1024) /* fewer turns than the default's 64 KiB */
#define EXIT_TIMEOUT 124
#define EXIT_NOT_RUNNABLE 126
#define EXIT_NOT_FOUND 127
#define LAST_IDLE_MS 100 /* a terminal that is silent so long has no more */
#define LAST_MS 2000	 /* nor is more awaited from a busy one */
#define STDIN_TEXT_MAX 700000 /* escaped it still fits in a request */

struct exec {
	struct ctl *ctl;
	struct client c;
	struct feed in;
	struct pump out, err;
	int master_fd; /* owned; -1 without -t */
	bool ended;    /* the final line has come */
	int64_t ended_ms;
	int code;
};

/* --- how it ended -------------------------------------------------------- */

static int
exit_code(const struct json *ok)
{
	int64_t number = json_int(ok, "signal", 0);

	if (json_bool(ok, "timed_out", false))
		return EXIT_TIMEOUT;
	if (number > 0 && number < 128)
		return 128 + (int)number;
	return (int)(json_int(ok, "exit_code", 0) & 0xff);
}

static int
exec_error(struct exec *x, const struct answer *a)
{
	struct err e;
	int code;

	(void)answer_error(x->ctl, a, &e);
	code = ctl_fail(x->ctl, &e);
	if (e.code == ERR_TIMEOUT)
		return EXIT_TIMEOUT;
	if (e.code != ERR_EXEC_FAILED)
		return code;
	return strstr(e.text, strerror(ENOENT)) != NULL ? EXIT_NOT_FOUND
							: EXIT_NOT_RUNNABLE;
}

static void
take_final(struct exec *x, const struct answer *a)
{
	x->ended = true;
	x->code = a->kind == ANSWER_OK ? exit_code(a->body) : exec_error(x, a);
	if (a->kind == ANSWER_OK && json_bool(a->body, "timed_out", false))
		ctl_note(x->ctl, "timed out");
	x->ended_ms = now_monotonic_ms();
	feed_close(&x->in);
	/* What a pipe holds can be counted. What a terminal holds cannot: its
	 * line discipline works in its own time. */
	if (x->master_fd == -1)
		pump_last(&x->out);
	pump_last(&x->err);
}

/* With a terminal, after the end: whether to stop waiting for output. */
static bool
is_drained(const struct exec *x, int polled)
{
	if (!x->ended || x->master_fd == -1)
		return false;
	return polled == 0 || now_monotonic_ms() - x->ended_ms > LAST_MS;
}

/* A line from the supervisor while the command runs. -1: it is over. */
static int
on_line(struct exec *x, struct err *e)
{
	struct answer a;
	enum client_got got;

	if (client_line(&x->c, 0, &got, &a, e) == -1)
		return -1;
	if (got == CLIENT_WAIT)
		return 0;
	if (got == CLIENT_EOF)
		return err_set(e, ERR_SYSTEM,
		    "the supervisor hung up while the command ran");
	if (a.kind != ANSWER_ITEM)
		take_final(x, &a);
	answer_free(&a);
	return 0;
}

/* --- the loop ------------------------------------------------------------ */

static void
resize(const struct exec *x)
{
	struct winsize ws;

	if (x->master_fd == -1)
		return;
	term_raw_again();
	term_size(&ws);
	(void)ioctl(x->master_fd, TIOCSWINSZ, &ws); /* it may just have gone */
}

/* Returns a code to end with, or -1 to go on. */
static int
on_signals(struct exec *x)
{
	struct signals s;

	signals_take(&s);
	if (s.resize)
		resize(x);
	return s.stops > 0 ? 128 + s.number : -1;
}

static int
loop(struct exec *x, struct err *e)
{
	enum {
		SOCKET,
		SIGNALS,
		IN,
		IN_TO,
		OUT,
		ERR,
		N
	};
	struct pollfd pfd[N];
	int code, n;

	while (!x->ended || x->out.src_fd != -1 || x->err.src_fd != -1) {
		pfd[SOCKET] = (struct pollfd){ .fd = x->ended ? -1 : x->c.fd,
			.events = POLLIN };
		pfd[SIGNALS] =
		    (struct pollfd){ .fd = signals_fd(), .events = POLLIN };
		feed_poll(&x->in, &pfd[IN]);
		pump_poll(&x->out, &pfd[OUT]);
		pump_poll(&x->err, &pfd[ERR]);
		n = poll(pfd, N,
		    x->ended && x->master_fd != -1 && !x->out.has_data
			? LAST_IDLE_MS
			: -1);
		if (n == -1 && errno != EINTR)
			return err_sys(e, "poll");
		if (n == -1) /* a signal: revents say nothing */
			memset(pfd, 0, sizeof(pfd));
		code = on_signals(x);
		if (code != -1)
			return code;
		feed_go(&x->in, &pfd[IN]);
		pump_go(&x->out, &pfd[OUT]);
		pump_go(&x->err, &pfd[ERR]);
		if (is_drained(x, n))
			pump_close(&x->out);
		if (pfd[SOCKET].revents != 0 && on_line(x, e) == -1)
			return -1;
	}
	return x->code;
}

static void
exec_free(struct exec *x)
{
	feed_close(&x->in);
	pump_close(&x->out);
	pump_close(&x->err);
	fd_close(&x->master_fd);
	client_close(&x->c);
}

/* --- on pipes ------------------------------------------------------------ */

/* Make a pipe; ours is the end that WE_READ tells, and does not block. */
static int
make_pipe(bool we_read, int *ours_out, int *theirs_out, struct err *e)
{
	int r, w;

	if (fd_pipe(&r, &w, e) == -1)
		return -1;
	(void)fcntl(r, F_SETPIPE_SZ, PIPE_BYTES); /* smaller works too */
	*ours_out = we_read ? r : w;
	*theirs_out = we_read ? w : r;
	if (fd_set_nonblock(*ours_out, 1) == -1)
		return err_sys(e, "set a pipe non-blocking");
	return 0;
}

static int
run_on_pipes(struct exec *x, bool with_stdin, struct err *e)
{
	int theirs[3] = { -1, -1, -1 };
	int ours[3] = { -1, -1, -1 };
	int r = 0;
	int i;

	for (i = 0; i < 3 && r == 0; i++)
		r = make_pipe(i != 0, &ours[i], &theirs[i], e);
	if (feed_init(&x->in, with_stdin ? STDIN_FILENO : -1, ours[0]) == -1)
		r = err_set(e, ERR_SYSTEM, "no memory");
	pump_init(&x->out, ours[1], STDOUT_FILENO);
	pump_init(&x->err, ours[2], STDERR_FILENO);
	if (r == 0) {
		jw_kint(&x->c.w, "fds", 3);
		r = client_send(&x->c, theirs, 3, e);
	}
	fd_close_all(theirs, 3);
	return r == -1 ? -1 : loop(x, e);
}

/* --- on a terminal ------------------------------------------------------- */

/* The first answer carries the terminal's master, or says why there is none;
 * then x->ended is set. */
static int
await_terminal(struct exec *x, struct err *e)
{
	struct answer a;
	enum client_got got;

	if (client_line(&x->c, -1, &got, &a, e) == -1)
		return -1;
	if (got != CLIENT_GOT)
		return err_set(e, ERR_SYSTEM, "the supervisor hung up");
	if (a.kind != ANSWER_ITEM) {
		take_final(x, &a);
		answer_free(&a);
		return 0;
	}
	answer_free(&a);
	if (x->c.nfds != 1 || isatty(x->c.fds[0]) != 1)
		return err_set(e, ERR_INTERNAL,
		    "what came back from the supervisor is no terminal");
	x->c.nfds = 0;
	x->master_fd = x->c.fds[0];
	if (fd_set_nonblock(x->master_fd, 1) == -1)
		return err_sys(e, "set the terminal non-blocking");
	return 0;
}

static int
run_on_terminal(struct exec *x, bool with_stdin, struct err *e)
{
	struct winsize ws;
	int dup_fd;
	int r;

	term_size(&ws);
	jw_kbool(&x->c.w, "tty", true);
	jw_kint(&x->c.w, "fds", 0); /* none go, and one may come */
	jw_kint(&x->c.w, "columns", ws.ws_col);
	jw_kint(&x->c.w, "rows", ws.ws_row);
	if (client_send(&x->c, NULL, 0, e) == -1 || await_terminal(x, e) == -1)
		return -1;
	if (x->ended)
		return x->code;
	dup_fd = fcntl(x->master_fd, F_DUPFD_CLOEXEC, 3);
	if (dup_fd == -1)
		return err_sys(e, "duplicate the terminal");
	pump_init(&x->out, dup_fd, STDOUT_FILENO);
	x->in.tty = true;
	x->in.dst_fd = -1;
	if (with_stdin) {
		if (feed_init(&x->in, STDIN_FILENO, x->master_fd) == -1)
			return err_set(e, ERR_SYSTEM, "no memory");
		x->in.tty = true;
		if (term_raw(e) == -1)
			return -1;
	}
	resize(x); /* it may have changed since we asked */
	r = loop(x, e);
	term_restore();
	return r;
}

/* --- as JSON ------------------------------------------------------------- */

/* Output comes as items then, and goes out as they are. */
static int
run_as_json(struct exec *x, bool with_stdin, struct err *e)
{
	autofree char *text = NULL;
	struct answer a;
	enum client_got got;
	size_t len;

	if (with_stdin) {
		if (fd_slurp(STDIN_FILENO, STDIN_TEXT_MAX, &text, &len, e) ==
		    -1)
			return err_prefix(e, "standard input");
		jw_key(&x->c.w, "stdin");
		jw_strn(&x->c.w, text, len);
	}
	if (client_send(&x->c, NULL, 0, e) == -1)
		return -1;
	for (;;) {
		if (client_line(&x->c, -1, &got, &a, e) == -1)
			return -1;
		if (got != CLIENT_GOT)
			return err_set(e, ERR_SYSTEM,
			    "the supervisor hung up while the command ran");
		if (a.kind == ANSWER_ERROR) {
			x->code = exec_error(x, &a);
			answer_free(&a);
			return x->code;
		}
		ctl_print_json(a.body);
		(void)fflush(stdout);
		if (a.kind == ANSWER_OK) {
			x->code = exit_code(a.body);
			answer_free(&a);
			return x->code;
		}
		answer_free(&a);
	}
}

/* --- commands ------------------------------------------------------------ */

/* Terminal types are names of files in a database: no more than that. */
static const char *
terminal_type(void)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._";
	const char *t = getenv("TERM");

	if (t == NULL || *t == '\0' || strlen(t) > 64 ||
	    strspn(t, ok) != strlen(t) || *t == '.')
		return "xterm";
	return t;
}

/* The caller's words, and TERM with a terminal unless he set it. */
static int
write_env(struct jw *w, const struct args *a, bool tty, struct err *e)
{
	bool has_term = false;
	size_t pos = 0;
	const char *v;

	if (!tty && !args_has(a, "env"))
		return 0;
	jw_key(w, "env");
	jw_object(w);
	while ((v = args_next(a, "env", &pos)) != NULL) {
		has_term = has_term || str_starts(v, "TERM=") ||
			   strcmp(v, "TERM") == 0;
		if (!spec_has_name(a, "env", pos, v, strcspn(v, "=")) &&
		    spec_env(w, v, e) == -1)
			return err_prefix(e, "--env");
	}
	if (tty && !has_term)
		jw_kstr(w, "TERM", terminal_type());
	jw_object_end(w);
	return 0;
}

int
exec_write(struct jw *w, const struct args *a, char *const *command, bool tty,
    struct err *e)
{
	const char *timeout = args_str(a, "timeout", NULL);
	int64_t ms;

	jw_kstr(w, "id", a->operands[0]);
	jw_key(w, "command");
	jw_array(w);
	for (; *command != NULL; command++) {
		size_t len = strlen(*command);

		if (utf8_valid_prefix(*command, len) != len)
			return err_set(e, ERR_BAD_REQUEST,
			    "the command holds bytes that are not UTF-8");
		jw_strn(w, *command, len);
	}
	jw_array_end(w);
	spec_copy(w, a, "user", "user");
	spec_copy(w, a, "dir", "directory");
	if (write_env(w, a, tty, e) == -1)
		return -1;
	if (timeout != NULL) {
		if (spec_ms(timeout, &ms, e) == -1)
			return err_prefix(e, "--timeout");
		jw_kint(w, "timeout_ms", ms);
	}
	return 0;
}

static int
exec_command(struct ctl *ctl, const struct args *a, char *const *command,
    bool with_stdin, bool tty)
{
	struct exec x = { .ctl = ctl, .master_fd = -1 };
	struct err e;
	int code = -1;

	pump_init(&x.out, -1, -1);
	pump_init(&x.err, -1, -1);
	x.in = (struct feed){ .src_fd = -1, .dst_fd = -1 };
	client_init(&x.c, ctl);
	if (ctl->json && tty)
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "a terminal's output is no JSON: --json or -t");
	else if (exec_write(client_begin(&x.c, "sandbox.exec"), a, command, tty,
		     &e) == -1 ||
		 (!ctl->json && signals_open(2, &e) == -1))
		code = -1;
	else if (ctl->json)
		code = run_as_json(&x, with_stdin, &e);
	else if (tty)
		code = run_on_terminal(&x, with_stdin, &e);
	else
		code = run_on_pipes(&x, with_stdin, &e);
	exec_free(&x);
	if (code == -1)
		return ctl_fail(ctl, &e);
	return code;
}

static int
run_exec(struct ctl *ctl, const struct args *a)
{
	bool tty = args_has(a, "tty");
	bool with_stdin =
	    args_has(a, "interactive") || (tty && isatty(STDIN_FILENO) == 1);

	if (args_has(a, "detach") || args_has(a, "detach-keys"))
		return process_exec(ctl, a, tty, with_stdin);
	return exec_command(ctl, a, a->operands + 1, with_stdin, tty);
}

#define EXEC_OPTS                                                            \
	{ "user", 'u', "USER", "Who it runs as inside." },                   \
	    { "dir", 'w', "DIR", "Working directory inside." },              \
	    { "env", 'e', "NAME[=VALUE]", "Added to the environment." },     \
	{                                                                    \
		"timeout", '\0', "TIME", "Kill it after this time: 10s, 5m." \
	}

static const struct opt_def exec_opts[] = {
	{ "interactive", 'i', NULL, "Give it our standard input." },
	{ "tty", 't', NULL, "Run it on a terminal of its own." },
	{ "detach", 'd', NULL, "Let it go on without us; prints its number." },
	{ "detach-keys", '\0', "KEYS",
	    "Leave it running by these, like ctrl-p,ctrl-q." },
	EXEC_OPTS,
};

const struct command cmd_exec = {
	.name = "exec",
	.operands = "ID [--] COMMAND [ARGUMENT...]",
	.help = "Run a command in a sandbox; ends with the command's own code.",
	COMMAND_OPTS(exec_opts),
	.min = 2,
	.max = -1,
	.verbatim = true,
	.run = run_exec,
};

static int
run_shell(struct ctl *ctl, const struct args *a)
{
	/* An image need not have bash; every one has sh. */
	char sh[] = "/bin/sh";
	char c[] = "-c";
	char script[] = "if command -v bash >/dev/null 2>&1; "
			"then exec bash -l; else exec sh -l; fi";
	char *shell[] = { sh, c, script, NULL };
	bool tty = isatty(STDIN_FILENO) == 1 && !ctl->json;

	return exec_command(
	    ctl, a, a->noperands > 1 ? a->operands + 1 : shell, true, tty);
}

static const struct opt_def shell_opts[] = {
	EXEC_OPTS,
};

const struct command cmd_shell = {
	.name = "shell",
	.operands = "ID [[--] COMMAND...]",
	.help = "A login shell in a sandbox, on a terminal when there is one.",
	COMMAND_OPTS(shell_opts),
	.min = 1,
	.max = -1,
	.verbatim = true,
	.run = run_shell,
};
