/*
 * The supervisor's requests. Runs in the store. The supervisor is the one we
 * trust: a frame of it that breaks the protocol is a defect, and going on with
 * a parent that we do not understand would be worse than stopping.
 *
 * Requests that look at the database, or hold a session, see everything that
 * was asked for before them: the open batch is committed first.
 */
#include "store/requests.h"

#include "lib/frame.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "lib/strutil.h"
#include "store/backup.h"
#include "store/batch.h"
#include "store/feed.h"
#include "store/notes.h"
#include "store/retain.h"
#include "store/serve.h"
#include "store/sessions.h"
#include "store/stream.h"
#include "store/worker.h"

#include <string.h>

/* Left in a frame of records for what surrounds them. */
#define LOAD_ROOM (FRAME_MAX - 1024)

typedef int request_fn(struct store *st, int64_t id, const struct json *msg,
    struct chan_frame *f, struct err *e);

static int
named_table(const struct json *msg, enum db_name *t_out, struct err *e)
{
	const char *name = json_str(msg, "db", "");

	*t_out = db_by_name(name);
	if (*t_out == DB_N)
		return err_set(
		    e, ERR_BAD_REQUEST, "no table '%s' of records", name);
	return 0;
}

/* The supervisor ends a session that has no worker to say so: its log is to
 * end like any other. */
static int
end_log(struct store *st, const char *id, struct err *e)
{
	char time[TIME_TEXT_MAX], text[512];
	struct append_in in;
	struct session *s;
	int rc;

	if (!batch_empty(st))
		batch_commit(st);
	if (session_open(st, id, &s, e) == -1)
		return e->code == ERR_SESSION_NOT_FOUND ? 0 : -1;
	if (s->ended) {
		session_release(s);
		return 0;
	}
	time_text(time);
	rc = str_format(text, sizeof(text),
	    "{\"op\":\"append\",\"id\":1,\"first\":%llu,\"events\":[{"
	    "\"time\":\"%s\",\"native_session_id\":null,"
	    "\"synthetic\":true,\"source\":\"daemon\","
	    "\"type\":\"session.ended\",\"data\":{"
	    "\"reason\":\"terminated\",\"terminated_by\":\"daemon\"},"
	    "\"raw\":null}]}",
	    (unsigned long long)s->staged + 1, time);
	if (rc == 0)
		rc = append_scan(st->scanner, text, strlen(text), &in, e);
	in.id = 0;
	if (rc == 0)
		rc = batch_append(st, s, NULL, text, &in, e);
	session_release(s);
	return rc == -1 ? err_prefix(e, "end the log of %s", id) : 0;
}

static int
do_put(struct store *st, int64_t id, const struct json *msg,
    struct chan_frame *f ATTR_UNUSED, struct err *e)
{
	enum db_name table;

	if (named_table(msg, &table, e) == -1)
		return -1;
	if (table == DB_SESSIONS &&
	    strcmp(json_str(json_get(msg, "record"), "state", ""), "ended") ==
		0 &&
	    end_log(st, json_str(msg, "key", ""), e) == -1)
		return -1;
	return batch_put(st, id, table, json_str(msg, "key", ""),
	    json_get(msg, "record"), e);
}

static int
do_delete(struct store *st, int64_t id, const struct json *msg,
    struct chan_frame *f ATTR_UNUSED, struct err *e)
{
	const char *key = json_str(msg, "key", "");
	struct session *s;
	enum db_name table;

	if (named_table(msg, &table, e) == -1)
		return -1;
	if (table == DB_SESSIONS) {
		/* What its worker has sent is stored, then it is over. */
		batch_commit(st);
		s = session_find(st, key);
		if (s != NULL) {
			(void)session_hold(s);
			worker_free(s->worker);
			session_removed(st, s);
			session_release(s);
		}
	}
	return batch_delete(st, id, table, key, e);
}

/* Append one record to B; false when it does not fit any more. */
static bool
load_record(struct store *st, MDB_txn *txn, enum db_name table,
    const MDB_val *k, const MDB_val *v, struct jw *w)
{
	struct record_facts facts;
	struct json *rec;
	struct jw before = *w;
	size_t mark = w->b->len;
	struct err e;

	if (table != DB_SESSIONS) {
		jw_raw(w, v->mv_data, v->mv_size);
	} else if (session_read(&st->db, txn, k->mv_data, k->mv_size, &rec,
		       &facts, &e) == -1) {
		log_error(
		    "store", "session not loaded", LOG_STR("detail", e.text));
		return true;
	} else {
		record_write(w, rec, VIEW_SUPERVISOR, &facts);
		json_free(rec);
	}
	if (!w->b->failed && w->b->len <= LOAD_ROOM)
		return true;
	*w = before;
	w->b->failed = false;
	w->b->len = mark;
	return false;
}

static int
load_records(struct store *st, MDB_txn *txn, enum db_name table,
    const char *after, struct jw *w, bool *more_out, struct err *e)
{
	MDB_val k = val(after, strlen(after)), v;
	MDB_cursor *cur;
	int rc = mdb_cursor_open(txn, st->db.dbi[table], &cur);

	if (rc != 0)
		return db_err(e, rc, "load");
	rc = mdb_cursor_get(
	    cur, &k, &v, after[0] != '\0' ? MDB_SET_RANGE : MDB_FIRST);
	if (rc == 0 && k.mv_size == strlen(after) &&
	    memcmp(k.mv_data, after, k.mv_size) == 0)
		rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
	while (rc == 0 && !*more_out) {
		*more_out = !load_record(st, txn, table, &k, &v, w);
		rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cur);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return db_err(e, rc, "load");
	return 0;
}

static int
do_load(struct store *st, int64_t id, const struct json *msg,
    struct chan_frame *f ATTR_UNUSED, struct err *e)
{
	enum db_name table;
	struct buf b;
	struct jw w, *reply;
	MDB_txn *txn;
	bool more = false;
	int rc;

	if (named_table(msg, &table, e) == -1)
		return -1;
	batch_commit(st);
	if (db_read(&st->db, &txn, e) == -1)
		return -1;
	buf_init(&b, 2 * FRAME_MAX);
	jw_init(&w, &b);
	jw_array(&w);
	rc = load_records(
	    st, txn, table, json_str(msg, "after", ""), &w, &more, e);
	db_read_done(&st->db);
	jw_array_end(&w);
	if (rc == 0) {
		reply = chan_begin(st->super);
		jw_kint(reply, "id", id);
		jw_key(reply, "ok");
		jw_object(reply);
		jw_key(reply, "records");
		jw_raw(reply, b.data, b.len);
		jw_kbool(reply, "more", more);
		jw_object_end(reply);
		rc = chan_end(st->super, NULL, 0);
		if (rc == -1)
			(void)err_set(e, ERR_INTERNAL, "records not sent");
	}
	buf_free(&b);
	return rc;
}

static int
do_attach(struct store *st, int64_t id, const struct json *msg,
    struct chan_frame *f, struct err *e)
{
	const char *session = json_str(msg, "session", NULL);
	const char *sandbox = json_str(msg, "sandbox", NULL);

	if (f->nfds != 1)
		return err_set(e, ERR_BAD_REQUEST, "attach: one descriptor");
	if ((session != NULL) == (sandbox != NULL))
		return err_set(
		    e, ERR_BAD_REQUEST, "attach: a session or a sandbox");
	batch_commit(st);
	if (session != NULL
		? worker_attach(st, session, fd_steal(&f->fds[0]), e) == -1
		: noter_attach(st, sandbox, fd_steal(&f->fds[0]), e) == -1)
		return -1;
	(void)chan_reply_ok(st->super, id); /* lost only with the parent */
	return 0;
}

static int
do_note(struct store *st, int64_t id, const struct json *msg,
    struct chan_frame *f ATTR_UNUSED, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, NOTE_BYTES_MAX);
	rc =
	    note_build(json_get(msg, "note"), json_int(msg, "at", 0), &text, e);
	if (rc == 0)
		rc = batch_note(st, id, json_str(msg, "sandbox", ""), 0, &text,
		    json_bool(msg, "again", false), e);
	buf_free(&text);
	return rc;
}

static int
do_serve(struct store *st, int64_t id, const struct json *msg,
    struct chan_frame *f, struct err *e)
{
	if (f->nfds != 1)
		return err_set(e, ERR_BAD_REQUEST, "serve: one descriptor");
	batch_commit(st);
	return serve_begin(st, id, msg, fd_steal(&f->fds[0]), e);
}

static int
do_feed(struct store *st, int64_t id, const struct json *msg ATTR_UNUSED,
    struct chan_frame *f, struct err *e)
{
	if (f->nfds != 1)
		return err_set(e, ERR_BAD_REQUEST, "feed: one descriptor");
	feed_add(st, fd_steal(&f->fds[0]));
	(void)chan_reply_ok(st->super, id); /* lost only with the parent */
	return 0;
}

static int
do_retain(struct store *st, int64_t id, const struct json *msg,
    struct chan_frame *f ATTR_UNUSED, struct err *e ATTR_UNUSED)
{
	retain_set(st, msg);
	(void)chan_reply_ok(st->super, id); /* lost only with the parent */
	return 0;
}

static int
do_backup(struct store *st, int64_t id, const struct json *msg ATTR_UNUSED,
    struct chan_frame *f, struct err *e)
{
	if (f->nfds != 1)
		return err_set(e, ERR_BAD_REQUEST, "backup: one descriptor");
	batch_commit(st);
	return backup_begin(st, id, fd_steal(&f->fds[0]), e);
}

static void
commit_times(const struct store *st, struct jw *w)
{
	unsigned i;

	jw_kint(w, "commit_us", (int64_t)st->commit_us);
	jw_key(w, "commit_buckets");
	jw_array(w);
	for (i = 0; i < COMMIT_BUCKETS; i++) {
		jw_array(w);
		if (commit_bounds_us[i] == UINT64_MAX)
			jw_null(w);
		else
			jw_int(w, (int64_t)commit_bounds_us[i]);
		jw_int(w, (int64_t)st->commit_hist[i]);
		jw_array_end(w);
	}
	jw_array_end(w);
}

static int
do_stats(struct store *st, int64_t id, const struct json *msg ATTR_UNUSED,
    struct chan_frame *f ATTR_UNUSED, struct err *e)
{
	struct db_figures fig;
	struct jw *w;

	if (db_figures(&st->db, &fig, e) == -1)
		return -1;
	w = chan_reply(st->super, id);
	jw_kint(w, "sessions", (int64_t)fig.sessions);
	jw_kint(w, "events", (int64_t)fig.events);
	jw_kint(w, "event_bytes", (int64_t)st->db.totals.bytes);
	jw_kint(w, "appended", (int64_t)st->appended);
	jw_kint(w, "commits", (int64_t)st->commits);
	jw_kint(w, "followers", (int64_t)st->streams->n);
	jw_kint(w, "map_bytes", (int64_t)st->db.map_bytes);
	jw_kint(w, "used_bytes", (int64_t)fig.used_bytes);
	jw_kint(w, "schema", SCHEMA_VERSION); /* db_open() sees to that */
	commit_times(st, w);
	jw_object_end(w);
	(void)chan_end(st->super, NULL, 0); /* lost only with the parent */
	return 0;
}

static request_fn *const requests[MSG_N] = {
	[MSG_STORE_PUT] = do_put,
	[MSG_STORE_DELETE] = do_delete,
	[MSG_STORE_LOAD] = do_load,
	[MSG_STORE_ATTACH] = do_attach,
	[MSG_STORE_SERVE] = do_serve,
	[MSG_STORE_STATS] = do_stats,
	[MSG_STORE_FEED] = do_feed,
	[MSG_STORE_NOTE] = do_note,
	[MSG_STORE_RETAIN] = do_retain,
	[MSG_STORE_BACKUP] = do_backup,
};

void
requests_frame(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct store *st = ctx;
	struct chan_frame frame;
	struct proto_in in;
	struct err e;

	err_clear(&e);
	if (what == CHAN_CLOSED) {
		log_debug("store", "parent gone", LOG_STR("cause", why));
		store_stop(st, EXIT_OK);
		return;
	}
	if (proto_check(ROLE_SUPER, PS_RUNNING, ROLE_STORE, f->msg, f->len,
		f->nfds, &in, &e) == 0 &&
	    (in.kind != PROTO_MESSAGE || requests[in.type] == NULL))
		(void)err_set(&e, ERR_BAD_REQUEST, "a reply to nothing");
	if (e.code != ERR_NONE) {
		log_error("store", "the supervisor broke the protocol",
		    LOG_STR("rule", e.text));
		store_stop(st, EXIT_BUG);
		return;
	}
	frame = *f;
	if (requests[in.type](st, in.id, in.body, &frame, &e) == -1)
		(void)chan_reply_err(ch, in.id, &e);
}
