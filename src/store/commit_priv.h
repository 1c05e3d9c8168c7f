/*
 * What the files that carry a batch out share: commit.c (records and sessions'
 * events), commit_notes.c (the logs of sandboxes), commit_trim.c (what goes).
 * All functions give LMDB's codes.
 */
#ifndef STORE_COMMIT_PRIV_H
#define STORE_COMMIT_PRIV_H

#include "store/batch.h"
#include "store/stored.h"

/* Of removed and of old events, in one commit: it must not hold up others. */
#define TRIM_EVENTS 512

struct commit {
	struct db *db;
	const struct batch *b;
	MDB_txn *txn;
	MDB_cursor *events, *feed; /* owned, opened when first needed */
	uint64_t next_log, next_global;
	struct db_totals totals;
};

int commit_cursors_open(struct commit *c);

/* The entry of a log; ID_OUT (may be NULL) gets the rest of the value, which
 * is valid until something is written. MDB_NOTFOUND when there is none. */
int commit_log_get(
    struct commit *c, uint64_t log, struct log_value *lv_out, MDB_val *id_out);
/* ID: of its session, length 0 for a sandbox's. */
int commit_log_put(struct commit *c, uint64_t log, const char *id,
    size_t id_len, const struct log_value *lv);
/* A log goes: its entry at once, its events later, in small steps. */
int commit_log_remove(struct commit *c, uint64_t log);
/* A number for a new log. */
int commit_log_new(struct commit *c, uint64_t *log_out);
/* Remove the event under the cursor, whose value is V, and its entry of the
 * feed. */
int commit_event_remove(struct commit *c, const MDB_val *v);

/* commit_notes.c */
int commit_note(struct commit *c, struct job *j);
/* The record of a sandbox was made (its log begins, a former one goes), or
 * removed (its log is closed). */
int commit_sandbox_made(struct commit *c, struct job *j, const MDB_val *id);
int commit_sandbox_gone(struct commit *c, struct job *j, const MDB_val *id);

/* commit_trim.c */
int commit_trim(struct commit *c, struct job *j);
int commit_drop_log(struct commit *c, struct job *j);

#endif
