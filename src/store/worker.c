/*
 * The store's side of a session worker's channel. Runs in the store; the
 * worker is inside a sandbox and nothing it says is believed: a breach closes
 * its channel and is logged, and no other session notices.
 */
#include "store/worker.h"

#include "lib/log.h"
#include "lib/proto.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "store/batch.h"
#include "store/tail.h"

#include <inttypes.h>
#include <string.h>

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	batch_forget_worker(w->st, w);
	if (w->s->worker == w)
		w->s->worker = NULL;
	LIST_REMOVE(w, link);
	session_release(w->s);
	chan_free(w->ch);
	free(w);
}

void
worker_answer(struct worker *w, int64_t id, uint64_t last, const struct err *e)
{
	struct jw *jw;
	int rc;

	if (e != NULL) {
		w->refused = true;
		rc = chan_reply_err(w->ch, id, e);
	} else {
		jw = chan_begin(w->ch);
		jw_kint(jw, "id", id);
		jw_key(jw, "ok");
		jw_object(jw);
		jw_kint(jw, "last", (int64_t)last);
		jw_object_end(jw);
		rc = chan_end(w->ch, NULL, 0);
	}
	if (rc == -1) {
		log_warn("worker", "does not read its answers",
		    LOG_STR("session", w->s->id));
		worker_free(w);
	}
}

/* A repetition of what stands in the open batch: nothing to do but to answer
 * after the same commit. */
static void
answer_with_batch(struct worker *w, int64_t id, uint64_t last)
{
	struct append_in in = { .id = id, .first = last + 1 };
	struct err e;

	if (batch_append(w->st, w->s, w, "", &in, &e) == -1)
		worker_answer(w, id, 0, &e);
}

static int
set_check(const char *text, size_t len, struct err *e)
{
	struct json *set;
	int rc;

	if (json_parse(text, len, RECORD_DEPTH, &set, e) == -1)
		return err_prefix(e, "set");
	rc = record_set_check(set, e);
	json_free(set);
	return rc;
}

/* -1 is a breach. W may be gone afterwards. */
static int
worker_append(struct worker *w, const struct chan_frame *f, struct err *e)
{
	struct session *s = w->s;
	struct append_in in;
	uint64_t last;

	if (f->nfds > 0)
		return err_set(e, ERR_BAD_REQUEST, "a descriptor");
	if (append_scan(w->st->scanner, f->text, f->len, &in, e) == -1)
		return -1;
	if (s->removed)
		return err_set(e, ERR_SESSION_NOT_FOUND, "session removed");
	if (in.set_end > 0 && set_check(f->text + in.set_start,
				  in.set_end - in.set_start, e) == -1)
		return -1;
	if (in.first == s->staged + 1) {
		w->refused = false;
		if (batch_append(w->st, w->s, w, f->text, &in, e) == -1)
			worker_answer(w, in.id, 0, e);
		return 0;
	}
	last = in.first + in.nevents - 1;
	if (in.first <= s->staged && last <= s->staged) {
		/* Said before: a worker repeats what it got no answer to. */
		if (last > s->last)
			answer_with_batch(w, in.id, last);
		else
			worker_answer(w, in.id, last, NULL);
		return 0;
	}
	if (w->refused && in.first > s->staged) {
		(void)err_set(
		    e, ERR_DISK_FULL, "an append before this one was refused");
		worker_answer(w, in.id, 0, e);
		return 0;
	}
	return err_set(e, ERR_BAD_REQUEST,
	    "first is %" PRIu64 " and %" PRIu64 " is next", in.first,
	    s->staged + 1);
}

static void
on_worker(struct chan *ch ATTR_UNUSED, enum chan_what what,
    const struct chan_frame *f, const char *why, void *ctx)
{
	struct worker *w = ctx;
	struct err e;

	if (what == CHAN_CLOSED) {
		log_debug("worker", "gone", LOG_STR("session", w->s->id),
		    LOG_STR("cause", why));
		worker_free(w);
		return;
	}
	if (tail_asked(f->text, f->len) && f->nfds == 0
		? tail_answer(w, f->text, f->len, &e) == -1
		: worker_append(w, f, &e) == -1) {
		log_warn("worker", "breach", LOG_STR("session", w->s->id),
		    LOG_STR("rule", e.text));
		worker_free(w);
	}
}

/* The first words on the channel: where to go on, and what was known. */
static int
send_attached(struct worker *w, struct err *e)
{
	struct record_facts facts;
	struct json *rec;
	MDB_txn *txn;
	struct jw *jw;
	int rc;

	if (db_read(&w->st->db, &txn, e) == -1)
		return -1;
	rc = session_read(
	    &w->st->db, txn, w->s->id, strlen(w->s->id), &rec, &facts, e);
	db_read_done(&w->st->db);
	if (rc == -1)
		return -1;
	jw = chan_begin(w->ch);
	proto_begin(jw, MSG_STORE_ATTACHED, 0);
	jw_kint(jw, "next", (int64_t)facts.last + 1);
	jw_key(jw, "record");
	record_write(jw, rec, VIEW_WORKER, &facts);
	json_free(rec);
	if (chan_end(w->ch, NULL, 0) == -1)
		return err_set(e, ERR_TOO_LARGE,
		    "the session's record does not fit into a frame");
	return 0;
}

int
worker_attach(struct store *st, const char *session, int fd, struct err *e)
{
	struct session *s;
	struct worker *w;

	if (session_open(st, session, &s, e) == -1) {
		(void)close(fd);
		return -1;
	}
	worker_free(s->worker);
	w = xcalloc(1, sizeof(*w));
	w->st = st;
	w->s = s;
	w->ch = chan_new(st->loop, fd, s->id, on_worker, w);
	chan_set_raw(w->ch, 1);
	LIST_INSERT_HEAD(&st->workers, w, link);
	s->worker = w;
	if (send_attached(w, e) == -1) {
		worker_free(w);
		return -1;
	}
	return 0;
}
