/*
 * The session operations: what is asked of a worker is forwarded to it, what
 * is asked of the log is answered by the store on the client's connection.
 * Runs in the supervisor.
 */
#include "supervisor/carry_parts.h"
#include "supervisor/ops.h"
#include "supervisor/sandboxes.h"
#include "supervisor/sessions.h"
#include "supervisor/storec.h"

#include <string.h>

/* A worker that says nothing for so long is stuck. */
#define WORKER_MS 20000
#define RECENT 100 /* entries of a sandbox's log, unless asked for */

/* What stood in the way of a create, by its id, is gone. */
static void
on_id_free(void *ctx, const struct err *e ATTR_UNUSED)
{
	struct request *r = ctx;
	struct err stopping;

	if (!r->s->stopping) {
		op_session_create(r);
		return;
	}
	err_set(&stopping, ERR_SHUTTING_DOWN, "the supervisor is stopping");
	request_end_err(r, &stopping);
}

void
op_session_create(struct request *r)
{
	const struct json *spec = json_get(r->op.args, "sandbox_spec");
	const char *sandbox = json_str(r->op.args, "sandbox", "default");
	const char *id = json_str(r->op.args, "id", "");
	struct err e;

	/* One that would be made for it. */
	if (spec != NULL)
		sandbox = json_str(spec, "id", "");
	else if (strcmp(sandbox, "default") != 0)
		sandbox = "";
	if (session_when_gone(r->s, id, on_id_free, r) ||
	    sandbox_when_gone(r->s, sandbox, on_id_free, r))
		return;
	if (session_create(r, &e) == -1)
		request_end_err(r, &e);
}

/* --- answered by the store ----------------------------------------------- */

static void
on_served(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e ATTR_UNUSED)
{
	/* If the store died in the middle of a line, hanging up is the only
	 * answer that cannot be mistaken. */
	request_end_handed(ctx, ok == NULL || json_bool(ok, "gone", true));
}

void
request_serve_take(struct request *r, int64_t call)
{
	proc_call_take(
	    storec_proc(r->s->store), call, MSG_STORE_SERVE, on_served, r);
}

/* Begin to hand R over to the store; NULL: R has ended. */
static struct jw *
serve_begin(struct request *r, const char *kind, int *fd_out)
{
	struct proc *store = storec_proc(r->s->store);
	struct jw *w;
	struct err e;

	*fd_out = proc_up(store) ? request_hand_over(r) : -1;
	if (*fd_out == -1) {
		err_set(&e, ERR_STORE_UNAVAILABLE,
		    "the store is restarting; try again");
		request_end_err(r, &e);
		return NULL;
	}
	w = proc_call(store, MSG_STORE_SERVE, 0, on_served, r);
	jw_kstr(w, "kind", kind);
	jw_kstr(w, "request", r->op.id);
	return w;
}

static void
serve_end(struct request *r, int fd)
{
	/* failure comes as an answer */
	(void)proc_send(storec_proc(r->s->store), &fd, 1);
}

void
op_session_list(struct request *r)
{
	const char *sandbox = json_str(r->op.args, "sandbox", NULL);
	struct jw *w;
	int fd;

	w = serve_begin(r, "sessions", &fd);
	if (w == NULL)
		return;
	if (sandbox != NULL)
		jw_kstr(w, "sandbox", sandbox);
	serve_end(r, fd);
}

void
op_session_get(struct request *r)
{
	struct jw *w;
	int fd;

	if (op_session(r) == NULL)
		return;
	w = serve_begin(r, "session", &fd);
	if (w == NULL)
		return;
	jw_kstr(w, "session", json_str(r->op.args, "id", ""));
	serve_end(r, fd);
}

void
op_session_events(struct request *r)
{
	const struct json *args = r->op.args;
	const char *until = json_str(args, "until", NULL);
	struct err e;
	struct jw *w;
	int fd;

	if (op_session(r) == NULL)
		return;
	if (until != NULL && strcmp(until, "turn") != 0) {
		err_set(&e, ERR_BAD_REQUEST, "until: only 'turn' is known");
		request_end_err(r, &e);
		return;
	}
	w = serve_begin(r, "events", &fd);
	if (w == NULL)
		return;
	jw_kstr(w, "session", json_str(args, "id", ""));
	jw_kint(w, "after", json_int(args, "after", 0));
	if (json_get(args, "limit") != NULL)
		jw_kint(w, "limit", json_int(args, "limit", 0));
	jw_kbool(w, "follow", json_bool(args, "follow", false));
	jw_kbool(w, "raw", json_bool(args, "raw", false));
	if (until != NULL)
		jw_kstr(w, "until", until);
	serve_end(r, fd);
}

/* A sandbox that is gone may have its log still: the store knows. */
void
op_sandbox_events(struct request *r)
{
	const struct json *args = r->op.args;
	bool items = json_get(args, "after") != NULL ||
		     json_get(args, "limit") != NULL ||
		     json_get(args, "follow") != NULL;
	struct jw *w;
	int fd;

	w = serve_begin(r, items ? "notes" : "history", &fd);
	if (w == NULL)
		return;
	jw_kstr(w, "sandbox", json_str(args, "id", ""));
	if (items) {
		jw_kint(w, "after", json_int(args, "after", 0));
		jw_kint(w, "limit", json_int(args, "limit", INT64_MAX));
		jw_kbool(w, "follow", json_bool(args, "follow", false));
	} else {
		jw_kint(w, "recent", RECENT);
	}
	serve_end(r, fd);
}

/* --- answered by the worker ---------------------------------------------- */

/* A worker that is stuck (root inside can stop it) is ended; the next one
 * closes what it left open. */
static void
session_unstick(struct request *r)
{
	struct session *ss = session_find(r->s, json_str(r->op.args, "id", ""));

	/* One that is frozen is not stuck. */
	if (ss != NULL && ss->proc.alive &&
	    (ss->sb == NULL || ss->sb->state != SB_PAUSED))
		ss->proc.kind->kill(&ss->proc);
}

static void
on_answer(void *ctx, const struct json *ok,
    const struct chan_frame *f ATTR_UNUSED, const struct err *e)
{
	struct request *r = ctx;

	if (ok == NULL) {
		if (e->code == ERR_TIMEOUT)
			session_unstick(r);
		request_end_err(r, e);
		return;
	}
	jw_value(request_ok(r), ok);
	request_end_ok(r);
}

/* The prompt is stored; with `stream` its events follow on the connection. */
static void
on_prompted(void *ctx, const struct json *ok, const struct chan_frame *f,
    const struct err *e)
{
	struct request *r = ctx;
	struct jw *w;
	int fd;

	if (ok == NULL || !json_bool(r->op.args, "stream", false)) {
		on_answer(ctx, ok, f, e);
		return;
	}
	w = serve_begin(r, "events", &fd);
	if (w == NULL)
		return;
	jw_kstr(w, "session", json_str(r->op.args, "id", ""));
	jw_kint(w, "after", json_int(ok, "after", 0));
	jw_kbool(w, "follow", true);
	jw_kstr(w, "until", "turn");
	jw_kvalue(w, "turn_id", json_get(ok, "turn_id"));
	jw_kvalue(w, "final", ok);
	serve_end(r, fd);
}

static void
write_message(struct request *r, struct jw *w)
{
	const struct json *args = r->op.args;

	json_foreach (it, args) {
		if (strcmp(it->key, "id") != 0 &&
		    strcmp(it->key, "stream") != 0)
			jw_kvalue(w, it->key, it);
	}
}

void
session_send(struct session *ss, struct request *r)
{
	static const enum msg_type types[OP_N] = {
		[OP_SESSION_PROMPT] = MSG_SESSION_PROMPT,
		[OP_SESSION_CANCEL] = MSG_SESSION_CANCEL,
		[OP_SESSION_PERMISSION_REPLY] = MSG_SESSION_PERMISSION,
		[OP_SESSION_QUESTION_REPLY] = MSG_SESSION_QUESTION,
		[OP_SESSION_QUESTION_REJECT] = MSG_SESSION_QUESTION,
		[OP_SESSION_CONFIGURE] = MSG_SESSION_CONFIGURE,
	};
	struct jw *w = proc_call(&ss->proc, types[r->op.op], WORKER_MS,
	    r->op.op == OP_SESSION_PROMPT ? on_prompted : on_answer, r);
	const struct json *answers = json_get(r->op.args, "answers");

	if (answers != NULL && answers->type == JSON_STRING) {
		/* A single word stands for one question, one answer. */
		jw_kvalue(
		    w, "question_id", json_get(r->op.args, "question_id"));
		jw_key(w, "answers");
		jw_array(w);
		jw_array(w);
		jw_value(w, answers);
		jw_array_end(w);
		jw_array_end(w);
	} else {
		write_message(r, w);
	}
	(void)proc_send(&ss->proc, NULL, 0); /* failure comes as an answer */
}

static void
ask(struct request *r)
{
	struct session *ss = op_session(r);

	if (ss != NULL)
		session_ask(ss, r);
}

/* Attachments are names of files inside; the agent opens them itself. */
static int
check_attachments(const struct json *list, struct err *e)
{
	static const struct json_field fields[] = {
		{ "path", JK_STR, true, 1, 4095 },
		{ "mime", JK_STR, false, 1, 255 },
		{ "filename", JK_STR, false, 1, 255 },
	};

	json_foreach (it, list) {
		if (json_check(it, fields, countof(fields), e) == -1)
			return err_prefix(e, "attachments");
	}
	return 0;
}

void
op_session_prompt(struct request *r)
{
	struct err e;

	if (check_attachments(json_get(r->op.args, "attachments"), &e) == -1)
		request_end_err(r, &e);
	else
		ask(r);
}

void
op_session_cancel(struct request *r)
{
	ask(r);
}

void
op_session_permission_reply(struct request *r)
{
	const char *reply = json_str(r->op.args, "reply", "");
	struct err e;

	if (strcmp(reply, "once") != 0 && strcmp(reply, "always") != 0 &&
	    strcmp(reply, "reject") != 0) {
		err_set(&e, ERR_BAD_REQUEST,
		    "reply: '%s' is none of once, always, reject", reply);
		request_end_err(r, &e);
		return;
	}
	ask(r);
}

/* [["Red"],["A","B"]], or one word. */
static int
check_answers(const struct json *a, struct err *e)
{
	bool good =
	    a->type == JSON_STRING || (a->type == JSON_ARRAY && a->len <= 64);

	json_foreach (one, a->type == JSON_ARRAY ? a : NULL) {
		good = good && one->type == JSON_ARRAY && one->len <= 64;
		json_foreach (word, one) {
			good = good && word->type == JSON_STRING &&
			       word->len <= 4096;
		}
	}
	if (good)
		return 0;
	return err_set(e, ERR_BAD_REQUEST,
	    "answers: a word, or one list of words per question");
}

void
op_session_question_reply(struct request *r)
{
	struct err e;

	if (check_answers(json_get(r->op.args, "answers"), &e) == -1)
		request_end_err(r, &e);
	else
		ask(r);
}

void
op_session_question_reject(struct request *r)
{
	ask(r);
}

void
op_session_configure(struct request *r)
{
	struct session *ss = op_session(r);
	struct err e;

	if (ss == NULL)
		return;
	if (session_check_modes(ss->agent, r->op.args, &e) == -1)
		request_end_err(r, &e);
	else
		session_ask(ss, r);
}

void
op_session_end(struct request *r)
{
	struct session *ss = op_session(r);

	if (ss != NULL)
		session_end(ss, r);
}

static void
on_session_gone(void *ctx, const struct err *e ATTR_UNUSED)
{
	struct request *r = ctx;
	struct jw *w = request_ok(r);

	jw_object(w);
	jw_kstr(w, "id", json_str(r->op.args, "id", ""));
	jw_kstr(w, "state", "deleted");
	jw_object_end(w);
	request_end_ok(r);
}

void
op_session_delete(struct request *r)
{
	struct session *ss = op_session(r);
	struct err e;

	if (ss == NULL)
		return;
	if (ss->sb != NULL && ss->sb->state == SB_PAUSED && !ss->ended) {
		err_set(
		    &e, ERR_SANDBOX_STATE, "sandbox is paused: %s", ss->sb->id);
		request_end_err(r, &e);
		return;
	}
	session_delete(ss, on_session_gone, r);
}
