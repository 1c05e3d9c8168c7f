/*
 * Sessions that somebody uses now: a worker writes, a batch waits to be
 * committed, a client reads. What is here is a copy of what the database has
 * committed, plus what the open batch will add.
 */
#ifndef STORE_SESSIONS_H
#define STORE_SESSIONS_H

#include "store/record.h"
#include "store/store.h"

struct stream;

enum log_kind {
	LOG_OF_SESSION,
	LOG_OF_SANDBOX
};

/* A log in use. Most are of sessions; those of sandboxes (notes.h) have their
 * events, readers and end in common with them, and no worker. */
struct session {
	enum log_kind kind;
	LIST_ENTRY(session) link; /* in its bucket */
	char *id;		  /* owned */
	char *id_json;		  /* owned: the id as JSON text */
	size_t id_json_len;
	uint64_t log;
	uint64_t last;	 /* sequence of the last committed event, or 0 */
	uint64_t staged; /* the same with the open batch */
	int64_t updated_ms;
	bool ended;   /* the last event is session.ended */
	bool closed;  /* the supervisor says that no event will come */
	bool removed; /* there is no such session any more */
	unsigned refs;
	struct worker *worker;		/* NULL or the one */
	TAILQ_HEAD(, stream) followers; /* waiting for events */
};

/* The session with a reference to it; ERR_SESSION_NOT_FOUND when there is
 * none. The database must not be being read, and the batch be empty. */
int session_open(struct store *st, const char *id, struct session **s_out,
    struct err *e) ATTR_WARN_UNUSED;
/* The same for either kind of log. */
int log_open(struct store *st, enum log_kind kind, const char *id,
    struct session **s_out, struct err *e) ATTR_WARN_UNUSED;
struct session *log_find(struct store *st, enum log_kind kind, const char *id);
/* One that is in use already, without a new reference; else NULL. */
struct session *session_find(struct store *st, const char *id);
struct session *session_hold(struct session *s);
void session_release(struct session *s); /* accepts NULL */
/* It is gone from the database: forget its name, wake its readers. */
void session_removed(struct store *st, struct session *s);
/* Let waiting readers look again. */
void session_wake(struct store *st, struct session *s);
/* Read all again, after a commit of which nobody knows the outcome. */
int sessions_reload(struct store *st, struct err *e) ATTR_WARN_UNUSED;

/* The stored record and facts of a session in TXN. The tree is the caller's.
 * ERR_SESSION_NOT_FOUND when there is none. */
int session_read(struct db *db, MDB_txn *txn, const char *id, size_t id_len,
    struct json **rec_out, struct record_facts *facts_out,
    struct err *e) ATTR_WARN_UNUSED;

#endif
