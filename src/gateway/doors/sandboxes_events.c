/*
 * What has become of a sandbox: entries of its log, as a piece or as
 * server-sent events. Runs in sandboxd-gateway, which reads them from the
 * store's map. The store has checked them when they came, yet some hold words
 * of programs in the sandbox, so they are passed on as JSON and nothing is made
 * of them.
 */
#include "gateway/doors/osb.h"
#include "gateway/doors/sessions.h"
#include "lib/frame.h"
#include "lib/strutil.h"

#include <string.h>

#define RECENT 100 /* entries, unless asked for */

struct piece {
	struct jw *w;
	int64_t left;
	uint64_t last;
};

/* One entry, its time as the rest of this API writes times. */
static bool
add_entry(void *ctx, uint64_t sequence, const struct stored_event *ev)
{
	struct piece *p = ctx;
	char text[TIME_TEXT_MAX];
	struct json *j;

	if (p->left-- <= 0)
		return false;
	if (json_parse(ev->text, ev->len, JSON_DEPTH_CONTROL, &j, NULL) == -1)
		return true; /* cannot be: it was checked when it came */
	p->last = sequence;
	jw_object(p->w);
	json_foreach (it, j) {
		if (strcmp(it->key, "at") == 0) {
			osb_time_write(text, json_int(j, "at", 0));
			jw_kstr(p->w, "at", text);
		} else {
			jw_kvalue(p->w, it->key, it);
		}
	}
	jw_object_end(p->w);
	json_free(j);
	return true;
}

static void
reply_piece(struct req *r, const char *id, const struct db_log *log)
{
	int64_t limit = req_query_int(r, "limit", RECENT);
	int64_t after = req_query_int(r, "after", -1);
	uint64_t from = after >= 0 ? (uint64_t)after : 0;
	struct piece p = { .left = limit };
	struct buf b;
	struct jw w;
	struct err e;
	int rc;

	if (after < 0 && log->last > (uint64_t)limit)
		from = log->last - (uint64_t)limit;
	p.last = from;
	buf_init(&b, 8 * FRAME_MAX);
	jw_init(&w, &b);
	p.w = &w;
	jw_object(&w);
	jw_kstr(&w, "id", id);
	jw_key(&w, "events");
	jw_array(&w);
	rc = db_events(r->gw->db, log->log, &from, add_entry, &p, &e);
	jw_array_end(&w);
	jw_kint(&w, "first", (int64_t)log->first);
	jw_kint(&w, "last", (int64_t)p.last);
	jw_kbool(&w, "more", from < log->last);
	jw_object_end(&w);
	if (rc == 0 && !b.failed) {
		req_reply_json(r, 200, &b);
		return;
	}
	if (rc == 0)
		err_set(&e, ERR_TOO_LARGE, "ask for fewer at a time");
	buf_free(&b);
	osb_fail(r, &e, NULL, NULL);
}

static void
reply_stream(struct req *r, const char *id, const struct db_log *log)
{
	const char *resume = req_header(r, "last-event-id");
	struct events_from from = { .log = log->log,
		.after = (uint64_t)req_query_int(r, "after", 0),
		.sandbox = id,
		.raw = true };
	int64_t sequence;

	if (resume != NULL && str_to_int(resume, 0, INT64_MAX, &sequence) == 0)
		from.after = (uint64_t)sequence;
	events_stream(r, &from);
}

void
route_osb_events(struct req *r)
{
	const char *id = osb_sandbox(r);
	const char *accept = req_header(r, "accept");
	struct db_log log;
	struct err e;
	bool found;

	if (id == NULL)
		return;
	if (db_begin(r->gw->db, &e) == -1) {
		osb_fail(r, &e, NULL, NULL);
		return;
	}
	found = db_sandbox_log(r->gw->db, id, &log);
	if (!found) {
		err_set(&e, ERR_SANDBOX_NOT_FOUND, "no such sandbox: %s", id);
		osb_fail(r, &e, NULL, NULL);
	} else if (accept != NULL &&
		   strstr(accept, "text/event-stream") != NULL) {
		reply_stream(r, id, &log);
	} else {
		reply_piece(r, id, &log);
	}
	db_end(r->gw->db);
}
