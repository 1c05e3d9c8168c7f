/*
 * store.compact: the database's file is written anew, without its free pages,
 * while we run. Runs in the supervisor, which only sees to the order.
 *
 * The new file takes the old one's name, so nobody may have the old one open
 * (store/compact.c). Gateways do, and can open no file: they are ended as when
 * their settings change, and their listening sockets, which are ours, keep who
 * comes meanwhile. Then writes are held back until those on their way are
 * durable; then the store ends, and its next start compacts. After that all is
 * as after a death of the store: who wrote writes on, and nothing that was
 * acknowledged is lost.
 *
 * Once the first gateway was ended it goes on to its end, whatever happens.
 */
#include "supervisor/compact.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/carry.h"
#include "supervisor/gateway.h"
#include "supervisor/ops.h"
#include "supervisor/storec.h"

#include <fcntl.h>
#include <sys/stat.h>

#define LOOK_S 0.01
/* For what the store is at, such as a backup. */
#define SETTLE_MS 30000

enum compact_stage {
	CP_GATEWAYS, /* they end */
	CP_SETTLE,   /* what is on its way to the store is answered */
	CP_STOP,     /* the store ends */
	CP_START,    /* the next one compacts */
	CP_N
};

struct compaction {
	struct super *s;
	struct request *r; /* owned: waits for it */
	enum compact_stage stage;
	ev_timer timer;
	int64_t began_ms, settle_ms;
	int64_t bytes; /* of the file before */
	struct err e;
	bool failed;
};

static int64_t
file_bytes(const struct super *s)
{
	struct stat st;

	if (fstatat(s->state_fd, "store/data.mdb", &st, AT_SYMLINK_NOFOLLOW) ==
	    -1)
		return 0;
	return (int64_t)st.st_size;
}

static void
finish(struct compaction *c)
{
	struct super *s = c->s;
	int64_t pause_ms = now_monotonic_ms() - c->began_ms;
	int64_t bytes = file_bytes(s);
	struct request *r = c->r;
	struct jw *w;

	ev_timer_stop(s->loop, &c->timer);
	s->compaction = NULL;
	storec_release(s->store);
	gateways_pause_end(s->gateways);
	if (c->failed) {
		log_warn(
		    "store", "not compacted", LOG_STR("detail", c->e.text));
		request_end_err(r, &c->e);
	} else {
		log_info("store", "compacted",
		    LOG_INT("bytes_before", c->bytes),
		    LOG_INT("bytes_after", bytes),
		    LOG_INT("pause_ms", pause_ms));
		w = request_ok(r);
		jw_object(w);
		jw_kint(w, "bytes_before", c->bytes);
		jw_kint(w, "bytes_after", bytes);
		jw_kint(w, "pause_ms", pause_ms);
		jw_object_end(w);
		request_end_ok(r);
	}
	free(c);
	super_stop_step(s);
}

static void
fail(struct compaction *c, enum err_code code, const char *why)
{
	c->failed = true;
	(void)err_set(&c->e, code, "%s", why);
}

/* The store has nothing that anybody waits for, and gets nothing. */
static void
settle(struct compaction *c)
{
	const char *why = storec_unsettled(c->s->store);

	if (why == NULL) {
		c->bytes = file_bytes(c->s);
		c->stage = CP_STOP;
		storec_compact_next(c->s->store);
		storec_stop(c->s->store);
	} else if (now_monotonic_ms() > c->settle_ms) {
		fail(c, ERR_LIMIT, why);
		finish(c);
	}
}

static void
start(struct compaction *c)
{
	struct proc *store = storec_proc(c->s->store);
	struct err e;

	c->stage = CP_START;
	if (storec_start(c->s->store, &e) == 0)
		return;
	log_error("store", "not started", LOG_STR("detail", e.text));
	proc_start_soon(store); /* and again */
}

static void
on_look(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct compaction *c = t->data;
	const struct proc *store = storec_proc(c->s->store);

	switch (c->stage) {
	case CP_GATEWAYS:
		if (!gateways_stop_all(c->s->gateways))
			return;
		storec_hold(c->s->store);
		c->settle_ms = now_monotonic_ms() + SETTLE_MS;
		c->stage = CP_SETTLE;
		break;
	case CP_SETTLE:
		settle(c);
		break;
	case CP_STOP:
		if (store->state == PS_DOWN)
			start(c);
		break;
	case CP_START:
		if (store->state == PS_FAILED)
			fail(c, ERR_STORE_UNAVAILABLE, store->why);
		else if (!proc_up(store))
			return;
		finish(c);
		break;
	case CP_N:
		break;
	}
}

bool
compaction_is(const struct super *s)
{
	return s->compaction != NULL;
}

void
compaction_close(struct super *s)
{
	struct compaction *c = STEAL(s->compaction);

	if (c == NULL)
		return;
	ev_timer_stop(s->loop, &c->timer);
	fail(c, ERR_STORE_UNAVAILABLE, "sandboxd is stopping");
	request_end_err(c->r, &c->e);
	free(c);
}

static int
may_begin(const struct super *s, struct err *e)
{
	if (compaction_is(s) || upgrade_under_way(s))
		return err_set(e, ERR_LIMIT, "%s is under way",
		    compaction_is(s) ? "a compaction" : "an upgrade");
	if (s->stopping || !proc_up(storec_proc(s->store)))
		return err_set(e, ERR_STORE_UNAVAILABLE,
		    "the store does not run; try again");
	return 0;
}

void
op_store_compact(struct request *r)
{
	struct super *s = r->s;
	struct compaction *c;
	struct err e;

	if (may_begin(s, &e) == -1) {
		request_end_err(r, &e);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->s = s;
	c->r = r;
	c->began_ms = now_monotonic_ms();
	ev_timer_init(&c->timer, on_look, 0., LOOK_S);
	c->timer.data = c;
	s->compaction = c;
	gateways_pause(s->gateways);
	ev_timer_start(s->loop, &c->timer);
}
