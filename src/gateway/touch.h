/*
 * Telling the supervisor that a sandbox is in use, for those whose end moves
 * with that.
 */
#ifndef GATEWAY_TOUCH_H
#define GATEWAY_TOUCH_H

#include "gateway/gateway.h"

/* SANDBOX is used by a client now. Costs nearly nothing: it is told at most
 * once in a few seconds. */
void touch_sandbox(struct gateway *gw, const char *sandbox);
/* The same, but only its idle time is meant: files, processes. At most once a
 * second. */
void touch_busy(struct gateway *gw, const char *sandbox);

#endif
