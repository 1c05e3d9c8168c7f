/*
 * Operations that have no route of their own, as they are: see
 * /v1/operations in sandboxd-http(7). Runs as the caller; what comes from the
 * server is checked.
 */
#include "ctl/http/bridge.h"
#include "lib/base64.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <string.h>

#define ANSWER_DEPTH (JSON_DEPTH_CONTROL + 4)

static void
write_args(struct buf *body, const struct json *args)
{
	struct jw w;

	buf_init(body, CONTROL_LINE_MAX);
	jw_init(&w, body);
	jw_value(&w, args);
}

/* ANSWER is the server's: "ok" as it is, or an error as E. */
static int
pass_on(struct bridge *b, const struct json *answer, struct err *e)
{
	const struct json *ok = json_get(answer, "ok");
	const struct json *no = json_get(answer, "error");

	if (ok == NULL)
		return err_set(e, err_from_wire(json_str(no, "code", "")), "%s",
		    json_str(no, "detail", "the server did not say why"));
	/* The pipe ends before the answer comes. */
	fd_close_all(b->fds, b->nfds);
	b->nfds = 0;
	bridge_ok(b, ok);
	return 0;
}

/* --- without a stream ---------------------------------------------------- */

static int
ask(struct bridge *b, const char *path, const struct json *args, struct err *e)
{
	struct json *j = NULL;
	struct buf body;
	int r;

	write_args(&body, args);
	r = bridge_ask(b, "POST", path, &body, &j, e);
	buf_free(&body);
	if (r == -1)
		return -1;
	bridge_ok(b, j);
	json_free(j);
	return 0;
}

/* --- the operation writes ------------------------------------------------ */

struct output {
	struct bridge *b;
	struct err e; /* why it was stopped */
};

static int
item(struct bridge *b, const char *p, size_t n, struct err *e)
{
	struct buf code;
	struct jw *w;

	buf_init(&code, BASE64_LEN(n) + 1);
	if (base64_add(&code, p, n) == -1) {
		buf_free(&code);
		return err_set(e, ERR_TOO_LARGE, "too much at one time");
	}
	w = bridge_begin(b, "item");
	jw_object(w);
	jw_kstr(w, "stream", "stdout");
	jw_key(w, "base64");
	jw_strn(w, code.data, code.len);
	jw_object_end(w);
	bridge_send(b, -1);
	buf_free(&code);
	return 0;
}

static int
on_output(void *ctx, const char *p, size_t n)
{
	struct output *o = ctx;

	if (o->b->nfds == 0)
		return item(o->b, p, n, &o->e);
	if (fd_write_all(o->b->fds[0], p, n) == -1)
		return err_sys(&o->e, "hand on what came");
	return 0;
}

/* What the server said behind the last byte. */
static int
trailer(struct bridge *b, const struct http_call *c, struct err *e)
{
	const char *text = c->values[0];
	struct json *j;
	int r;

	if (*text == '\0')
		return err_set(e, ERR_SYSTEM, "the server cut the stream");
	if (json_parse(text, strlen(text), ANSWER_DEPTH, &j, e) == -1)
		return bridge_nonsense(e, "the end of the server's answer");
	r = pass_on(b, j, e);
	json_free(j);
	return r;
}

static int
take_output(
    struct bridge *b, const char *path, const struct json *args, struct err *e)
{
	struct output o = { .b = b };
	struct http_call c;
	struct buf body;
	int r;

	write_args(&body, args);
	http_call_init(&c, "POST", path);
	c.body = body.data;
	c.body_len = body.len;
	c.headers[0] = "TE: trailers";
	c.wanted[0] = "x-answer";
	c.on_data = on_output;
	c.ctx = &o;
	r = http_do(&b->http, &c, e);
	if (r == 0 && (c.status < 200 || c.status >= 300))
		r = http_problem(&c, e);
	else if (r == 0 && o.e.code != ERR_NONE)
		r = (*e = o.e, -1);
	else if (r == 0)
		r = trailer(b, &c, e);
	http_end(&b->http, &c);
	buf_free(&body);
	return r;
}

/* --- the operation reads ------------------------------------------------- */

static int
give_input(
    struct bridge *b, const char *name, const struct json *args, struct err *e)
{
	autofree char *path = NULL;
	const char *words[2] = { name };
	struct json *j = NULL;
	struct http_call c;
	struct buf text;
	int r;

	if (b->nfds != 1)
		return err_set(
		    e, ERR_BAD_REQUEST, "fds: one descriptor is needed");
	write_args(&text, args);
	words[1] = text.data;
	path = bridge_path(NULL, "/v1/operations/{}/input?args={}", words);
	buf_free(&text);
	http_call_init(&c, "POST", path);
	c.upload_fd = b->fds[0];
	c.content_type = "application/octet-stream";
	r = http_do(&b->http, &c, e);
	if (r == 0 && (c.status < 200 || c.status >= 300))
		r = http_problem(&c, e);
	if (r == 0 && json_parse(c.body_in.data, c.body_in.len, ANSWER_DEPTH,
			  &j, e) == -1)
		r = bridge_nonsense(e, "the server's answer");
	http_end(&b->http, &c);
	if (r == -1)
		return -1;
	bridge_ok(b, j);
	json_free(j);
	return 0;
}

int
bridge_operation(struct bridge *b, const struct json *args, struct err *e)
{
	const char *name = op_table[b->req.op].name;
	const char *words[] = { name };
	autofree char *path = bridge_path(NULL, "/v1/operations/{}", words);

	switch (op_reach(b->req.op)) {
	case OP_FAR:
		return ask(b, path, args, e);
	case OP_WRITES:
		return take_output(b, path, args, e);
	case OP_READS:
		return give_input(b, name, args, e);
	case OP_HERE:
		break;
	}
	return err_set(e, ERR_UNKNOWN_OPERATION,
	    "%s is not offered over HTTP: it needs the control socket of this "
	    "machine's supervisor (leave out --endpoint)",
	    name);
}
