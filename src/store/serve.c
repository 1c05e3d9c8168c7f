/*
 * The answers that control clients get straight from the store: a session's
 * events, one session, all sessions, a sandbox's log. Runs in the store. The
 * stored text goes out as it is: events were checked when they came in, and
 * what their authors wrote stays one line of JSON.
 *
 * A source keeps no place in the database, only the key where it goes on: it
 * may be called again after a millisecond or a day.
 */
#include "store/serve.h"

#include "lib/frame.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "store/append.h"
#include "store/record.h"
#include "store/stored.h"
#include "store/stream.h"

#include <inttypes.h>
#include <string.h>

#define EVENTS_STEP 512	 /* events looked at in one step */
#define SESSIONS_STEP 64 /* records parsed in one step */

void
serve_free(struct serve *s)
{
	session_release(s->s);
	free(s->final);
	free(s->sandbox);
	free(s->turn_id);
}

static void
error_line(struct buf *b, const char *request, const struct err *e)
{
	struct jw w;

	(void)buf_addf(b, "{\"id\":%s,\"error\":", request);
	jw_init(&w, b);
	jw_object(&w);
	jw_kstr(&w, "code", err_wire(e->code));
	jw_kstr(&w, "detail", e->text);
	jw_object_end(&w);
	(void)buf_adds(b, "}\n");
}

static enum stream_step
fail(struct stream *x, struct buf *b, const struct err *e)
{
	error_line(b, x->request, e);
	return STEP_END;
}

/* A request that never became a stream of its own. */
static enum stream_step
fill_error(struct stream *x, struct store *st ATTR_UNUSED,
    MDB_txn *txn ATTR_UNUSED, struct buf *b)
{
	struct err e;

	(void)err_set(&e, x->serve.code, "%s", x->serve.final);
	return fail(x, b, &e);
}

static enum stream_step
fail_removed(struct stream *x, struct buf *b, const struct session *s)
{
	struct err e;

	if (s->kind == LOG_OF_SESSION)
		(void)err_set(&e, ERR_SESSION_NOT_FOUND,
		    "session '%s' was removed", s->id);
	else
		(void)err_set(&e, ERR_SANDBOX_NOT_FOUND,
		    "sandbox '%s' was destroyed", s->id);
	return fail(x, b, &e);
}

/* --- events -------------------------------------------------------------- */

static void
event_line(struct buf *b, const struct stream *x, const struct stored_event *ev)
{
	(void)buf_adds(b, "{\"id\":");
	(void)buf_adds(b, x->request);
	(void)buf_adds(b, ",\"item\":");
	if (x->serve.raw) {
		(void)buf_add(b, ev->text, ev->len);
		(void)buf_adds(b, "}\n");
	} else {
		(void)buf_add(b, ev->text, ev->head_len);
		(void)buf_adds(b, ",\"raw\":null}}\n");
	}
}

static enum stream_step
events_final(struct stream *x, struct buf *b)
{
	const struct serve *v = &x->serve;
	/* `more` tells that the limit has cut something off. */
	bool more = v->left == 0 && v->after < v->s->last;

	(void)buf_addf(b,
	    "{\"id\":%s,\"ok\":{\"first\":%" PRIu64 ",\"last\":%" PRIu64
	    ",\"count\":%" PRId64 ",\"more\":%s%s%s}}\n",
	    x->request, v->first, v->after, v->count, more ? "true" : "false",
	    v->final != NULL ? "," : "", v->final != NULL ? v->final : "");
	return STEP_END;
}

/* Does the event end what the client waits for? */
static bool
event_is_end(const struct serve *v, const struct stored_event *ev)
{
	struct json *j;
	bool mine;

	if (!v->follow)
		return false;
	if ((ev->flags & STORED_ENDS_SESSION) != 0)
		return true;
	if (!v->until_turn || (ev->flags & STORED_ENDS_TURN) == 0)
		return false;
	if (v->turn_id == NULL)
		return true;
	/* Another turn may end first, the one this turn was waiting for. */
	if (json_parse(ev->text, ev->len, EVENT_DEPTH_MAX + 8, &j, NULL) == -1)
		return true; /* cannot be: it was checked when it came */
	mine = strcmp(json_str(json_get(j, "data"), "turn_id", ""),
		   v->turn_id) == 0;
	json_free(j);
	return mine;
}

/* The sequences of the log that are there. */
static int
log_look(struct store *st, MDB_txn *txn, struct serve *v)
{
	uint64_t be = htobe64(v->s->log);
	MDB_val k = val(&be, sizeof(be)), d;
	struct log_value lv;
	int rc = mdb_get(txn, st->db.dbi[DB_LOGS], &k, &d);

	if (rc == 0 && !log_value_get(d.mv_data, d.mv_size, &lv))
		rc = MDB_CORRUPTED;
	if (rc != 0)
		return rc;
	v->first = lv.first;
	/* What was removed from the front is skipped; whoever cares sees it
	 * in the numbers. */
	v->after = MAX(v->after, v->first - 1);
	return 0;
}

/* Events from the cursor on; true when the stream's end was among them. */
static bool
events_add(struct stream *x, MDB_cursor *cur, struct buf *b, int *rc_out)
{
	struct serve *v = &x->serve;
	struct event_key key = event_key(v->s->log, v->after + 1);
	MDB_val k = val(&key, sizeof(key)), d;
	struct stored_event ev;
	unsigned n;
	int rc = mdb_cursor_get(cur, &k, &d, MDB_SET_RANGE);

	for (n = 0;
	     rc == 0 && v->left > 0 && n < EVENTS_STEP && b->len < STREAM_CHUNK;
	     n++) {
		key = event_key(v->s->log, v->after + 1);
		if (k.mv_size != sizeof(key) ||
		    memcmp(k.mv_data, &key, sizeof(key)) != 0 ||
		    !stored_event_get(d.mv_data, d.mv_size, &ev)) {
			rc = MDB_CORRUPTED; /* a gap: never skip it quietly */
			break;
		}
		event_line(b, x, &ev);
		v->after++;
		v->left--;
		v->count++;
		if (event_is_end(v, &ev)) {
			*rc_out = 0;
			return true;
		}
		if (v->after == v->s->last)
			break;
		rc = mdb_cursor_get(cur, &k, &d, MDB_NEXT);
	}
	*rc_out = rc;
	return false;
}

static enum stream_step
fail_lost(struct stream *x, struct buf *b, int rc)
{
	struct err e;

	(void)db_err(&e, rc, "read events");
	log_error("store", "events lost", LOG_STR("log", x->serve.s->id),
	    LOG_INT("after", x->serve.after));
	return fail(x, b, &e);
}

static enum stream_step
fill_events(struct stream *x, struct store *st, MDB_txn *txn, struct buf *b)
{
	struct serve *v = &x->serve;
	MDB_cursor *cur;
	bool end = false;
	int rc;

	if (v->s->removed)
		return fail_removed(x, b, v->s);
	rc = log_look(st, txn, v);
	if (rc == 0 && v->left > 0 && v->after < v->s->last) {
		rc = mdb_cursor_open(txn, st->db.dbi[DB_EVENTS], &cur);
		if (rc == 0) {
			end = events_add(x, cur, b, &rc);
			mdb_cursor_close(cur);
		}
	}
	if (rc != 0)
		return fail_lost(x, b, rc);
	if (end || v->left == 0)
		return events_final(x, b);
	if (v->after < v->s->last)
		return STEP_MORE;
	if (v->follow && !v->s->ended && !v->s->closed)
		return STEP_WAIT;
	return events_final(x, b);
}

/* --- the last entries of a sandbox's log, in one answer ------------------- */

static int
history_add(struct serve *v, MDB_cursor *cur, struct buf *b)
{
	struct event_key key = event_key(v->s->log, v->after + 1);
	MDB_val k = val(&key, sizeof(key)), d;
	struct stored_event ev;
	int rc = mdb_cursor_get(cur, &k, &d, MDB_SET_KEY);

	while (rc == 0) {
		if (!stored_event_get(d.mv_data, d.mv_size, &ev))
			return MDB_CORRUPTED;
		if (v->count++ > 0)
			(void)buf_addc(b, ',');
		(void)buf_add(b, ev.text, ev.len);
		if (++v->after >= v->s->last || b->len >= STREAM_CHUNK)
			break;
		rc = mdb_cursor_get(cur, &k, &d, MDB_NEXT);
	}
	return rc;
}

static enum stream_step
fill_history(struct stream *x, struct store *st, MDB_txn *txn, struct buf *b)
{
	struct serve *v = &x->serve;
	uint64_t last = v->s->last, recent = (uint64_t)v->left;
	MDB_cursor *cur;
	int rc;

	if (v->s->removed && !v->started)
		return fail_removed(x, b, v->s);
	rc = log_look(st, txn, v);
	if (!v->started)
		v->after = MAX(v->after, last > recent ? last - recent : 0);
	if (rc == 0 && v->after < last) {
		rc = mdb_cursor_open(txn, st->db.dbi[DB_EVENTS], &cur);
		if (rc == 0) {
			if (!v->started)
				(void)buf_addf(b,
				    "{\"id\":%s,\"ok\":{\"id\":\"%s\","
				    "\"events\":[",
				    x->request, v->s->id);
			v->started = true;
			rc = history_add(v, cur, b);
			mdb_cursor_close(cur);
		}
	} else if (rc == 0 && !v->started) {
		(void)buf_addf(b,
		    "{\"id\":%s,\"ok\":{\"id\":\"%s\",\"events\":[", x->request,
		    v->s->id);
		v->started = true;
	}
	if (rc != 0)
		return fail_lost(x, b, rc);
	if (v->after < v->s->last)
		return STEP_MORE;
	(void)buf_addf(b, "],\"first\":%" PRIu64 ",\"last\":%" PRIu64 "}}\n",
	    v->first, v->after);
	return STEP_END;
}

/* --- sessions ------------------------------------------------------------ */

static void
session_object(
    struct buf *b, const struct json *rec, const struct record_facts *facts)
{
	struct jw w;

	jw_init(&w, b);
	record_write(&w, rec, VIEW_CLIENT, facts);
}

static enum stream_step
fill_session(struct stream *x, struct store *st, MDB_txn *txn, struct buf *b)
{
	const struct session *s = x->serve.s;
	struct record_facts facts;
	struct json *rec;
	struct err e;

	if (s->removed)
		return fail_removed(x, b, s);
	if (session_read(
		&st->db, txn, s->id, strlen(s->id), &rec, &facts, &e) == -1)
		return fail(x, b, &e);
	(void)buf_addf(b, "{\"id\":%s,\"ok\":", x->request);
	session_object(b, rec, &facts);
	(void)buf_adds(b, "}\n");
	json_free(rec);
	return STEP_END;
}

/* One entry of the list; a session that went meanwhile is none. */
static void
list_entry(struct stream *x, struct store *st, MDB_txn *txn,
    const MDB_val *log_value, struct buf *b)
{
	struct serve *v = &x->serve;
	const char *id = (const char *)log_value->mv_data + LOG_VALUE_BYTES;
	struct record_facts facts;
	struct json *rec;
	struct err e;

	if (log_value->mv_size <= LOG_VALUE_BYTES)
		return;
	if (session_read(&st->db, txn, id, log_value->mv_size - LOG_VALUE_BYTES,
		&rec, &facts, &e) == -1) {
		log_error("store", "session left out of a list",
		    LOG_STR("detail", e.text));
		return;
	}
	if (v->sandbox == NULL ||
	    strcmp(json_str(rec, "sandbox", ""), v->sandbox) == 0) {
		if (v->count++ > 0)
			(void)buf_addc(b, ',');
		session_object(b, rec, &facts);
	}
	json_free(rec);
}

/* Log numbers rise with the time of creation: the newest come first. */
static enum stream_step
fill_sessions(struct stream *x, struct store *st, MDB_txn *txn, struct buf *b)
{
	struct serve *v = &x->serve;
	uint64_t be = htobe64(v->after);
	MDB_val k = val(&be, sizeof(be)), d;
	MDB_cursor *cur;
	struct err e;
	unsigned n;
	int rc = mdb_cursor_open(txn, st->db.dbi[DB_LOGS], &cur);

	if (rc != 0) {
		(void)db_err(&e, rc, "list sessions");
		return fail(x, b, &e);
	}
	if (!v->started)
		(void)buf_addf(
		    b, "{\"id\":%s,\"ok\":{\"sessions\":[", x->request);
	v->started = true;
	/* To the first entry at or behind the place, then one back. */
	rc = mdb_cursor_get(cur, &k, &d, MDB_SET_RANGE);
	rc = mdb_cursor_get(cur, &k, &d, rc == 0 ? MDB_PREV : MDB_LAST);
	for (n = 0; rc == 0 && n < SESSIONS_STEP && b->len < STREAM_CHUNK;
	     n++) {
		memcpy(&be, k.mv_data, sizeof(be));
		v->after = be64toh(be);
		list_entry(x, st, txn, &d, b);
		rc = mdb_cursor_get(cur, &k, &d, MDB_PREV);
	}
	mdb_cursor_close(cur);
	if (rc == 0)
		return STEP_MORE;
	(void)buf_adds(b, "]}}\n");
	return STEP_END;
}

/* --- beginning ----------------------------------------------------------- */

/* The members of an object as text, without its braces; NULL for none. */
static char *
members_text(const struct json *obj)
{
	struct buf b;
	struct jw w;

	if (obj == NULL || obj->child == NULL)
		return NULL;
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_value(&w, obj);
	if (b.failed || b.len < 2) {
		buf_free(&b);
		return NULL;
	}
	b.data[b.len - 1] = '\0';
	memmove(b.data, b.data + 1, b.len - 1);
	return buf_steal(&b);
}

/* The client is told, by the same way as everything else. */
static int
refuse(struct store *st, int64_t id, const char *request, int fd,
    const struct err *why, struct err *e)
{
	struct serve v = { .fill = fill_error };

	v.final = xstrdup(why->text);
	v.code = why->code;
	return stream_new(st, fd, id, request, &v, e);
}

int
serve_begin(
    struct store *st, int64_t id, const struct json *msg, int fd, struct err *e)
{
	static const struct {
		const char *kind;
		stream_fill *fill;
	} kinds[] = {
		{ "events", fill_events },
		{ "session", fill_session },
		{ "sessions", fill_sessions },
		{ "notes", fill_events },
		{ "history", fill_history },
	};
	const char *kind = json_str(msg, "kind", "");
	const char *request = json_str(msg, "request", "null");
	const char *session = json_str(msg, "session", NULL);
	const char *sandbox = json_str(msg, "sandbox", NULL);
	const char *turn = json_str(msg, "turn_id", NULL);
	struct serve v = { 0 };
	struct err why;
	bool notes;
	size_t i;

	for (i = 0; i < countof(kinds); i++) {
		if (strcmp(kind, kinds[i].kind) == 0)
			v.fill = kinds[i].fill;
	}
	notes = v.fill == fill_history || strcmp(kind, "notes") == 0;
	if (v.fill == NULL ||
	    (v.fill != fill_sessions && (notes ? sandbox : session) == NULL)) {
		(void)close(fd);
		return err_set(e, ERR_BAD_REQUEST,
		    "serve: no kind '%s', or nothing named", kind);
	}
	if (v.fill == fill_sessions)
		v.after = UINT64_MAX;
	else if (log_open(st, notes ? LOG_OF_SANDBOX : LOG_OF_SESSION,
		     notes ? sandbox : session, &v.s, &why) == -1)
		return refuse(st, id, request, fd, &why, e);
	if (v.fill == fill_events) {
		v.after = (uint64_t)json_int(msg, "after", 0);
		v.left = json_int(msg, "limit", INT64_MAX);
	} else if (v.fill == fill_history) {
		v.left = json_int(msg, "recent", 100);
	}
	v.follow = json_bool(msg, "follow", false);
	v.raw = notes || json_bool(msg, "raw", false);
	v.until_turn = strcmp(json_str(msg, "until", ""), "turn") == 0;
	v.final = members_text(json_get(msg, "final"));
	if (sandbox != NULL)
		v.sandbox = xstrdup(sandbox);
	if (turn != NULL)
		v.turn_id = xstrdup(turn);
	return stream_new(st, fd, id, request, &v, e);
}
