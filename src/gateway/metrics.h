/*
 * Figures of the gateways: a slot for each in one piece of shared memory, so
 * that any of them can tell the sum of all, and none counts for another. A slot
 * outlives its process: what was counted stays when the next one takes it.
 */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include "gateway/gateway.h"
#include "gateway/req.h"

enum metric_refused {
	REFUSED_CONNECTIONS, /* too many, in all or of one address */
	REFUSED_SLOW,	     /* it did not go on */
	REFUSED_N
};

/* PAGE_FD (borrowed) is SLOTS slots long; ours is that of gw->index. */
int
metrics_open(struct gateway *gw, int page_fd, unsigned slots, struct err *e);

/* ROUTE is ROUTE_N for what had none. */
void metrics_request(struct gateway *gw, enum route_id route, unsigned status,
    double seconds, uint64_t in, uint64_t out);
void metrics_connections(struct gateway *gw, size_t now, bool added);
void metrics_streams(struct gateway *gw, int change);
void metrics_refused(struct gateway *gw, enum metric_refused why);
/* All slots, in Prometheus' text form. */
void metrics_write(struct gateway *gw, struct buf *out);

#endif
