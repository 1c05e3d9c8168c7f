/*
 * Server-sent events taken apart: bytes in, events out. A line may end in any
 * of the three ways; comments and unknown fields are skipped.
 */
#ifndef CTL_HTTP_SSE_H
#define CTL_HTTP_SSE_H

#include "lib/buf.h"

#define SSE_EVENT_MAX (64u << 20)

struct sse {
	struct buf line;
	struct buf data;
	char name[64]; /* of the event; "" stands for "message" */
	bool has_data;
	bool after_cr; /* an LF that follows belongs to it */
	/* NAME and DATA[0..len) of one event. 0, or -1 to stop. */
	int (*on_event)(
	    void *ctx, const char *name, const char *data, size_t len);
	void *ctx;
};

void sse_init(struct sse *s,
    int (*on_event)(void *, const char *, const char *, size_t), void *ctx);
void sse_free(struct sse *s);
/* -1: on_event stopped it, or an event is longer than we take. */
int sse_feed(struct sse *s, const char *p, size_t n);

#endif
