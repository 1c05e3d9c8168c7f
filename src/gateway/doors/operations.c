/*
 * POST /v1/operations/{operation}: an operation of the control socket as it
 * is, for whoever may do all. Runs in sandboxd-gateway; the supervisor checks
 * the name and every argument as it does for a client of that socket.
 *
 * Those that write or read a stream of bytes do so on a pipe to us: what is
 * written is the answer's body (operations_out.c), what is read the request's.
 */
#include "gateway/doors/operations.h"
#include "gateway/doors/body_pipe.h"
#include "lib/frame.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <string.h>

/* The problem of the error, and its word on the control socket. */
void
operation_fail(struct req *r, const struct err *e)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 256);
	(void)buf_adds(&b, "\"code\":");
	jw_init(&w, &b);
	jw_str(&w, err_wire(e->code));
	req_fail_ext(r, e, b.failed ? NULL : b.data);
	buf_free(&b);
}

/* False: R was answered. */
static bool
name_check(struct req *r, enum op_type *op_out)
{
	struct err e;

	*op_out = op_find(r->params[0]);
	if (*op_out != OP_N)
		return true;
	(void)err_set(
	    &e, ERR_UNKNOWN_OPERATION, "no such operation: %s", r->params[0]);
	operation_fail(r, &e);
	return false;
}

/* ARGS (NULL: {}) as they are sent on; with PIPE they announce it. */
static void
write_args(struct buf *b, const struct json *args, bool pipe)
{
	struct jw w;

	buf_init(b, FRAME_MAX);
	jw_init(&w, b);
	jw_object(&w);
	json_foreach (it, args)
		if (!pipe || strcmp(it->key, "fds") != 0)
			jw_kvalue(&w, it->key, it);
	if (pipe)
		jw_kint(&w, "fds", 1);
	jw_object_end(&w);
}

static void
reply(struct req *r, const struct json *result, const struct err *e)
{
	struct buf b;
	struct jw w;

	if (result == NULL) {
		operation_fail(r, e);
		return;
	}
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_value(&w, result);
	req_reply_json(r, 200, &b);
}

static void
on_done(void *ctx, const struct json *result, const struct err *e)
{
	struct req *r = ctx;

	reply(r, result, e);
	req_release(r);
}

void
route_operation(struct req *r)
{
	bool writes;
	enum op_type op;
	struct buf b;

	if (!name_check(r, &op))
		return;
	writes = op_reach(op) == OP_WRITES;
	write_args(&b, r->json, writes);
	if (writes) {
		operation_out(r, op_table[op].name, &b);
	} else {
		req_hold(r);
		super_call(r->gw, op_table[op].name, &b, on_done, r);
	}
	buf_free(&b);
}

/* --- the body is read by the operation ----------------------------------- */

struct input {
	struct req *r; /* held */
	struct body_pipe pipe;
	bool asked; /* the call is under way */
	bool gone;
};

static void
input_free_if_over(struct input *in)
{
	struct req *r = in->r;

	if (!in->gone || in->asked)
		return;
	body_pipe_close(&in->pipe);
	free(in);
	r->ctx = NULL;
	req_release(r);
}

static void
on_read(void *ctx, const struct json *result, const struct err *e)
{
	struct input *in = ctx;

	in->asked = false;
	reply(in->r, result, e);
	body_pipe_close(&in->pipe);
	if (!in->gone)
		req_body_resume(in->r); /* what is left is dropped */
	input_free_if_over(in);
}

static size_t
on_body(struct req *r, const char *data, size_t len)
{
	struct input *in = r->ctx;

	return body_pipe_take(&in->pipe, data, len);
}

static void
on_body_end(struct req *r)
{
	struct input *in = r->ctx;

	body_pipe_close(&in->pipe);
}

/* In its midst too: what reads sees the end, and that it came too early. */
static void
on_gone(struct req *r)
{
	struct input *in = r->ctx;

	if (in == NULL)
		return;
	in->gone = true;
	body_pipe_close(&in->pipe);
	input_free_if_over(in);
}

/* The arguments are in the query: the body is the stream. NULL: answered. */
static struct json *
query_args(struct req *r)
{
	const char *text = req_query(r, "args", "{}");
	struct json *args;
	struct err e;

	if (json_parse(text, strlen(text), JSON_DEPTH_CONTROL, &args, &e) ==
	    -1) {
		(void)err_prefix(&e, "args");
	} else if (args->type != JSON_OBJECT) {
		(void)err_set(
		    &e, ERR_BAD_REQUEST, "args: it must be an object");
		json_free(args);
	} else {
		return args;
	}
	operation_fail(r, &e);
	return NULL;
}

void
route_operation_input(struct req *r)
{
	struct json *args;
	struct input *in;
	enum op_type op;
	struct err e;
	struct buf b;
	int fd;

	if (!name_check(r, &op))
		return;
	if (op_reach(op) != OP_READS) {
		(void)err_set(&e, ERR_BAD_REQUEST, "%s reads no stream",
		    op_table[op].name);
		operation_fail(r, &e);
		return;
	}
	args = query_args(r);
	if (args == NULL)
		return;
	in = xcalloc(1, sizeof(*in));
	in->r = r;
	if (body_pipe_open(&in->pipe, r, &fd) == -1) {
		(void)err_sys(&e, "a pipe");
		operation_fail(r, &e);
		json_free(args);
		free(in);
		return;
	}
	write_args(&b, args, true);
	json_free(args);
	r->ctx = in;
	r->on_body = on_body;
	r->on_body_end = on_body_end;
	r->on_gone = on_gone;
	req_hold(r);
	in->asked = true;
	super_call_pipe(r->gw, op_table[op].name, &b, fd, on_read, in);
	buf_free(&b);
}
