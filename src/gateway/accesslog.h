/*
 * A line in the log for each request, as long as they are not too many.
 */
#ifndef GATEWAY_ACCESSLOG_H
#define GATEWAY_ACCESSLOG_H

#include "gateway/gateway.h"

struct hreq;

void accesslog_open(bool on);
void accesslog_write(const struct hreq *q, double seconds);

#endif
