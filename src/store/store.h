/*
 * The store's one object: everything that lives as long as the process. Each
 * module keeps its part here and is handed the whole.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "lib/chan.h"
#include "lib/defs.h"
#include "store/schema.h"

#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

struct append_scanner;
struct backup;
struct batch;
struct feed;
struct noter;
struct session;
struct retain;
struct worker;
struct streams;

#define SESSION_BUCKETS 1024 /* a power of two */
#define COMMIT_BUCKETS 13    /* of how long commits take */

struct store {
	struct ev_loop *loop;
	struct chan *super; /* NULL once the parent is gone */
	struct db db;
	struct append_scanner *scanner; /* owned */
	struct batch *batch;		/* owned */
	struct streams *streams;	/* owned */
	LIST_HEAD(, session) sessions[SESSION_BUCKETS];
	LIST_HEAD(, worker) workers;
	LIST_HEAD(, feed) feeds;   /* gateways */
	LIST_HEAD(, noter) noters; /* the courier, for a sandbox each */
	ev_prepare before_wait;
	ev_idle busy;	  /* active while something need not be waited for */
	ev_timer retry;	  /* a removal that failed is tried again */
	ev_timer readers; /* slots of dead readers are looked for */
	ev_signal on_term;
	struct retain *retain; /* owned */
	struct backup *backup; /* owned; NULL: none is under way */
	uint64_t *purge;       /* owned: logs whose events are to be removed */
	size_t npurge;
	bool purge_later;
	int exit_code;
	/* since start */
	uint64_t appended; /* events */
	uint64_t commits;
	uint64_t commit_us; /* spent in them, all together */
	uint64_t commit_hist[COMMIT_BUCKETS];
};

/* Upper bounds of commit_hist in us; the last bucket has none. */
extern const uint64_t commit_bounds_us[COMMIT_BUCKETS];

struct store_options {
	struct db_options db;
	int super_fd;		/* taken over */
	unsigned compact_share; /* compact.h; 0: never */
};

/* Work until the parent is gone; the exit code. */
int store_run(const struct store_options *opt);
/* Commit what has arrived and leave the loop. */
void store_stop(struct store *st, int exit_code);
/* Go round the loop again without waiting for descriptors. */
void store_stay_busy(struct store *st);

#endif
