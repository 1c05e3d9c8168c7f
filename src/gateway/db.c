/*
 * Reading the store's map. Runs in the gateway; the environment is opened
 * while the files can still be seen, and nothing is ever written to it but our
 * slot in the table of readers.
 *
 * One read transaction, which is reset between uses: it keeps its slot, so
 * that beginning costs no lock and no system call. The map holds what the
 * store has committed; it was checked when it came in, yet no length in it is
 * believed. A map that the store has made larger meanwhile is mapped anew.
 */
#include "gateway/db.h"

#include "lib/dbguard.h"
#include "lib/fdio.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <inttypes.h>
#include <lmdb.h>
#include <string.h>

#define TABLES_MAX 8 /* named ones, as the store has */

struct db {
	MDB_env *env; /* owned */
	MDB_txn *txn; /* owned; reset while depth is 0 */
	MDB_dbi sessions, logs, events, sandboxes, tokens, sandbox_logs;
	unsigned depth; /* of db_begin */
};

static MDB_val
val(const void *p, size_t n)
{
	/* LMDB takes keys through the type that it gives values out with, and
	 * does not write through it. */
	return (MDB_val){ n, (void *)(uintptr_t)p };
}

static int
db_err(struct err *e, int rc, const char *what)
{
	return err_set(
	    e, ERR_STORE_UNAVAILABLE, "%s: %s", what, mdb_strerror(rc));
}

/* A slot of a reader that was killed may be what is missing. */
static int
txn_first(struct db *db)
{
	int dead, rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->txn);

	if (rc != MDB_READERS_FULL)
		return rc;
	rc = mdb_reader_check(db->env, &dead);
	if (rc != 0)
		return rc;
	return mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->txn);
}

static int
tables_open(struct db *db, struct err *e)
{
	const struct {
		const char *name;
		MDB_dbi *dbi;
	} tables[] = {
		{ "sessions", &db->sessions },
		{ "logs", &db->logs },
		{ "events", &db->events },
		{ "sandboxes", &db->sandboxes },
		{ "tokens", &db->tokens },
		{ "sandbox_logs", &db->sandbox_logs },
	};
	size_t i;
	int rc = txn_first(db);

	if (rc != 0)
		return db_err(e, rc, "begin");
	for (i = 0; i < countof(tables); i++) {
		rc = mdb_dbi_open(db->txn, tables[i].name, 0, tables[i].dbi);
		if (rc != 0)
			return db_err(e, rc, tables[i].name);
	}
	/* The handles outlive the transaction only if it is committed. */
	rc = mdb_txn_commit(STEAL(db->txn));
	if (rc == 0)
		rc = txn_first(db);
	if (rc != 0)
		return db_err(e, rc, "begin");
	mdb_txn_reset(db->txn);
	return 0;
}

int
db_open_env(struct db **db_out, const char *dir, struct err *e)
{
	struct db *db = xcalloc(1, sizeof(*db));
	autofd int guard_fd = dbguard_share(dir);
	int rc = guard_fd == -1 ? errno : mdb_env_create(&db->env);

	*db_out = NULL;
	if (rc == 0)
		rc = mdb_env_set_maxdbs(db->env, TABLES_MAX);
	if (rc == 0)
		rc = mdb_env_open(db->env, dir, MDB_RDONLY | MDB_NOTLS, 0640);
	if (rc != 0)
		(void)db_err(e, rc, "open the database");
	else
		rc = tables_open(db, e);
	if (rc != 0) {
		db_close_env(db);
		return -1;
	}
	*db_out = db;
	return 0;
}

void
db_close_env(struct db *db)
{
	if (db == NULL)
		return;
	if (db->txn != NULL)
		mdb_txn_abort(db->txn);
	if (db->env != NULL)
		mdb_env_close(db->env);
	free(db);
}

int
db_begin(struct db *db, struct err *e)
{
	int rc;

	if (db->depth > 0) {
		db->depth++;
		return 0;
	}
	rc = mdb_txn_renew(db->txn);
	if (rc == MDB_MAP_RESIZED) {
		/* Nothing points into the map: it may move. */
		rc = mdb_env_set_mapsize(db->env, 0);
		if (rc == 0)
			rc = mdb_txn_renew(db->txn);
	}
	if (rc != 0)
		return db_err(e, rc, "begin to read");
	db->depth = 1;
	return 0;
}

void
db_end(struct db *db)
{
	if (--db->depth == 0)
		mdb_txn_reset(db->txn);
}

/* --- sessions ------------------------------------------------------------ */

/* The store writes the log's number as the first member of each record. */
static uint64_t
record_log(const char *text, size_t len)
{
	static const char first[] = "{\"log\":";
	uint64_t log = 0;
	size_t i;

	if (len < sizeof(first) || memcmp(text, first, sizeof(first) - 1) != 0)
		return 0;
	for (i = sizeof(first) - 1; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || log > UINT64_MAX / 16)
			break;
		log = log * 10 + (uint64_t)(text[i] - '0');
	}
	return log;
}

static bool
log_facts(const MDB_val *v, struct db_session *s)
{
	struct log_value lv;

	if (!log_value_get(v->mv_data, v->mv_size, &lv))
		return false;
	s->last = lv.last;
	s->first = lv.first;
	s->updated_ms = (int64_t)lv.updated_ms;
	return true;
}

bool
db_session(struct db *db, const char *id, struct db_session *s_out)
{
	MDB_val k = val(id, strlen(id)), v;
	uint64_t be;

	if (k.mv_size == 0 || mdb_get(db->txn, db->sessions, &k, &v) != 0)
		return false;
	s_out->record = v.mv_data;
	s_out->record_len = v.mv_size;
	s_out->log = record_log(v.mv_data, v.mv_size);
	be = htobe64(s_out->log);
	k = val(&be, sizeof(be));
	return s_out->log != 0 && mdb_get(db->txn, db->logs, &k, &v) == 0 &&
	       log_facts(&v, s_out);
}

/* The entry of a log that stands before *CURSOR, with its record. */
static bool
session_before(struct db *db, MDB_cursor *cur, uint64_t *cursor, MDB_val *v,
    struct db_session *s_out)
{
	uint64_t be = htobe64(*cursor);
	MDB_val k = val(&be, sizeof(be)), id;
	int rc = mdb_cursor_get(cur, &k, v, MDB_SET_RANGE);

	rc = mdb_cursor_get(cur, &k, v, rc == 0 ? MDB_PREV : MDB_LAST);
	while (rc == 0 && k.mv_size == sizeof(be)) {
		memcpy(&be, k.mv_data, sizeof(be));
		*cursor = be64toh(be);
		s_out->log = *cursor;
		if (log_facts(v, s_out)) {
			id = val((const char *)v->mv_data + LOG_VALUE_BYTES,
			    v->mv_size - LOG_VALUE_BYTES);
			if (id.mv_size > 0 &&
			    mdb_get(db->txn, db->sessions, &id, &k) == 0) {
				s_out->record = k.mv_data;
				s_out->record_len = k.mv_size;
				return true;
			}
		}
		rc = mdb_cursor_get(cur, &k, v, MDB_PREV);
	}
	return false;
}

bool
db_session_next(struct db *db, uint64_t *cursor, const char **id_out,
    size_t *id_len_out, struct db_session *s_out)
{
	MDB_cursor *cur;
	MDB_val v;
	bool found;

	if (mdb_cursor_open(db->txn, db->logs, &cur) != 0)
		return false;
	found = session_before(db, cur, cursor, &v, s_out);
	mdb_cursor_close(cur);
	if (found) {
		*id_out = (const char *)v.mv_data + LOG_VALUE_BYTES;
		*id_len_out = v.mv_size - LOG_VALUE_BYTES;
	}
	return found;
}

/* The id behind ID of those that begin with PREFIX, into ID. */
static bool
id_next(MDB_cursor *cur, const char *prefix, char id[SESSION_ID_MAX + 1])
{
	const char *from = id[0] != '\0' ? id : prefix;
	MDB_val k = val(from, strlen(from)), v;
	int rc = mdb_cursor_get(cur, &k, &v, MDB_SET_RANGE);

	if (rc == 0 && id[0] != '\0' && k.mv_size == strlen(id) &&
	    memcmp(k.mv_data, id, k.mv_size) == 0)
		rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
	if (rc != 0 || k.mv_size < strlen(prefix) ||
	    k.mv_size > SESSION_ID_MAX ||
	    memcmp(k.mv_data, prefix, strlen(prefix)) != 0)
		return false;
	memcpy(id, k.mv_data, k.mv_size);
	id[k.mv_size] = '\0';
	return true;
}

bool
db_session_below(struct db *db, const char *prefix, char id[SESSION_ID_MAX + 1],
    struct db_session *s_out)
{
	MDB_cursor *cur;
	bool found = true;

	if (mdb_cursor_open(db->txn, db->sessions, &cur) != 0)
		return false;
	while (found) {
		found = id_next(cur, prefix, id);
		if (found && db_session(db, id, s_out))
			break; /* one without a log is damaged */
	}
	mdb_cursor_close(cur);
	return found;
}

bool
db_record(struct db *db, const char *table, const char *key,
    const char **text_out, size_t *len_out)
{
	MDB_val k = val(key, strlen(key)), v;
	MDB_dbi dbi;

	if (strcmp(table, "sandboxes") == 0)
		dbi = db->sandboxes;
	else if (strcmp(table, "tokens") == 0)
		dbi = db->tokens;
	else
		return false;
	if (k.mv_size == 0 || mdb_get(db->txn, dbi, &k, &v) != 0)
		return false;
	*text_out = v.mv_data;
	*len_out = v.mv_size;
	return true;
}

/* The entry of LOG. */
static bool
log_get(struct db *db, uint64_t log, struct log_value *lv_out)
{
	uint64_t be = htobe64(log);
	MDB_val k = val(&be, sizeof(be)), v;

	return mdb_get(db->txn, db->logs, &k, &v) == 0 &&
	       log_value_get(v.mv_data, v.mv_size, lv_out);
}

bool
db_sandbox_log(struct db *db, const char *id, struct db_log *l_out)
{
	MDB_val k = val(id, strlen(id)), v;
	struct sandbox_log sl;
	struct log_value lv;

	if (k.mv_size == 0 || mdb_get(db->txn, db->sandbox_logs, &k, &v) != 0 ||
	    !sandbox_log_get(v.mv_data, v.mv_size, &sl) ||
	    !log_get(db, sl.log, &lv))
		return false;
	*l_out = (struct db_log){ .log = sl.log,
		.first = lv.first,
		.last = lv.last,
		.gone_ms = sl.gone_ms };
	return true;
}

/* --- events -------------------------------------------------------------- */

static int
events_step(struct db *db, MDB_cursor *cur, uint64_t log, uint64_t *after,
    db_each_event *each, void *ctx, struct err *e)
{
	struct event_key key;
	MDB_val k = val(&key, sizeof(key)), v;
	struct log_value lv;
	struct stored_event ev;
	int rc;

	/* What was removed from the front is skipped; any other gap is a
	 * loss. */
	if (!log_get(db, log, &lv))
		return 0;
	*after = MAX(*after, lv.first - 1);
	key = event_key(log, *after + 1);
	rc = mdb_cursor_get(cur, &k, &v, MDB_SET_RANGE);

	while (rc == 0) {
		key = event_key(log, *after + 1);
		if (k.mv_size != sizeof(key) ||
		    memcmp(k.mv_data, &key.log_be, sizeof(key.log_be)) != 0)
			return 0; /* the next log's */
		if (memcmp(k.mv_data, &key, sizeof(key)) != 0 ||
		    !stored_event_get(v.mv_data, v.mv_size, &ev))
			return err_set(e, ERR_INTERNAL,
			    "the event after %" PRIu64 " is missing", *after);
		if (!each(ctx, *after + 1, &ev))
			return 0;
		++*after;
		rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
	}
	return rc == MDB_NOTFOUND ? 0 : db_err(e, rc, "read events");
}

int
db_events(struct db *db, uint64_t log, uint64_t *after, db_each_event *each,
    void *ctx, struct err *e)
{
	MDB_cursor *cur;
	int rc = mdb_cursor_open(db->txn, db->events, &cur);

	if (rc != 0)
		return db_err(e, rc, "read events");
	rc = *after < UINT64_MAX
		 ? events_step(db, cur, log, after, each, ctx, e)
		 : 0;
	mdb_cursor_close(cur);
	return rc;
}
