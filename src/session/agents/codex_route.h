/*
 * Several sessions on one `codex app-server`: who gets which of its lines, and
 * what reaches it of theirs. Only lines: whoever owns the descriptors calls
 * this and is called (share_hub.c).
 *
 * A session's requests get ids of our own and its answers the session's again;
 * `initialize` goes to the server once. What names a thread goes to the session
 * that has started or resumed it, and of what the server asks only that session
 * may answer; what names none goes to all. A session that has gone leaves
 * nothing running: its turns are interrupted, its threads given up.
 */
#ifndef SESSION_AGENTS_CODEX_ROUTE_H
#define SESSION_AGENTS_CODEX_ROUTE_H

#include "lib/err.h"
#include <stdint.h>
#include <stddef.h>

#define ROUTE_CALLS_MAX 32   /* of a session, without an answer */
#define ROUTE_ASKS_MAX 64    /* of the server to one session */
#define ROUTE_THREADS_MAX 64 /* of a session; of those that have gone: all */
#define ROUTE_STASH_MAX 64   /* news of threads that are just being started */
#define ROUTE_ID_MAX 128

struct route;

/* Lines come and go without their end. None of these may call back. */
struct route_ops {
	/* CLIENT 0 is everybody. */
	void (*to_client)(
	    void *ctx, unsigned client, const char *line, size_t len);
	/* -1: it does not read. */
	int (*to_server)(void *ctx, const char *line, size_t len);
};

struct route *route_new(const struct route_ops *ops, void *ctx);
void route_free(struct route *r); /* accepts NULL */
/* One line of a client, which is any number but 0. -1: it is to be dropped. */
int route_from_client(struct route *r, unsigned client, const char *line,
    size_t len, struct err *e);
/* One line of the server; TOTAL as in agent_process.h. */
void
route_from_server(struct route *r, const char *line, size_t len, size_t total);
void route_leave(struct route *r, unsigned client);
/* How long CLIENT has waited for an answer, in ms; 0 when it waits for none. */
int64_t route_waits_ms(const struct route *r, unsigned client);

#endif
