/*
 * What the doors of OpenSandbox's lifecycle API share.
 */
#ifndef GATEWAY_DOORS_OSB_H
#define GATEWAY_DOORS_OSB_H

#include "gateway/doors/osb_parse.h"
#include "gateway/req.h"

/* Answer with what one of ours has refused. STATE_CODE goes with
 * ERR_SANDBOX_STATE, REQUEST_CODE with ERR_BAD_REQUEST (NULL: the usual). */
void osb_fail(struct req *r, const struct err *e, const char *state_code,
    const char *request_code);

/* May the caller touch the sandbox that the path names? Its id; or NULL and R
 * was answered. */
const char *osb_sandbox(struct req *r);

/* Call operation OP, with ARGS or {"id":…} of the path; DONE gets R, which is
 * held meanwhile and which DONE must answer. */
typedef void
osb_answer(struct req *r, const struct json *result, const struct err *e);
void osb_call(
    struct req *r, const char *op, const struct buf *args, osb_answer *done);
void osb_call_id(struct req *r, const char *op, osb_answer *done);

/* A record of the supervisor's as an object of this API: FULL with all that we
 * add, IMAGE with the image (not when it was just created). */
void osb_write(struct jw *w, const struct json *record, bool image, bool full);
/* The same as an answer. */
void osb_reply(
    struct req *r, unsigned status, const struct json *record, bool image);

/* Answer R, whose path names a sandbox and a port, by a server in the sandbox:
 * no port is ERR_BAD_REQUEST. */
int osb_port(const struct req *r, int64_t *port_out, struct err *e);

#endif
