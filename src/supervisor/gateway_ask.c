/*
 * What gateways ask for: operations, and channels into sandboxes. Runs in the
 * supervisor. The asker parses what the network sends and is trusted with
 * nothing: names and arguments are checked as a control client's, each ask is
 * counted, and its death leaves nothing behind.
 */
#include "supervisor/gateway_priv.h"

#include "lib/frame.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "supervisor/exec.h"
#include "supervisor/ops.h"
#include "supervisor/sandboxes.h"
#include "supervisor/sessions.h"

#include <string.h>

/* Waiting for an answer, for each gateway. */
#define ASKS_MAX 4096
/* Left in a frame for what surrounds a result. */
#define RESULT_MAX (FRAME_MAX - 256)
/* Of arguments, which are one deeper than on the control socket. */
#define ARGS_DEPTH JSON_DEPTH_CONTROL

enum channel_kind {
	CHANNEL_INIT,
	CHANNEL_FILES,
	CHANNEL_SESSION,
	CHANNEL_N
};

static const char *const channel_names[CHANNEL_N] = {
	[CHANNEL_INIT] = "init",
	[CHANNEL_FILES] = "files",
	[CHANNEL_SESSION] = "session",
};

struct gateway_ask {
	TAILQ_ENTRY(gateway_ask) link;
	struct super *s;
	struct gateway_proc *g; /* NULL when it has gone */
	int64_t id;
	bool waiting;	   /* for the records */
	struct request *r; /* an operation; NULL for a channel */
	struct answer answer;
	enum channel_kind kind; /* of a channel */
	char *name;		/* owned: its sandbox or session */
};

static struct gateway_ask *
ask_new(struct gateway_proc *g, int64_t id)
{
	struct gateway_ask *a = xcalloc(1, sizeof(*a));

	a->s = g->s;
	a->g = g;
	a->id = id;
	buf_init(&a->answer.out, RESULT_MAX);
	TAILQ_INSERT_TAIL(&g->asks, a, link);
	g->nasks++;
	return a;
}

static void
ask_free(struct gateway_ask *a)
{
	if (a->g != NULL) {
		TAILQ_REMOVE(&a->g->asks, a, link);
		a->g->nasks--;
	}
	buf_free(&a->answer.out);
	free(a->name);
	free(a);
}

/* The channel of whoever asked; NULL when it cannot hear an answer. */
static struct chan *
ask_chan(const struct gateway_ask *a)
{
	return a->g != NULL ? a->g->proc.ch : NULL;
}

/* Answer with an error; the ask is over. */
static void
ask_fail(struct gateway_ask *a, const struct err *e)
{
	struct chan *ch = ask_chan(a);

	if (ch != NULL)
		(void)chan_reply_err(ch, a->id, e); /* or it is dying */
	ask_free(a);
}

/* --- operations ---------------------------------------------------------- */

static void
on_answer(struct answer *an, const struct err *e)
{
	struct gateway_ask *a =
	    (struct gateway_ask *)(void *)((char *)an -
					   offsetof(
					       struct gateway_ask, answer));
	struct chan *ch = ask_chan(a);
	struct err full;
	struct jw *w;

	a->r = NULL;
	if (e != NULL) {
		ask_fail(a, e);
		return;
	}
	if (ch != NULL) {
		w = chan_reply(ch, a->id);
		jw_key(w, "result");
		jw_raw(w, an->out.data, an->out.len);
		jw_object_end(w);
		if (chan_end(ch, NULL, 0) == -1) {
			err_set(&full, ERR_LIMIT, "too many answers wait");
			ask_fail(a, &full);
			return;
		}
	}
	ask_free(a);
}

/* Those that a gateway reads from the store's map are not for it to ask. */
static bool
may_ask(enum op_type op, size_t nfds)
{
	enum op_reach reach = op_reach(op);

	if (reach == OP_HERE || op == OP_SESSION_LIST || op == OP_SESSION_GET)
		return false;
	return nfds == (reach == OP_FAR ? 0 : 1);
}

/* ARGS belong to a frame; the request needs its own. */
static int
copy_args(const struct json *args, struct op_request *op, struct err *e)
{
	struct buf b;
	struct jw w;
	int rc;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_value(&w, args);
	rc = b.failed ? err_set(e, ERR_TOO_LARGE, "the arguments are too long")
		      : json_parse(b.data, b.len, ARGS_DEPTH, &op->root, e);
	buf_free(&b);
	op->args = op->root;
	return rc;
}

static int
call_check(struct gateway_ask *a, const struct json *msg, struct err *e)
{
	const char *name = json_str(msg, "name", "");
	struct op_request *op = &a->r->op;

	op->op = op_find(name);
	if (op->op == OP_N)
		return err_set(
		    e, ERR_UNKNOWN_OPERATION, "no such operation: %s", name);
	if (!may_ask(op->op, a->r->nfds))
		return err_set(
		    e, ERR_BAD_REQUEST, "%s: only on the control socket", name);
	if (a->s->stopping && op_table[op->op].who == OP_OPERATOR)
		return err_set(
		    e, ERR_SHUTTING_DOWN, "the supervisor is stopping");
	if (copy_args(json_get(msg, "args"), op, e) == -1)
		return -1;
	if (json_int(op->args, "fds", 0) != (int64_t)a->r->nfds)
		return err_set(e, ERR_BAD_REQUEST,
		    "%s: fds: they are the gateway's to announce", name);
	return op_check(op->op, op->args, e);
}

static void
call_begin(
    struct gateway_ask *a, const struct json *msg, const struct chan_frame *f)
{
	struct request *r = xcalloc(1, sizeof(*r));
	struct err e;

	a->r = r;
	a->answer.done = on_answer;
	r->s = a->s;
	r->answer = &a->answer;
	r->uid = SUPER_GATEWAY_ID(a->s);
	if (f->nfds == 1) {
		r->fds[0] = fd_steal(&f->fds[0]);
		r->nfds = 1;
	}
	if (call_check(a, msg, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	a->waiting = !a->s->ready && op_table[r->op.op].who == OP_OPERATOR;
	if (!a->waiting)
		ops_serve(r);
}

/* --- channels ------------------------------------------------------------ */

/* One end of a new channel goes to P as notice TYPE, the other with the
 * answer. SB: where it leads, for an init. */
static void
channel_give(struct gateway_ask *a, struct proc *p, enum msg_type type,
    const struct sandbox *sb)
{
	int near = -1, far = -1;
	struct chan *ch = ask_chan(a);
	struct err e;
	struct jw *w;

	if (ch == NULL) {
		ask_free(a);
		return;
	}
	if (fd_socketpair(&near, &far, &e) == -1) {
		ask_fail(a, &e);
		return;
	}
	w = proc_notice(p, type);
	if (w != NULL && sb != NULL) {
		jw_kstr(w, "kind", channel_names[a->kind]);
		jw_kbool(w, "host_network", !sb->have[MECH_NET]);
		jw_key(w, "env");
		exec_env_write(w, sb, NULL);
		if (sb->spec.directory != NULL)
			jw_kstr(w, "directory", sb->spec.directory);
		if (sb->spec.user != NULL)
			jw_kstr(w, "user", sb->spec.user);
		if (sb->spec.home != NULL)
			jw_kstr(w, "home", sb->spec.home);
	}
	if (w == NULL || proc_send(p, &far, 1) == -1) {
		if (w == NULL)
			fd_close(&far);
		fd_close(&near);
		/* A worker has just died, as far as anybody can tell; an init
		 * may have too much to do. */
		err_set(&e,
		    sb == NULL			    ? ERR_SESSION_FAILED
		    : w == NULL || chan_mute(p->ch) ? ERR_SANDBOX_FAILED
						    : ERR_LIMIT,
		    "%s cannot take a channel now", p->name);
		ask_fail(a, &e);
		return;
	}
	w = chan_reply(ch, a->id);
	jw_object_end(w);
	(void)chan_end(ch, &near, 1); /* or it is dying */
	ask_free(a);
}

static void
on_session_ready(void *ctx, struct session *ss, const struct err *e)
{
	struct gateway_ask *a = ctx;

	if (e != NULL)
		ask_fail(a, e);
	else
		channel_give(a, &ss->proc, MSG_SESSION_GATEWAY, NULL);
}

static void
on_sandbox_runs(void *ctx, const struct err *e)
{
	struct gateway_ask *a = ctx;
	struct sandbox *sb = sandbox_find(a->s, a->name);
	struct err why;

	if (e != NULL) {
		ask_fail(a, e);
	} else if (sb == NULL || sb->state != SB_RUNNING ||
		   !proc_up(&sb->proc)) {
		err_set(&why, ERR_SANDBOX_STATE, "sandbox is %s: %s",
		    sb != NULL ? sandbox_state_name(sb->state) : "gone",
		    a->name);
		ask_fail(a, &why);
	} else {
		channel_give(a, &sb->proc, MSG_INIT_GATEWAY, sb);
	}
}

static void
connect_session(struct gateway_ask *a)
{
	struct session *ss = session_find(a->s, a->name);
	struct err e;

	if (session_is_there(ss)) {
		session_ensure(ss, on_session_ready, a);
		return;
	}
	err_set(&e, ERR_SESSION_NOT_FOUND, "no such session: %s", a->name);
	ask_fail(a, &e);
}

static void connect_serve(struct gateway_ask *a);

static void
on_default_free(void *ctx, const struct err *e ATTR_UNUSED)
{
	connect_serve(ctx);
}

static void
connect_sandbox(struct gateway_ask *a)
{
	struct sandbox *sb = NULL;
	struct err e;

	if (strcmp(a->name, "default") == 0) {
		if (sandbox_when_gone(a->s, a->name, on_default_free, a))
			return;
		if (sandbox_default(a->s, &sb, &e) == -1) {
			ask_fail(a, &e);
			return;
		}
	} else {
		sb = sandbox_find(a->s, a->name);
	}
	if (sb == NULL || sb->state == SB_DESTROYING ||
	    (!sb->born && sb->state != SB_CREATING)) {
		err_set(
		    &e, ERR_SANDBOX_NOT_FOUND, "no such sandbox: %s", a->name);
		ask_fail(a, &e);
		return;
	}
	sandbox_used(sb);
	sandbox_ensure(sb, on_sandbox_runs, a);
}

static void
connect_serve(struct gateway_ask *a)
{
	struct err e;

	if (a->s->stopping) {
		err_set(&e, ERR_SHUTTING_DOWN, "the supervisor is stopping");
		ask_fail(a, &e);
	} else if (a->kind == CHANNEL_SESSION) {
		connect_session(a);
	} else {
		connect_sandbox(a);
	}
}

static void
connect_begin(struct gateway_ask *a, const struct json *msg)
{
	const char *kind = json_str(msg, "kind", "");
	struct err e;

	a->name = xstrdup(json_str(msg, "name", ""));
	while (a->kind < CHANNEL_N && strcmp(channel_names[a->kind], kind) != 0)
		a->kind++;
	if (a->kind == CHANNEL_N) {
		err_set(&e, ERR_BAD_REQUEST, "kind: '%s' is unknown", kind);
		ask_fail(a, &e);
		return;
	}
	a->waiting = !a->s->ready;
	if (!a->waiting)
		connect_serve(a);
}

/* --- coming and going ---------------------------------------------------- */

int
gateway_asked(struct proc *p, const struct proto_in *in,
    const struct chan_frame *f, struct err *e)
{
	struct gateway_proc *g = p->owner;
	struct gateway_ask *a;
	struct err full;

	if (in->type != MSG_GATEWAY_CALL && in->type != MSG_GATEWAY_CONNECT)
		return err_set(e, ERR_BAD_REQUEST, "not for a gateway to say");
	a = ask_new(g, in->id);
	if (g->nasks > ASKS_MAX) {
		err_set(&full, ERR_LIMIT, "%d requests wait already", ASKS_MAX);
		ask_fail(a, &full);
	} else if (in->type == MSG_GATEWAY_CALL) {
		call_begin(a, in->body, f);
	} else {
		connect_begin(a, in->body);
	}
	return 0;
}

void
gateway_asks_ready(struct gateway_proc *g)
{
	struct gateway_ask *a;

	/* Serving one may end others: from the beginning each time. */
	for (;;) {
		TAILQ_FOREACH (a, &g->asks, link) {
			if (a->waiting)
				break;
		}
		if (a == NULL)
			return;
		a->waiting = false;
		if (a->r != NULL)
			ops_serve(a->r);
		else
			connect_serve(a);
	}
}

const char *
gateway_ask_first(const struct gateway_proc *g)
{
	const struct gateway_ask *a = TAILQ_FIRST(&g->asks);

	if (a == NULL)
		return NULL;
	return a->r != NULL && a->r->op.op < OP_N ? op_table[a->r->op.op].name
						  : "a channel is being made";
}

void
gateway_asks_drop(struct gateway_proc *g)
{
	struct gateway_ask *a;
	struct request *r;
	struct err e;

	err_set(&e, ERR_SYSTEM, "who asked has gone");
	while ((a = TAILQ_FIRST(&g->asks)) != NULL) {
		TAILQ_REMOVE(&g->asks, a, link);
		g->nasks--;
		a->g = NULL;
		r = a->r;
		if (r == NULL) {
			if (a->waiting)
				ask_free(a);
			continue; /* its callback frees it */
		}
		a->r = NULL;
		r->answer = NULL;
		if (a->waiting)
			request_end_err(r, &e);
		else if (r->gone != NULL)
			r->gone(r);
		ask_free(a);
	}
}
