/*
 * The events of a session: a piece of the log as JSON, and the two streams of
 * server-sent events. Runs in sandboxd-gateway.
 *
 * A stream is a cursor into the store's map and nothing else: no queue, no
 * copy. Each time its client takes more, as much of the log as fits is copied
 * to it; when the log has no more it rests until the store tells that it has
 * grown. So a client that does not read holds no memory and delays nobody,
 * none loses an event, and all that is seen is durable.
 *
 * The stored text goes out as it is: it was checked when it came in, and is
 * one line.
 */
#include "gateway/doors/sessions.h"

#include "gateway/watch.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BEAT_S 15.0 /* a comment when there was nothing else for so long */
#define WHOLE_MAX (64u << 10) /* a shorter answer goes out in one piece */
#define EVENT_DEPTH (JSON_DEPTH_AGENT + 16)
#define TURN_ID_MAX 64

struct events {
	struct req *r; /* the stream's, which holds it */
	uint64_t log, after;
	uint64_t last; /* JSON: where it ends */
	int64_t left;  /* JSON: events that may still be written */
	size_t part;   /* of the next frame, that is written already */
	bool raw;
	bool envelopes; /* nothing but what lies in `raw` */
	bool begun;	/* JSON: the opening was written */
	bool end;	/* nothing follows */
	bool whole;	/* JSON: the closing was written */
	/* A turn's stream. */
	char turn[TURN_ID_MAX]; /* "": none */
	bool turn_begun;	/* events of its own have come */
	/* Server-sent events. */
	char id[SESSION_ID_MAX + 1];
	bool sandbox; /* whose log it is: a sandbox's, not a session's */
	bool waiting;
	bool beat_due;
	ev_tstamp said;
	ev_timer beat;
	struct watcher watcher;
};

/* --- copying ------------------------------------------------------------- */

/* Where a frame is put together: what was written before is skipped, what
 * does not fit is left for the next time. */
struct copy {
	char *dst;
	size_t max, n;
	size_t skip;
	size_t seen; /* of this frame, written now or before */
	bool full;
};

static void
put(struct copy *c, const char *p, size_t len)
{
	size_t k;

	if (c->full)
		return;
	if (c->skip >= len) {
		c->skip -= len;
		c->seen += len;
		return;
	}
	c->seen += c->skip;
	p += c->skip;
	len -= c->skip;
	c->skip = 0;
	k = MIN(len, c->max - c->n);
	memcpy(c->dst + c->n, p, k);
	c->n += k;
	c->seen += k;
	c->full = k < len;
}

#define PUT(c, literal) put((c), (literal), sizeof(literal) - 1)

static void
put_event(struct copy *c, const struct events *v, const struct stored_event *ev)
{
	static const char name[] = ",\"raw\":";
	const size_t before = ev->head_len + sizeof(name) - 1;

	if (v->envelopes && ev->len > before) {
		put(c, ev->text + before, ev->len - before - 1);
		return;
	}
	if (v->raw) {
		put(c, ev->text, ev->len);
		return;
	}
	put(c, ev->text, ev->head_len);
	PUT(c, ",\"raw\":null}");
}

/* --- the end of a turn --------------------------------------------------- */

/* The type of an event. Its author wrote the members in a fixed order (the
 * store has checked that), and inside of a string the quotes would be escaped,
 * so the first match is the member; with blanks between, the slow way. */
static size_t
type_of(const struct stored_event *ev, char dst[32])
{
	static const char name[] = "\",\"type\":\"";
	const char *p = memmem(ev->text, ev->head_len, name, sizeof(name) - 1);
	const char *end, *word;
	struct json *j;
	size_t n;

	if (p != NULL) {
		word = p + sizeof(name) - 1;
		end =
		    memchr(word, '"', ev->head_len - (size_t)(word - ev->text));
		n = end != NULL ? (size_t)(end - word) : 0;
		if (n >= 32)
			n = 0;
		memcpy(dst, word, n);
		dst[n] = '\0';
		return n;
	}
	dst[0] = '\0';
	if (json_parse(ev->text, ev->len, EVENT_DEPTH, &j, NULL) == -1)
		return 0;
	if (str_copy(dst, 32, json_str(j, "type", "")) == -1)
		dst[0] = '\0';
	json_free(j);
	return strlen(dst);
}

static bool
is_turn(const struct stored_event *ev, const char *turn)
{
	struct json *j;
	bool mine;

	if (json_parse(ev->text, ev->len, EVENT_DEPTH, &j, NULL) == -1)
		return true; /* cannot be: it was checked when it came */
	mine = strcmp(json_str(json_get(j, "data"), "turn_id", ""), turn) == 0;
	json_free(j);
	return mine;
}

/* Does this event end the turn's stream? What ends before the turn has begun
 * is of another, the one that this turn was waiting for. */
static bool
turn_ends(struct events *v, const struct stored_event *ev)
{
	static const char *const ends[] = { "turn.ended", "session.ended",
		"error", "agent.unparsed", "permission.requested",
		"question.requested" };
	char type[32];
	size_t i;

	(void)type_of(ev, type);
	if (strcmp(type, "session.ended") == 0)
		return true;
	if (!v->turn_begun) {
		v->turn_begun =
		    strcmp(type, "turn.started") == 0 && is_turn(ev, v->turn);
		return false;
	}
	for (i = 0; i < countof(ends); i++) {
		if (strcmp(type, ends[i]) == 0)
			return true;
	}
	return false;
}

/* --- server-sent events -------------------------------------------------- */

struct fill {
	struct events *v;
	struct copy c;
};

static bool
sse_event(void *ctx, uint64_t sequence, const struct stored_event *ev)
{
	struct fill *f = ctx;
	struct events *v = f->v;
	char digits[20];

	if (v->end || f->c.n == f->c.max)
		return false;
	f->c.skip = v->part;
	f->c.seen = 0;
	if (v->envelopes)
		PUT(&f->c, "event: message\n");
	PUT(&f->c, "id: ");
	put(&f->c, digits, str_decimal(digits, sequence));
	PUT(&f->c, "\ndata: ");
	put_event(&f->c, v, ev);
	PUT(&f->c, "\n\n");
	if (f->c.full) {
		v->part = f->c.seen;
		return false;
	}
	v->part = 0;
	if (v->turn[0] != '\0' && turn_ends(v, ev))
		v->end = true;
	return true;
}

static void
sse_said(struct events *v)
{
	v->said = ev_now(v->r->gw->loop);
	v->beat_due = false;
}

/* Nothing more will come. */
static bool
log_over(struct events *v)
{
	struct db_session s;
	struct db_log l;

	if (v->sandbox)
		return !db_sandbox_log(v->r->gw->db, v->id, &l) ||
		       l.log != v->log || l.gone_ms != 0;
	/* A session that was removed has no more to say. */
	return !db_session(v->r->gw->db, v->id, &s) || s.log != v->log;
}

static ssize_t
sse_fill(void *ctx, char *dst, size_t max)
{
	static const char beats[2][16] = { ":\n\n", ": heartbeat\n\n" };
	struct events *v = ctx;
	struct fill f = { .v = v, .c = { .dst = dst, .max = max } };
	const char *beat = beats[v->envelopes ? 1 : 0];
	struct db *db = v->r->gw->db;
	struct err e;
	int rc;

	v->waiting = false;
	if (v->end)
		return -1;
	if (db_begin(db, &e) == -1)
		return -2;
	rc = db_events(db, v->log, &v->after, sse_event, &f, &e);
	if (rc == 0 && f.c.n == 0 && log_over(v))
		v->end = true;
	db_end(db);
	if (rc == -1)
		return -2;
	if (f.c.n == 0 && v->end)
		return -1;
	if (f.c.n == 0 && v->beat_due && max >= strlen(beat)) {
		memcpy(dst, beat, strlen(beat));
		f.c.n = strlen(beat);
	}
	if (f.c.n > 0)
		sse_said(v);
	else
		v->waiting = true;
	return (ssize_t)f.c.n;
}

static void
sse_done(void *ctx)
{
	struct events *v = ctx;

	ev_timer_stop(v->r->gw->loop, &v->beat);
	watch_remove(v->r->gw, &v->watcher);
	free(v);
}

static void
sse_wake(struct events *v)
{
	if (!v->waiting)
		return;
	v->waiting = false;
	req_wake(v->r);
}

static void
on_grew(struct watcher *w)
{
	sse_wake(w->ctx);
}

static void
on_beat(struct ev_loop *loop, ev_timer *t, int revents ATTR_UNUSED)
{
	struct events *v = t->data;
	ev_tstamp silent = ev_now(loop) - v->said;

	if (silent >= BEAT_S) {
		/* One that does not read needs no sign of life. */
		v->beat_due = v->waiting;
		sse_wake(v);
		silent = 0.;
	}
	ev_timer_set(t, BEAT_S - silent, 0.);
	ev_timer_start(loop, t);
}

static const struct req_stream sse_ops = { sse_fill, sse_done };

void
events_stream(struct req *r, const struct events_from *from)
{
	struct events *v = xcalloc(1, sizeof(*v));

	v->r = r;
	v->log = from->log;
	v->after = from->after;
	v->raw = from->raw;
	v->envelopes = from->envelopes;
	(void)!str_copy(v->id, sizeof(v->id),
	    from->sandbox != NULL   ? from->sandbox
	    : from->session != NULL ? from->session
				    : r->params[0]);
	v->sandbox = from->sandbox != NULL;
	if (from->turn != NULL)
		(void)!str_copy(v->turn, sizeof(v->turn), from->turn);
	v->said = ev_now(r->gw->loop);
	ev_timer_init(&v->beat, on_beat, BEAT_S, 0.);
	v->beat.data = v;
	ev_timer_start(r->gw->loop, &v->beat);
	v->watcher.grew = on_grew;
	v->watcher.ctx = v;
	watch_add(r->gw, &v->watcher, v->log);
	req_add_header(r, "cache-control", "no-cache");
	req_add_header(r, "x-accel-buffering", "no"); /* nginx */
	req_reply_stream(r, 200, "text/event-stream", -1, &sse_ops, v);
}

/* --- a piece of the log as JSON ------------------------------------------ */

static bool
json_event(void *ctx, uint64_t sequence, const struct stored_event *ev)
{
	struct fill *f = ctx;
	struct events *v = f->v;

	if (sequence > v->last || v->left == 0 || f->c.n == f->c.max)
		return false;
	f->c.skip = v->part;
	f->c.seen = 0;
	if (v->begun)
		PUT(&f->c, ",");
	else
		PUT(&f->c, "{\"events\":[");
	put_event(&f->c, v, ev);
	if (f->c.full) {
		v->part = f->c.seen;
		return false;
	}
	v->part = 0;
	v->begun = true;
	v->left--;
	return true;
}

/* All events are written: close the answer, if there is room for that. */
static void
json_close(struct fill *f)
{
	static const char *const ends[] = { "],\"hasMore\":false}",
		"],\"hasMore\":true}" };
	struct events *v = f->v;
	const char *end = ends[v->after < v->last ? 1 : 0];

	f->c.skip = v->part;
	f->c.seen = 0;
	if (!v->begun)
		PUT(&f->c, "{\"events\":[");
	put(&f->c, end, strlen(end));
	v->part = f->c.seen;
	v->whole = !f->c.full;
}

static ssize_t
json_fill(void *ctx, char *dst, size_t max)
{
	struct events *v = ctx;
	struct fill f = { .v = v, .c = { .dst = dst, .max = max } };
	uint64_t before = v->after;
	struct err e;
	int rc;

	if (v->whole)
		return -1;
	if (!v->end) {
		if (db_begin(v->r->gw->db, &e) == -1)
			return -2;
		rc = db_events(
		    v->r->gw->db, v->log, &v->after, json_event, &f, &e);
		db_end(v->r->gw->db);
		if (rc == -1 ||
		    /* the session was removed in the midst of it */
		    (f.c.n == 0 && v->left > 0 && v->after == before &&
			v->after < v->last))
			return -2;
		v->end = v->part == 0 && (v->left == 0 || v->after >= v->last);
	}
	if (v->end && f.c.n < max)
		json_close(&f);
	return (ssize_t)f.c.n;
}

static void
json_done(void *ctx)
{
	free(ctx);
}

static const struct req_stream json_ops = { json_fill, json_done };

static uint64_t
offset_of(const struct req *r)
{
	return (uint64_t)req_query_int(r, "offset", 0);
}

static bool
wants_raw(const struct req *r)
{
	return req_query_bool(r, "include_raw", false) ||
	       req_query_bool(r, "includeRaw", false);
}

static struct events
json_events(struct req *r, const struct db_session *s)
{
	return (struct events){ .r = r,
		.log = s->log,
		.last = s->last,
		.after = offset_of(r),
		.left = req_query_int(r, "limit", INT64_MAX),
		.raw = wants_raw(r) };
}

void
route_session_events(struct req *r)
{
	struct db_session s;
	struct events v, *copy;
	struct buf b;
	ssize_t n = 0;

	if (!session_find(r, &s))
		return;
	v = json_events(r, &s);
	buf_init(&b, WHOLE_MAX);
	if (buf_reserve(&b, WHOLE_MAX) != NULL)
		n = json_fill(&v, b.data, WHOLE_MAX);
	if (n > 0 && v.whole) {
		b.len = (size_t)n;
		req_reply_json(r, 200, &b);
		return;
	}
	/* From the beginning: nothing is kept of the piece. */
	buf_free(&b);
	copy = xcalloc(1, sizeof(*copy));
	*copy = json_events(r, &s);
	req_reply_stream(r, 200, "application/json", -1, &json_ops, copy);
}

void
route_session_events_sse(struct req *r)
{
	const char *resume = req_header(r, "last-event-id");
	struct events_from from = { .raw = wants_raw(r) };
	struct db_session s;
	int64_t sequence;

	if (!session_find(r, &s))
		return;
	from.log = s.log;
	from.after = offset_of(r);
	/* What a browser sends by itself after an interruption knows more
	 * than the address that it began with. */
	if (resume != NULL && str_to_int(resume, 0, INT64_MAX, &sequence) == 0)
		from.after = (uint64_t)sequence;
	events_stream(r, &from);
}
