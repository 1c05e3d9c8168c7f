/*
 * Looking for what is not to be kept any more; see retain.h. Runs in the store.
 *
 * A sweep walks over all logs from the first on, then over the feed while all
 * sessions together have too much, then over the logs of sandboxes. Looking is
 * a short read; what is found is staged as a job, one for each turn of the
 * loop, and whether it still holds is seen where it is carried out
 * (commit_trim.c). A sweep begins at intervals: limits are kept on the average,
 * and a log may be over for some seconds.
 */
#include "store/retain.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "store/batch.h"
#include "store/stored.h"

#include <string.h>

#define SWEEP_S 5.0
#define FAILED_S 10.0 /* a full disk may have room again */
#define LOOK_MAX 256  /* logs in one turn */

enum stage {
	STAGE_REST,
	STAGE_LOGS,
	STAGE_TOTAL,
	STAGE_SANDBOXES
};

struct retain {
	struct retain_rules rules;
	ev_timer timer;
	enum stage stage;
	uint64_t log;  /* STAGE_LOGS: looked at last */
	uint64_t feed; /* STAGE_TOTAL: where to go on */
	char sandbox[SANDBOX_ID_MAX + 1];
	uint64_t removed; /* events in this sweep */
};

static void
rest(struct store *st, double s)
{
	struct retain *r = st->retain;

	if (r->removed > 0)
		log_info("store", "old events removed",
		    LOG_INT("events", r->removed));
	r->removed = 0;
	r->stage = STAGE_REST;
	ev_timer_stop(st->loop, &r->timer);
	ev_timer_set(&r->timer, s, 0.);
	ev_timer_start(st->loop, &r->timer);
}

static void
sweep_begin(struct store *st)
{
	struct retain *r = st->retain;

	if (r->stage != STAGE_REST)
		return;
	r->stage = STAGE_LOGS;
	r->log = 0;
	r->feed = 0;
	r->sandbox[0] = '\0';
	store_stay_busy(st);
}

static void
on_timer(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	sweep_begin(t->data);
}

void
retain_open(struct store *st)
{
	st->retain = xcalloc(1, sizeof(*st->retain));
	ev_timer_init(&st->retain->timer, on_timer, 0., 0.);
	st->retain->timer.data = st;
}

void
retain_close(struct store *st)
{
	if (st->retain == NULL)
		return;
	ev_timer_stop(st->loop, &st->retain->timer);
	free(STEAL(st->retain));
}

void
retain_set(struct store *st, const struct json *msg)
{
	struct retain_rules *r = &st->retain->rules;

	r->age_ms = json_int(msg, "age_ms", 0);
	r->events = (uint64_t)json_int(msg, "events", 0);
	r->bytes = (uint64_t)json_int(msg, "bytes", 0);
	r->total_events = (uint64_t)json_int(msg, "total_events", 0);
	r->total_bytes = (uint64_t)json_int(msg, "total_bytes", 0);
	r->sandbox_events = (uint64_t)json_int(msg, "sandbox_events", 0);
	r->sandbox_age_ms = json_int(msg, "sandbox_age_ms", 0);
	st->db.notes_max =
	    r->sandbox_events > 0 ? r->sandbox_events : UINT64_MAX;
	sweep_begin(st);
}

/* --- looking ------------------------------------------------------------- */

static void
rules_for(const struct store *st, bool sandbox, struct trim *t_out)
{
	const struct retain_rules *r = &st->retain->rules;

	*t_out = (struct trim){ 0 };
	if (sandbox) {
		t_out->events = r->sandbox_events;
		return;
	}
	t_out->events = r->events;
	t_out->bytes = r->bytes;
	if (r->age_ms > 0)
		t_out->before_ms =
		    (uint64_t)MAX(now_realtime_ms() - r->age_ms, 0);
}

/* Is there something in this log that is to go? */
static bool
log_is_due(struct store *st, MDB_txn *txn, uint64_t log,
    const struct log_value *lv, const struct trim *t)
{
	struct event_key key = event_key(log, lv->first);
	MDB_val k = val(&key, sizeof(key)), v;
	struct stored_event ev;

	if (lv->first >= lv->last)
		return false; /* the last one stays */
	if (trim_applies(t, lv, UINT64_MAX))
		return true;
	if (t->before_ms == 0 ||
	    mdb_get(txn, st->db.dbi[DB_EVENTS], &k, &v) != 0 ||
	    !stored_event_get(v.mv_data, v.mv_size, &ev))
		return false;
	return trim_applies(
	    t, lv, ev.stored_ms != 0 ? ev.stored_ms : lv->updated_ms);
}

/* The next log that is due, into r->log; false: none among those looked at,
 * and *END_OUT when there is no other. */
static bool
find_log(struct store *st, MDB_txn *txn, struct trim *t_out, bool *end_out)
{
	struct retain *r = st->retain;
	uint64_t be = htobe64(r->log + 1);
	MDB_val k = val(&be, sizeof(be)), v;
	struct log_value lv;
	MDB_cursor *cur;
	bool due = false;
	unsigned n;
	int rc = mdb_cursor_open(txn, st->db.dbi[DB_LOGS], &cur);

	*end_out = rc != 0;
	if (rc != 0)
		return false;
	rc = mdb_cursor_get(cur, &k, &v, MDB_SET_RANGE);
	for (n = 0; rc == 0 && n < LOOK_MAX && !due; n++) {
		memcpy(&be, k.mv_data, sizeof(be));
		r->log = be64toh(be);
		rules_for(st, v.mv_size == LOG_VALUE_BYTES, t_out);
		due = log_value_get(v.mv_data, v.mv_size, &lv) &&
		      log_is_due(st, txn, r->log, &lv, t_out);
		if (!due)
			rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cur);
	*end_out = rc != 0;
	return due;
}

/* The next sandbox that is gone for long enough, into r->sandbox. */
static bool
find_sandbox(struct store *st, MDB_txn *txn, bool *end_out)
{
	struct retain *r = st->retain;
	int64_t before = now_realtime_ms() - r->rules.sandbox_age_ms;
	MDB_val k = val(r->sandbox, strlen(r->sandbox) + 1), v;
	struct sandbox_log sl;
	MDB_cursor *cur;
	bool due = false;
	unsigned n;
	int rc = mdb_cursor_open(txn, st->db.dbi[DB_SANDBOX_LOGS], &cur);

	*end_out = rc != 0;
	if (rc != 0)
		return false;
	rc = mdb_cursor_get(
	    cur, &k, &v, r->sandbox[0] != '\0' ? MDB_SET_RANGE : MDB_FIRST);
	for (n = 0; rc == 0 && n < LOOK_MAX && !due; n++) {
		memcpy(r->sandbox, k.mv_data, MIN(k.mv_size, SANDBOX_ID_MAX));
		r->sandbox[MIN(k.mv_size, SANDBOX_ID_MAX)] = '\0';
		due = sandbox_log_get(v.mv_data, v.mv_size, &sl) &&
		      sl.gone_ms != 0 && (int64_t)sl.gone_ms <= before;
		if (!due)
			rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cur);
	*end_out = rc != 0;
	return due;
}

/* --- acting -------------------------------------------------------------- */

static bool
too_many(const struct store *st)
{
	const struct retain_rules *r = &st->retain->rules;

	return (r->total_events > 0 &&
		   st->db.totals.events > r->total_events) ||
	       (r->total_bytes > 0 && st->db.totals.bytes > r->total_bytes);
}

static int
stage_logs(struct store *st, MDB_txn *txn, struct err *e)
{
	struct retain *r = st->retain;
	struct trim t;
	bool end;

	if (find_log(st, txn, &t, &end)) {
		t.log = r->log;
		return batch_trim(st, &t, e);
	}
	if (end)
		r->stage = STAGE_TOTAL;
	return 0;
}

static int
stage_total(struct store *st, struct err *e)
{
	struct retain *r = st->retain;
	struct trim t = { .total = true,
		.events = r->rules.total_events,
		.bytes = r->rules.total_bytes,
		.feed = r->feed };

	if (too_many(st))
		return batch_trim(st, &t, e);
	r->stage = STAGE_SANDBOXES;
	return 0;
}

static int
stage_sandboxes(struct store *st, MDB_txn *txn, struct err *e)
{
	struct retain *r = st->retain;
	bool end = true;

	if (r->rules.sandbox_age_ms > 0 && find_sandbox(st, txn, &end))
		return batch_drop_log(st, r->sandbox, e);
	if (end)
		rest(st, SWEEP_S);
	return 0;
}

void
retain_stage(struct store *st)
{
	struct retain *r = st->retain;
	MDB_txn *txn;
	struct err e;
	int rc = -1;

	if (r->stage == STAGE_REST)
		return;
	store_stay_busy(st);
	if (r->stage == STAGE_TOTAL) {
		rc = stage_total(st, &e);
	} else if (db_read(&st->db, &txn, &e) == 0) {
		rc = r->stage == STAGE_LOGS ? stage_logs(st, txn, &e)
					    : stage_sandboxes(st, txn, &e);
		db_read_done(&st->db);
	}
	if (rc == -1) {
		log_warn("store", "old events stay for now",
		    LOG_STR("detail", e.text));
		rest(st, FAILED_S);
	}
}

void
retain_done(struct store *st, const struct job *j, const struct err *e)
{
	struct retain *r = st->retain;

	if (e != NULL) {
		rest(st, FAILED_S);
		return;
	}
	r->removed += j->nevents;
	if (j->kind == JOB_DROP_LOG)
		return;
	if (j->trim.total) {
		r->feed = j->feed_next;
		if (j->purged) /* there is nothing left that may go */
			r->stage = STAGE_SANDBOXES;
	} else if (!j->purged && r->stage == STAGE_LOGS) {
		r->log = j->trim.log - 1; /* it has more */
	}
}
