/*
 * The worker's memory across restarts: a small object in the session's record,
 * stored with the events it belongs to. Runs in the session worker.
 *
 *	{"turns":4,"turn":3,"open":true,"items":9,"native":"…",
 *	 "items_open":[[9,0,"msg_1:0","message","assistant"]],
 *	 "requests":[["p",true,"req_1","Bash",{…}]],
 *	 "always":["bash"],"queue":[[4,false,"next message",[…]]]}
 *
 * It must stay below CHECKPOINT_BYTES_MAX whatever ids an agent invents. If it
 * does not fit it is written again with less: first without the metadata of
 * requests, then without requests and items, whose end is then not logged
 * after a crash.
 */
#include "session/session.h"

#include "lib/xalloc.h"
#include <string.h>

enum detail {
	DETAIL_COUNTERS,
	DETAIL_IDS,
	DETAIL_ALL
};

#define TEXT_BYTES 1024 /* of a request's metadata or prompt */
#define TEXT_DEPTH 32
#define ID_BYTES 256

static void
id_write(struct jw *w, const char *s)
{
	size_t budget = ID_BYTES;

	if (s == NULL)
		jw_null(w);
	else
		content_text(w, s, strlen(s), &budget);
}

static void
items_write(struct jw *w, const struct session *s)
{
	const struct open_item *o;

	jw_key(w, "items_open");
	jw_array(w);
	TAILQ_FOREACH (o, &s->uni.open, link) {
		jw_array(w);
		jw_int(w, (int64_t)o->number);
		jw_int(w, (int64_t)o->parent);
		id_write(w, o->native_id);
		jw_str(w, item_kind_word(o->kind));
		jw_str(w, o->role < ROLE_OF_N ? item_role_word(o->role) : NULL);
		jw_array_end(w);
	}
	jw_array_end(w);
}

/* Metadata that is short and flat enough to be read back. */
static bool
worth_saving(const char *json)
{
	struct json *j = NULL;

	if (json == NULL || strlen(json) > TEXT_BYTES ||
	    json_parse(json, strlen(json), TEXT_DEPTH, &j, NULL) == -1)
		return false;
	json_free(j);
	return true;
}

static void
requests_write(struct jw *w, const struct session *s, enum detail d)
{
	const struct request *r;

	jw_key(w, "requests");
	jw_array(w);
	TAILQ_FOREACH (r, &s->pending.requests, link) {
		jw_array(w);
		jw_str(w, r->question ? (r->multi ? "m" : "q") : "p");
		jw_bool(w, r->of_turn);
		id_write(w, r->id);
		id_write(w, r->what);
		if (d == DETAIL_ALL && worth_saving(r->metadata))
			jw_raw(w, r->metadata, strlen(r->metadata));
		else
			jw_null(w);
		jw_array_end(w);
	}
	jw_array_end(w);
	jw_key(w, "always");
	jw_array(w);
	for (unsigned i = 0; i < s->pending.nalways; i++)
		id_write(w, s->pending.always[i]);
	jw_array_end(w);
}

static void
queue_write(struct jw *w, const struct session *s)
{
	const struct prompt *p;

	jw_key(w, "queue");
	jw_array(w);
	TAILQ_FOREACH (p, &s->queue, link) {
		if (!p->saved)
			continue;
		jw_array(w);
		jw_int(w, (int64_t)p->number);
		jw_bool(w, p->cancelled);
		jw_strn(w, p->text, p->len);
		if (p->parts != NULL)
			jw_raw(w, p->parts, strlen(p->parts));
		jw_array_end(w);
	}
	jw_array_end(w);
}

static void
write_at(const struct session *s, struct buf *b, enum detail d)
{
	struct jw w;

	buf_clear(b);
	jw_init(&w, b);
	jw_object(&w);
	jw_kint(&w, "turns", (int64_t)s->turns);
	jw_kint(&w, "turn", (int64_t)s->turn);
	jw_kbool(&w, "open", s->turn_open);
	jw_kint(&w, "items", (int64_t)s->uni.items);
	jw_kstr(&w, "native", s->uni.native_session);
	if (d >= DETAIL_IDS) {
		items_write(&w, s);
		requests_write(&w, s, d);
	}
	queue_write(&w, s);
	jw_object_end(&w);
}

void
checkpoint_write(const struct session *s, struct buf *b)
{
	int d;

	for (d = DETAIL_ALL; d >= DETAIL_COUNTERS; d--) {
		write_at(s, b, (enum detail)d);
		if (!b->failed && b->len <= CHECKPOINT_BYTES_MAX)
			return;
	}
	b->failed = true; /* the former one stays */
}

/* --- reading ------------------------------------------------------------- */

/* Element I of an array, or NULL. */
static const struct json *
at(const struct json *array, unsigned i)
{
	const struct json *v =
	    array != NULL && array->type == JSON_ARRAY ? array->child : NULL;

	while (v != NULL && i-- > 0)
		v = v->next;
	return v;
}

static const char *
str_at(const struct json *array, unsigned i)
{
	const struct json *v = at(array, i);

	return v != NULL && v->type == JSON_STRING && strlen(v->str) == v->len
		   ? v->str
		   : NULL;
}

static uint64_t
num_at(const struct json *array, unsigned i)
{
	const struct json *v = at(array, i);
	int64_t n;

	return v != NULL && json_number_int(v, &n) == 0 && n > 0 ? (uint64_t)n
								 : 0;
}

static bool
bool_at(const struct json *array, unsigned i)
{
	const struct json *v = at(array, i);

	return v != NULL && v->type == JSON_BOOL && v->b;
}

static void
items_read(struct session *s, const struct json *list)
{
	const char *kind, *role;

	json_foreach (it, list) {
		kind = str_at(it, 3);
		role = str_at(it, 4);
		if (num_at(it, 0) == 0 || kind == NULL ||
		    item_kind_of(kind) == ITEM_KIND_N ||
		    s->uni.nopen == OPEN_ITEMS_MAX)
			continue;
		uni_restore_item(&s->uni, num_at(it, 0), num_at(it, 1),
		    str_at(it, 2), item_kind_of(kind),
		    role != NULL ? item_role_of(role) : ROLE_OF_N);
	}
}

static void
requests_read(struct session *s, const struct json *list)
{
	const struct json *meta;
	const char *type, *id, *what;
	struct request *r;
	struct buf b;
	struct jw w;

	json_foreach (it, list) {
		type = str_at(it, 0);
		id = str_at(it, 2);
		what = str_at(it, 3);
		meta = at(it, 4);
		if (type == NULL || id == NULL || what == NULL)
			continue;
		buf_init(&b, CHECKPOINT_BYTES_MAX);
		jw_init(&w, &b);
		jw_value(&w, meta);
		r = pending_add(&s->pending, *type != 'p', id, what,
		    meta == NULL || meta->type == JSON_NULL || b.failed
			? NULL
			: b.data,
		    *type == 'm');
		if (r != NULL)
			r->of_turn = bool_at(it, 1);
		buf_free(&b);
	}
}

static void
queue_read(struct session *s, const struct json *list)
{
	const struct json *text, *parts;
	struct prompt *p;
	struct buf b;
	struct jw w;

	json_foreach (it, list) {
		text = at(it, 2);
		parts = at(it, 3);
		/* One whose turn had begun is not begun again. */
		if (num_at(it, 0) <= s->turn || text == NULL ||
		    text->type != JSON_STRING || s->nqueue == QUEUE_MAX)
			continue;
		p = xcalloc(1, sizeof(*p));
		p->number = num_at(it, 0);
		p->cancelled = bool_at(it, 1);
		p->text = xmalloc(text->len + 1);
		memcpy(p->text, text->str, text->len);
		p->text[text->len] = '\0';
		p->len = p->bytes = text->len;
		if (parts != NULL && parts->type == JSON_ARRAY) {
			buf_init(&b, CHECKPOINT_BYTES_MAX);
			jw_init(&w, &b);
			jw_value(&w, parts);
			p->bytes += b.len;
			p->parts = buf_steal(&b); /* it came from there */
		}
		p->saved = true;
		s->saved_bytes += p->bytes;
		s->queue_bytes += p->bytes;
		s->nqueue++;
		TAILQ_INSERT_TAIL(&s->queue, p, link);
	}
}

void
checkpoint_read(struct session *s, const struct json *c)
{
	const struct json *native = json_get(c, "native");

	if (c == NULL)
		return;
	s->turns = (uint64_t)MAX(json_int(c, "turns", 0), 0);
	s->turn = (uint64_t)MAX(json_int(c, "turn", 0), 0);
	s->turn_open = json_bool(c, "open", false);
	s->uni.items = (uint64_t)MAX(json_int(c, "items", 0), 0);
	if (native != NULL)
		uni_native_session(&s->uni, json_str(c, "native", NULL));
	items_read(s, json_get(c, "items_open"));
	requests_read(s, json_get(c, "requests"));
	json_foreach (key, json_get(c, "always"))
		if (key->type == JSON_STRING)
			pending_allow_key(&s->pending, key->str);
	queue_read(s, json_get(c, "queue"));
}
