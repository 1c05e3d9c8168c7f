/*
 * See list.h. Runs in sandboxd-gateway.
 */
#include "gateway/doors/list.h"

#include "gateway/db.h"
#include "gateway/gateway.h"
#include "lib/xalloc.h"

#include <string.h>

#define WHOLE_MAX (64u << 10) /* a shorter list goes out in one piece */
#define ENTRY_MAX (4u << 20)  /* the longest record, and more */

struct list {
	struct req *r; /* the stream's, which holds it */
	const struct list_kind *kind;
	void *at; /* owned, through kind->done */
	bool begun, end;
	bool some;	  /* an entry was written */
	struct buf entry; /* what is to be written next */
	size_t written;	  /* of it */
};

/* The next thing to be written into l->entry; between db_begin and db_end. */
static void
list_step(struct list *l)
{
	struct jw w;
	size_t mark;
	int found;

	buf_clear(&l->entry);
	l->written = 0;
	if (!l->begun) {
		l->begun = true;
		(void)buf_adds(&l->entry, "{\"");
		(void)buf_adds(&l->entry, l->kind->name);
		(void)buf_adds(&l->entry, "\":[");
	}
	do {
		mark = l->entry.len;
		if (l->some)
			(void)buf_addc(&l->entry, ',');
		jw_init(&w, &l->entry);
		found = l->kind->next(l->r, l->at, &w);
		if (found == 1) {
			l->some = true;
			return;
		}
		l->entry.len = mark;
	} while (found == -1);
	(void)buf_adds(&l->entry, "]}");
	l->end = true;
}

static ssize_t
list_fill(void *ctx, char *dst, size_t max)
{
	struct list *l = ctx;
	size_t n = 0, k;
	struct err e;

	if (db_begin(l->r->gw->db, &e) == -1)
		return -2;
	while (n < max) {
		if (l->written == l->entry.len) {
			if (l->end)
				break;
			list_step(l);
		}
		k = MIN(max - n, l->entry.len - l->written);
		memcpy(dst + n, l->entry.data + l->written, k);
		l->written += k;
		n += k;
	}
	db_end(l->r->gw->db);
	if (l->entry.failed)
		return -2;
	return n > 0 ? (ssize_t)n : -1;
}

static void
list_done(void *ctx)
{
	struct list *l = ctx;

	l->kind->done(l->at);
	buf_free(&l->entry);
	free(l);
}

static const struct req_stream list_ops = { list_fill, list_done };

static void
list_rewind(struct list *l)
{
	l->kind->rewind(l->at);
	buf_clear(&l->entry);
	l->written = 0;
	l->begun = l->end = l->some = false;
}

void
list_reply(struct req *r, const struct list_kind *kind, void *at)
{
	struct list *l = xcalloc(1, sizeof(*l));
	struct buf b;
	ssize_t n = 0;

	l->r = r;
	l->kind = kind;
	l->at = at;
	buf_init(&l->entry, ENTRY_MAX);
	list_rewind(l);
	buf_init(&b, WHOLE_MAX);
	if (buf_reserve(&b, WHOLE_MAX) != NULL)
		n = list_fill(l, b.data, WHOLE_MAX);
	if (n > 0 && l->end && l->written == l->entry.len) {
		b.len = (size_t)n;
		list_done(l);
		req_reply_json(r, 200, &b);
		return;
	}
	/* From the beginning: nothing is kept of the piece. */
	buf_free(&b);
	list_rewind(l);
	req_reply_stream(r, 200, "application/json", -1, &list_ops, l);
}
