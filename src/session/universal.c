/*
 * The universal encoder; see universal.h. Runs in the session worker. Its
 * input is what an adapter understood of a hostile program's output: texts of
 * any length and content, items that are completed twice, deltas of items that
 * were never started. Its output is always well-formed and in order.
 *
 * Each function emits first and changes its own state afterwards: a batch may
 * be closed by the emission, and the checkpoint that goes with it must not
 * know of an event that is not in it.
 */
#include "session/secrets.h"
#include "session/universal_log.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <inttypes.h>
#include <string.h>

#define DELTA_BYTES (64u << 10)	  /* longer ones become several */
#define GATHER_BYTES (256u << 10) /* text kept of an open item */
#define START_BYTES 4096	  /* content kept of an open item */
#define RAW_HEAD_BYTES 1024
#define CALLS_MAX 64
#define ITEM_ID_MAX 32

struct tool_call {
	TAILQ_ENTRY(tool_call) link;
	uint64_t number;
	char *native_id; /* owned */
};

struct jw *
uni_event_begin(struct universal *u, enum origin from, const char *type)
{
	char now[TIME_TEXT_MAX];

	time_text(now);
	buf_clear(&u->body);
	jw_init(&u->w, &u->body);
	jw_object(&u->w);
	jw_kstr(&u->w, "time", now);
	jw_kstr(&u->w, "native_session_id", u->native_session);
	jw_kbool(&u->w, "synthetic", from == FROM_DAEMON);
	jw_kstr(&u->w, "source", from == FROM_DAEMON ? "daemon" : "agent");
	jw_kstr(&u->w, "type", type);
	jw_key(&u->w, "data");
	return &u->w;
}

void
uni_event_raw(struct universal *u, const char *raw, size_t len)
{
	size_t head = RAW_HEAD_BYTES;
	size_t at;

	jw_key(&u->w, "raw");
	at = u->body.len;
	if (raw == NULL) {
		jw_null(&u->w);
	} else if (u->body.len + len + 16 <= EVENT_BYTES_MAX) {
		jw_raw(&u->w, raw, len);
		json_mend(u->body.data + at, u->body.len - at);
	} else {
		jw_object(&u->w);
		jw_kbool(&u->w, "truncated", true);
		jw_kint(&u->w, "bytes", (int64_t)len);
		jw_key(&u->w, "head");
		content_text(&u->w, raw, MIN(len, RAW_HEAD_BYTES), &head);
		jw_object_end(&u->w);
	}
}

void
uni_event_add(struct universal *u)
{
	jw_object_end(&u->w);
	secrets_hide(u->secrets, u->body.data, u->body.len);
	(void)outbox_add(u->out, u->body.data, u->body.len);
}

void
uni_event_end(struct universal *u, enum origin from)
{
	uni_event_raw(u, from == FROM_AGENT ? u->raw : NULL, u->raw_len);
	uni_event_add(u);
}

void
uni_kname(struct jw *w, const char *key, const char *s)
{
	jw_key(w, key);
	content_name(w, s);
}

static void
kitem(struct jw *w, const char *key, uint64_t number)
{
	char id[ITEM_ID_MAX];

	if (number == 0 ||
	    str_format(id, sizeof(id), "itm_%" PRIu64, number) == -1)
		jw_knull(w, key);
	else
		jw_kstr(w, key, id);
}

/* --- tool calls that later items may name as their parent ---------------- */

static struct tool_call *
call_find(struct universal *u, const char *native_id)
{
	struct tool_call *c;

	TAILQ_FOREACH (c, &u->calls, link)
		if (native_id != NULL && strcmp(c->native_id, native_id) == 0)
			return c;
	return NULL;
}

static void
call_drop(struct universal *u, struct tool_call *c)
{
	if (c == NULL)
		return;
	TAILQ_REMOVE(&u->calls, c, link);
	u->ncalls--;
	free(c->native_id);
	free(c);
}

static void
call_keep(struct universal *u, const char *native_id, uint64_t number)
{
	struct tool_call *c;

	if (native_id == NULL || call_find(u, native_id) != NULL)
		return;
	if (u->ncalls == CALLS_MAX)
		call_drop(u, TAILQ_FIRST(&u->calls));
	c = xcalloc(1, sizeof(*c));
	c->number = number;
	c->native_id = xstrdup(native_id);
	TAILQ_INSERT_TAIL(&u->calls, c, link);
	u->ncalls++;
}

static uint64_t
parent_number(struct universal *u, const char *native_id)
{
	const struct tool_call *c = call_find(u, native_id);

	return c != NULL ? c->number : 0;
}

/* --- open items ---------------------------------------------------------- */

/* KIND may be ITEM_KIND_N: any. */
static struct open_item *
open_find(struct universal *u, const char *native_id, enum item_kind kind)
{
	struct open_item *o;

	if (native_id == NULL)
		return NULL;
	TAILQ_FOREACH (o, &u->open, link)
		if (o->native_id != NULL &&
		    (kind == ITEM_KIND_N || o->kind == kind) &&
		    strcmp(o->native_id, native_id) == 0)
			return o;
	return NULL;
}

static void
open_drop(struct universal *u, struct open_item *o)
{
	TAILQ_REMOVE(&u->open, o, link);
	u->nopen--;
	buf_free(&o->text);
	free(o->native_id);
	free(o->content);
	free(o);
}

/* The part of an event that tells the item, up to its content. */
static void
item_head(struct jw *w, const struct open_item *o)
{
	jw_object(w);
	jw_key(w, "item");
	jw_object(w);
	kitem(w, "item_id", o->number);
	uni_kname(w, "native_item_id", o->native_id);
	kitem(w, "parent_id", o->parent);
	jw_kstr(w, "kind", item_kind_word(o->kind));
	jw_kstr(
	    w, "role", o->role < ROLE_OF_N ? item_role_word(o->role) : NULL);
	jw_key(w, "content");
}

static void
item_tail(struct jw *w, enum item_status status)
{
	jw_kstr(w, "status", item_status_word(status));
	jw_object_end(w);
	jw_object_end(w);
}

static struct open_item *
open_new(struct universal *u, const struct item *it)
{
	struct open_item *o = xcalloc(1, sizeof(*o));

	o->number = ++u->items;
	o->parent = parent_number(u, it->parent);
	if (it->native_id != NULL)
		o->native_id = xstrndup(it->native_id, NAME_BYTES_MAX);
	o->kind = it->kind;
	o->role = it->role;
	o->reasoning = it->nparts > 0 && it->parts[0].type == PART_REASONING;
	buf_init(&o->text, GATHER_BYTES);
	return o;
}

static void
fail_oldest(struct universal *u)
{
	struct open_item *o = TAILQ_FIRST(&u->open);
	struct part p = { .type = o->reasoning ? PART_REASONING : PART_TEXT,
		.word = "public" };
	size_t budget = CONTENT_BYTES;
	struct jw *w;

	w = uni_event_begin(u, FROM_DAEMON, "item.completed");
	item_head(w, o);
	if (o->kind == ITEM_MESSAGE && o->text.len > 0) {
		p.text = o->text.data;
		p.len = o->text.len;
		content_parts(w, &p, 1, &budget);
	} else if (o->content != NULL) {
		jw_raw(w, o->content, strlen(o->content));
	} else {
		content_parts(w, NULL, 0, &budget);
	}
	item_tail(w, ITEM_FAILED);
	uni_event_end(u, FROM_DAEMON);
	open_drop(u, o);
}

static struct open_item *
start(struct universal *u, const struct item *it, enum origin from)
{
	struct open_item *o;
	size_t budget = CONTENT_BYTES, at;
	struct jw *w;

	if (u->nopen == OPEN_ITEMS_MAX)
		fail_oldest(u);
	o = open_new(u, it);
	w = uni_event_begin(u, from, "item.started");
	item_head(w, o);
	at = u->body.len;
	content_parts(w, it->parts, it->nparts, &budget);
	if (u->body.len - at <= START_BYTES)
		o->content = xstrndup(u->body.data + at, u->body.len - at);
	item_tail(w, ITEM_IN_PROGRESS);
	uni_event_end(u, from);
	TAILQ_INSERT_TAIL(&u->open, o, link);
	u->nopen++;
	if (o->kind == ITEM_TOOL_CALL)
		call_keep(u, o->native_id, o->number);
	return o;
}

static void
delta(struct universal *u, struct open_item *o, const char *s, size_t n,
    enum origin from)
{
	size_t len, room, budget;
	struct jw *w;

	while (n > 0) {
		len = MIN(n, DELTA_BYTES);
		while (len < n && len > DELTA_BYTES - 4 &&
		       ((unsigned char)s[len] & 0xc0) == 0x80)
			len--; /* not within a character */
		budget = CONTENT_BYTES;
		w = uni_event_begin(u, from, "item.delta");
		jw_object(w);
		kitem(w, "item_id", o->number);
		uni_kname(w, "native_item_id", o->native_id);
		jw_key(w, "delta");
		content_text(w, s, len, &budget);
		jw_object_end(w);
		uni_event_end(u, from);
		room = GATHER_BYTES - o->text.len;
		(void)buf_add(&o->text, s, MIN(len, room)); /* best effort */
		o->streamed = true;
		s += len;
		n -= len;
	}
}

static void
item_started(struct universal *u, const struct item *it)
{
	if (open_find(u, it->native_id, it->kind) == NULL)
		(void)start(u, it, it->origin);
}

static void
item_delta(struct universal *u, const char *native_id, const char *s, size_t n)
{
	const struct item it = { .native_id = native_id,
		.kind = ITEM_MESSAGE,
		.role = ROLE_OF_ASSISTANT };
	struct open_item *o = open_find(u, native_id, ITEM_KIND_N);

	if (n == 0)
		return;
	if (o == NULL)
		o = start(u, &it, FROM_DAEMON);
	delta(u, o, s, n, FROM_AGENT);
}

/* A message that was not streamed gets its text as one delta. */
static void
fill_delta(struct universal *u, struct open_item *o, const struct item *it)
{
	struct buf all;
	size_t i;

	if (o->streamed || it->kind != ITEM_MESSAGE || it->role == ROLE_OF_USER)
		return;
	buf_init(&all, 8u << 20);
	for (i = 0; i < it->nparts; i++) {
		if (it->parts[i].type != PART_TEXT)
			continue;
		if (all.len > 0)
			(void)buf_addc(&all, '\n');
		(void)buf_add(&all, it->parts[i].text, it->parts[i].len);
	}
	if (!all.failed && all.len > 0)
		delta(u, o, all.data, all.len, FROM_DAEMON);
	buf_free(&all);
}

static void
item_completed(
    struct universal *u, const struct item *it, enum item_status status)
{
	struct open_item *o = open_find(u, it->native_id, it->kind);
	size_t budget = CONTENT_BYTES;
	struct jw *w;

	if (o == NULL)
		o = start(u, it, FROM_DAEMON);
	fill_delta(u, o, it);
	w = uni_event_begin(u, it->origin, "item.completed");
	item_head(w, o);
	content_parts(w, it->parts, it->nparts, &budget);
	item_tail(w, status);
	uni_event_end(u, it->origin);
	if (it->kind == ITEM_TOOL_RESULT)
		call_drop(u, call_find(u, it->native_id));
	open_drop(u, o);
}

static bool
item_close(struct universal *u, const char *native_id, enum item_status status)
{
	struct open_item *o = open_find(u, native_id, ITEM_KIND_N);
	struct item it = { .native_id = native_id };
	struct part p = { .word = "public" };
	autofree char *text = NULL;

	if (o == NULL)
		return false;
	p.type = o->reasoning ? PART_REASONING : PART_TEXT;
	p.len = o->text.len;
	text = buf_steal(&o->text);
	buf_init(&o->text, GATHER_BYTES);
	p.text = text != NULL ? text : ""; /* NULL: no memory */
	it.kind = o->kind;
	it.role = o->role;
	it.parts = &p;
	it.nparts = 1;
	item_completed(u, &it, status);
	return true;
}

void
uni_close_items(struct universal *u)
{
	while (!TAILQ_EMPTY(&u->open))
		fail_oldest(u);
}

void
uni_restore_item(struct universal *u, uint64_t number, uint64_t parent,
    const char *native_id, enum item_kind kind, enum item_role role)
{
	struct open_item *o = xcalloc(1, sizeof(*o));

	o->number = number;
	o->parent = parent;
	if (native_id != NULL)
		o->native_id = xstrdup(native_id);
	o->kind = kind;
	o->role = role;
	buf_init(&o->text, GATHER_BYTES);
	TAILQ_INSERT_TAIL(&u->open, o, link);
	u->nopen++;
}

/* --- life ---------------------------------------------------------------- */

void
uni_init(struct universal *u, struct outbox *out)
{
	memset(u, 0, sizeof(*u));
	u->as = &encoder_universal;
	u->out = out;
	TAILQ_INIT(&u->open);
	TAILQ_INIT(&u->calls);
	buf_init(&u->body, EVENT_BYTES_MAX + 4096);
}

void
uni_free(struct universal *u)
{
	while (!TAILQ_EMPTY(&u->open))
		open_drop(u, TAILQ_FIRST(&u->open));
	while (!TAILQ_EMPTY(&u->calls))
		call_drop(u, TAILQ_FIRST(&u->calls));
	buf_free(&u->body);
	free(u->native_session);
}

void
uni_trim(struct universal *u)
{
	buf_clear(&u->body);
	buf_trim(&u->body, 2048);
}

void
uni_native_session(struct universal *u, const char *id)
{
	free(u->native_session);
	u->native_session = id != NULL ? xstrndup(id, 128) : NULL;
}

void
uni_raw(struct universal *u, const char *json, size_t len)
{
	u->raw = json;
	u->raw_len = json != NULL ? len : 0;
}

static void
plan(struct universal *u, const char *label, const char *entries)
{
	uni_log_status(u, label, entries);
}

const struct encoder encoder_universal = {
	.item_started = item_started,
	.item_delta = item_delta,
	.item_completed = item_completed,
	.item_close = item_close,
	.plan = plan,
	.status = uni_log_status,
	.error = uni_log_error,
	.unparsed = uni_log_unparsed,
	.session_ended = uni_log_session_ended,
};
