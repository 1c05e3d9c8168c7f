/*
 * A sandbox whose ids are lent (subids.h): mapping them takes programs of the
 * host, and the supervisor waits for nobody. So a child of its does.
 */
#ifndef SANDBOX_MAPPER_H
#define SANDBOX_MAPPER_H

#include "sandbox/setup.h"

/* Have PID's ids mapped, and let it go on by GO_FD; if that fails, the report
 * says so and PID ends. 0, or -1 with E set: there is no such child. */
int mapper_start(const struct setup *s, pid_t pid, int go_fd, struct err *e);

#endif
