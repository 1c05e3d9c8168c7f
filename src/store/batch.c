/*
 * Collecting jobs, committing them, answering. Runs in the store.
 *
 * The order that everything else relies on: commit, then answers, then
 * readers. When the commit fails nobody sees anything of the batch: those who
 * wait are told, sessions count again from what is committed, and a worker
 * repeats.
 */
#include "store/batch.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "store/feed.h"
#include "store/notes.h"
#include "store/purge.h"
#include "store/retain.h"
#include "store/stored.h"
#include "store/worker.h"

#include <string.h>
#include <time.h>

/* One append more than BATCH_BYTES, with its events blown up by long ids. */
#define TEXT_CAP (BATCH_BYTES + (24u << 20))
#define TEXT_KEEP (512u << 10) /* held between batches */
#define READERS_EVERY 8192     /* commits */
#define GROW_TRIES 40	       /* doublings: more than any address space */

struct batch *
batch_new(void)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	buf_init(&b->text, TEXT_CAP);
	return b;
}

static void
batch_clear(struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		session_release(b->jobs[i].s);
	b->n = 0;
	b->events = 0;
	buf_clear(&b->text);
	buf_trim(&b->text, TEXT_KEEP);
}

void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	batch_clear(b);
	buf_free(&b->text);
	free(b->jobs);
	free(b);
}

bool
batch_empty(const struct store *st)
{
	return st->batch->n == 0;
}

void
batch_forget_worker(struct store *st, const struct worker *w)
{
	size_t i;

	for (i = 0; i < st->batch->n; i++) {
		if (st->batch->jobs[i].worker == w)
			st->batch->jobs[i].worker = NULL;
	}
}

/* A new job at the end, zeroed; it counts only after job_done. */
static struct job *
job_begin(struct batch *b, enum job_kind kind, int64_t id)
{
	struct job *j;

	if (b->n == b->room) {
		b->room = b->room != 0 ? b->room * 2 : 16;
		b->jobs = xreallocarray(b->jobs, b->room, sizeof(*b->jobs));
	}
	j = &b->jobs[b->n];
	memset(j, 0, sizeof(*j));
	j->kind = kind;
	j->id = id;
	j->table = DB_N;
	j->now_ms = now_realtime_ms();
	return j;
}

/* Count the job that job_begin gave, or take back what it wrote. */
static int
job_done(struct store *st, size_t mark, struct err *e)
{
	struct batch *b = st->batch;

	if (b->text.failed) {
		b->text.failed = false;
		b->text.len = mark;
		return err_set(e, ERR_LIMIT, "no memory for what has arrived");
	}
	b->n++;
	return 0;
}

static void
commit_if_full(struct store *st)
{
	if (st->batch->text.len >= BATCH_BYTES || st->batch->n >= BATCH_JOBS)
		batch_commit(st);
}

int
batch_append(struct store *st, struct session *s, struct worker *w,
    const char *text, const struct append_in *in, struct err *e)
{
	struct batch *b = st->batch;
	struct job *j = job_begin(b, JOB_APPEND, in->id);
	size_t mark = b->text.len, i;

	j->values = mark;
	for (i = 0; i < in->nevents; i++) {
		if (append_build(&b->text, text, &in->events[i], in->first + i,
			s->id_json, s->id_json_len) == -1)
			break;
		j->flags = in->events[i].flags;
	}
	j->patch = b->text.len;
	j->patch_len = in->set_end - in->set_start;
	if (j->patch_len > 0)
		(void)buf_add(&b->text, text + in->set_start, j->patch_len);
	if (job_done(st, mark, e) == -1)
		return -1;
	j->worker = w;
	j->s = session_hold(s);
	j->first = in->first;
	j->nevents = (uint32_t)in->nevents;
	b->events += in->nevents;
	s->staged = MAX(s->staged, in->first + in->nevents - 1);
	commit_if_full(st);
	return 0;
}

int
batch_put(struct store *st, int64_t id, enum db_name table, const char *key,
    const struct json *record, struct err *e)
{
	struct batch *b = st->batch;
	struct job *j = job_begin(b, JOB_PUT, id);
	size_t mark = b->text.len;
	struct jw w;

	j->table = table;
	j->key = mark;
	j->key_len = strlen(key);
	(void)buf_add(&b->text, key, j->key_len + 1);
	j->patch = b->text.len;
	jw_init(&w, &b->text);
	jw_value(&w, record);
	j->patch_len = b->text.len - j->patch;
	if (job_done(st, mark, e) == -1)
		return -1;
	commit_if_full(st);
	return 0;
}

int
batch_delete(struct store *st, int64_t id, enum db_name table, const char *key,
    struct err *e)
{
	struct batch *b = st->batch;
	struct job *j = job_begin(b, JOB_DELETE, id);
	size_t mark = b->text.len;

	j->table = table;
	j->key = mark;
	j->key_len = strlen(key);
	(void)buf_add(&b->text, key, j->key_len + 1);
	if (job_done(st, mark, e) == -1)
		return -1;
	commit_if_full(st);
	return 0;
}

int
batch_purge(struct store *st, uint64_t log, struct err *e)
{
	struct job *j = job_begin(st->batch, JOB_PURGE, 0);

	j->log = log;
	return job_done(st, st->batch->text.len, e);
}

int
batch_note(struct store *st, int64_t id, const char *sandbox, uint64_t only,
    const struct buf *text, bool again, struct err *e)
{
	struct batch *b = st->batch;
	struct job *j = job_begin(b, JOB_NOTE, id);
	size_t mark = b->text.len;

	j->only = only;
	j->again = again;
	j->key = mark;
	j->key_len = strlen(sandbox);
	(void)buf_add(&b->text, sandbox, j->key_len + 1);
	j->patch = b->text.len;
	j->patch_len = text->len;
	(void)buf_add(&b->text, text->data, text->len);
	if (job_done(st, mark, e) == -1)
		return -1;
	b->events++;
	commit_if_full(st);
	return 0;
}

int
batch_trim(struct store *st, const struct trim *t, struct err *e)
{
	struct job *j = job_begin(st->batch, JOB_TRIM, 0);

	j->trim = *t;
	return job_done(st, st->batch->text.len, e);
}

int
batch_drop_log(struct store *st, const char *sandbox, struct err *e)
{
	struct batch *b = st->batch;
	struct job *j = job_begin(b, JOB_DROP_LOG, 0);
	size_t mark = b->text.len;

	j->key = mark;
	j->key_len = strlen(sandbox);
	(void)buf_add(&b->text, sandbox, j->key_len + 1);
	return job_done(st, mark, e);
}

/* --- after the commit ---------------------------------------------------- */

static void
append_committed(struct store *st, struct job *j)
{
	struct session *s = j->s;

	if (j->nevents > 0) {
		s->last = MAX(s->last, j->first + j->nevents - 1);
		s->ended = (j->flags & STORED_ENDS_SESSION) != 0;
		session_wake(st, s);
	}
	if (j->nevents > 0 || j->patch_len > 0)
		s->updated_ms = j->now_ms;
}

/* Does a session's record that was put say that no event will come? */
static void
put_committed(struct store *st, struct job *j)
{
	struct session *s;
	struct json *patch;
	const char *state;

	if (j->table != DB_SESSIONS)
		return;
	s = session_find(st, st->batch->text.data + j->key);
	if (s == NULL || json_parse(st->batch->text.data + j->patch,
			     j->patch_len, RECORD_DEPTH, &patch, NULL) == -1)
		return;
	s->updated_ms = j->now_ms;
	state = json_str(patch, "state", NULL);
	if (state != NULL) {
		s->closed = strcmp(state, "ended") == 0;
		if (s->closed)
			session_wake(st, s);
	}
	json_free(patch);
}

/* What a job has done to the log of a sandbox, told to those who use it. */
static void
sandbox_changed(struct store *st, struct job *j)
{
	const char *id = st->batch->text.data + j->key;

	if (j->old_log != 0) {
		purge_add(st, j->old_log);
		notes_removed(st, id, j->old_log);
	}
	if (j->kind == JOB_DELETE)
		notes_closed(st, id, j->log);
	else if (j->kind == JOB_NOTE && j->first > 0)
		notes_grew(st, id, j->log, j->first);
}

static void
job_succeeded(struct store *st, struct job *j)
{
	struct err e;

	switch (j->kind) {
	case JOB_APPEND:
		if (j->worker != NULL)
			worker_answer(
			    j->worker, j->id, j->first + j->nevents - 1, NULL);
		append_committed(st, j);
		return;
	case JOB_PUT:
		put_committed(st, j);
		if (j->table == DB_SANDBOXES)
			sandbox_changed(st, j);
		break;
	case JOB_NOTE:
		sandbox_changed(st, j);
		if (j->id == 0)
			return;
		break;
	case JOB_DELETE:
		if (j->table == DB_SANDBOXES)
			sandbox_changed(st, j);
		else if (j->log != 0)
			purge_add(st, j->log);
		break;
	case JOB_PURGE:
		if (j->purged)
			purge_done(st, j->log);
		return;
	case JOB_DROP_LOG:
		if (j->log != 0) {
			purge_add(st, j->log);
			notes_removed(
			    st, st->batch->text.data + j->key, j->log);
		}
		retain_done(st, j, NULL);
		return;
	case JOB_TRIM:
		retain_done(st, j, NULL);
		return;
	case JOB_KIND_N:
		break;
	}
	if (st->super == NULL)
		return;
	if (j->failed == ERR_NONE) {
		(void)chan_reply_ok(st->super, j->id);
		return;
	}
	(void)err_set(&e, j->failed, "the record of '%s' cannot be written",
	    st->batch->text.data + j->key);
	(void)chan_reply_err(st->super, j->id, &e);
}

static void
job_failed(struct store *st, struct job *j, const struct err *e)
{
	switch (j->kind) {
	case JOB_APPEND:
		j->s->staged = j->s->last;
		if (j->worker != NULL)
			worker_answer(j->worker, j->id, 0, e);
		break;
	case JOB_PUT:
	case JOB_DELETE:
	case JOB_NOTE:
		if (st->super != NULL && j->id != 0)
			(void)chan_reply_err(st->super, j->id, e);
		break;
	case JOB_PURGE:
		purge_failed(st);
		break;
	case JOB_TRIM:
	case JOB_DROP_LOG:
		retain_done(st, j, e);
		break;
	case JOB_KIND_N:
		break;
	}
}

/* LMDB refuses every transaction after some errors (MDB_PANIC). What became
 * of the batch is then unknown: the file says. */
static void
recover(struct store *st)
{
	MDB_txn *txn;
	struct err e;
	int rc = mdb_txn_begin(st->db.env, NULL, 0, &txn);

	if (rc == 0) {
		mdb_txn_abort(txn);
		return;
	}
	log_error("store", "opening the database again",
	    LOG_STR("cause", mdb_strerror(rc)));
	if (db_reopen(&st->db, &e) == -1 || sessions_reload(st, &e) == -1)
		fatal("store", "%s", e.text);
}

static int
commit_growing(struct store *st, struct err *e)
{
	unsigned tries;
	int rc = MDB_MAP_FULL;

	for (tries = 0; tries < GROW_TRIES && rc == MDB_MAP_FULL; tries++) {
		rc = commit_jobs(&st->db, st->batch);
		if (rc == MDB_MAP_FULL && db_grow(&st->db, e) == -1)
			return -1;
	}
	return rc == 0 ? 0 : db_err(e, rc, "commit");
}

const uint64_t commit_bounds_us[COMMIT_BUCKETS] = { 100, 250, 500, 1000, 2500,
	5000, 10000, 25000, 50000, 100000, 250000, 1000000, UINT64_MAX };

static uint64_t
monotonic_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
commit_counted(struct store *st, uint64_t us)
{
	unsigned i = 0;

	while (us > commit_bounds_us[i])
		i++;
	st->commit_hist[i]++;
	st->commit_us += us;
	/* A reader that died while it read keeps pages from being reused:
	 * that matters as commits are made. */
	if (++st->commits % READERS_EVERY == 0)
		db_readers_clear(&st->db);
}

void
batch_commit(struct store *st)
{
	struct batch *b = st->batch;
	uint64_t begin_us;
	struct err e;
	size_t i;
	int rc;

	if (b->n == 0)
		return;
	begin_us = monotonic_us();
	rc = commit_growing(st, &e);
	if (rc == 0) {
		commit_counted(st, monotonic_us() - begin_us);
		st->appended += b->events;
		feeds_tell(st, b);
		for (i = 0; i < b->n; i++)
			job_succeeded(st, &b->jobs[i]);
	} else {
		log_error("store", "commit failed", LOG_INT("jobs", b->n),
		    LOG_STR("detail", e.text));
		for (i = 0; i < b->n; i++)
			job_failed(st, &b->jobs[i], &e);
	}
	batch_clear(b);
	if (rc == -1)
		recover(st);
}
