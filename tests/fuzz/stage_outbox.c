/*
 * The log, kept as long as it is of use; see stage.h. In place of
 * session/outbox.c. Each event goes through the store's own check, and what
 * readers of a log rely on is checked besides: items and turns begin before
 * they go on, end once, and nothing of a turn outlives it.
 */
#include "fuzz.h"
#include "stage.h"

#include "lib/frame.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "session/acp/door.h"
#include <inttypes.h>
#include <string.h>

#define FULL_BYTES (64u << 10) /* sooner than the real one is */
#define TAIL_MAX 32
#define TAIL_BYTES (8u << 10)
#define ITEMS_MAX 65536

void stage_scan(const char *frame, size_t len); /* stage_store.c */

struct outbox_waiter {
	TAILQ_ENTRY(outbox_waiter) link;
	outbox_stored *fn;
	void *arg;
};

static struct {
	bool acp, mute;
	int64_t next;
	char *tail[TAIL_MAX]; /* owned: the last events that are short */
	unsigned ntail;
	unsigned char items[ITEMS_MAX]; /* 1: started, 2: completed */
	uint64_t most;			/* item number */
	unsigned open;
	bool turn, started, ended;
	bool lax; /* it goes on from what nobody has logged */
} mem;

struct stage_heard stage_heard;

/* --- the log ---------------------------------------------------------------
 */

static unsigned char *
item(const char *id)
{
	uint64_t n;

	CHECK(strncmp(id, "itm_", 4) == 0);
	n = strtoull(id + 4, NULL, 10);
	CHECK(n > 0);
	if (n > mem.most)
		mem.most = n;
	/* A restored counter may be anything; those are not followed. */
	return n < ITEMS_MAX ? &mem.items[n] : NULL;
}

static void
check_item(const char *type, const struct json *data)
{
	unsigned char *it;

	if (strcmp(type, "item.delta") == 0) {
		it = item(json_str(data, "item_id", ""));
		CHECK(it == NULL || *it == 1);
		return;
	}
	it = item(json_str(json_get(data, "item"), "item_id", ""));
	if (it == NULL)
		return;
	if (strcmp(type, "item.started") == 0) {
		CHECK(*it == 0);
		*it = 1;
		mem.open++;
	} else {
		CHECK(*it == 1);
		*it = 2;
		mem.open--;
	}
}

static void
check_universal(const struct json *ev)
{
	const char *type = json_str(ev, "type", "");
	const struct json *data = json_get(ev, "data");

	CHECK(!mem.ended);
	if (strcmp(type, "session.started") == 0) {
		CHECK(!mem.started);
		mem.started = true;
	} else if (strcmp(type, "session.ended") == 0) {
		mem.ended = true;
	} else if (strcmp(type, "turn.started") == 0) {
		CHECK(!mem.turn);
		mem.turn = true;
	} else if (strcmp(type, "turn.ended") == 0) {
		CHECK(mem.turn && mem.open == 0);
		mem.turn = false;
	} else if (strncmp(type, "item.", 5) == 0) {
		CHECK(mem.turn);
		check_item(type, data);
	}
	CHECK(mem.started);
}

static void
hear(const struct json *raw)
{
	const char *session =
	    json_str(json_get(raw, "result"), "sessionId", NULL);
	const struct json *id = json_get(raw, "id");

	if (session != NULL && strlen(session) < sizeof(stage_heard.session))
		(void)!str_copy(
		    stage_heard.session, sizeof(stage_heard.session), session);
	if (json_get(raw, "method") != NULL && id != NULL &&
	    id->type == JSON_NUMBER)
		(void)!str_copy(
		    stage_heard.request, sizeof(stage_heard.request), id->str);
}

static void
check_body(const char *body, size_t len)
{
	struct json *ev = NULL;
	struct buf b;

	stage_trace("logged", body, len);
	for (size_t i = 0; i < len; i++)
		CHECK((unsigned char)body[i] >= 0x20 || body[i] == '\t');
	CHECK(len <= (mem.acp ? ACP_ENVELOPE_MAX + 512 : EVENT_BYTES_MAX));
	buf_init(&b, FRAME_MAX);
	(void)buf_addf(&b,
	    "{\"op\":\"append\",\"id\":1,\"first\":%" PRId64 ",\"events\":[",
	    mem.next);
	(void)buf_add(&b, body, len);
	(void)buf_add(&b, "]}", 2);
	CHECK(!b.failed);
	stage_scan(b.data, b.len);
	buf_free(&b);
	CHECK(json_parse(body, len, JSON_DEPTH_AGENT + 8, &ev, NULL) == 0);
	CHECK(!mem.mute);
	if (mem.acp) {
		CHECK(strcmp(json_str(ev, "type", ""), "acp") == 0);
		CHECK(json_get(ev, "raw") != NULL);
		hear(json_get(ev, "raw"));
	} else if (!mem.lax) {
		check_universal(ev);
	}
	json_free(ev);
}

static void
remember(const char *body, size_t len)
{
	if (len > TAIL_BYTES)
		return;
	if (mem.ntail == TAIL_MAX) {
		free(mem.tail[0]);
		memmove(mem.tail, mem.tail + 1,
		    (TAIL_MAX - 1) * sizeof(mem.tail[0]));
		mem.ntail--;
	}
	mem.tail[mem.ntail++] = xstrndup(body, len);
}

void
stage_log_init(const char *kind)
{
	while (mem.ntail > 0)
		free(mem.tail[--mem.ntail]);
	memset(mem.items, 0, MIN(mem.most + 1, (uint64_t)ITEMS_MAX));
	memset(&stage_heard, 0, sizeof(stage_heard));
	mem.acp = strcmp(kind, "acp") == 0;
	mem.mute = strcmp(kind, "probe") == 0;
	mem.next = 1;
	mem.most = mem.open = 0;
	mem.turn = mem.started = mem.ended = mem.lax = false;
}

void
stage_log_check(bool ended)
{
	if (mem.lax)
		return;
	CHECK(!mem.turn && mem.open == 0);
	CHECK(!ended || mem.acp || mem.mute || mem.ended);
}

void
stage_log_other(void)
{
	mem.lax = true;
}

/* --- storing ---------------------------------------------------------------
 */

static void
waiters_run(struct outbox *o, const struct err *e)
{
	struct outbox_waiter *wt;
	uint64_t n = o->waited;

	for (; n > 0 && (wt = TAILQ_FIRST(&o->waiters)) != NULL; n--) {
		TAILQ_REMOVE(&o->waiters, wt, link);
		o->waited--;
		wt->fn(o->ctx, wt->arg, e);
		free(wt);
	}
}

static void
take_set(struct outbox *o)
{
	struct json *j = NULL;
	struct buf b;
	struct jw w;

	buf_init(&b, SET_BYTES_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	o->hooks->set(o->ctx, &w);
	jw_object_end(&w);
	CHECK(!b.failed);
	CHECK(json_parse(b.data, b.len, JSON_DEPTH_AGENT + 4, &j, NULL) == 0);
	json_foreach (it, j) {
		struct buf v;

		buf_init(&v, 8 * SET_BYTES_MAX);
		jw_init(&w, &v);
		jw_value(&w, it);
		CHECK(!v.failed);
		stage_record(it->key, v.data, v.len);
		buf_free(&v);
	}
	json_free(j);
	buf_free(&b);
}

static void
give_tail(struct outbox *o, bool ok)
{
	outbox_read *fn = o->tail_fn;
	struct json *events = NULL;
	struct buf b;
	struct err e;

	if (fn == NULL)
		return;
	o->tail_fn = NULL;
	if (!ok) {
		(void)err_set(&e, ERR_STORE_UNAVAILABLE, "no store");
		fn(o->tail_arg, NULL, &e);
		return;
	}
	buf_init(&b, FRAME_MAX);
	for (unsigned i = 0; i < mem.ntail; i++)
		(void)buf_addf(&b, "%c%s", i > 0 ? ',' : '[', mem.tail[i]);
	(void)buf_addf(&b, "%s", mem.ntail > 0 ? "]" : "[]");
	CHECK(json_parse(b.data, b.len, JSON_DEPTH_AGENT + 10, &events, NULL) ==
	      0);
	buf_free(&b);
	fn(o->tail_arg, events, NULL);
	json_free(events);
}

void
stage_store(struct outbox *o, bool ok)
{
	struct err e;

	if (!ok) {
		o->refused = true;
		(void)err_set(&e, ERR_DISK_FULL, "no room");
		waiters_run(o, &e);
		give_tail(o, false);
		return;
	}
	o->refused = false;
	/* What is written belongs to what was added so far. */
	take_set(o);
	o->bytes = 0;
	o->attached = false; /* it stands for: something waits */
	waiters_run(o, NULL);
	give_tail(o, true);
	if (o->full && o->bytes < FULL_BYTES) {
		o->full = false;
		o->hooks->full(o->ctx, false);
	}
	if (outbox_settled(o))
		o->hooks->settled(o->ctx);
}

/* --- the interface that is played ------------------------------------------
 */

void
outbox_init(struct outbox *o, struct ev_loop *loop,
    const struct outbox_hooks *hooks, void *ctx)
{
	memset(o, 0, sizeof(*o));
	o->loop = loop;
	o->hooks = hooks;
	o->ctx = ctx;
	o->next = mem.next;
	TAILQ_INIT(&o->waiters);
}

void
outbox_free(struct outbox *o)
{
	struct outbox_waiter *wt;

	o->tail_fn = NULL;
	while ((wt = TAILQ_FIRST(&o->waiters)) != NULL) {
		TAILQ_REMOVE(&o->waiters, wt, link);
		wt->fn(o->ctx, wt->arg, NULL);
		free(wt);
	}
}

void
outbox_connect(struct outbox *o, int fd)
{
	(void)o, (void)fd;
	CHECK(false);
}

int64_t
outbox_add(struct outbox *o, const char *body, size_t len)
{
	check_body(body, len);
	remember(body, len);
	o->attached = true;
	o->bytes += len;
	mem.next = ++o->next;
	if (!o->full && o->bytes > FULL_BYTES) {
		o->full = true;
		o->hooks->full(o->ctx, true);
	}
	return o->next - 1;
}

void
outbox_touch(struct outbox *o)
{
	o->attached = true;
}

int64_t
outbox_last(const struct outbox *o)
{
	return o->next - 1;
}

bool
outbox_settled(const struct outbox *o)
{
	return !o->attached;
}

void
outbox_when_stored(struct outbox *o, outbox_stored *fn, void *arg)
{
	struct outbox_waiter *wt;

	if (outbox_settled(o)) {
		fn(o->ctx, arg, NULL);
		return;
	}
	wt = xcalloc(1, sizeof(*wt));
	wt->fn = fn;
	wt->arg = arg;
	o->waited++;
	TAILQ_INSERT_TAIL(&o->waiters, wt, link);
}

int
outbox_tail(struct outbox *o, int64_t events, int64_t bytes, bool raw,
    outbox_read *fn, void *arg, struct err *e)
{
	CHECK(events > 0 && bytes > 0);
	(void)raw;
	if (o->tail_fn != NULL)
		return err_set(e, ERR_LIMIT, "the log is being read already");
	o->tail_fn = fn;
	o->tail_arg = arg;
	return 0;
}
