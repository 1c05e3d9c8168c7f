/*
 * When the supervisor was killed: wait for the next one and go on under it.
 */
#ifndef INIT_ADOPT_H
#define INIT_ADOPT_H

#include "init/init.h"

/* Nothing to do without in->adopt_ms. */
int adopt_open(struct init *in, struct err *e);
/* The supervisor's channel has ended. False: nobody is to be waited for. */
bool adopt_wait(struct init *in);

#endif
