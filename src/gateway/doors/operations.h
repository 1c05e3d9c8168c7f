/*
 * What the doors of /v1/operations share.
 */
#ifndef GATEWAY_DOORS_OPERATIONS_H
#define GATEWAY_DOORS_OPERATIONS_H

#include "gateway/call.h"
#include "gateway/req.h"
#include "lib/ops.h"

void operation_fail(struct req *r, const struct err *e);
/* Ask OP, which writes bytes, with ARGS; they are R's answer. */
void operation_out(struct req *r, const char *op, const struct buf *args);

#endif
