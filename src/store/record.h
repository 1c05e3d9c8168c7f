/*
 * Records of sandboxes and sessions: JSON objects of which the store knows a
 * few members and keeps all.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "lib/buf.h"
#include "lib/defs.h"
#include "lib/err.h"
#include "lib/json.h"

/* A record must fit into one frame, with what is added when it is read. What
 * the supervisor puts may be less than that by all that a worker may set. */
#define RECORD_MAX (960u << 10)
#define RECORD_PUT_MAX (900u << 10)
#define RECORD_DEPTH (JSON_DEPTH_AGENT + 4)

/* Members of a session's record that live elsewhere and are added when the
 * record is read. */
struct record_facts {
	uint64_t last, first;
	int64_t updated_ms;
};

/* Who reads: the supervisor, which must not be made to parse what a sandbox
 * wrote (no `checkpoint`, no `keys`); the session's worker, which gets all;
 * control clients. */
enum record_view {
	VIEW_SUPERVISOR,
	VIEW_WORKER,
	VIEW_CLIENT,
	VIEW_N
};

/* OLD (may be NULL) with the members of PATCH merged in, null removing, as
 * text in OUT. With LOG > 0 it is a session's: then the members that the
 * store keeps are as it says and those of PATCH are ignored. */
int record_merge(const struct json *old, const struct json *patch, uint64_t log,
    struct buf *out, struct err *e) ATTR_WARN_UNUSED;
/* A session's record as one reader sees it. */
void record_write(struct jw *w, const struct json *rec, enum record_view view,
    const struct record_facts *facts);
/* May a worker `set` this? */
int record_set_check(const struct json *set, struct err *e) ATTR_WARN_UNUSED;
/* The log number in a stored session record; 0 when it has none. */
uint64_t record_log(const struct json *rec);

#endif
