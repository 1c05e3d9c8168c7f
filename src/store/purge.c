/*
 * Removing the events of removed sessions in the background. Runs in the
 * store. A session of a million events goes in steps of a few hundred, so that
 * nobody waits for it; what is to be removed stands in `meta` until it is.
 */
#include "store/purge.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "store/batch.h"
#include "store/stored.h"

#include <string.h>

#define RETRY_S 1.

void
purge_add(struct store *st, uint64_t log)
{
	st->purge =
	    xreallocarray(st->purge, st->npurge + 1, sizeof(*st->purge));
	st->purge[st->npurge++] = log;
}

void
purge_done(struct store *st, uint64_t log)
{
	size_t i;

	for (i = 0; i < st->npurge; i++) {
		if (st->purge[i] == log) {
			st->purge[i] = st->purge[--st->npurge];
			return;
		}
	}
}

void
purge_failed(struct store *st)
{
	st->purge_later = true;
	ev_timer_stop(st->loop, &st->retry);
	ev_timer_set(&st->retry, RETRY_S, 0.);
	ev_timer_start(st->loop, &st->retry);
}

void
purge_stage(struct store *st)
{
	struct err e;

	if (st->npurge == 0 || st->purge_later)
		return;
	if (batch_purge(st, st->purge[0], &e) == -1)
		purge_failed(st);
	store_stay_busy(st);
}

int
purge_load(struct store *st, struct err *e)
{
	const size_t prefix = sizeof(META_REMOVED) - 1;
	MDB_cursor *cur;
	MDB_txn *txn;
	MDB_val k = val(META_REMOVED, prefix), v;
	uint64_t be;
	int rc;

	if (db_read(&st->db, &txn, e) == -1)
		return -1;
	rc = mdb_cursor_open(txn, st->db.dbi[DB_META], &cur);
	if (rc != 0) {
		db_read_done(&st->db);
		return db_err(e, rc, "read removed sessions");
	}
	rc = mdb_cursor_get(cur, &k, &v, MDB_SET_RANGE);
	while (rc == 0 && k.mv_size == prefix + sizeof(be) &&
	       memcmp(k.mv_data, META_REMOVED, prefix) == 0) {
		memcpy(&be, (const char *)k.mv_data + prefix, sizeof(be));
		purge_add(st, be64toh(be));
		rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cur);
	db_read_done(&st->db);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return db_err(e, rc, "read removed sessions");
	return 0;
}
