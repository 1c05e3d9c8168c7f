/*
 * The way out: TERM to all, after the grace KILL, then the answer and the end.
 */
#ifndef INIT_STOP_H
#define INIT_STOP_H

#include "init/init.h"

int stop_open(struct init *in, struct err *e);
/* A `stop` message. A second one can only shorten the grace. */
void stop_request(struct init *in, int64_t id, const struct json *msg);
bool stop_begun(const struct init *in);
/* There is no process left but us. */
void stop_none_left(struct init *in);
/* At once and without an answer: the supervisor is gone. */
void stop_now(void) ATTR_NORETURN;

#endif
