/*
 * What is kept how long: events go from the front of logs in small steps, each
 * a commit of its own that holds no other back; logs of sandboxes that are
 * gone go whole. Numbers are never given again, and the last event of a log
 * stays.
 */
#ifndef STORE_RETAIN_H
#define STORE_RETAIN_H

#include "lib/json.h"
#include "store/store.h"

/* 0: no bound. */
struct retain_rules {
	int64_t age_ms;		 /* of an event of a session */
	uint64_t events, bytes;	 /* of a session */
	uint64_t total_events;	 /* of all sessions */
	uint64_t total_bytes;	 /* the same */
	uint64_t sandbox_events; /* of a sandbox */
	int64_t sandbox_age_ms;	 /* of its log, once it is gone */
};

void retain_open(struct store *st);
void retain_close(struct store *st);
/* MSG: the supervisor's `retain`. */
void retain_set(struct store *st, const struct json *msg);
/* Stage the next step, if there is something to do; the batch is empty. */
void retain_stage(struct store *st);
/* What became of a step (E: nothing). */
struct job;
void retain_done(struct store *st, const struct job *j, const struct err *e);

#endif
