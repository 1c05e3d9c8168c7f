/*
 * Questions to the supervisor. Runs in a gateway. The supervisor is trusted;
 * what it is asked was made of a client's words, which our doors have checked,
 * and it checks them again.
 *
 * A call ends by its answer or by its deadline, whichever comes first. Without
 * a supervisor there is no gateway: main.c leaves when that channel ends.
 */
#include "gateway/call.h"

#include "lib/frame.h"
#include "lib/log.h"
#include "lib/xalloc.h"

#include <string.h>
#include <sys/queue.h>

/* The supervisor has deadlines of its own for nearly everything; these are for
 * the case that it goes silent. */
#define CALL_S 120.0
#define LONG_CALL_S 700.0 /* operations that may be given minutes */
#define INSTALL_S 3600.0  /* those that may have to download */
/* As long as somebody is at the other end of the pipe. */
#define PIPE_CALL_S 86400.0
#define BUCKETS 256 /* a power of two */
#define FRAME_ROOM (FRAME_MAX - 1024)

struct call {
	LIST_ENTRY(call) link;
	struct gateway *gw;
	int64_t id;
	enum msg_type type;
	call_done *done;	 /* MSG_GATEWAY_CALL */
	connect_done *connected; /* MSG_GATEWAY_CONNECT */
	void *ctx;
	ev_timer timer;
	struct err e; /* what the timer tells */
};

struct calls {
	LIST_HEAD(, call) buckets[BUCKETS];
	int64_t next_id;
};

int
calls_open(struct gateway *gw, struct err *e ATTR_UNUSED)
{
	gw->calls = xcalloc(1, sizeof(*gw->calls));
	for (size_t i = 0; i < BUCKETS; i++)
		LIST_INIT(&gw->calls->buckets[i]);
	/* A result lies two deeper in its frame than on the control socket. */
	chan_set_depth(gw->super, JSON_DEPTH_CONTROL + 2);
	return 0;
}

static void
call_free(struct call *c)
{
	ev_timer_stop(c->gw->loop, &c->timer);
	LIST_REMOVE(c, link);
	free(c);
}

void
calls_close(struct gateway *gw)
{
	struct call *c;

	if (gw->calls == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		while ((c = LIST_FIRST(&gw->calls->buckets[i])) != NULL)
			call_free(c);
	}
	free(STEAL(gw->calls));
}

/* The end of C: with RESULT or FD, or with E. */
static void
call_finish(
    struct call *c, const struct json *result, int fd, const struct err *e)
{
	call_done *done = c->done;
	connect_done *connected = c->connected;
	void *ctx = c->ctx;

	call_free(c);
	if (done != NULL)
		done(ctx, result, e);
	else
		connected(ctx, fd, e);
}

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct call *c = t->data;
	struct err e = c->e;

	call_finish(c, NULL, -1, &e);
}

static struct call *
call_new(struct gateway *gw, enum msg_type type, double seconds, void *ctx)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->gw = gw;
	c->id = ++gw->calls->next_id;
	c->type = type;
	c->ctx = ctx;
	err_set(&c->e, ERR_TIMEOUT, "the supervisor did not answer");
	ev_timer_init(&c->timer, on_timer, seconds, 0.);
	c->timer.data = c;
	ev_timer_start(gw->loop, &c->timer);
	LIST_INSERT_HEAD(&gw->calls->buckets[(size_t)c->id % BUCKETS], c, link);
	return c;
}

/* It cannot be sent: its end comes from the loop like any other. */
static void
call_fail_soon(struct call *c, enum err_code code, const char *text)
{
	err_set(&c->e, code, "%s", text);
	ev_timer_stop(c->gw->loop, &c->timer);
	ev_timer_set(&c->timer, 0., 0.);
	ev_timer_start(c->gw->loop, &c->timer);
}

static void
call_send(struct call *c, const int *fds, size_t nfds)
{
	if (chan_end(c->gw->super, fds, nfds) == -1)
		call_fail_soon(c, ERR_LIMIT, "the supervisor is busy");
}

/* A frame that the supervisor cannot read would cost us our life, and a client
 * has had a say in this one. */
static bool
is_flat_enough(const struct buf *args)
{
	struct json *j;

	if (json_parse(args->data, args->len, JSON_DEPTH_CONTROL, &j, NULL) ==
	    -1)
		return false;
	json_free(j);
	return true;
}

static double
seconds_for(const char *op)
{
	if (strcmp(op, "sandbox.stop") == 0 ||
	    strcmp(op, "process.wait") == 0 ||
	    strcmp(op, "process.signal") == 0)
		return LONG_CALL_S;
	if (strcmp(op, "agent.install") == 0 ||
	    strcmp(op, "session.create") == 0)
		return INSTALL_S;
	return CALL_S;
}

/* FD, -1 for none, is taken. */
static void
call_op(struct gateway *gw, double seconds, const char *op,
    const struct buf *args, int fd, call_done *done, void *ctx)
{
	struct call *c = call_new(gw, MSG_GATEWAY_CALL, seconds, ctx);
	autofd int own = fd;
	struct jw *w;

	c->done = done;
	if (args != NULL && (args->failed || args->len > FRAME_ROOM)) {
		call_fail_soon(c, ERR_TOO_LARGE, "the request is too long");
		return;
	}
	if (args != NULL && !is_flat_enough(args)) {
		call_fail_soon(c, ERR_BAD_REQUEST, "nested too deeply");
		return;
	}
	w = chan_begin(gw->super);
	proto_begin(w, c->type, c->id);
	jw_kstr(w, "name", op);
	jw_key(w, "args");
	if (args != NULL)
		jw_raw(w, args->data, args->len);
	else
		jw_raw(w, "{}", 2);
	if (own == -1) {
		call_send(c, NULL, 0);
		return;
	}
	fd = fd_steal(&own);
	call_send(c, &fd, 1);
}

void
super_call(struct gateway *gw, const char *op, const struct buf *args,
    call_done *done, void *ctx)
{
	call_op(gw, seconds_for(op), op, args, -1, done, ctx);
}

void
super_call_pipe(struct gateway *gw, const char *op, const struct buf *args,
    int fd, call_done *done, void *ctx)
{
	call_op(gw, PIPE_CALL_S, op, args, fd, done, ctx);
}

void
super_connect(struct gateway *gw, const char *kind, const char *id,
    connect_done *done, void *ctx)
{
	struct call *c = call_new(gw, MSG_GATEWAY_CONNECT, CALL_S, ctx);
	struct jw *w = chan_begin(gw->super);

	c->connected = done;
	proto_begin(w, c->type, c->id);
	jw_kstr(w, "kind", kind);
	jw_kstr(w, "name", id);
	call_send(c, NULL, 0);
}

static struct call *
call_find(struct gateway *gw, int64_t id)
{
	struct call *c;

	LIST_FOREACH (c, &gw->calls->buckets[(size_t)id % BUCKETS], link) {
		if (c->id == id)
			break;
	}
	return c;
}

void
calls_reply(
    struct gateway *gw, const struct proto_in *in, const struct chan_frame *f)
{
	struct call *c = call_find(gw, in->id);
	struct err e;

	if (c == NULL)
		return; /* its deadline came first */
	if (in->kind == PROTO_ERROR) {
		(void)chan_reply_to_err(in->body, &e);
		call_finish(c, NULL, -1, &e);
	} else if (proto_check_reply(c->type, in->body, &e) == -1) {
		log_error(
		    "call", "answer not understood", LOG_STR("detail", e.text));
		call_finish(c, NULL, -1, &e);
	} else if (c->type == MSG_GATEWAY_CALL) {
		call_finish(c, json_get(in->body, "result"), -1, NULL);
	} else if (f->nfds != 1) {
		err_set(&e, ERR_INTERNAL, "a channel did not come");
		call_finish(c, NULL, -1, &e);
	} else {
		call_finish(c, NULL, fd_steal(&f->fds[0]), NULL);
	}
}
