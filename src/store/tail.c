/*
 * The end of a log for the worker that wrote it; see tail.h. Runs in the store;
 * the request comes out of a sandbox and is checked like any. It reads what is
 * committed, of this worker's session and no other.
 */
#include "store/tail.h"

#include "lib/log.h"
#include "lib/proto.h"
#include "store/sessions.h"
#include "store/stored.h"

#include <inttypes.h>
#include <string.h>

#define TAIL_BYTES 256 /* of a request */
#define TAIL_BEGIN "{\"op\":\"tail\","

bool
tail_asked(const char *text, size_t len)
{
	return len > strlen(TAIL_BEGIN) && len <= TAIL_BYTES &&
	       memcmp(text, TAIL_BEGIN, strlen(TAIL_BEGIN)) == 0;
}

struct tail {
	uint64_t log, last, first; /* what is in the answer */
	int64_t events, bytes;	   /* still allowed */
	bool raw;
};

static size_t
event_len(const struct tail *t, const struct stored_event *ev)
{
	return t->raw ? ev->len : ev->head_len + 1;
}

/* Find the first event of the answer: from the end back. */
static int
find_first(
    struct tail *t, MDB_cursor *cur, const struct session *s, struct err *e)
{
	struct event_key key = event_key(t->log, s->last);
	MDB_val k = val(&key, sizeof(key)), d;
	struct stored_event ev;
	int rc = mdb_cursor_get(cur, &k, &d, MDB_SET_KEY);

	t->last = s->last;
	t->first = s->last + 1;
	while (rc == 0 && t->events-- > 0) {
		struct event_key at;

		if (k.mv_size != sizeof(at))
			break;
		memcpy(&at, k.mv_data, sizeof(at)); /* it lies anywhere */
		if (at.log_be != htobe64(t->log) ||
		    !stored_event_get(d.mv_data, d.mv_size, &ev))
			break;
		t->bytes -= (int64_t)event_len(t, &ev) + 1;
		if (t->bytes < 0)
			break;
		t->first = be64toh(at.seq_be);
		rc = mdb_cursor_get(cur, &k, &d, MDB_PREV);
	}
	return rc == 0 || rc == MDB_NOTFOUND ? 0
					     : db_err(e, rc, "read the tail");
}

static void
write_events(struct tail *t, MDB_cursor *cur, struct jw *w)
{
	struct event_key key = event_key(t->log, t->first);
	MDB_val k = val(&key, sizeof(key)), d;
	struct stored_event ev;
	uint64_t seq = t->first;
	int rc = seq <= t->last ? mdb_cursor_get(cur, &k, &d, MDB_SET_KEY)
				: MDB_NOTFOUND;

	for (; rc == 0 && seq <= t->last &&
	       stored_event_get(d.mv_data, d.mv_size, &ev);
	     seq++) {
		jw_raw(w, ev.text, t->raw ? ev.len : ev.head_len);
		/* `raw` is the last member: without it a brace is missing. */
		if (!t->raw)
			(void)buf_addc(w->b, '}');
		rc = mdb_cursor_get(cur, &k, &d, MDB_NEXT);
	}
}

static int
tail_read(struct worker *w, struct tail *t, int64_t id, struct err *e)
{
	MDB_cursor *cur;
	MDB_txn *txn;
	struct jw *jw;
	int rc;

	if (db_read(&w->st->db, &txn, e) == -1)
		return -1;
	rc = mdb_cursor_open(txn, w->st->db.dbi[DB_EVENTS], &cur);
	if (rc != 0) {
		db_read_done(&w->st->db);
		return db_err(e, rc, "read the tail");
	}
	rc = w->s->last > 0 ? find_first(t, cur, w->s, e) : 0;
	if (rc == 0) {
		jw = chan_reply(w->ch, id);
		jw_key(jw, "events");
		jw_array(jw);
		if (w->s->last > 0)
			write_events(t, cur, jw);
		jw_array_end(jw);
		jw_object_end(jw);
		rc = chan_end(w->ch, NULL, 0) == -1
			 ? err_set(e, ERR_LIMIT, "does not read its answers")
			 : 0;
	}
	mdb_cursor_close(cur);
	db_read_done(&w->st->db);
	return rc;
}

int
tail_answer(struct worker *w, const char *text, size_t len, struct err *e)
{
	struct tail t = { .log = w->s->log };
	struct proto_in in;
	struct json *msg;
	struct err why;

	if (json_parse(text, len, JSON_DEPTH_CONTROL, &msg, e) == -1)
		return -1;
	if (proto_check(ROLE_SESSION, PS_RUNNING, ROLE_STORE, msg, len, 0, &in,
		e) == -1 ||
	    in.kind != PROTO_MESSAGE || in.type != MSG_STORE_TAIL) {
		json_free(msg);
		return err_set(e, ERR_BAD_REQUEST, "not a request for a tail");
	}
	t.events = json_int(in.body, "events", 0);
	t.bytes = json_int(in.body, "bytes", 0);
	t.raw = json_bool(in.body, "raw", false);
	if (w->s->removed)
		(void)err_set(&why, ERR_SESSION_NOT_FOUND, "session removed");
	if ((w->s->removed || tail_read(w, &t, in.id, &why) == -1) &&
	    chan_reply_err(w->ch, in.id, &why) == -1)
		worker_free(w);
	json_free(msg);
	return 0;
}
