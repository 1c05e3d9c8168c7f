/*
 * Session workers: one channel each, for one session, on which only appends
 * come in.
 */
#ifndef STORE_WORKER_H
#define STORE_WORKER_H

#include "store/store.h"

struct worker {
	LIST_ENTRY(worker) link;
	struct store *st;
	struct chan *ch;   /* owned */
	struct session *s; /* held */
	/* A commit failed and was reported: what the worker had under way
	 * behind it is refused, not a breach. */
	bool refused;
};

/* Serve FD (taken over in any case) for a session. A former worker's channel
 * is closed first. */
int worker_attach(struct store *st, const char *session, int fd,
    struct err *e) ATTR_WARN_UNUSED;
void worker_free(struct worker *w); /* accepts NULL */
/* Answer an append: all up to LAST is stored, or E. */
void
worker_answer(struct worker *w, int64_t id, uint64_t last, const struct err *e);

#endif
