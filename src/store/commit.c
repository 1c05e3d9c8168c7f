/*
 * Carrying out a batch in one write transaction. Runs in the store; every job
 * has been checked before it came here, and the batch may be tried again, so
 * nothing in memory changes but the outputs of the jobs before the commit has
 * succeeded.
 *
 * An event is never overwritten and its numbers are never given twice: events
 * are inserted only where nothing is, and counters move in the transaction
 * that uses them.
 */
#include "store/commit_priv.h"

#include "lib/log.h"
#include "lib/strutil.h"

#include <string.h>

int
commit_cursors_open(struct commit *c)
{
	int rc = 0;

	if (c->events == NULL)
		rc = mdb_cursor_open(c->txn, c->db->dbi[DB_EVENTS], &c->events);
	if (rc == 0 && c->feed == NULL)
		rc = mdb_cursor_open(c->txn, c->db->dbi[DB_FEED], &c->feed);
	return rc;
}

int
commit_log_get(
    struct commit *c, uint64_t log, struct log_value *lv_out, MDB_val *id_out)
{
	uint64_t log_be = htobe64(log);
	MDB_val k = val(&log_be, sizeof(log_be)), v;
	int rc = mdb_get(c->txn, c->db->dbi[DB_LOGS], &k, &v);

	if (rc == 0 && !log_value_get(v.mv_data, v.mv_size, lv_out))
		rc = MDB_CORRUPTED;
	if (rc == 0 && id_out != NULL)
		*id_out = val((const char *)v.mv_data + LOG_VALUE_BYTES,
		    v.mv_size - LOG_VALUE_BYTES);
	return rc;
}

int
commit_log_put(struct commit *c, uint64_t log, const char *id, size_t id_len,
    const struct log_value *lv)
{
	uint64_t log_be = htobe64(log);
	char value[LOG_VALUE_BYTES + SESSION_ID_MAX];
	MDB_val k = val(&log_be, sizeof(log_be)), v;

	if (id_len > SESSION_ID_MAX)
		return MDB_BAD_VALSIZE;
	log_value_put(value, lv);
	memcpy(value + LOG_VALUE_BYTES, id, id_len);
	v = val(value, LOG_VALUE_BYTES + id_len);
	return mdb_put(c->txn, c->db->dbi[DB_LOGS], &k, &v, 0);
}

int
commit_log_new(struct commit *c, uint64_t *log_out)
{
	*log_out = c->next_log++;
	return db_counter_put(c->txn, c->db, COUNTER_LOG, c->next_log);
}

/* The record under KEY as a tree, NULL when there is none. A record that does
 * not parse is the job's failure. */
static int
record_get(struct commit *c, struct job *j, enum db_name table, MDB_val *k,
    struct json **rec_out)
{
	struct err e;
	MDB_val v;
	int rc = mdb_get(c->txn, c->db->dbi[table], k, &v);

	*rec_out = NULL;
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return rc;
	if (json_parse(v.mv_data, v.mv_size, RECORD_DEPTH, rec_out, &e) == -1) {
		log_error("store", "record damaged", LOG_STR("detail", e.text));
		j->failed = ERR_INTERNAL;
	}
	return 0;
}

/* Merge the job's patch into the record under K. */
static int
record_update(struct commit *c, struct job *j, enum db_name table, MDB_val *k,
    const struct json *old, uint64_t log, size_t max)
{
	struct json *patch = NULL;
	struct buf out;
	struct err e;
	MDB_val v;
	int rc = 0;

	buf_init(&out, max);
	if (json_parse(c->b->text.data + j->patch, j->patch_len, RECORD_DEPTH,
		&patch, &e) == -1 ||
	    record_merge(old, patch, log, &out, &e) == -1) {
		j->failed = e.code;
	} else {
		v = val(out.data, out.len);
		rc = mdb_put(c->txn, c->db->dbi[table], k, &v, 0);
	}
	buf_free(&out);
	json_free(patch);
	return rc;
}

static int
do_events(struct commit *c, const struct job *j, size_t *bytes_out)
{
	char *p = c->b->text.data + j->values;
	struct event_key key;
	MDB_val k = val(&key, sizeof(key)), v, g;
	uint64_t global_be;
	uint32_t size, i;
	int rc = commit_cursors_open(c);

	*bytes_out = 0;
	for (i = 0; rc == 0 && i < j->nevents; i++) {
		memcpy(&size, p, sizeof(size));
		p += sizeof(size);
		global_be = htobe64(c->next_global);
		stored_head_fill(p, c->next_global++, (uint64_t)j->now_ms);
		key = event_key(j->s->log, j->first + i);
		v = val(p, size);
		rc = mdb_cursor_put(c->events, &k, &v, MDB_NOOVERWRITE);
		if (rc != 0)
			break;
		g = val(&global_be, sizeof(global_be));
		v = val(&key, sizeof(key));
		rc = mdb_cursor_put(c->feed, &g, &v, MDB_APPEND);
		p += size;
		*bytes_out += size;
	}
	return rc;
}

/* The entry of the log says what was added. */
static int
log_grew(struct commit *c, const struct job *j, size_t bytes)
{
	const struct session *s = j->s;
	struct log_value lv;
	int rc = commit_log_get(c, s->log, &lv, NULL);

	if (rc != 0)
		return rc;
	lv.last = j->first + j->nevents - 1;
	lv.updated_ms = (uint64_t)j->now_ms;
	lv.bytes += bytes;
	c->totals.bytes += bytes;
	c->totals.events += j->nevents;
	return commit_log_put(c, s->log, s->id, strlen(s->id), &lv);
}

static int
do_append(struct commit *c, struct job *j)
{
	struct session *s = j->s;
	MDB_val k = val(s->id, strlen(s->id));
	struct json *rec;
	size_t bytes;
	int rc = do_events(c, j, &bytes);

	if (rc == 0 && j->patch_len > 0) {
		rc = record_get(c, j, DB_SESSIONS, &k, &rec);
		if (rc == 0 && rec != NULL)
			rc = record_update(
			    c, j, DB_SESSIONS, &k, rec, s->log, RECORD_MAX);
		json_free(rec);
		/* Events count for more than the record: they stay. */
		j->failed = ERR_NONE;
	}
	if (rc == 0 && (j->nevents > 0 || j->patch_len > 0))
		rc = log_grew(c, j, bytes);
	return rc;
}

/* A session's record has a log, made with it. */
static int
session_log(struct commit *c, struct job *j, const MDB_val *key,
    const struct json *old, uint64_t *log_out)
{
	struct log_value lv = { .first = 1 };
	int rc;

	*log_out = record_log(old);
	if (old == NULL) {
		j->created = true;
		rc = commit_log_new(c, log_out);
	} else {
		rc = commit_log_get(c, *log_out, &lv, NULL);
	}
	if (rc != 0)
		return rc;
	lv.updated_ms = (uint64_t)j->now_ms;
	return commit_log_put(c, *log_out, key->mv_data, key->mv_size, &lv);
}

static int
do_put(struct commit *c, struct job *j)
{
	MDB_val k = val(c->b->text.data + j->key, j->key_len);
	struct json *old;
	uint64_t log = 0;
	int rc = record_get(c, j, j->table, &k, &old);

	if (rc == 0 && j->failed == ERR_NONE && j->table == DB_SESSIONS)
		rc = session_log(c, j, &k, old, &log);
	if (rc == 0 && j->failed == ERR_NONE && j->table == DB_SANDBOXES &&
	    old == NULL)
		rc = commit_sandbox_made(c, j, &k);
	if (rc == 0 && j->failed == ERR_NONE)
		rc =
		    record_update(c, j, j->table, &k, old, log, RECORD_PUT_MAX);
	json_free(old);
	return rc;
}

int
commit_log_remove(struct commit *c, uint64_t log)
{
	uint64_t log_be = htobe64(log);
	char name[sizeof(META_REMOVED) - 1 + sizeof(log_be)];
	MDB_val k = val(&log_be, sizeof(log_be)), v = val("", 0), id;
	struct log_value lv;
	int rc = commit_log_get(c, log, &lv, &id);

	if (rc == 0 && id.mv_size > 0) {
		c->totals.bytes -= MIN(c->totals.bytes, lv.bytes);
		c->totals.events -=
		    MIN(c->totals.events, lv.last + 1 - lv.first);
	}
	rc = mdb_del(c->txn, c->db->dbi[DB_LOGS], &k, NULL);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return rc;
	memcpy(name, META_REMOVED, sizeof(META_REMOVED) - 1);
	memcpy(name + sizeof(META_REMOVED) - 1, &log_be, sizeof(log_be));
	k = val(name, sizeof(name));
	return mdb_put(c->txn, c->db->dbi[DB_META], &k, &v, 0);
}

static int
do_delete(struct commit *c, struct job *j)
{
	MDB_val k = val(c->b->text.data + j->key, j->key_len);
	struct json *old;
	int rc;

	if (j->table == DB_SESSIONS) {
		rc = record_get(c, j, j->table, &k, &old);
		j->failed = ERR_NONE; /* damaged: then only the name goes */
		j->log = record_log(old);
		json_free(old);
		if (rc == 0 && j->log != 0)
			rc = commit_log_remove(c, j->log);
		if (rc != 0)
			return rc;
	}
	if (j->table == DB_SANDBOXES) {
		rc = commit_sandbox_gone(c, j, &k);
		if (rc != 0)
			return rc;
	}
	rc = mdb_del(c->txn, c->db->dbi[j->table], &k, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
commit_event_remove(struct commit *c, const MDB_val *v)
{
	struct stored_event ev;
	uint64_t global_be;
	MDB_val k;
	int rc;

	if (stored_event_get(v->mv_data, v->mv_size, &ev) && ev.global != 0) {
		global_be = htobe64(ev.global);
		k = val(&global_be, sizeof(global_be));
		rc = mdb_del(c->txn, c->db->dbi[DB_FEED], &k, NULL);
		if (rc != 0 && rc != MDB_NOTFOUND)
			return rc;
	}
	return mdb_cursor_del(c->events, 0);
}

static int
do_purge(struct commit *c, struct job *j)
{
	struct event_key key = event_key(j->log, 0);
	uint64_t log_be = htobe64(j->log);
	char name[sizeof(META_REMOVED) - 1 + sizeof(log_be)];
	MDB_val k, v;
	unsigned n;
	int rc = commit_cursors_open(c);

	if (rc == 0) /* the end of the feed may go now: numbers go on */
		rc = db_counter_put(
		    c->txn, c->db, COUNTER_GLOBAL, c->next_global);
	for (n = 0; rc == 0 && n < TRIM_EVENTS; n++) {
		k = val(&key, sizeof(key));
		rc = mdb_cursor_get(c->events, &k, &v, MDB_SET_RANGE);
		if (rc == 0 && memcmp(k.mv_data, &log_be, sizeof(log_be)) != 0)
			rc = MDB_NOTFOUND;
		if (rc == 0)
			rc = commit_event_remove(c, &v);
	}
	if (rc != MDB_NOTFOUND)
		return rc;
	j->purged = true;
	memcpy(name, META_REMOVED, sizeof(META_REMOVED) - 1);
	memcpy(name + sizeof(META_REMOVED) - 1, &log_be, sizeof(log_be));
	k = val(name, sizeof(name));
	rc = mdb_del(c->txn, c->db->dbi[DB_META], &k, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
commit_jobs(struct db *db, struct batch *b)
{
	static int (*const perform[JOB_KIND_N])(
	    struct commit *, struct job *) = {
		[JOB_APPEND] = do_append,
		[JOB_PUT] = do_put,
		[JOB_DELETE] = do_delete,
		[JOB_PURGE] = do_purge,
		[JOB_NOTE] = commit_note,
		[JOB_TRIM] = commit_trim,
		[JOB_DROP_LOG] = commit_drop_log,
	};
	struct commit c = { .db = db,
		.b = b,
		.next_log = db->next_log,
		.next_global = db->next_global,
		.totals = db->totals };
	size_t i;
	int rc = mdb_txn_begin(db->env, NULL, 0, &c.txn);

	if (rc != 0)
		return rc;
	for (i = 0; rc == 0 && i < b->n; i++) {
		b->jobs[i].failed = ERR_NONE;
		b->jobs[i].purged = false;
		b->jobs[i].created = false;
		b->jobs[i].old_log = 0;
		rc = perform[b->jobs[i].kind](&c, &b->jobs[i]);
	}
	/* Cursors of a write transaction end with it. */
	if (rc != 0) {
		mdb_txn_abort(c.txn);
		return rc;
	}
	rc = mdb_txn_commit(c.txn);
	if (rc == 0) {
		db->next_log = c.next_log;
		db->next_global = c.next_global;
		db->totals = c.totals;
	}
	return rc;
}
