/*
 * The table of sessions in use. Runs in the store; ids come from the
 * supervisor, contents from our own database.
 */
#include "store/sessions.h"

#include "lib/xalloc.h"
#include "store/stored.h"
#include "store/stream.h"

#include <string.h>

static unsigned
bucket(const char *id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
	return (unsigned)(h >> 32) & (SESSION_BUCKETS - 1);
}

int
session_read(struct db *db, MDB_txn *txn, const char *id, size_t id_len,
    struct json **rec_out, struct record_facts *facts_out, struct err *e)
{
	MDB_val k = val(id, id_len), v;
	struct json *rec;
	struct log_value lv;
	uint64_t log_be;
	int rc = mdb_get(txn, db->dbi[DB_SESSIONS], &k, &v);

	*rec_out = NULL;
	if (rc == MDB_NOTFOUND)
		return err_set(e, ERR_SESSION_NOT_FOUND, "no session '%.*s'",
		    (int)id_len, id);
	if (rc != 0)
		return db_err(e, rc, "read session");
	if (json_parse(v.mv_data, v.mv_size, RECORD_DEPTH, &rec, e) == -1)
		return err_prefix(
		    e, "record of session '%.*s'", (int)id_len, id);
	log_be = htobe64(record_log(rec));
	k = val(&log_be, sizeof(log_be));
	rc = mdb_get(txn, db->dbi[DB_LOGS], &k, &v);
	if (rc != 0 || !log_value_get(v.mv_data, v.mv_size, &lv)) {
		json_free(rec);
		return db_err(e, rc != 0 ? rc : MDB_CORRUPTED, "read log");
	}
	facts_out->last = lv.last;
	facts_out->first = lv.first;
	facts_out->updated_ms = (int64_t)lv.updated_ms;
	*rec_out = rec;
	return 0;
}

/* Is the last event the session's end? */
static int
read_ended(struct store *st, MDB_txn *txn, struct session *s, struct err *e)
{
	struct event_key key = event_key(s->log, s->last);
	MDB_val k = val(&key, sizeof(key)), v;
	struct stored_event ev;
	int rc;

	s->ended = false;
	if (s->last == 0)
		return 0;
	rc = mdb_get(txn, st->db.dbi[DB_EVENTS], &k, &v);
	if (rc == 0 && !stored_event_get(v.mv_data, v.mv_size, &ev))
		rc = MDB_CORRUPTED;
	if (rc != 0)
		return db_err(e, rc, "read last event");
	s->ended = (ev.flags & STORED_ENDS_SESSION) != 0;
	return 0;
}

static int
load_session(struct store *st, MDB_txn *txn, struct session *s, struct err *e)
{
	struct record_facts facts;
	struct json *rec;

	if (session_read(&st->db, txn, s->id, strlen(s->id), &rec, &facts, e) ==
	    -1)
		return -1;
	s->log = record_log(rec);
	s->last = facts.last;
	s->staged = facts.last;
	s->updated_ms = facts.updated_ms;
	s->closed = strcmp(json_str(rec, "state", ""), "ended") == 0;
	json_free(rec);
	return read_ended(st, txn, s, e);
}

static int
load_sandbox(struct store *st, MDB_txn *txn, struct session *s, struct err *e)
{
	MDB_val k = val(s->id, strlen(s->id)), v;
	struct sandbox_log sl;
	struct log_value lv;
	uint64_t be;
	int rc = mdb_get(txn, st->db.dbi[DB_SANDBOX_LOGS], &k, &v);

	if (rc == MDB_NOTFOUND)
		return err_set(
		    e, ERR_SANDBOX_NOT_FOUND, "no sandbox '%s'", s->id);
	if (rc == 0 && !sandbox_log_get(v.mv_data, v.mv_size, &sl))
		rc = MDB_CORRUPTED;
	if (rc == 0) {
		be = htobe64(sl.log);
		k = val(&be, sizeof(be));
		rc = mdb_get(txn, st->db.dbi[DB_LOGS], &k, &v);
	}
	if (rc == 0 && !log_value_get(v.mv_data, v.mv_size, &lv))
		rc = MDB_CORRUPTED;
	if (rc != 0)
		return db_err(e, rc, "read a sandbox's log");
	/* Another one by now. */
	if (s->log != 0 && s->log != sl.log)
		return err_set(
		    e, ERR_SANDBOX_NOT_FOUND, "no sandbox '%s'", s->id);
	s->log = sl.log;
	s->last = s->staged = lv.last;
	s->updated_ms = (int64_t)lv.updated_ms;
	s->closed = sl.gone_ms != 0;
	return 0;
}

static int
session_load(struct store *st, struct session *s, struct err *e)
{
	MDB_txn *txn;
	int rc;

	if (db_read(&st->db, &txn, e) == -1)
		return -1;
	rc = s->kind == LOG_OF_SESSION ? load_session(st, txn, s, e)
				       : load_sandbox(st, txn, s, e);
	db_read_done(&st->db);
	return rc;
}

static void
session_free(struct session *s)
{
	free(s->id);
	free(s->id_json);
	free(s);
}

static char *
as_json(const char *id, size_t *len_out)
{
	struct buf b;
	struct jw w;

	buf_init(&b, SIZE_MAX);
	jw_init(&w, &b);
	jw_str(&w, id);
	*len_out = b.len;
	return buf_steal(&b);
}

int
log_open(struct store *st, enum log_kind kind, const char *id,
    struct session **s_out, struct err *e)
{
	struct session *s = log_find(st, kind, id);

	if (s != NULL) {
		*s_out = session_hold(s);
		return 0;
	}
	s = xcalloc(1, sizeof(*s));
	s->kind = kind;
	s->id = xstrdup(id);
	s->id_json = as_json(id, &s->id_json_len);
	s->refs = 1;
	TAILQ_INIT(&s->followers);
	if (s->id_json == NULL) {
		session_free(s);
		return err_set(e, ERR_SYSTEM, "out of memory");
	}
	if (session_load(st, s, e) == -1) {
		session_free(s);
		return -1;
	}
	LIST_INSERT_HEAD(&st->sessions[bucket(id)], s, link);
	*s_out = s;
	return 0;
}

int
session_open(
    struct store *st, const char *id, struct session **s_out, struct err *e)
{
	return log_open(st, LOG_OF_SESSION, id, s_out, e);
}

struct session *
log_find(struct store *st, enum log_kind kind, const char *id)
{
	struct session *s;

	LIST_FOREACH (s, &st->sessions[bucket(id)], link) {
		if (s->kind == kind && strcmp(s->id, id) == 0)
			return s;
	}
	return NULL;
}

struct session *
session_find(struct store *st, const char *id)
{
	return log_find(st, LOG_OF_SESSION, id);
}

struct session *
session_hold(struct session *s)
{
	s->refs++;
	return s;
}

void
session_release(struct session *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	if (!s->removed)
		LIST_REMOVE(s, link);
	session_free(s);
}

void
session_wake(struct store *st, struct session *s)
{
	struct stream *stream;

	while ((stream = TAILQ_FIRST(&s->followers)) != NULL)
		stream_wake(st, stream);
}

void
session_removed(struct store *st, struct session *s)
{
	if (!s->removed)
		LIST_REMOVE(s, link);
	s->removed = true;
	session_wake(st, s);
}

int
sessions_reload(struct store *st, struct err *e)
{
	struct session *s, *next;
	unsigned i;

	for (i = 0; i < SESSION_BUCKETS; i++) {
		for (s = LIST_FIRST(&st->sessions[i]); s != NULL; s = next) {
			next = LIST_NEXT(s, link);
			if (session_load(st, s, e) == 0)
				session_wake(st, s);
			else if (e->code == ERR_SESSION_NOT_FOUND ||
				 e->code == ERR_SANDBOX_NOT_FOUND)
				session_removed(st, s);
			else
				return -1;
		}
	}
	return 0;
}
