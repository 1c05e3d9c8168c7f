/*
 * The store's map, read in place. The environment was opened read-only before
 * the file system was given up; a read transaction never lasts across a return
 * to the loop, so pages are not kept from reuse, and nothing read may be used
 * after db_end().
 *
 * Layout of the values: store/stored.h.
 */
#ifndef GATEWAY_DB_H
#define GATEWAY_DB_H

#include "gateway/gateway.h"
#include "lib/buf.h"
#include "lib/strutil.h"
#include "store/stored.h"

/* Open the environment below DIR; before confinement. */
int db_open_env(struct db **db_out, const char *dir, struct err *e);
void db_close_env(struct db *db);

/* Begin to read; may be nested. -1: ERR_STORE_UNAVAILABLE. */
int db_begin(struct db *db, struct err *e);
void db_end(struct db *db);

/* A session as the store knows it. False: there is none. */
struct db_session {
	uint64_t log;	/* its log number */
	uint64_t last;	/* sequence of its last event */
	uint64_t first; /* of the first that is kept */
	int64_t updated_ms;
	const char *record; /* JSON text, until db_end */
	size_t record_len;
};
bool db_session(struct db *db, const char *id, struct db_session *s_out);
/* Sessions from the newest on: CURSOR begins as UINT64_MAX. False at the end.
 */
bool db_session_next(struct db *db, uint64_t *cursor, const char **id_out,
    size_t *id_len_out, struct db_session *s_out);
/* Sessions whose ids begin with PREFIX, sorted by id: ID begins as "" and moves
 * along. False at the end. */
bool db_session_below(struct db *db, const char *prefix,
    char id[SESSION_ID_MAX + 1], struct db_session *s_out);
/* The log of a sandbox, also of one that is gone. False: there is none. */
struct db_log {
	uint64_t log, first, last;
	uint64_t gone_ms; /* 0: the sandbox is there */
};
bool db_sandbox_log(struct db *db, const char *id, struct db_log *l_out);
/* A record of `sandboxes` or `tokens`, as JSON text until db_end. */
bool db_record(struct db *db, const char *table, const char *key,
    const char **text_out, size_t *len_out);

/* Events of LOG with sequences above *AFTER, in order, until EACH says stop
 * (false) or the last; *AFTER moves along, over those that are not kept any
 * more at once. */
typedef bool
db_each_event(void *ctx, uint64_t sequence, const struct stored_event *ev);
int db_events(struct db *db, uint64_t log, uint64_t *after, db_each_event *each,
    void *ctx, struct err *e);

#endif
