/*
 * The database: its environment, its tables, its version, the size of its
 * map, and the keys of `meta`.
 *
 * One write transaction at a time (batch.c), and short read transactions that
 * never last across a return to the loop.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "lib/defs.h"
#include "lib/err.h"

#include <lmdb.h>
#include <stdbool.h>

#define SCHEMA_VERSION 2
#define KEY_SCHEMA "schema" /* in the table meta: a number, as text */

enum db_name {
	DB_META,
	DB_SANDBOXES,
	DB_SESSIONS,
	DB_LOGS,
	DB_EVENTS,
	DB_FEED,
	DB_TOKENS,
	DB_AGENTS,
	DB_SANDBOX_LOGS,
	DB_N
};

enum durability {
	DURABILITY_FULL,    /* flushed before it is visible */
	DURABILITY_RELAXED, /* a power cut may undo the last commit */
	DURABILITY_NONE,    /* a power cut may cost the database */
	DURABILITY_N
};

struct db_options {
	const char *path; /* borrowed; an existing directory */
	enum durability durability;
	size_t map_bytes; /* first size of the map */
};

/* Of the events of all sessions. */
struct db_totals {
	uint64_t events, bytes;
};

struct db {
	MDB_env *env; /* owned, NULL when closed */
	MDB_dbi dbi[DB_N];
	struct db_options opt;
	MDB_txn *read; /* owned; reset between uses, NULL before the first */
	bool reading;  /* between db_read and db_read_done */
	size_t map_bytes;
	/* What the next commit gives out; set only after a commit. */
	uint64_t next_log;
	uint64_t next_global;
	struct db_totals totals;
	uint64_t notes_max; /* entries that a sandbox's log may have */
};

/* The table that FIELD `db` of a message names; DB_N for none. Only tables of
 * records can be named. */
enum db_name db_by_name(const char *name);
int durability_parse(const char *word, enum durability *d_out);

int db_open(struct db *db, const struct db_options *opt,
    struct err *e) ATTR_WARN_UNUSED;
void db_close(struct db *db); /* also one that was never opened but zeroed */
/* After an error that LMDB does not recover from. */
int db_reopen(struct db *db, struct err *e) ATTR_WARN_UNUSED;
/* Twice the map, by at most MAP_STEP_MAX. No transaction may be open. */
int db_grow(struct db *db, struct err *e) ATTR_WARN_UNUSED;

/* A read transaction; nothing read in it may be used after db_read_done. */
int db_read(struct db *db, MDB_txn **txn_out, struct err *e) ATTR_WARN_UNUSED;
void db_read_done(struct db *db);

/* Free the slots of readers that have died: each would keep old pages. */
void db_readers_clear(struct db *db);

/* LMDB's codes as errors: out of space in any form is ERR_DISK_FULL. */
int db_err(struct err *e, int rc, const char *what);

/* Counters of `meta`, u64 big endian; 0 when missing. */
int db_counter_get(
    MDB_txn *txn, const struct db *db, const char *name, uint64_t *v_out);
int
db_counter_put(MDB_txn *txn, const struct db *db, const char *name, uint64_t v);
#define COUNTER_LOG "next_log"
/* A floor: the feed itself tells when its end has not been removed. */
#define COUNTER_GLOBAL "next_global"
/* Prefix of keys of `meta` that name logs whose events are still to be
 * removed; a u64 big endian follows, the value is empty. */
#define META_REMOVED "removed/"

struct db_figures {
	uint64_t sessions, events, used_bytes;
};
int db_figures(
    struct db *db, struct db_figures *f_out, struct err *e) ATTR_WARN_UNUSED;

static inline MDB_val
val(const void *p, size_t n)
{
	/* LMDB takes keys and values to be written through the same type that
	 * it gives out, and does not write through it. */
	return (MDB_val){ n, (void *)(uintptr_t)p };
}

#endif
