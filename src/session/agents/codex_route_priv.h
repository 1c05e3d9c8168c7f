/*
 * Inside of codex_route.h: codex_route.c takes lines of sessions,
 * codex_route_server.c those of the server, codex_route_state.c remembers what
 * is whose and writes lines.
 */
#ifndef SESSION_AGENTS_CODEX_ROUTE_PRIV_H
#define SESSION_AGENTS_CODEX_ROUTE_PRIV_H

#include "lib/buf.h"
#include "lib/json.h"
#include "session/agents/codex_route.h"
#include <stdbool.h>
#include <sys/queue.h>

enum call_kind {
	CALL_OTHER,
	CALL_INIT,
	CALL_OPEN, /* thread/start, thread/fork */
	CALL_RESUME,
	CALL_TURN
};

/* A request that its client waits on. */
struct call {
	TAILQ_ENTRY(call) link;
	int64_t id;	 /* the server's; 0: an initialize that waits */
	unsigned client; /* 0: it has gone */
	enum call_kind kind;
	char *rpc_id; /* owned: the client's id of it, JSON text */
	char *thread; /* owned: which it names, or NULL */
	int64_t since_ms;
	bool held; /* it has not been sent yet */
};

enum thread_state {
	THREAD_IDLE,
	THREAD_ASKED, /* a turn is asked for */
	THREAD_RUNNING
};

struct thread {
	TAILQ_ENTRY(thread) link;
	char *id;	 /* owned */
	unsigned client; /* 0: it has gone, and its turn is to end */
	enum thread_state state;
	char *turn; /* owned: while it runs */
	char *held; /* owned: a resume that waits for the turn's end */
	unsigned held_for;
	bool stuck; /* somebody has waited for that in vain */
};

/* A request of the server's. */
struct ask {
	TAILQ_ENTRY(ask) link;
	char *rpc_id; /* owned: the server's id, JSON text */
	unsigned client;
};

/* News of a thread that nobody has yet. */
struct stash {
	TAILQ_ENTRY(stash) link;
	char *thread, *line; /* owned */
	size_t len;
};

enum init_state {
	INIT_NONE,
	INIT_ASKED,
	INIT_DONE
};

struct route {
	const struct route_ops *ops;
	void *ctx;
	int64_t ncalls; /* id given last */
	enum init_state init;
	bool said_initialized;
	char *greeting; /* owned: the result of initialize */
	TAILQ_HEAD(, call) calls;
	TAILQ_HEAD(threads, thread) threads;
	TAILQ_HEAD(, ask) asks;
	TAILQ_HEAD(, stash) stash;
	unsigned nstash;
};

/* --- what is remembered --------------------------------------------------- */

void route_call_free(struct route *r, struct call *k);
void route_ask_free(struct route *r, struct ask *k);
void route_stash_free(struct route *r, struct stash *s);
/* NULL for NULL, and when there is none. */
struct thread *route_thread(struct route *r, const char *id);
/* One of CLIENT's. */
struct thread *route_thread_of(struct route *r, unsigned client);
/* The thread is CLIENT's now: its OWN, or one that another of its threads has
 * started. NULL: its id is too long. */
struct thread *
route_learn(struct route *r, const char *id, unsigned client, bool own);
struct ask *route_ask(struct route *r, const struct json *id);

/* --- lines ---------------------------------------------------------------- */

/* What is in B goes, and B with it. -1: it does not read. */
int route_to_server(struct route *r, struct buf *b);
void route_to_client(struct route *r, unsigned client, struct buf *b);
/* M as it came, with another id. */
void route_write_with_id(struct buf *b, const struct json *m, const char *id);
void route_write_error(struct buf *b, const char *id, const char *why);

/* --- threads without a client --------------------------------------------- */

/* Its client has gone: end what it does, sooner or later. T may be freed. */
void route_release(struct route *r, struct thread *t);
/* Its turn is over, or did not come to be. T may be freed. */
void route_turn_over(struct route *r, struct thread *t);

#endif
