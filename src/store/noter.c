/*
 * The store's side of the egress proxy's channels for notes; see notes.h. Runs
 * in the store. The proxy speaks for programs inside a sandbox and parses what
 * the network sends: what it says is checked, bounded in rate, and goes to one
 * log. It hears nothing back, so there is nothing that it could hold up.
 */
#include "store/notes.h"

#include "lib/log.h"
#include "lib/proto.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "store/batch.h"

/* Entries a second, after so many at once; what is more is counted and said
 * with the next one. */
#define RATE_PER_S 200
#define BURST 1000

struct noter {
	LIST_ENTRY(noter) link;
	struct store *st;
	struct chan *ch;   /* owned */
	struct session *s; /* held: the sandbox's log */
	int64_t room;	   /* thousandths of entries that may come now */
	int64_t room_ms;   /* when that was so (monotonic) */
	int64_t dropped;
};

static void
noter_free(struct noter *n)
{
	LIST_REMOVE(n, link);
	session_release(n->s);
	chan_free(n->ch);
	free(n);
}

static bool
take_room(struct noter *n)
{
	int64_t now_ms = now_monotonic_ms();

	n->room = MIN(n->room + (now_ms - n->room_ms) * RATE_PER_S,
	    (int64_t)BURST * 1000);
	n->room_ms = now_ms;
	if (n->room < 1000)
		return false;
	n->room -= 1000;
	return true;
}

static int
add(struct noter *n, const struct json *note, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, NOTE_BYTES_MAX);
	rc = note_build(note, now_realtime_ms(), &text, e);
	if (rc == 0)
		rc = batch_note(n->st, 0, n->s->id, n->s->log, &text, false, e);
	buf_free(&text);
	return rc;
}

/* How many are missing stands where they are. */
static void
add_dropped(struct noter *n)
{
	char text[80];
	struct json *note;
	struct err e;

	if (n->dropped == 0 ||
	    str_format(text, sizeof(text),
		"{\"event\":\"dropped\",\"count\":%lld}",
		(long long)n->dropped) == -1 ||
	    json_parse(text, strlen(text), 2, &note, &e) == -1)
		return;
	if (add(n, note, &e) == 0)
		n->dropped = 0;
	json_free(note);
}

/* -1 is a breach. */
static int
frame(struct noter *n, const struct chan_frame *f, struct err *e)
{
	struct proto_in in;

	if (proto_check(ROLE_EGRESS, PS_RUNNING, ROLE_STORE, f->msg, f->len,
		f->nfds, &in, e) == -1)
		return -1;
	if (in.kind != PROTO_MESSAGE || in.type != MSG_NOTE)
		return err_set(e, ERR_BAD_REQUEST, "not to be said here");
	if (!take_room(n)) {
		n->dropped++;
		return 0;
	}
	add_dropped(n);
	return add(n, json_get(in.body, "note"), e);
}

static void
on_noter(struct chan *ch ATTR_UNUSED, enum chan_what what,
    const struct chan_frame *f, const char *why, void *ctx)
{
	struct noter *n = ctx;
	struct err e;

	if (what == CHAN_FRAME && frame(n, f, &e) == 0)
		return;
	if (what == CHAN_CLOSED)
		log_debug("noter", "gone", LOG_STR("sandbox", n->s->id),
		    LOG_STR("cause", why));
	else
		log_warn("noter", "breach", LOG_STR("sandbox", n->s->id),
		    LOG_STR("rule", e.text));
	if (!n->s->closed && !n->s->removed)
		add_dropped(n);
	noter_free(n);
}

int
noter_attach(struct store *st, const char *sandbox, int fd, struct err *e)
{
	struct noter *n;
	struct session *s;

	if (notes_open(st, sandbox, &s, e) == -1) {
		(void)close(fd);
		return -1;
	}
	if (s->closed) {
		(void)close(fd);
		session_release(s);
		return err_set(e, ERR_SANDBOX_NOT_FOUND,
		    "sandbox '%s' was destroyed", sandbox);
	}
	n = xcalloc(1, sizeof(*n));
	n->st = st;
	n->s = s;
	n->room = (int64_t)BURST * 1000;
	n->room_ms = now_monotonic_ms();
	n->ch = chan_new(st->loop, fd, s->id, on_noter, n);
	chan_set_max(n->ch, proto_table[MSG_NOTE].max_bytes);
	LIST_INSERT_HEAD(&st->noters, n, link);
	return 0;
}

void
noters_drop(struct store *st, const struct session *s)
{
	struct noter *n, *next;

	for (n = LIST_FIRST(&st->noters); n != NULL; n = next) {
		next = LIST_NEXT(n, link);
		if (n->s == s)
			noter_free(n);
	}
}

void
noters_close(struct store *st)
{
	struct noter *n;

	while ((n = LIST_FIRST(&st->noters)) != NULL)
		noter_free(n);
}
