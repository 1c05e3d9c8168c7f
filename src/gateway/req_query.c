/*
 * The query of a request against the QUERY rows of its route. Runs in
 * sandboxd-gateway; after it a door may rely on names, kinds and bounds.
 */
#include "gateway/query.h"
#include "gateway/req_priv.h"
#include "lib/strutil.h"

#include <string.h>

static size_t
row_find(const struct route *rt, const struct query_pair *p)
{
	size_t i;

	for (i = 0; i < rt->nquery; i++)
		if (query_is(p->name, p->name_len, rt->query[i].name))
			return i;
	return rt->nquery;
}

/* Why VALUE does not fit, or NULL. */
static const char *
value_wrong(const struct route_query *row, const char *value)
{
	size_t len = strlen(value);
	int64_t n;

	switch (row->kind) {
	case QK_INT:
		if (str_to_int(value, row->min, row->max, &n) == -1)
			return "no whole number in its range";
		return NULL;
	case QK_BOOL:
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return "neither `true` nor `false`";
		return NULL;
	case QK_STR:
	case QK_STRV:
		if (row->max > 0 && len > (uint64_t)row->max)
			return "too long";
		return len < (uint64_t)row->min ? "too short" : NULL;
	}
	return NULL;
}

static bool
wrong(struct hreq *q, const struct route_query *row, const char *why)
{
	req_problem(&q->r, PROBLEM_INVALID_REQUEST, "query parameter `%s`: %s",
	    row->name, why);
	return false;
}

/* Values are offsets into query_text first, which may move. */
static bool
pair_take(struct hreq *q, const struct query_pair *p, size_t offsets[])
{
	const struct route *rt = q->r.route;
	size_t i = row_find(rt, p), at = q->query_text.len;
	const char *why;

	if (i == rt->nquery)
		return true;
	if (offsets[i] != SIZE_MAX && rt->query[i].kind != QK_STRV)
		return wrong(q, &rt->query[i], "given twice");
	if (query_decode(&q->query_text, p->value, p->value_len) == -1 ||
	    buf_addc(&q->query_text, '\0') == -1)
		return wrong(q, &rt->query[i], "cannot be decoded");
	why = value_wrong(&rt->query[i], q->query_text.data + at);
	if (why != NULL)
		return wrong(q, &rt->query[i], why);
	if (offsets[i] == SIZE_MAX)
		offsets[i] = at;
	return true;
}

bool
query_take(struct hreq *q)
{
	const struct route *rt = q->r.route;
	const char *at = q->r.query;
	size_t offsets[QUERY_MAX], i;
	struct query_pair p;

	for (i = 0; i < countof(offsets); i++)
		offsets[i] = SIZE_MAX;
	while (rt->nquery > 0 && query_next(&at, &p))
		if (!pair_take(q, &p, offsets))
			return false;
	for (i = 0; i < rt->nquery; i++) {
		if (offsets[i] != SIZE_MAX)
			q->query_values[i] = q->query_text.data + offsets[i];
		else if (rt->query[i].required)
			return wrong(q, &rt->query[i], "missing");
	}
	return true;
}

const char *
req_query(const struct req *r, const char *name, const char *def)
{
	const struct route *rt = r->route;
	size_t i;

	for (i = 0; i < rt->nquery; i++) {
		if (strcmp(rt->query[i].name, name) == 0) {
			const char *v = hreq_of(r)->query_values[i];

			return v != NULL ? v : def;
		}
	}
	return def;
}

int64_t
req_query_int(const struct req *r, const char *name, int64_t def)
{
	const char *v = req_query(r, name, NULL);
	int64_t n;

	if (v == NULL || str_to_int(v, INT64_MIN, INT64_MAX, &n) == -1)
		return def;
	return n;
}

bool
req_query_bool(const struct req *r, const char *name, bool def)
{
	const char *v = req_query(r, name, NULL);

	return v != NULL ? strcmp(v, "true") == 0 : def;
}

void
req_query_each(const struct req *r, const char *name,
    void (*each)(void *ctx, const char *value), void *ctx)
{
	const char *at = r->query;
	struct query_pair p;
	struct buf b;

	buf_init(&b, strlen(r->query) * 3 + 1);
	while (query_next(&at, &p)) {
		if (!query_is(p.name, p.name_len, name))
			continue;
		buf_clear(&b);
		if (query_decode(&b, p.value, p.value_len) == 0)
			each(ctx, b.len > 0 ? b.data : "");
	}
	buf_free(&b);
}
