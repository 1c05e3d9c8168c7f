/*
 * The sandbox's entrypoint as a service: started again as its policy says,
 * ready when it says so or a probe does, watched while it runs. One in each
 * sandbox; runs in init, which tells the supervisor of every change.
 */
#ifndef INIT_SERVICE_H
#define INIT_SERVICE_H

#include "init/init.h"
#include "lib/proto.h"
#include <signal.h>

/* A `service` message; answers it. */
void service_request(struct init *in, int64_t id, const struct chan_frame *f);
/* For a supervisor that knows nothing of it: the members of `adopted`. */
void service_put_state(const struct init *in, struct jw *w);
/* A child was reaped; most are none of ours. */
void service_reaped(struct init *in, const siginfo_t *si);

#endif
