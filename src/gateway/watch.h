/*
 * Waiting for events: the store tells after each commit which logs have grown
 * (MSG_FEED_GREW), and whoever waits for one of them is called. Telling is all:
 * the events are read from the map.
 */
#ifndef GATEWAY_WATCH_H
#define GATEWAY_WATCH_H

#include "gateway/gateway.h"
#include <sys/queue.h>

struct watcher {
	LIST_ENTRY(watcher) link;
	uint64_t log; /* 0: not in the table */
	/* LOG has grown, or we may have missed it: look. May remove itself. */
	void (*grew)(struct watcher *w);
	void *ctx;
};

void watch_add(struct gateway *gw, struct watcher *w, uint64_t log);
void watch_remove(struct gateway *gw, struct watcher *w); /* also unlisted */

int watch_open(struct gateway *gw, struct err *e);
void watch_close(struct gateway *gw);
/* A channel to the store (again, after its restart): takes FD. */
void watch_feed(struct gateway *gw, int fd);

#endif
