/*
 * POST /v1/operations/{operation}: an operation of the control socket as it
 * is, for whoever may do all. Runs in sandboxd-gateway; the supervisor checks
 * the name and every argument as it does for a client of that socket, and
 * refuses what takes a descriptor or answers with a stream.
 */
#include "gateway/call.h"
#include "gateway/req.h"
#include "lib/frame.h"
#include "lib/ops.h"

/* The problem of the error, and its word on the control socket. */
static void
fail(struct req *r, const struct err *e)
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

static void
on_done(void *ctx, const struct json *result, const struct err *e)
{
	struct req *r = ctx;
	struct buf b;
	struct jw w;

	if (result == NULL) {
		fail(r, e);
	} else {
		buf_init(&b, FRAME_MAX);
		jw_init(&w, &b);
		jw_value(&w, result);
		req_reply_json(r, 200, &b);
	}
	req_release(r);
}

void
route_operation(struct req *r)
{
	struct err e;
	struct buf b;
	struct jw w;

	if (op_find(r->params[0]) == OP_N) {
		(void)err_set(&e, ERR_UNKNOWN_OPERATION,
		    "no such operation: %s", r->params[0]);
		fail(r, &e);
		return;
	}
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	if (r->json != NULL) {
		jw_value(&w, r->json);
	} else {
		jw_object(&w);
		jw_object_end(&w);
	}
	req_hold(r);
	super_call(r->gw, r->params[0], &b, on_done, r);
	buf_free(&b);
}
