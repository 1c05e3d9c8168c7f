/*
 * The commands and session workers that init has started: one record from the
 * request until the end of the main process was told.
 */
#ifndef INIT_EXEC_H
#define INIT_EXEC_H

#include "init/init.h"
#include "lib/proto.h"
#include <signal.h>

#define EXECS_MAX 4096

int execs_open(struct init *in, struct err *e);
/* An `exec` message; answers it, now or when the child has told. Takes the
 * descriptors out of F. */
void exec_request(struct init *in, int64_t id, const struct json *msg,
    const struct chan_frame *f);
/* A `kill` message; answers it. */
void exec_kill_request(struct init *in, int64_t id, const struct json *msg);
/* A child was reaped; most are none of ours. */
void exec_reaped(struct init *in, const siginfo_t *si);
/* Every process has ended: tell what is still untold. */
void execs_flush(struct init *in);

#endif
