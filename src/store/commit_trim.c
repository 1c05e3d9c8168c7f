/*
 * What goes, in a write transaction; see commit.c and retain.h. Runs in the
 * store. Each job removes so many events and says whether there are more: its
 * conditions are looked at here again, since the log may have changed between.
 */
#include "store/commit_priv.h"

#include "lib/strutil.h"

#include <string.h>

bool
trim_applies(
    const struct trim *t, const struct log_value *lv, uint64_t stored_ms)
{
	return (t->events > 0 && lv->last - lv->first >= t->events) ||
	       (t->bytes > 0 && lv->bytes > t->bytes) ||
	       (t->before_ms > 0 && stored_ms < t->before_ms);
}

/* A log's entry while its events go. */
struct trimmed {
	uint64_t log;
	struct log_value lv;
	char id[SESSION_ID_MAX];
	size_t id_len;
};

static int
trimmed_get(struct commit *c, uint64_t log, struct trimmed *t_out)
{
	MDB_val id;
	int rc = commit_log_get(c, log, &t_out->lv, &id);

	if (rc != 0)
		return rc;
	if (id.mv_size > sizeof(t_out->id))
		return MDB_CORRUPTED;
	t_out->log = log;
	t_out->id_len = id.mv_size;
	memcpy(t_out->id, id.mv_data, id.mv_size);
	return 0;
}

/* The first event, which V is, goes. */
static int
front_remove(struct commit *c, struct trimmed *t, const MDB_val *v)
{
	size_t size = v->mv_size;
	int rc = commit_event_remove(c, v);

	if (rc != 0)
		return rc;
	t->lv.first++;
	t->lv.bytes -= MIN(t->lv.bytes, size);
	if (t->id_len > 0) { /* of a session */
		c->totals.bytes -= MIN(c->totals.bytes, size);
		c->totals.events -= MIN(c->totals.events, 1u);
	}
	return 0;
}

static int
trim_log(struct commit *c, struct job *j)
{
	struct event_key key;
	struct stored_event ev;
	struct trimmed t;
	MDB_val k, v;
	int rc = trimmed_get(c, j->trim.log, &t);

	j->purged = true;
	if (rc == MDB_NOTFOUND)
		return 0; /* removed meanwhile */
	while (rc == 0 && t.lv.first < t.lv.last) {
		if (j->nevents >= TRIM_EVENTS) {
			j->purged = false;
			break;
		}
		key = event_key(t.log, t.lv.first);
		k = val(&key, sizeof(key));
		rc = mdb_cursor_get(c->events, &k, &v, MDB_SET_KEY);
		if (rc != 0 || !stored_event_get(v.mv_data, v.mv_size, &ev))
			return rc != 0 ? rc : MDB_CORRUPTED;
		if (!trim_applies(&j->trim, &t.lv,
			ev.stored_ms != 0 ? ev.stored_ms : t.lv.updated_ms))
			break;
		rc = front_remove(c, &t, &v);
		j->nevents++;
	}
	if (rc != 0 || j->nevents == 0)
		return rc;
	return commit_log_put(c, t.log, t.id, t.id_len, &t.lv);
}

static bool
total_over(const struct commit *c, const struct trim *t)
{
	return (t->events > 0 && c->totals.events > t->events) ||
	       (t->bytes > 0 && c->totals.bytes > t->bytes);
}

/* The event that an entry of the feed names goes, if it is its log's first and
 * not its last. */
static int
feed_remove(struct commit *c, struct job *j, const struct event_key *at)
{
	struct event_key key = *at;
	MDB_val k = val(&key, sizeof(key)), v;
	struct trimmed t;
	int rc = trimmed_get(c, be64toh(at->log_be), &t);

	if (rc == MDB_NOTFOUND)
		return 0; /* of a removed session: it goes by itself */
	if (rc != 0 || t.lv.first != be64toh(at->seq_be) ||
	    t.lv.first >= t.lv.last)
		return rc;
	rc = mdb_cursor_get(c->events, &k, &v, MDB_SET_KEY);
	if (rc == 0)
		rc = front_remove(c, &t, &v);
	if (rc != 0)
		return rc;
	j->nevents++;
	return commit_log_put(c, t.log, t.id, t.id_len, &t.lv);
}

/* The oldest of all go: the feed has them in their order. */
static int
trim_total(struct commit *c, struct job *j)
{
	uint64_t next = j->trim.feed, be;
	struct event_key at;
	MDB_val k, v;
	unsigned n;
	int rc = 0;

	/* Its end may go now: numbers go on. */
	rc = db_counter_put(c->txn, c->db, COUNTER_GLOBAL, c->next_global);
	for (n = 0; rc == 0 && n < TRIM_EVENTS && total_over(c, &j->trim);
	     n++) {
		be = htobe64(next);
		k = val(&be, sizeof(be));
		rc = mdb_cursor_get(c->feed, &k, &v, MDB_SET_RANGE);
		if (rc != 0)
			break;
		if (k.mv_size != sizeof(be) || v.mv_size != sizeof(at))
			return MDB_CORRUPTED;
		memcpy(&be, k.mv_data, sizeof(be));
		memcpy(&at, v.mv_data, sizeof(at));
		next = be64toh(be) + 1;
		rc = feed_remove(c, j, &at);
	}
	j->purged = rc == MDB_NOTFOUND || !total_over(c, &j->trim);
	j->feed_next = next;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
commit_trim(struct commit *c, struct job *j)
{
	int rc = commit_cursors_open(c);

	j->nevents = 0;
	if (rc != 0)
		return rc;
	return j->trim.total ? trim_total(c, j) : trim_log(c, j);
}

int
commit_drop_log(struct commit *c, struct job *j)
{
	MDB_val k = val(c->b->text.data + j->key, j->key_len), v;
	struct sandbox_log sl;
	int rc = mdb_get(c->txn, c->db->dbi[DB_SANDBOX_LOGS], &k, &v);

	j->log = 0;
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc == 0 && !sandbox_log_get(v.mv_data, v.mv_size, &sl))
		rc = MDB_CORRUPTED;
	if (rc != 0 || sl.gone_ms == 0)
		return rc;
	j->log = sl.log;
	rc = commit_log_remove(c, sl.log);
	if (rc == 0)
		rc = mdb_del(c->txn, c->db->dbi[DB_SANDBOX_LOGS], &k, NULL);
	return rc;
}
