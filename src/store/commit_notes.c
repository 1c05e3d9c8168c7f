/*
 * The logs of sandboxes in a write transaction: a log for each sandbox, made
 * and closed with its record; see commit.c. Runs in the store.
 *
 * A note gets its number here and not when it arrives: whoever sends one never
 * asks for the next number, and a sandbox's first note may come in the batch
 * that makes its log.
 */
#include "store/commit_priv.h"

#include "lib/strutil.h"
#include "store/notes.h"

#include <string.h>

/* Of a note that is said again after a crash: how far back it can stand. */
#define AGAIN_LOOK 64

static int
entry_get(struct commit *c, const MDB_val *id, struct sandbox_log *sl_out)
{
	MDB_val k = *id, v;
	int rc = mdb_get(c->txn, c->db->dbi[DB_SANDBOX_LOGS], &k, &v);

	if (rc == 0 && !sandbox_log_get(v.mv_data, v.mv_size, sl_out))
		rc = MDB_CORRUPTED;
	return rc;
}

static int
entry_put(struct commit *c, const MDB_val *id, const struct sandbox_log *sl)
{
	uint64_t be[2] = { htobe64(sl->log), htobe64(sl->gone_ms) };
	MDB_val k = *id, v = val(be, sizeof(be));

	return mdb_put(c->txn, c->db->dbi[DB_SANDBOX_LOGS], &k, &v, 0);
}

int
commit_sandbox_made(struct commit *c, struct job *j, const MDB_val *id)
{
	struct log_value lv = { .first = 1, .updated_ms = (uint64_t)j->now_ms };
	struct sandbox_log sl;
	int rc = entry_get(c, id, &sl);

	if (rc == 0)
		rc = commit_log_remove(c, sl.log);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return rc;
	j->old_log = rc == 0 ? sl.log : 0;
	sl.gone_ms = 0;
	rc = commit_log_new(c, &sl.log);
	if (rc == 0)
		rc = commit_log_put(c, sl.log, "", 0, &lv);
	return rc == 0 ? entry_put(c, id, &sl) : rc;
}

int
commit_sandbox_gone(struct commit *c, struct job *j, const MDB_val *id)
{
	struct sandbox_log sl;
	int rc = entry_get(c, id, &sl);

	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0 || sl.gone_ms != 0)
		return rc;
	j->log = sl.log;
	sl.gone_ms = (uint64_t)j->now_ms;
	return entry_put(c, id, &sl);
}

/* Is TEXT among the last entries? A note is said again when nobody knows
 * whether it was stored; the same at the same time is the same. */
static int
stands_there(struct commit *c, uint64_t log, const struct log_value *lv,
    const MDB_val *text, bool *yes_out)
{
	struct event_key key = event_key(log, lv->last);
	MDB_val k = val(&key, sizeof(key)), v;
	struct stored_event ev;
	unsigned n;
	int rc = lv->last >= lv->first && lv->last > 0
		     ? mdb_cursor_get(c->events, &k, &v, MDB_SET_KEY)
		     : MDB_NOTFOUND;

	*yes_out = false;
	for (n = 0; rc == 0 && n < AGAIN_LOOK && !*yes_out; n++) {
		if (memcmp(k.mv_data, &key.log_be, sizeof(key.log_be)) != 0)
			break;
		*yes_out = stored_event_get(v.mv_data, v.mv_size, &ev) &&
			   ev.len > text->mv_size &&
			   ev.text[ev.len - text->mv_size - 1] == ',' &&
			   memcmp(ev.text + ev.len - text->mv_size,
			       text->mv_data, text->mv_size) == 0;
		rc = mdb_cursor_get(c->events, &k, &v, MDB_PREV);
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* The oldest makes room for the newest. */
static int
bound(struct commit *c, uint64_t log, struct log_value *lv)
{
	struct event_key key = event_key(log, lv->first);
	MDB_val k = val(&key, sizeof(key)), v;
	int rc = 0, n;

	for (n = 0; n < 2 && rc == 0 && lv->first < lv->last &&
		    lv->last - lv->first >= c->db->notes_max;
	     n++) {
		key = event_key(log, lv->first);
		rc = mdb_cursor_get(c->events, &k, &v, MDB_SET_KEY);
		if (rc == 0) {
			lv->bytes -= MIN(lv->bytes, v.mv_size);
			rc = commit_event_remove(c, &v);
		}
		lv->first++;
	}
	return rc;
}

static int
note_put(struct commit *c, struct job *j, uint64_t log, struct log_value *lv,
    const MDB_val *text)
{
	static const char begin[] = "{\"seq\":";
	char value[STORED_HEAD_BYTES + sizeof(begin) + 24 + NOTE_BYTES_MAX];
	char *p = value + STORED_HEAD_BYTES;
	struct event_key key = event_key(log, lv->last + 1);
	MDB_val k = val(&key, sizeof(key)), v;

	if (text->mv_size > NOTE_BYTES_MAX)
		return MDB_BAD_VALSIZE;
	memcpy(p, begin, sizeof(begin) - 1);
	p += sizeof(begin) - 1;
	p += str_decimal(p, lv->last + 1);
	*p++ = ',';
	memcpy(p, text->mv_data, text->mv_size);
	p += text->mv_size;
	v = val(value, (size_t)(p - value));
	stored_head_put(value, 0, (uint32_t)(v.mv_size - STORED_HEAD_BYTES));
	stored_head_fill(value, 0, (uint64_t)j->now_ms);
	j->first = ++lv->last;
	lv->bytes += v.mv_size;
	return mdb_cursor_put(c->events, &k, &v, MDB_NOOVERWRITE);
}

int
commit_note(struct commit *c, struct job *j)
{
	MDB_val id = val(c->b->text.data + j->key, j->key_len);
	MDB_val text = val(c->b->text.data + j->patch, j->patch_len);
	struct sandbox_log sl;
	struct log_value lv;
	bool there = false;
	int rc = entry_get(c, &id, &sl);

	j->first = 0;
	if (rc == MDB_NOTFOUND ||
	    (rc == 0 && j->only != 0 && sl.log != j->only)) {
		j->failed = ERR_SANDBOX_NOT_FOUND;
		return 0;
	}
	if (rc == 0)
		rc = commit_cursors_open(c);
	if (rc == 0)
		rc = commit_log_get(c, sl.log, &lv, NULL);
	if (rc == 0 && j->again)
		rc = stands_there(c, sl.log, &lv, &text, &there);
	if (rc != 0 || there)
		return rc;
	j->log = sl.log;
	lv.updated_ms = (uint64_t)j->now_ms;
	rc = note_put(c, j, sl.log, &lv, &text);
	if (rc == 0)
		rc = bound(c, sl.log, &lv);
	return rc == 0 ? commit_log_put(c, sl.log, "", 0, &lv) : rc;
}
