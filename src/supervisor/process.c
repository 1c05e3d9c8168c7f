/*
 * The process operations: commands that go on without their client, which
 * init keeps with a bounded log and how they ended (src/init/procs*.c). Runs
 * in the supervisor, which keeps nothing of them: it checks the request, asks
 * init, and writes init's record in the words of sandboxd-protocol(7). What a
 * process prints and is typed goes between init and the client.
 */
#include "lib/xalloc.h"
#include "supervisor/exec.h"
#include "supervisor/ops.h"

#include <signal.h>
#include <string.h>

#define ANSWER_MS 30000

/* A record of init's, as clients see it. */
static void
process_write(struct jw *w, const struct json *p)
{
	const struct json *about = json_get(p, "about");
	bool running = json_bool(p, "running", false);

	jw_object(w);
	jw_kint(w, "process", json_int(p, "id", 0));
	jw_kstr(w, "state", running ? "running" : "exited");
	jw_kvalue(w, "command", json_get(about, "argv"));
	if (json_str(about, "cwd", NULL) != NULL)
		jw_kstr(w, "directory", json_str(about, "cwd", NULL));
	jw_kbool(w, "tty", json_bool(about, "tty", false));
	jw_kint(w, "created_at", json_int(p, "created_ms", 0));
	if (running) {
		jw_kint(w, "pid", json_int(p, "pid", 0));
	} else {
		int64_t sig = json_int(p, "signal", 0);

		jw_kint(w, "exited_at", json_int(p, "exited_ms", 0));
		jw_kint(w, "exit_code",
		    sig != 0 ? 128 + sig : json_int(p, "code", 0));
		if (sig != 0)
			jw_kint(w, "signal", sig);
	}
	jw_object_end(w);
}

static void
on_process(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct request *r = ctx;

	if (ok == NULL) {
		request_end_err(r, e);
		return;
	}
	process_write(request_ok(r), json_get(ok, "process"));
	request_end_ok(r);
}

/* --- making one ---------------------------------------------------------- */

static int
check_create(const struct json *args, struct err *e)
{
	const char *dir = json_str(args, "directory", "/");

	if (exec_command_check(json_get(args, "command"), e) == -1)
		return -1;
	if (dir[0] != '/')
		return err_set(e, ERR_BAD_REQUEST,
		    "directory: '%.200s' is not an absolute path", dir);
	return exec_env_check(json_get(args, "env"), e);
}

void
op_process_create(struct request *r)
{
	const struct json *args = r->op.args;
	struct sandbox *sb = op_sandbox_running(r);
	const char *dir;
	struct err e;
	struct jw *w;

	if (sb == NULL)
		return;
	if (check_create(args, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	dir = json_str(args, "directory", sb->spec.directory);
	w = proc_call(&sb->proc, MSG_PROC_CREATE, ANSWER_MS, on_process, r);
	exec_command_write(w, json_get(args, "command"));
	jw_key(w, "env");
	exec_env_write(w, sb, json_get(args, "env"));
	if (dir != NULL)
		jw_kstr(w, "cwd", dir);
	jw_kstr(w, "user", json_str(args, "user", sb->spec.user));
	jw_kbool(w, "tty", json_bool(args, "tty", false));
	jw_kbool(w, "input", json_bool(args, "input", false));
	jw_kint(w, "columns", json_int(args, "columns", 80));
	jw_kint(w, "rows", json_int(args, "rows", 24));
	(void)proc_send(&sb->proc, NULL, 0); /* failure comes as an answer */
}

/* --- looking ------------------------------------------------------------- */

static void
on_list(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct request *r = ctx;
	struct jw *w;

	if (ok == NULL) {
		request_end_err(r, e);
		return;
	}
	w = request_ok(r);
	jw_object(w);
	jw_key(w, "processes");
	jw_array(w);
	json_foreach (p, json_get(ok, "processes"))
		process_write(w, p);
	jw_array_end(w);
	jw_kbool(w, "more", json_bool(ok, "more", false));
	jw_object_end(w);
	request_end_ok(r);
}

void
op_process_list(struct request *r)
{
	struct sandbox *sb = op_sandbox_running(r);
	struct jw *w;

	if (sb == NULL)
		return;
	w = proc_call(&sb->proc, MSG_PROC_LIST, ANSWER_MS, on_list, r);
	jw_kint(w, "after", json_int(r->op.args, "after", 0));
	(void)proc_send(&sb->proc, NULL, 0); /* failure comes as an answer */
}

/* Ask init for TYPE about the process that R names; NULL: R has ended. */
static struct jw *
ask(struct request *r, struct proc **p_out, enum msg_type type, int64_t ms,
    proc_reply_cb *cb)
{
	struct sandbox *sb = op_sandbox_running(r);
	struct jw *w;

	if (sb == NULL)
		return NULL;
	w = proc_call(&sb->proc, type, ms, cb, r);
	jw_kint(w, "process", json_int(r->op.args, "process", 0));
	*p_out = &sb->proc;
	return w;
}

void
op_process_get(struct request *r)
{
	struct proc *p;

	if (ask(r, &p, MSG_PROC_GET, ANSWER_MS, on_process) != NULL)
		(void)proc_send(p, NULL, 0); /* failure comes as an answer */
}

/* --- its end ------------------------------------------------------------- */

/* SIG 0: only wait. */
static void
signal_and_wait(struct request *r, int64_t sig)
{
	int64_t ms = json_int(r->op.args, "timeout_ms", 0);
	struct proc *p;
	struct jw *w;

	w = ask(r, &p, MSG_PROC_SIGNAL, ms + ANSWER_MS, on_process);
	if (w == NULL)
		return;
	jw_kint(w, "signal", sig);
	jw_kint(w, "wait_ms", ms);
	(void)proc_send(p, NULL, 0); /* failure comes as an answer */
}

void
op_process_wait(struct request *r)
{
	signal_and_wait(r, 0);
}

void
op_process_signal(struct request *r)
{
	signal_and_wait(r, json_int(r->op.args, "signal", SIGTERM));
}

void
op_process_delete(struct request *r)
{
	struct proc *p;

	if (ask(r, &p, MSG_PROC_DELETE, ANSWER_MS, request_answer) != NULL)
		(void)proc_send(p, NULL, 0); /* failure comes as an answer */
}

/* --- input, terminal ----------------------------------------------------- */

void
op_process_input(struct request *r)
{
	const struct json *text = json_get(r->op.args, "text");
	struct sandbox *sb = op_sandbox_running(r);
	struct err e;
	struct proc *p;
	int fd = -1;

	if (sb == NULL)
		return;
	if (fd_sealed("input", text->str, text->len, &fd, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	if (ask(r, &p, MSG_PROC_INPUT, ANSWER_MS, request_answer) != NULL)
		(void)proc_send(p, &fd, 1); /* failure comes as an answer */
}

void
op_process_resize(struct request *r)
{
	struct proc *p;
	struct jw *w = ask(r, &p, MSG_PROC_RESIZE, ANSWER_MS, request_answer);

	if (w == NULL)
		return;
	jw_kint(w, "columns", json_int(r->op.args, "columns", 80));
	jw_kint(w, "rows", json_int(r->op.args, "rows", 24));
	(void)proc_send(p, NULL, 0); /* failure comes as an answer */
}

static void
on_attached(void *ctx, const struct json *ok, const struct chan_frame *f,
    const struct err *e)
{
	struct request *r = ctx;
	struct err none;
	struct jw *w;
	int fd;

	if (ok == NULL || f->nfds != 1) {
		err_set(&none, ERR_INTERNAL, "no socket came from init");
		request_end_err(r, ok == NULL ? e : &none);
		return;
	}
	w = request_item(r);
	jw_object(w);
	jw_kbool(w, "attached", true);
	jw_object_end(w);
	fd = fd_steal(&f->fds[0]);
	request_item_end(r, &fd, 1);
	fd_close(&fd);
	jw_value(request_ok(r), ok);
	request_end_ok(r);
}

void
op_process_attach(struct request *r)
{
	struct proc *p;
	struct err e;
	struct jw *w;

	if (json_get(r->op.args, "fds") == NULL) {
		err_set(&e, ERR_BAD_REQUEST,
		    "fds: only for clients that receive a descriptor, which "
		    "say so with 0");
		request_end_err(r, &e);
		return;
	}
	w = ask(r, &p, MSG_PROC_ATTACH, ANSWER_MS, on_attached);
	if (w == NULL)
		return;
	jw_kbool(w, "replay", json_bool(r->op.args, "replay", true));
	jw_kbool(w, "any", true);
	(void)proc_send(p, NULL, 0); /* failure comes as an answer */
}
