/*
 * Who waits for which log, and the channel on which the store tells of
 * commits. Runs in the gateway; the store is trusted in what it says, and a
 * store that breaks the protocol loses the channel, not us our life.
 *
 * The store tells less than there is when we are slow (`all`), and nothing
 * while it restarts: then everybody looks. Telling too much costs a look,
 * telling too little would cost an event, so every doubt is a look.
 */
#include "gateway/watch.h"

#include "lib/log.h"
#include "lib/xalloc.h"

#include <string.h>

#define BUCKETS 1024 /* a power of two */

LIST_HEAD(watchers, watcher);

struct watch {
	struct chan *feed; /* owned; NULL while the store is away */
	struct watchers by_log[BUCKETS];
};

static struct watchers *
bucket(struct watch *wt, uint64_t log)
{
	/* Log numbers are given one after the other: they spread by
	 * themselves. */
	return &wt->by_log[log & (BUCKETS - 1)];
}

void
watch_add(struct gateway *gw, struct watcher *w, uint64_t log)
{
	w->log = log;
	LIST_INSERT_HEAD(bucket(gw->watch, log), w, link);
}

void
watch_remove(struct gateway *gw ATTR_UNUSED, struct watcher *w)
{
	if (w->log == 0)
		return;
	LIST_REMOVE(w, link);
	w->log = 0;
}

/* Call those of the bucket that wait for LOG (0: all of them). Whoever is
 * called may remove any other, so those still to be called stand in a list of
 * their own, out of which they can be taken like from the table. */
static void
wake(struct watch *wt, struct watchers *bk, uint64_t log)
{
	struct watchers due = LIST_HEAD_INITIALIZER(due);
	struct watcher *w, *next;

	for (w = LIST_FIRST(bk); w != NULL; w = next) {
		next = LIST_NEXT(w, link);
		if (log == 0 || w->log == log) {
			LIST_REMOVE(w, link);
			LIST_INSERT_HEAD(&due, w, link);
		}
	}
	while ((w = LIST_FIRST(&due)) != NULL) {
		LIST_REMOVE(w, link);
		LIST_INSERT_HEAD(bucket(wt, w->log), w, link);
		w->grew(w);
	}
}

static void
wake_all(struct watch *wt)
{
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		wake(wt, &wt->by_log[i], 0);
}

static void
on_grew(struct watch *wt, const struct json *m)
{
	int64_t log;

	if (json_bool(m, "all", false)) {
		wake_all(wt);
		return;
	}
	json_foreach (pair, json_get(m, "logs")) {
		if (pair->child != NULL &&
		    json_number_int(pair->child, &log) == 0 && log > 0)
			wake(wt, bucket(wt, (uint64_t)log), (uint64_t)log);
	}
}

static void
on_feed(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct watch *wt = ctx;
	struct proto_in in;
	struct err e;

	if (what == CHAN_CLOSED) {
		log_debug("watch", "feed closed", LOG_STR("why", why));
		chan_free(ch);
		wt->feed = NULL;
		return;
	}
	if (proto_check(ROLE_STORE, PS_RUNNING, ROLE_GATEWAY, f->msg, f->len,
		f->nfds, &in, &e) == -1) {
		log_error(
		    "watch", "breach by the store", LOG_STR("rule", e.text));
		chan_free(STEAL(wt->feed));
		return;
	}
	if (in.kind == PROTO_MESSAGE && in.type == MSG_FEED_GREW)
		on_grew(wt, in.body);
}

void
watch_feed(struct gateway *gw, int fd)
{
	struct watch *wt = gw->watch;

	chan_free(wt->feed);
	wt->feed = chan_new(gw->loop, fd, "feed", on_feed, wt);
	/* What was committed before the store knew of this channel. */
	wake_all(wt);
}

int
watch_open(struct gateway *gw, struct err *e ATTR_UNUSED)
{
	gw->watch = xcalloc(1, sizeof(*gw->watch));
	return 0;
}

void
watch_close(struct gateway *gw)
{
	if (gw->watch == NULL)
		return;
	chan_free(gw->watch->feed);
	free(STEAL(gw->watch));
}
