/*
 * Connections of the control socket over an exec of ourselves (carry.h), with
 * the requests that they wait for. Runs in the supervisor. What can be under
 * way then: what the store writes to the connection, a command, and the upgrade
 * itself; everything else is waited for.
 */
#include "lib/xalloc.h"
#include "supervisor/carry_parts.h"
#include "supervisor/client.h"
#include "supervisor/exec_priv.h"
#include "supervisor/storec.h"

#include <stdio.h>
#include <string.h>

#define ARGS_DEPTH 16

static void
fds_put(struct carry *c, const char *key, const int *fds, size_t n)
{
	jw_key(&c->w, key);
	jw_array(&c->w);
	for (size_t i = 0; i < n; i++) {
		jw_object(&c->w);
		carry_put_fd(c, "fd", fds[i]);
		jw_object_end(&c->w);
	}
	jw_array_end(&c->w);
}

static size_t
fds_take(const struct json *list, int fds[FDIO_MAX_FDS])
{
	size_t n = 0;

	json_foreach (it, list) {
		if (n == FDIO_MAX_FDS)
			break;
		fds[n] = carry_take_fd(it, "fd");
		n += fds[n] != -1;
	}
	return n;
}

static void
request_put(struct super *s, const struct request *r, struct carry *c)
{
	struct jw *w = &c->w;

	jw_key(w, "request");
	jw_object(w);
	jw_kstr(w, "op", op_table[r->op.op].name);
	jw_kstr(w, "id", r->op.id);
	jw_kvalue(w, "args", r->op.args);
	fds_put(c, "fds", r->fds, r->nfds);
	jw_kint(w, "serve", proc_call_of(storec_proc(s->store), r));
	jw_kbool(w, "upgrade", upgrade_is(s, r));
	jw_object_end(w);
}

void
clients_put(struct super *s, struct carry *c)
{
	const struct client *cl;
	struct jw *w = &c->w;

	jw_key(w, "list");
	jw_array(w);
	for (cl = clients_first(s); cl != NULL; cl = LIST_NEXT(cl, link)) {
		jw_object(w);
		carry_put_fd(c, "fd", cl->fd);
		jw_kint(w, "uid", (int64_t)cl->uid);
		jw_kbool(w, "allowed", cl->allowed);
		jw_kbool(w, "eof", cl->eof);
		jw_kbool(w, "handed", cl->handed);
		jw_kbool(w, "closing", cl->closing);
		jw_kbool(w, "scripted", cl->scripted);
		jw_kint(w, "accepted_ms", cl->accepted_ms);
		jw_kint(w, "lines", (int64_t)cl->lines);
		chan_bytes_put(w, "in", &cl->in);
		chan_bytes_put(w, "out", &cl->out);
		fds_put(c, "fds", cl->fds, cl->nfds);
		if (cl->req != NULL)
			request_put(s, cl->req, c);
		jw_object_end(w);
	}
	jw_array_end(w);
}

/* The arguments once more, since they belong to the document. */
static int
op_take(struct op_request *op, const struct json *j)
{
	const struct json *args = json_get(j, "args");
	struct err e;
	struct buf b;
	struct jw w;
	int rc = -1;

	op->op = op_find(json_str(j, "op", ""));
	(void)snprintf(op->id, sizeof(op->id), "%s", json_str(j, "id", "0"));
	buf_init(&b, 2 * CONTROL_LINE_MAX);
	jw_init(&w, &b);
	jw_value(&w, args);
	if (op->op != OP_N && args != NULL && !b.failed &&
	    (args->type == JSON_OBJECT || args->type == JSON_NULL))
		rc = json_parse(b.data, b.len, ARGS_DEPTH, &op->root, &e);
	buf_free(&b);
	op->args = op->root;
	return rc;
}

static int
request_take(struct client *cl, const struct json *j, struct err *e)
{
	struct request *r;

	if (j == NULL)
		return 0;
	r = xcalloc(1, sizeof(*r));
	r->s = cl->s;
	r->uid = cl->uid;
	if (op_take(&r->op, j) == -1) {
		free(r);
		return err_set(e, ERR_BAD_REQUEST, "a request cannot be read");
	}
	r->client = cl;
	cl->req = r;
	r->nfds = fds_take(json_get(j, "fds"), r->fds);
	if (json_int(j, "serve", 0) > 0)
		request_serve_take(r, json_int(j, "serve", 0));
	if (json_bool(j, "upgrade", false))
		cl->s->upgrade_request = r;
	return 0;
}

static int
client_take(struct super *s, const struct json *j, struct err *e)
{
	int fd = carry_take_fd(j, "fd");
	struct client *cl;

	if (fd == -1)
		return err_set(e, ERR_BAD_REQUEST, "no connection");
	cl = client_new(s, fd, (uid_t)json_int(j, "uid", -1),
	    json_bool(j, "allowed", false));
	cl->eof = json_bool(j, "eof", false);
	cl->handed = json_bool(j, "handed", false);
	cl->closing = json_bool(j, "closing", false);
	cl->scripted = json_bool(j, "scripted", false);
	cl->accepted_ms = json_int(j, "accepted_ms", 0);
	cl->lines = (uint64_t)json_int(j, "lines", 0);
	cl->nfds = fds_take(json_get(j, "fds"), cl->fds);
	if (chan_bytes_take(json_get(j, "in"), &cl->in) == -1 ||
	    chan_bytes_take(json_get(j, "out"), &cl->out) == -1)
		return err_set(e, ERR_BAD_REQUEST, "a client cannot be read");
	client_touch(cl);
	return request_take(cl, json_get(j, "request"), e);
}

int
clients_take(struct super *s, const struct json *j, struct err *e)
{
	const struct json *list = json_get(j, "list");
	size_t n = list != NULL ? list->len : 0;

	/* Each comes before the one taken last: from the end on. */
	autofree const struct json **v = xcalloc(n + 1, sizeof(*v));
	size_t i = 0;

	json_foreach (it, list)
		v[i++] = it;
	while (i > 0) {
		if (client_take(s, v[--i], e) == -1)
			return -1;
	}
	return 0;
}

const char *
clients_busy(struct super *s)
{
	static char text[128];
	const struct client *cl;

	for (cl = clients_first(s); cl != NULL; cl = LIST_NEXT(cl, link)) {
		const struct request *r = cl->req;

		if (r == NULL || upgrade_is(s, r) || exec_waits(s, r) ||
		    proc_call_of(storec_proc(s->store), r) != 0)
			continue;
		(void)snprintf(text, sizeof(text), "%s is under way",
		    r->op.op < OP_N ? op_table[r->op.op].name : "a request");
		return text;
	}
	return NULL;
}

int
client_place(const struct super *s, const struct request *r)
{
	const struct client *cl;
	int place = 0;

	for (cl = clients_first(s); cl != NULL; cl = LIST_NEXT(cl, link)) {
		if (r != NULL && cl->req == r)
			return place;
		place++;
	}
	return -1;
}

struct request *
client_request(const struct super *s, int64_t place)
{
	const struct client *cl;

	for (cl = clients_first(s); cl != NULL; cl = LIST_NEXT(cl, link)) {
		if (place-- == 0)
			return cl->req;
	}
	return NULL;
}
