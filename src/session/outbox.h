/*
 * What the worker wants stored: event bodies, numbered as they are added, on
 * their way to the store in batches.
 *
 * One append is under way at a time and all that is added meanwhile becomes
 * the next one, so that batches grow with the load and the store's commits
 * are shared. Nothing is forgotten before the store has acknowledged it: when
 * the store restarts, what it does not have is sent again.
 *
 * Adding never fails and never blocks. Instead the outbox says when it is
 * full, and its user stops reading from the agent.
 */
#ifndef SESSION_OUTBOX_H
#define SESSION_OUTBOX_H

#include "lib/buf.h"
#include "lib/chan.h"
#include "lib/err.h"
#include "lib/json.h"
#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

#define EVENT_BYTES_MAX (512u << 10) /* one event body */
#define SET_BYTES_MAX (108u << 10)   /* what `set` may say */
/* A record is as deep as the store lets it be, a stored event no deeper. */
#define RECORD_DEPTH (JSON_DEPTH_AGENT + 4)

struct outbox_hooks {
	/* The store told where the session stands; called once. */
	void (*attached)(void *ctx, int64_t next, const struct json *record);
	/* Write the members of `set` that changed. Called when a batch is
	 * closed: what is written belongs to the events added so far. */
	void (*set)(void *ctx, struct jw *w);
	/* More is waiting than should (true), or no longer (false). */
	void (*full)(void *ctx, bool full);
	/* All is stored. */
	void (*settled)(void *ctx);
	/* The store's view and ours differ: going on would break the log. */
	void (*broken)(void *ctx, const char *why);
};

/* E is NULL when everything is stored; else the store has refused for now
 * (it is asked again) and the waiter is told why. */
typedef void outbox_stored(void *ctx, void *arg, const struct err *e);

/* The tail of the log: EVENTS is an array of stored events, borrowed; or NULL
 * with E. */
typedef void
outbox_read(void *arg, const struct json *events, const struct err *e);

struct batch;
struct outbox_waiter;

struct outbox {
	struct ev_loop *loop; /* borrowed */
	struct chan *ch;      /* owned, NULL while the store is away */
	const struct outbox_hooks *hooks;
	void *ctx;
	TAILQ_HEAD(batch_list, batch) closed; /* owned, oldest first */
	struct batch *open;		      /* owned, takes what is added */
	TAILQ_HEAD(waiter_list, outbox_waiter) waiters; /* owned */
	uint64_t batches;				/* number given last */
	uint64_t waited;   /* waiters, all together */
	int64_t next;	   /* sequence of the next event, 0 before attached */
	int64_t in_flight; /* request id of the append under way, or 0 */
	int64_t requests;  /* request id given last */
	size_t bytes;	   /* waiting, all batches together */
	int64_t tail_id;   /* request id of the tail that is read, or 0 */
	outbox_read *tail_fn;
	void *tail_arg;
	bool attached; /* this channel has said where it stands */
	bool full;
	bool refused; /* the store's last answer was an error */
	ev_prepare flush;
	ev_timer retry;
};

void outbox_init(struct outbox *o, struct ev_loop *loop,
    const struct outbox_hooks *hooks, void *ctx);
void outbox_free(struct outbox *o);
/* Use this channel from now on; a former one is closed. Takes FD. */
void outbox_connect(struct outbox *o, int fd);
/* Add one event body; returns its sequence. */
int64_t outbox_add(struct outbox *o, const char *body, size_t len);
/* Something in `set` changed: an append follows even without an event. */
void outbox_touch(struct outbox *o);
/* Sequence of the event added last; 0 when there is none. */
int64_t outbox_last(const struct outbox *o);
/* Nothing is waiting to be stored. */
bool outbox_settled(const struct outbox *o);
/* Call FN once all that was added up to now is stored, or refused; at once if
 * that is so already. */
void outbox_when_stored(struct outbox *o, outbox_stored *fn, void *arg);
/* Read the last stored events back, at most EVENTS of them and BYTES of text;
 * with RAW their `raw` too. One at a time: -1 when another is under way or the
 * store is away, else FN is called, later. */
int outbox_tail(struct outbox *o, int64_t events, int64_t bytes, bool raw,
    outbox_read *fn, void *arg, struct err *e);

#endif
