/*
 * Group commit: what arrived since the last commit, in its order, as jobs
 * that can be carried out more than once (a full map is grown and the same
 * batch tried again).
 *
 * One thread does everything. While a commit runs, input waits in the sockets,
 * and the next turn of the loop finds all of it readable: batches form by
 * themselves, as large as the disk is slow, without any delay of ours. A
 * thread for the commits could at best hide what is not commit, and a profile
 * says that this is 6 to 12 % of the time.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "lib/buf.h"
#include "store/append.h"
#include "store/sessions.h"
#include "store/store.h"

enum job_kind {
	JOB_APPEND, /* events, and members of the session's record */
	JOB_PUT,
	JOB_DELETE,
	JOB_PURGE,    /* some events of a removed session */
	JOB_NOTE,     /* an entry of a sandbox's log */
	JOB_TRIM,     /* some old events */
	JOB_DROP_LOG, /* of a sandbox that is gone */
	JOB_KIND_N
};

/* Which events go from the front of a log; 0: not for this reason. */
struct trim {
	bool total; /* not of one log: the oldest of all */
	uint64_t log;
	uint64_t events, bytes; /* more than these */
	uint64_t before_ms;	/* stored before */
	uint64_t feed;		/* `total`: look from here on */
};
struct log_value;
/* Has LV, whose first event was stored at that time, an event to give? */
bool trim_applies(
    const struct trim *t, const struct log_value *lv, uint64_t stored_ms);

/* Offsets are into the batch's text. */
struct job {
	enum job_kind kind;
	int64_t id;	       /* the request; 0: nobody waits */
	int64_t now_ms;	       /* of arrival */
	struct worker *worker; /* borrowed; NULL when it has gone */
	struct session *s;     /* held; JOB_APPEND */
	uint64_t first;	       /* sequence */
	uint32_t nevents;
	unsigned flags;		 /* of the last event */
	size_t values;		 /* as append_build made them */
	size_t patch, patch_len; /* record to merge; length 0: none */
	enum db_name table;
	size_t key, key_len;
	uint64_t log;	      /* JOB_PURGE; out: of what was changed */
	uint64_t old_log;     /* out: of a former sandbox of this id */
	uint64_t only;	      /* JOB_NOTE: this log and no other; 0: any */
	bool again;	      /* JOB_NOTE: it may be stored already */
	struct trim trim;     /* JOB_TRIM; nevents: out, removed */
	uint64_t feed_next;   /* out */
	bool purged;	      /* out: nothing is left to be done there */
	bool created;	      /* out: the record was not there before */
	enum err_code failed; /* this job alone; ERR_NONE when it was done */
};

struct batch {
	struct job *jobs; /* owned */
	size_t n, room;
	struct buf text;
	uint64_t events;
};

/* More than this is committed without waiting for the rest. */
#define BATCH_BYTES (4u << 20)
#define BATCH_JOBS 1024

struct batch *batch_new(void);
void batch_free(struct batch *b); /* accepts NULL */

/* W is who waits for the answer, or NULL. Each copies what it needs; -1 when
 * there is no memory for it, and then nothing was added. Either may commit the
 * batch at once. */
int batch_append(struct store *st, struct session *s, struct worker *w,
    const char *text, const struct append_in *in,
    struct err *e) ATTR_WARN_UNUSED;
int batch_put(struct store *st, int64_t id, enum db_name table, const char *key,
    const struct json *record, struct err *e) ATTR_WARN_UNUSED;
int batch_delete(struct store *st, int64_t id, enum db_name table,
    const char *key, struct err *e) ATTR_WARN_UNUSED;
int batch_purge(struct store *st, uint64_t log, struct err *e) ATTR_WARN_UNUSED;
/* TEXT: the members of the entry behind `seq`, with the closing brace. ONLY:
 * the log that is meant, 0 for the sandbox's present one. */
int batch_note(struct store *st, int64_t id, const char *sandbox, uint64_t only,
    const struct buf *text, bool again, struct err *e) ATTR_WARN_UNUSED;
int batch_trim(
    struct store *st, const struct trim *t, struct err *e) ATTR_WARN_UNUSED;
int batch_drop_log(
    struct store *st, const char *sandbox, struct err *e) ATTR_WARN_UNUSED;
bool batch_empty(const struct store *st);
/* The worker will not be there to be answered. */
void batch_forget_worker(struct store *st, const struct worker *w);

/* Commit, answer everybody, wake readers. An error reaches those who wait;
 * afterwards the batch is empty in any case. */
void batch_commit(struct store *st);

/* commit.c: carry the batch out in one transaction. 0, or LMDB's code and
 * nothing has changed. */
int commit_jobs(struct db *db, struct batch *b);

#endif
