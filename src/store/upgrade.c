/*
 * Upgrading the database. Runs in the store, at its start, before anybody is
 * served. What is read was written by an older version of ours; a length in it
 * is believed no more than elsewhere.
 *
 * Each step is one transaction: after a crash it is done or it was never
 * begun. A step describes the layout that it makes with words of its own where
 * a later version may change them.
 */
#include "store/upgrade.h"

#include "lib/json.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "store/notes.h"
#include "store/record.h"
#include "store/stored.h"

#include <string.h>

/* --- 1 to 2 -------------------------------------------------------------- */

/* The entry of a log in version 1. */
struct log_1 {
	uint64_t log, last, updated_ms;
	char id[SESSION_ID_MAX];
	size_t id_len;
};

static int
log_1_get(const MDB_val *k, const MDB_val *v, struct log_1 *l_out)
{
	uint64_t be[3];

	if (k->mv_size != sizeof(be[0]) || v->mv_size < 2 * sizeof(be[0]) ||
	    v->mv_size > 2 * sizeof(be[0]) + SESSION_ID_MAX)
		return MDB_CORRUPTED;
	memcpy(&be[0], k->mv_data, sizeof(be[0]));
	memcpy(&be[1], v->mv_data, 2 * sizeof(be[0]));
	l_out->log = be64toh(be[0]);
	l_out->last = be64toh(be[1]);
	l_out->updated_ms = be64toh(be[2]);
	l_out->id_len = v->mv_size - 2 * sizeof(be[0]);
	memcpy(l_out->id, (const char *)v->mv_data + 2 * sizeof(be[0]),
	    l_out->id_len);
	return 0;
}

/* How many bytes the events of a log have: nobody counted them before. */
static int
log_bytes(MDB_cursor *events, uint64_t log, uint64_t *bytes_out)
{
	struct event_key key = event_key(log, 0);
	MDB_val k = val(&key, sizeof(key)), v;
	int rc = mdb_cursor_get(events, &k, &v, MDB_SET_RANGE);

	*bytes_out = 0;
	while (rc == 0 && k.mv_size == sizeof(key) &&
	       memcmp(k.mv_data, &key.log_be, sizeof(key.log_be)) == 0) {
		*bytes_out += v.mv_size;
		rc = mdb_cursor_get(events, &k, &v, MDB_NEXT);
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
log_2_put(struct db *db, MDB_txn *txn, const struct log_1 *l, uint64_t bytes)
{
	uint64_t log_be = htobe64(l->log);
	char value[4 * sizeof(uint64_t) + SESSION_ID_MAX];
	/* Nothing was ever removed from the front. */
	uint64_t be[4] = { htobe64(l->last), htobe64(l->updated_ms), htobe64(1),
		htobe64(bytes) };
	MDB_val k = val(&log_be, sizeof(log_be)), v;

	memcpy(value, be, sizeof(be));
	memcpy(value + sizeof(be), l->id, l->id_len);
	v = val(value, sizeof(be) + l->id_len);
	return mdb_put(txn, db->dbi[DB_LOGS], &k, &v, 0);
}

static int
logs_to_2(struct db *db, MDB_txn *txn)
{
	MDB_cursor *logs = NULL, *events = NULL;
	struct log_1 l;
	uint64_t after = 0, be, bytes;
	MDB_val k, v;
	int rc = mdb_cursor_open(txn, db->dbi[DB_LOGS], &logs);

	if (rc == 0)
		rc = mdb_cursor_open(txn, db->dbi[DB_EVENTS], &events);
	while (rc == 0) {
		/* Found anew each time: the table is written between. */
		be = htobe64(after + 1);
		k = val(&be, sizeof(be));
		rc = mdb_cursor_get(logs, &k, &v, MDB_SET_RANGE);
		if (rc == 0)
			rc = log_1_get(&k, &v, &l);
		if (rc == 0)
			rc = log_bytes(events, l.log, &bytes);
		if (rc == 0)
			rc = log_2_put(db, txn, &l, bytes);
		after = rc == 0 ? l.log : after;
	}
	/* Cursors of a write transaction end with it. */
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* One entry of the list that a sandbox's record held. */
static int
history_entry(struct db *db, MDB_txn *txn, uint64_t log, uint64_t seq,
    const struct json *entry, uint64_t *bytes_io)
{
	struct event_key key = event_key(log, seq);
	struct buf text, b;
	MDB_val k = val(&key, sizeof(key)), v;
	struct err e;
	int rc = MDB_NOTFOUND;

	buf_init(&text, NOTE_BYTES_MAX);
	buf_init(&b, 2 * NOTE_BYTES_MAX);
	if (note_build(entry, json_int(entry, "at", 0), &text, &e) == 0 &&
	    buf_reserve(&b, STORED_HEAD_BYTES) != NULL) {
		b.len = STORED_HEAD_BYTES;
		(void)buf_addf(&b, "{\"seq\":%llu,", (unsigned long long)seq);
		(void)buf_add(&b, text.data, text.len);
		stored_head_put(
		    b.data, 0, (uint32_t)(b.len - STORED_HEAD_BYTES));
		stored_head_fill(b.data, 0, (uint64_t)json_int(entry, "at", 0));
		v = val(b.data, b.len);
		rc = mdb_put(txn, db->dbi[DB_EVENTS], &k, &v, 0);
		*bytes_io += b.len;
	}
	buf_free(&text);
	buf_free(&b);
	return rc;
}

static int
sandbox_log_make(struct db *db, MDB_txn *txn, const char *id, uint64_t log,
    const struct json *events, uint64_t updated_ms)
{
	struct log_1 l = { .log = log, .updated_ms = updated_ms };
	uint64_t be[2] = { htobe64(log), 0 }, bytes = 0;
	MDB_val k = val(id, strlen(id)), v = val(be, sizeof(be));
	int rc = mdb_put(txn, db->dbi[DB_SANDBOX_LOGS], &k, &v, 0);

	json_foreach (it, events) {
		if (rc != 0)
			break;
		rc = history_entry(db, txn, log, l.last + 1, it, &bytes);
		if (rc == 0)
			l.last++;
		else if (rc == MDB_NOTFOUND)
			rc = 0; /* not one of ours: left out */
	}
	return rc == 0 ? log_2_put(db, txn, &l, bytes) : rc;
}

/* The list of a record becomes a log of its own. */
static int
sandbox_to_2(struct db *db, MDB_txn *txn, const char *id,
    const struct json *rec, uint64_t log)
{
	static const char drop[] = "{\"events\":null}";
	MDB_val k = val(id, strlen(id)), v;
	struct json *patch = NULL;
	struct buf out;
	struct err e;
	int rc = sandbox_log_make(db, txn, id, log, json_get(rec, "events"),
	    (uint64_t)json_int(rec, "changed_at", 0));

	if (rc != 0)
		return rc;
	buf_init(&out, RECORD_MAX);
	if (json_parse(drop, sizeof(drop) - 1, 4, &patch, &e) == -1 ||
	    record_merge(rec, patch, 0, &out, &e) == -1) {
		rc = MDB_CORRUPTED;
	} else {
		v = val(out.data, out.len);
		rc = mdb_put(txn, db->dbi[DB_SANDBOXES], &k, &v, 0);
	}
	buf_free(&out);
	json_free(patch);
	return rc;
}

static int
sandboxes_to_2(struct db *db, MDB_txn *txn)
{
	char id[SANDBOX_ID_MAX + 2] = "";
	MDB_cursor *cur;
	struct json *rec;
	uint64_t log;
	MDB_val k, v;
	int rc = db_counter_get(txn, db, COUNTER_LOG, &log);

	log = MAX(log, 1u);
	if (rc == 0)
		rc = mdb_cursor_open(txn, db->dbi[DB_SANDBOXES], &cur);
	while (rc == 0) {
		k = val(id, strlen(id) + 1); /* behind the one before */
		rc = mdb_cursor_get(
		    cur, &k, &v, id[0] != '\0' ? MDB_SET_RANGE : MDB_FIRST);
		if (rc != 0)
			break;
		if (k.mv_size > SANDBOX_ID_MAX)
			return MDB_CORRUPTED;
		memcpy(id, k.mv_data, k.mv_size);
		id[k.mv_size] = '\0';
		if (json_parse(
			v.mv_data, v.mv_size, RECORD_DEPTH, &rec, NULL) == -1) {
			log_error("store", "record damaged, left as it is",
			    LOG_STR("sandbox", id));
			continue;
		}
		rc = sandbox_to_2(db, txn, id, rec, log++);
		json_free(rec);
	}
	if (rc == MDB_NOTFOUND)
		rc = db_counter_put(txn, db, COUNTER_LOG, log);
	return rc;
}

/* 2: entries of logs say where they begin and how large they are; sandboxes
 * have logs; events may have the time when they were stored. */
static int
to_2(struct db *db, MDB_txn *txn)
{
	int rc = logs_to_2(db, txn);

	return rc == 0 ? sandboxes_to_2(db, txn) : rc;
}

int
upgrade_step(struct db *db, MDB_txn *txn, int64_t from)
{
	static int (*const steps[SCHEMA_VERSION])(struct db *, MDB_txn *) = {
		[1] = to_2,
	};
	int rc;

	if (from < 1 || from >= SCHEMA_VERSION || steps[from] == NULL)
		return MDB_VERSION_MISMATCH;
	rc = steps[from](db, txn);
	if (rc == 0)
		log_info("store", "schema upgraded", LOG_INT("from", from),
		    LOG_INT("to", from + 1));
	return rc;
}
