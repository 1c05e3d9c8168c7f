/*
 * GET /v1/processes/{id}/terminal/ws: a process's terminal as a WebSocket. Runs
 * in sandboxd-gateway, between a client and a socket of the sandbox's init,
 * neither of which is trusted: both may say anything, and neither can make the
 * other's bytes pile up here.
 *
 * What the terminal shows goes out as binary frames, one for each read of it;
 * all else is JSON. Errors leave the socket open; the process does not care who
 * looks on.
 */
#include "gateway/doors/processes.h"
#include "gateway/cors.h"
#include "gateway/ws.h"
#include "lib/fdio.h"
#include "lib/proclog.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define CALL_MS 30000
#define READ_BYTES (16u << 10)
#define TYPED_WAIT_MAX (1u << 20) /* for the terminal to take it */

struct terminal {
	struct req *r; /* held */
	struct ws *ws; /* NULL before it is open */
	int fd;	       /* owned; to init, -1 at its end */
	ev_io rio, wio;
	struct buf in;	  /* from init, not yet told */
	struct buf typed; /* for init, not yet taken */
	int64_t id;
	int64_t input_max;
	uint64_t pin;
	size_t asked; /* resizes under way */
	bool closed, ending;
};

static void
terminal_free(struct terminal *t)
{
	struct ev_loop *loop = t->r->gw->loop;

	if (!t->closed || t->asked > 0)
		return;
	ev_io_stop(loop, &t->rio);
	ev_io_stop(loop, &t->wio);
	fd_close(&t->fd);
	link_unpin(t->r->gw, t->pin);
	buf_free(&t->in);
	buf_free(&t->typed);
	req_release(t->r);
	free(t);
}

/*
 * To the client
 */

static void
say_error(struct terminal *t, const char *message)
{
	struct buf b;
	struct jw w;

	if (t->closed || t->ws == NULL)
		return;
	buf_init(&b, 8192);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "message", message);
	jw_kstr(&w, "type", "error");
	jw_object_end(&w);
	if (!b.failed)
		ws_text(t->ws, b.data, b.len);
	buf_free(&b);
}

static void
say_exit(struct terminal *t, int code)
{
	char text[64];
	int n;

	if (t->ending)
		return;
	t->ending = true;
	if (code == -1)
		n = snprintf(text, sizeof(text),
		    "{\"exitCode\":null,\"type\":\"exit\"}");
	else
		n = snprintf(text, sizeof(text),
		    "{\"exitCode\":%d,\"type\":\"exit\"}", code);
	ws_text(t->ws, text, (size_t)n);
	ws_close(t->ws);
}

/* One record of init's. -1: it is none. */
static int
record_take(struct terminal *t, const struct proclog *rec, const char *data)
{
	struct proclog_exit how;

	if (rec->stream == PROCLOG_PTY) {
		ws_binary(t->ws, data, rec->len);
		return 0;
	}
	if (rec->stream != PROCLOG_EXIT ||
	    proclog_get_exit(data, rec->len, &how) == -1)
		return -1;
	say_exit(t, how.code);
	return 0;
}

/* As much as the client takes. */
static void
records_take(struct terminal *t)
{
	struct proclog rec;
	size_t at = 0;
	int r = 0;

	while (!t->closed && !t->ending && !ws_full(t->ws)) {
		r = proclog_get(t->in.data + at, t->in.len - at, &rec);
		if (r == 1 && record_take(t, &rec,
				  t->in.data + at + PROCLOG_HEADER) == -1)
			r = -1;
		if (r != 1)
			break;
		at += PROCLOG_HEADER + rec.len;
	}
	if (t->closed)
		return;
	buf_consume(&t->in, at);
	if (r == -1)
		say_exit(t, -1);
	if (t->ending || ws_full(t->ws))
		ev_io_stop(t->r->gw->loop, &t->rio);
	else if (t->fd != -1)
		ev_io_start(t->r->gw->loop, &t->rio);
}

static void
on_shown(struct ev_loop *loop, ev_io *io, int revents)
{
	struct terminal *t = io->data;
	char *room = buf_reserve(&t->in, READ_BYTES);
	ssize_t n =
	    room == NULL ? -1 : recv(t->fd, room, READ_BYTES, MSG_DONTWAIT);

	(void)revents;
	if (room != NULL && n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		t->in.len += (size_t)n;
		records_take(t);
		return;
	}
	/* The process was forgotten, or its sandbox has ended. */
	ev_io_stop(loop, &t->rio);
	ev_io_stop(loop, &t->wio);
	fd_close(&t->fd);
	say_exit(t, -1);
}

/*
 * From the client
 */

static void
on_takes(struct ev_loop *loop, ev_io *io, int revents)
{
	struct terminal *t = io->data;
	/* Init may have made the socket one that waits, any time. */
	ssize_t n = send(
	    t->fd, t->typed.data, t->typed.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)revents;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1) /* its other half tells how it ended */
		buf_clear(&t->typed);
	else
		buf_consume(&t->typed, (size_t)n);
	if (t->typed.len > 0)
		return;
	buf_trim(&t->typed, 0);
	ev_io_stop(loop, io);
	ws_pause(t->ws, false);
}

static void
typed_add(struct terminal *t, const char *p, size_t n)
{
	if (t->fd == -1 || n == 0)
		return;
	if (buf_add(&t->typed, p, n) == -1) {
		t->typed.failed = false;
		say_error(t, "the process does not read its input");
		return;
	}
	ws_pause(t->ws, true);
	ev_io_start(t->r->gw->loop, &t->wio);
}

static void
take_input(struct terminal *t, const struct json *m)
{
	const struct json *data = json_get(m, "data");
	const struct json *encoding = json_get(m, "encoding");
	const char *name = NULL;
	char why[INPUT_WHY_MAX], text[INPUT_WHY_MAX + 32];
	struct buf out;

	if (data == NULL || data->type != JSON_STRING) {
		say_error(t, data == NULL
				 ? "invalid terminal frame: missing field "
				   "`data`"
				 : "invalid terminal frame: data: not a "
				   "string");
		return;
	}
	if (encoding != NULL && encoding->type != JSON_NULL)
		name = json_str(m, "encoding", "?");
	buf_init(&out, WS_MESSAGE_MAX);
	if (process_decode(&out, data->str, data->len, name, "utf8", why) ==
	    -1) {
		(void)snprintf(text, sizeof(text), "invalid request: %s", why);
		say_error(t, text);
	} else if ((int64_t)out.len > t->input_max) {
		(void)snprintf(text, sizeof(text),
		    "input payload exceeds maxInputBytesPerRequest (%lld)",
		    (long long)t->input_max);
		say_error(t, text);
	} else {
		typed_add(t, out.data, out.len);
	}
	buf_free(&out);
}

static void
on_resized(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct terminal *t = ctx;
	char text[ERR_TEXT_MAX + 16];

	(void)fds;
	(void)nfds;
	t->asked--;
	if (ok == NULL) {
		(void)snprintf(text, sizeof(text), "%s%s",
		    e->code == ERR_PROCESS_STATE ? "conflict: " : "", e->text);
		say_error(t, text);
	}
	terminal_free(t);
}

static void
take_resize(struct terminal *t, const struct json *m)
{
	static const char *const names[2] = { "cols", "rows" };
	int64_t v[2];
	char text[128];
	struct buf b;
	size_t i;

	for (i = 0; i < 2; i++) {
		v[i] = json_int(m, names[i], -1);
		if (v[i] >= 0 && v[i] <= 65535)
			continue;
		(void)snprintf(text, sizeof(text),
		    json_get(m, names[i]) == NULL
			? "invalid terminal frame: missing field `%s`"
			: "invalid terminal frame: %s: expected u16",
		    names[i]);
		say_error(t, text);
		return;
	}
	buf_init(&b, 128);
	(void)buf_addf(&b, "{\"process\":%lld,\"columns\":%lld,\"rows\":%lld}",
	    (long long)t->id, (long long)v[0], (long long)v[1]);
	t->asked++;
	(void)link_call(t->r->gw, LINK_INIT, t->r->sandbox, MSG_PROC_RESIZE, &b,
	    NULL, 0, CALL_MS, on_resized, t);
	buf_free(&b);
}

static void
take_frame(struct terminal *t, const struct json *m)
{
	const struct json *type = json_get(m, "type");
	const char *name = json_str(m, "type", NULL);
	char text[256], shown[64];

	if (m->type != JSON_OBJECT || type == NULL) {
		say_error(t, "invalid terminal frame: missing field `type`");
	} else if (name != NULL && strcmp(name, "input") == 0) {
		take_input(t, m);
	} else if (name != NULL && strcmp(name, "resize") == 0) {
		take_resize(t, m);
	} else if (name != NULL && strcmp(name, "close") == 0) {
		t->ending = true;
		ws_close(t->ws);
	} else {
		str_show(shown, sizeof(shown), name != NULL ? name : "?",
		    name != NULL ? strlen(name) : 1);
		(void)snprintf(text, sizeof(text),
		    "invalid terminal frame: unknown variant `%s`, expected "
		    "one of `input`, `resize`, `close`",
		    shown);
		say_error(t, text);
	}
}

static void
ws_message(void *ctx, bool text, const char *p, size_t n)
{
	struct terminal *t = ctx;
	struct json *m;
	struct err e;

	if (t->ending)
		return;
	if (!text) {
		say_error(
		    t, "binary input is not supported; use text JSON frames");
		return;
	}
	if (json_parse(p, n, JSON_DEPTH_CONTROL, &m, &e) == -1) {
		(void)err_prefix(&e, "invalid terminal frame");
		say_error(t, e.text);
		return;
	}
	take_frame(t, m);
	json_free(m);
}

static void
ws_room(void *ctx)
{
	records_take(ctx);
}

static void
ws_closed(void *ctx)
{
	struct terminal *t = ctx;

	t->closed = true;
	ev_io_stop(t->r->gw->loop, &t->rio);
	ev_io_stop(t->r->gw->loop, &t->wio);
	terminal_free(t);
}

static void
ws_open(void *ctx, struct ws *ws)
{
	struct terminal *t = ctx;
	struct buf b;
	struct jw w;

	t->ws = ws;
	buf_init(&b, 128);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "processId", t->r->params[0]);
	jw_kstr(&w, "type", "ready");
	jw_object_end(&w);
	ws_text(ws, b.data, b.len);
	buf_free(&b);
	ev_io_start(t->r->gw->loop, &t->rio);
}

static const struct ws_ops terminal_ops = {
	ws_message,
	ws_room,
	ws_closed,
	ws_open,
};

static void
on_attached(void *ctx, const struct json *ok, int *fds, size_t nfds,
    const struct err *e)
{
	struct terminal *t = ctx;

	if (ok == NULL || nfds != 1) {
		if (ok == NULL)
			process_fail(t->r, e, "terminal");
		else
			req_problem(
			    t->r, PROBLEM_UNAVAILABLE, "no socket came");
		t->closed = true;
		terminal_free(t);
		return;
	}
	t->input_max = json_int(ok, "input_bytes", 0);
	t->fd = fd_steal(&fds[0]);
	(void)fd_set_nonblock(t->fd, 1); /* as it was */
	ev_io_init(&t->rio, on_shown, t->fd, EV_READ);
	ev_io_init(&t->wio, on_takes, t->fd, EV_WRITE);
	t->rio.data = t->wio.data = t;
	t->pin = link_pin(t->r->gw, LINK_INIT, t->r->sandbox);
	ws_accept(t->r, &terminal_ops, t);
}

void
route_process_terminal(struct req *r)
{
	struct terminal *t;
	struct buf b;
	int64_t id;

	if (!ws_wanted(r))
		return;
	if (!cors_may_connect(r)) {
		req_problem(r, PROBLEM_PERMISSION_DENIED,
		    "a page of another site needs a token, or leave by the "
		    "CORS settings");
		return;
	}
	id = process_id(r);
	if (id == 0)
		return;
	t = xcalloc(1, sizeof(*t));
	t->r = r;
	t->fd = -1;
	t->id = id;
	buf_init(&t->in, READ_BYTES + PROCLOG_MAX);
	buf_init(&t->typed, TYPED_WAIT_MAX);
	req_hold(r);
	buf_init(&b, 64);
	(void)buf_addf(&b, "{\"process\":%lld,\"replay\":%s}", (long long)id,
	    req_query_bool(r, "replay", false) ? "true" : "false");
	(void)link_call(r->gw, LINK_INIT, r->sandbox, MSG_PROC_ATTACH, &b, NULL,
	    0, CALL_MS, on_attached, t);
	buf_free(&b);
}
