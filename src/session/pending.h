/*
 * Permission requests and questions that wait for an answer, and what the user
 * has allowed for the whole session ("always").
 */
#ifndef SESSION_PENDING_H
#define SESSION_PENDING_H

#include "session/universal.h"
#include <stdbool.h>
#include <sys/queue.h>

#define PENDING_MAX 16
#define ALWAYS_MAX 64
#define KEY_BYTES_MAX 64

struct request {
	TAILQ_ENTRY(request) link;
	bool question;
	bool multi;	/* question: several options may be chosen */
	bool of_turn;	/* asked in the turn that is open */
	char *id;	/* owned */
	char *what;	/* owned: action, or prompt */
	char *metadata; /* owned JSON: metadata, or options; may be NULL */
	int64_t number; /* of an ACP session: id of the request to the client */
};

struct pending {
	TAILQ_HEAD(requests, request) requests;
	unsigned n;
	char *always[ALWAYS_MAX]; /* owned, allowed for the session */
	unsigned nalways;
};

void pending_init(struct pending *p);
void pending_free(struct pending *p);
struct request *pending_find(struct pending *p, const char *id);
/* NULL when the id is taken or there are too many. */
struct request *pending_add(struct pending *p, bool question, const char *id,
    const char *what, const char *metadata, bool multi);
void pending_drop(struct pending *p, struct request *r);
unsigned pending_of_turn(const struct pending *p);
/* The turn is over: its requests, if any are kept, belong to none. */
void pending_turn_over(struct pending *p);
/* Remember the like of R as allowed; and: is R allowed already? */
void pending_allow(struct pending *p, const struct request *r);
bool pending_allowed(const struct pending *p, const struct request *r);
void pending_allow_key(struct pending *p, const char *key);

/* Log the request, or how it was settled: for permissions STATUS alone
 * matters, for questions RESPONSE too. */
void pending_log_requested(struct universal *u, const struct request *r);
void pending_log_resolved(struct universal *u, enum origin from,
    const struct request *r, const char *status, const char *response);

#endif
