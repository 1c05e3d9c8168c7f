/*
 * The store's side of the gateways' channels. Runs in the store. A gateway has
 * nothing to say here: a frame from it costs it the channel. One that does not
 * read is not waited for, and nothing is kept for it but the fact that it has
 * missed something: once it reads again it is told to look everywhere.
 *
 * The notice of a commit is written once and copied to each gateway.
 */
#include "store/feed.h"

#include "lib/log.h"
#include "lib/proto.h"
#include "lib/xalloc.h"

#include <string.h>

#define QUEUE_BYTES (64u << 10) /* unread notices of one gateway */
#define LOGS_BYTES (256u << 10) /* in one notice; beyond: `all` */
/* A gateway that was killed may have been reading: its slot in the table of
 * readers would keep old pages. The kernel closes a dead process's descriptors
 * one after the other; the lock file may follow the channel. */
#define READERS_LATER_S 1.0

struct feed {
	LIST_ENTRY(feed) link;
	struct store *st;
	struct chan *ch; /* owned */
	bool missed;	 /* it has not been told everything */
};

static void
feed_free(struct feed *f)
{
	LIST_REMOVE(f, link);
	chan_free(f->ch);
	free(f);
}

static void
tell_all(struct feed *f)
{
	struct jw *w = chan_begin(f->ch);

	proto_begin(w, MSG_FEED_GREW, 0);
	jw_key(w, "logs");
	jw_array(w);
	jw_array_end(w);
	jw_kbool(w, "all", true);
	/* Without room, or peer: then the queue's end, or CLOSED, comes. */
	f->missed = chan_end(f->ch, NULL, 0) == -1;
}

static void
on_drain(struct chan *ch ATTR_UNUSED, void *ctx)
{
	struct feed *f = ctx;

	if (f->missed)
		tell_all(f);
}

static void
on_feed(struct chan *ch ATTR_UNUSED, enum chan_what what,
    const struct chan_frame *frame ATTR_UNUSED, const char *why, void *ctx)
{
	struct feed *f = ctx;
	struct store *st = f->st;

	if (what == CHAN_CLOSED)
		log_debug("feed", "gateway gone", LOG_STR("cause", why));
	else
		log_warn("feed", "breach: a gateway has nothing to say here");
	feed_free(f);
	ev_timer_stop(st->loop, &st->readers);
	ev_timer_set(&st->readers, READERS_LATER_S, 0.);
	ev_timer_start(st->loop, &st->readers);
}

void
feed_add(struct store *st, int fd)
{
	struct feed *f = xcalloc(1, sizeof(*f));

	f->st = st;
	f->ch = chan_new(st->loop, fd, "gateway", on_feed, f);
	chan_set_queue(f->ch, QUEUE_BYTES);
	chan_on_drain(f->ch, on_drain);
	LIST_INSERT_HEAD(&st->feeds, f, link);
	/* Of what was committed before we knew of it. */
	tell_all(f);
}

void
feeds_close(struct store *st)
{
	struct feed *f;

	while ((f = LIST_FIRST(&st->feeds)) != NULL)
		feed_free(f);
	ev_timer_stop(st->loop, &st->readers);
}

/* [log, last] of each log in which something was added, or which is gone. */
static void
logs_write(struct jw *w, const struct batch *b)
{
	const struct job *j;
	uint64_t log, last;
	size_t i;

	jw_array(w);
	for (i = 0; i < b->n; i++) {
		j = &b->jobs[i];
		if (j->kind == JOB_APPEND && j->nevents > 0) {
			log = j->s->log;
			last = j->first + j->nevents - 1;
		} else if ((j->kind == JOB_DELETE || j->kind == JOB_DROP_LOG) &&
			   j->log != 0) {
			log = j->log;
			last = 0;
		} else if (j->kind == JOB_NOTE && j->first > 0) {
			log = j->log;
			last = j->first;
		} else {
			continue;
		}
		jw_array(w);
		jw_int(w, (int64_t)log);
		jw_int(w, (int64_t)last);
		jw_array_end(w);
	}
	jw_array_end(w);
}

void
feeds_tell(struct store *st, const struct batch *b)
{
	struct feed *f, *next;
	struct buf text;
	struct jw w, *out;

	if (LIST_EMPTY(&st->feeds))
		return;
	buf_init(&text, LOGS_BYTES);
	jw_init(&w, &text);
	logs_write(&w, b);
	if (!text.failed && text.len <= 2) {
		buf_free(&text);
		return;
	}
	for (f = LIST_FIRST(&st->feeds); f != NULL; f = next) {
		next = LIST_NEXT(f, link);
		if (f->missed)
			continue; /* it will look everywhere anyhow */
		if (text.failed) {
			tell_all(f);
			continue;
		}
		out = chan_begin(f->ch);
		proto_begin(out, MSG_FEED_GREW, 0);
		jw_key(out, "logs");
		jw_raw(out, text.data, text.len);
		f->missed = chan_end(f->ch, NULL, 0) == -1;
	}
	buf_free(&text);
}
