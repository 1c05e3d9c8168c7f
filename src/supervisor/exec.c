/*
 * sandbox.exec and sandbox.changes. Runs in the supervisor, which only makes
 * the connections between those who talk.
 */
#include "supervisor/exec_priv.h"

#include "supervisor/egress.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/ops.h"
#include "supervisor/relay.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OUTPUT_BYTES_DEFAULT (16ll << 20)
#define START_MS 30000

static void
exec_free_if_done(struct exec *x)
{
	if (!x->ended || (x->carry != 0 && !x->carried))
		return;
	if (x->sb != NULL) {
		LIST_REMOVE(x, link);
		sandbox_used(x->sb);
	}
	free(x);
}

/* --- the end ------------------------------------------------------------- */

static void
result_write(struct exec *x, struct jw *w, int status, bool timed_out)
{
	jw_object(w);
	if (WIFSIGNALED(status)) {
		jw_kint(w, "exit_code", 128 + WTERMSIG(status));
		jw_kint(w, "signal", WTERMSIG(status));
	} else {
		jw_kint(w, "exit_code", WEXITSTATUS(status));
	}
	jw_kbool(w, "timed_out", timed_out);
	jw_kint(w, "duration_ms", now_monotonic_ms() - x->started_ms);
	jw_object_end(w);
}

static void
error_write(struct jw *w, const struct err *e)
{
	jw_object(w);
	jw_kstr(w, "code", err_wire(e->code));
	jw_kstr(w, "detail", e->text);
	jw_object_end(w);
}

/* Answer with STATUS, or with E. */
static void
exec_end(struct exec *x, int status, bool timed_out, const struct err *e)
{
	struct proc *relay = relay_proc(x->sb->s->relay);
	struct request *r = x->r;
	struct jw *w;

	x->ended = true;
	x->running = false;
	if (x->carry != 0) {
		if (!x->carried &&
		    (w = proc_notice(relay, MSG_RELAY_FINISH)) != NULL) {
			jw_kint(w, "carry", x->carry);
			jw_key(w, e != NULL ? "error" : "ok");
			if (e != NULL)
				error_write(w, e);
			else
				result_write(x, w, status, timed_out);
			(void)proc_send(relay, NULL, 0); /* or it is dying */
		}
	} else if (r != NULL) {
		x->r = NULL;
		r->gone = NULL;
		if (e != NULL) {
			request_end_err(r, e);
		} else {
			result_write(x, request_ok(r), status, timed_out);
			request_end_ok(r);
		}
	}
	exec_free_if_done(x);
}

static void
exec_kill(struct exec *x)
{
	struct jw *w;

	if (x->ended ||
	    (w = proc_call(&x->sb->proc, MSG_INIT_KILL, 0, NULL, NULL)) == NULL)
		return;
	jw_kint(w, "exec", x->id);
	jw_kint(w, "signal", SIGKILL);
	(void)proc_send(&x->sb->proc, NULL, 0); /* or init is dying */
}

bool
exec_exited(struct sandbox *sb, int64_t id, int status, bool timed_out)
{
	struct exec *x;

	LIST_FOREACH (x, &sb->execs, link) {
		if (x->id == id && x->running) {
			exec_end(x, status, timed_out, NULL);
			return true;
		}
	}
	return false;
}

void
exec_sandbox_down(struct sandbox *sb, const struct err *e)
{
	struct exec *x, *next;

	for (x = LIST_FIRST(&sb->execs); x != NULL; x = next) {
		next = LIST_NEXT(x, link);
		if (!x->ended)
			exec_end(x, 0, false, e);
	}
}

void
exec_sandbox_free(struct sandbox *sb)
{
	struct exec *x;

	/* What is left only waits for the relay to write the end. */
	while ((x = LIST_FIRST(&sb->execs)) != NULL) {
		LIST_REMOVE(x, link);
		x->sb = NULL;
	}
}

void
exec_client_gone(struct super *s, int64_t carry)
{
	struct sandbox *sb;
	struct exec *x;

	LIST_FOREACH (sb, &s->sandboxes, link) {
		LIST_FOREACH (x, &sb->execs, link) {
			if (x->carry == carry)
				exec_kill(x);
		}
	}
}

/* The client closed its connection while its own descriptors are in use. */
void
exec_on_gone(struct request *r)
{
	exec_kill(r->work);
}

/* --- the beginning ------------------------------------------------------- */

static void
on_started(void *ctx, const struct json *ok, const struct chan_frame *f,
    const struct err *e)
{
	struct exec *x = ctx;
	int master;

	if (ok == NULL) {
		if (!x->ended)
			exec_end(x, 0, false, e);
		return;
	}
	x->running = true;
	if (x->tty && x->r != NULL && f->nfds == 1) {
		struct jw *w = request_item(x->r);

		jw_object(w);
		jw_kbool(w, "terminal", true);
		jw_object_end(w);
		master = fd_steal(&f->fds[0]);
		request_item_end(x->r, &master, 1);
		fd_close(&master);
	}
	if (x->carry == 0 && (x->r == NULL || x->r->client == NULL))
		exec_kill(x); /* it left before the start */
}

void
exec_on_carried(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e ATTR_UNUSED)
{
	struct exec *x = ctx;
	struct request *r = x->r;

	x->carried = true;
	x->r = NULL;
	if (ok == NULL)
		exec_kill(x); /* the relay died: nobody reads the pipes */
	request_end_handed(r, ok == NULL || json_bool(ok, "gone", true));
	exec_free_if_done(x);
}

void
exec_env_write(struct jw *w, const struct sandbox *sb, const struct json *over)
{
	char *const *base = sb->spec.env;
	const char *const *ours = egress_env(sb);
	char name[256];

	jw_object(w);
	for (; ours != NULL && *ours != NULL; ours++) {
		size_t n = strcspn(*ours, "=");

		if (egress_env_is_set(*ours, base, over))
			continue;
		memcpy(name, *ours, n);
		name[n] = '\0';
		jw_kstr(w, name, *ours + n + 1);
	}
	for (; base != NULL && *base != NULL; base++) {
		size_t n = strcspn(*base, "=");

		if (n >= sizeof(name))
			continue;
		memcpy(name, *base, n);
		name[n] = '\0';
		if (json_get(over, name) == NULL)
			jw_kstr(w, name, *base + n + 1);
	}
	json_foreach (it, over) {
		jw_kvalue(w, it->key, it);
	}
	jw_object_end(w);
}

void
exec_command_write(struct jw *w, const struct json *command)
{
	if (command->type == JSON_ARRAY) {
		jw_kvalue(w, "argv", command);
		return;
	}
	jw_key(w, "argv");
	jw_array(w);
	jw_str(w, "/bin/sh");
	jw_str(w, "-c");
	jw_str(w, command->str);
	jw_array_end(w);
}

/* Checked before a frame is begun, since a begun one must be sent. */
int
exec_command_check(const struct json *command, struct err *e)
{
	char **v;

	if (command->type == JSON_STRING && command->len > 0 &&
	    strlen(command->str) == command->len)
		return 0;
	v = json_strv(command);
	if (v == NULL || v[0] == NULL || v[0][0] == '\0' ||
	    command->len > 4096) {
		strv_free(v);
		return err_set(e, ERR_BAD_REQUEST,
		    "command: a list of 1 to 4096 words, or a text for "
		    "/bin/sh");
	}
	strv_free(v);
	return 0;
}

int
exec_env_check(const struct json *env, struct err *e)
{
	json_foreach (it, env) {
		if (!env_name_valid(it->key) || strlen(it->key) > 200)
			return err_set(e, ERR_BAD_REQUEST,
			    "env: '%.64s' is no name of a variable", it->key);
	}
	return 0;
}

static int
check_exec(struct request *r, struct sandbox *sb, struct err *e)
{
	const struct json *args = r->op.args;
	const char *dir = json_str(args, "directory", "/");
	bool tty = json_bool(args, "tty", false);

	if (exec_command_check(json_get(args, "command"), e) == -1 ||
	    exec_env_check(json_get(args, "env"), e) == -1)
		return -1;
	if (dir[0] != '/')
		return err_set(e, ERR_BAD_REQUEST,
		    "directory: '%s' is not an absolute path", dir);
	if (r->nfds != 0 && (r->nfds != 3 || tty))
		return err_set(e, ERR_BAD_REQUEST,
		    "fds: three descriptors, or none; with tty none");
	if (tty && json_get(args, "fds") == NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "tty: only for clients that receive its descriptor, which "
		    "say so with fds 0");
	if (sb->state != SB_RUNNING || !proc_up(&sb->proc))
		return err_set(e, ERR_SANDBOX_STATE, "sandbox is %s: %s",
		    sandbox_state_name(sb->state), sb->id);
	return 0;
}

/* Pipes and memory files belong to whoever opens /dev/stdout inside. */
static void
give(struct sandbox *sb, int fd)
{
	struct stat st;
	uid_t base;

	if (!sb->s->root || fstat(fd, &st) == -1 ||
	    !(S_ISFIFO(st.st_mode) || st.st_nlink == 0))
		return;
	base = sb->s->host.reduced ? 0 : sandbox_first_id(sb);
	/* Failing only means that such an open is refused inside. */
	if (fchown(fd, base + sb->spec.uid, base + sb->spec.gid) == -1)
		log_debug("exec", "fchown of a pipe failed");
}

/* Pipes for the output, a memory file for the input; the relay gets its ends
 * and the client's connection. FDS become the command's. */
static int
connect_relay(struct exec *x, int fds[3], struct err *e)
{
	struct request *r = x->r;
	struct proc *relay = relay_proc(r->s->relay);
	const struct json *in = json_get(r->op.args, "stdin");
	int ends[3] = { -1, -1, -1 };
	struct jw *w;

	if (!proc_up(relay))
		return err_set(
		    e, ERR_SYSTEM, "the relay is restarting; try again");
	if (fd_sealed("stdin", in != NULL ? in->str : "",
		in != NULL ? in->len : 0, &fds[0], e) == -1 ||
	    fd_pipe(&ends[1], &fds[1], e) == -1 ||
	    fd_pipe(&ends[2], &fds[2], e) == -1) {
		fd_close_all(ends, 3);
		return -1;
	}
	ends[0] = request_hand_over(r);
	if (ends[0] == -1) {
		fd_close_all(ends, 3);
		return err_set(e, ERR_SYSTEM, "the client has gone");
	}
	w = proc_call(relay, MSG_RELAY_CARRY, 0, exec_on_carried, x);
	x->carry = proc_call_id(relay);
	jw_kstr(w, "request", r->op.id);
	jw_kint(w, "output_bytes",
	    json_int(r->op.args, "output_bytes", OUTPUT_BYTES_DEFAULT));
	(void)proc_send(relay, ends, 3); /* failure comes as an answer */
	return 0;
}

static void
send_exec(struct exec *x, const int *fds, size_t nfds)
{
	struct sandbox *sb = x->sb;
	const struct json *args = x->r->op.args;
	struct jw *w =
	    proc_call(&sb->proc, MSG_INIT_EXEC, START_MS, on_started, x);
	const char *dir = json_str(args, "directory", sb->spec.directory);

	x->id = proc_call_id(&sb->proc);
	jw_kstr(w, "kind", "command");
	exec_command_write(w, json_get(args, "command"));
	jw_key(w, "env");
	exec_env_write(w, sb, json_get(args, "env"));
	if (dir != NULL)
		jw_kstr(w, "cwd", dir);
	jw_kstr(w, "user", json_str(args, "user", sb->spec.user));
	if (json_get(args, "timeout_ms") != NULL)
		jw_kint(w, "timeout_ms", json_int(args, "timeout_ms", 0));
	if (x->tty) {
		jw_kbool(w, "tty", true);
		jw_kint(w, "columns", json_int(args, "columns", 80));
		jw_kint(w, "rows", json_int(args, "rows", 24));
	}
	(void)proc_send(&sb->proc, fds, nfds); /* failure comes as an answer */
}

void
op_sandbox_exec(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);
	int fds[3] = { -1, -1, -1 };
	struct exec *x;
	struct err e;

	if (sb == NULL)
		return;
	if (check_exec(r, sb, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	x = xcalloc(1, sizeof(*x));
	x->sb = sb;
	x->r = r;
	x->tty = json_bool(r->op.args, "tty", false);
	x->started_ms = now_monotonic_ms();
	if (r->nfds == 3) {
		memcpy(fds, r->fds, sizeof(fds));
		r->nfds = 0;
	} else if (!x->tty && connect_relay(x, fds, &e) == -1) {
		fd_close_all(fds, 3);
		free(x);
		request_end_err(r, &e);
		return;
	}
	if (x->carry == 0) {
		r->work = x;
		r->gone = exec_on_gone;
	}
	LIST_INSERT_HEAD(&sb->execs, x, link);
	for (size_t i = 0; i < 3; i++) {
		if (fds[i] != -1)
			give(sb, fds[i]);
	}
	send_exec(x, fds, x->tty ? 0 : 3);
}

/* --- what a cow mount has changed ---------------------------------------- */

void
op_sandbox_changes(struct request *r)
{
	struct sandbox *sb = op_sandbox(r);
	const char *target;
	struct err e;
	struct jw *w;

	if (sb == NULL)
		return;
	target = json_str(r->op.args, "target", NULL);
	for (size_t i = 0; i < sb->spec.nmounts && target == NULL; i++) {
		if (sb->spec.mounts[i].mode == MOUNT_COW)
			target = sb->spec.mounts[i].target;
	}
	if (target == NULL || r->nfds != 1) {
		err_set(&e, ERR_BAD_REQUEST, "%s",
		    target == NULL ? "the sandbox has no cow mount"
				   : "fds: one descriptor to write to");
		request_end_err(r, &e);
		return;
	}
	w = sb->state == SB_RUNNING
		? proc_call(&sb->proc, MSG_INIT_CHANGES, 0, request_answer, r)
		: NULL;
	if (w == NULL) {
		err_set(&e, ERR_SANDBOX_STATE, "sandbox is %s: %s",
		    sandbox_state_name(sb->state), sb->id);
		request_end_err(r, &e);
		return;
	}
	jw_kstr(w, "target", target);
	r->nfds = 0;
	(void)proc_send(&sb->proc, r->fds, 1); /* failure comes as an answer */
}
