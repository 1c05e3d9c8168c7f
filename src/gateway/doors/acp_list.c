/*
 * GET /v1/acp: the servers of a sandbox, as the store knows them. Runs in
 * sandboxd-gateway. Thousands are written piece by piece, as the client takes
 * them, and the map is held for no longer than one piece takes.
 */
#include "gateway/doors/acp.h"

#include "gateway/doors/sessions.h"
#include "lib/xalloc.h"

#include <string.h>

#define WHOLE_MAX (64u << 10) /* a shorter list goes out in one piece */
#define ENTRY_MAX 4096

struct list {
	struct req *r; /* the stream's, which holds it */
	char prefix[SESSION_ID_MAX + 1];
	char id[SESSION_ID_MAX + 1]; /* of the last entry */
	bool begun, end;
	bool some;	  /* an entry was written */
	struct buf entry; /* what is to be written next */
	size_t at;	  /* of it, that is written */
};

/* -1: its record is damaged. */
static int
server_write(struct jw *w, const struct list *l, const struct db_session *s)
{
	struct json *rec;

	if (json_parse(s->record, s->record_len, RECORD_DEPTH, &rec, NULL) ==
	    -1)
		return -1;
	jw_object(w);
	jw_kstr(w, "serverId", l->id + strlen(l->prefix));
	jw_kstr(w, "agent", json_str(rec, "agent", ""));
	jw_kint(w, "createdAtMs", json_int(rec, "created_at", 0));
	jw_object_end(w);
	json_free(rec);
	return 0;
}

/* The next thing to be written into l->entry; between db_begin and db_end. */
static void
list_step(struct list *l)
{
	struct db_session s;
	struct jw w;
	size_t mark;

	buf_clear(&l->entry);
	l->at = 0;
	if (!l->begun) {
		l->begun = true;
		(void)buf_adds(&l->entry, "{\"servers\":[");
	}
	while (db_session_below(l->r->gw->db, l->prefix, l->id, &s)) {
		if (acp_ended(&s))
			continue;
		mark = l->entry.len;
		if (l->some)
			(void)buf_addc(&l->entry, ',');
		jw_init(&w, &l->entry);
		if (server_write(&w, l, &s) == 0) {
			l->some = true;
			return;
		}
		l->entry.len = mark; /* one that is damaged is left out */
	}
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
		if (l->at == l->entry.len) {
			if (l->end)
				break;
			list_step(l);
		}
		k = MIN(max - n, l->entry.len - l->at);
		memcpy(dst + n, l->entry.data + l->at, k);
		l->at += k;
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

	buf_free(&l->entry);
	free(l);
}

static const struct req_stream list_ops = { list_fill, list_done };

static struct list *
list_new(struct req *r)
{
	struct list *l = xcalloc(1, sizeof(*l));

	l->r = r;
	acp_prefix(l->prefix, r->sandbox);
	buf_init(&l->entry, ENTRY_MAX);
	return l;
}

void
route_acp_list(struct req *r)
{
	struct list *l = list_new(r);
	struct buf b;
	ssize_t n = 0;

	buf_init(&b, WHOLE_MAX);
	if (buf_reserve(&b, WHOLE_MAX) != NULL)
		n = list_fill(l, b.data, WHOLE_MAX);
	if (n > 0 && l->end && l->at == l->entry.len) {
		b.len = (size_t)n;
		list_done(l);
		req_reply_json(r, 200, &b);
		return;
	}
	/* From the beginning: nothing is kept of the piece. */
	buf_free(&b);
	list_done(l);
	req_reply_stream(
	    r, 200, "application/json", -1, &list_ops, list_new(r));
}

/* --- for whoever tells of agents ----------------------------------------- */

void
acp_each(struct gateway *gw, const char *sandbox,
    void (*each)(void *ctx, const char *agent, int64_t created_ms), void *ctx)
{
	char prefix[SESSION_ID_MAX + 1], id[SESSION_ID_MAX + 1] = "";
	struct db_session s;
	struct json *rec;

	acp_prefix(prefix, sandbox);
	if (db_begin(gw->db, NULL) == -1)
		return;
	while (db_session_below(gw->db, prefix, id, &s)) {
		if (acp_ended(&s) || json_parse(s.record, s.record_len,
					 RECORD_DEPTH, &rec, NULL) == -1)
			continue;
		each(ctx, json_str(rec, "agent", ""),
		    json_int(rec, "created_at", INT64_MAX));
		json_free(rec);
	}
	db_end(gw->db);
}
