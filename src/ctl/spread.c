/*
 * JSON spread over lines; see spread.h. Runs as the caller, on what servers
 * and files say: the depth is bounded by the parser.
 */
#include "ctl/spread.h"

#include "lib/xalloc.h"

#include <string.h>

#define SPREAD_DEPTH 1000
#define SPREAD_MAX (512u << 20)

static void
spread(struct buf *b, const struct json *v, bool sorted, unsigned depth);

static void
indent(struct buf *b, unsigned depth)
{
	(void)buf_addf(b, "\n%*s", (int)(2 * depth), "");
}

static int
by_key(const void *a, const void *b)
{
	const struct json *const *x = a;
	const struct json *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

static void
member(struct buf *b, const struct json *m, bool sorted, unsigned depth,
    size_t nth)
{
	struct jw w;

	if (nth > 0)
		(void)buf_addc(b, ',');
	indent(b, depth);
	if (m->key != NULL) {
		jw_init(&w, b);
		jw_str(&w, m->key);
		(void)buf_adds(b, ": ");
	}
	spread(b, m, sorted, depth);
}

static void
spread(struct buf *b, const struct json *v, bool sorted, unsigned depth)
{
	bool is_object = v->type == JSON_OBJECT;
	autofree const struct json **order = NULL;
	struct jw w;
	size_t n = 0;

	jw_init(&w, b);
	if (v->type != JSON_OBJECT && v->type != JSON_ARRAY) {
		jw_value(&w, v);
		return;
	}
	if (v->len == 0) {
		(void)buf_adds(b, is_object ? "{}" : "[]");
		return;
	}
	order = xcalloc(v->len, sizeof(struct json *));
	json_foreach (m, v)
		order[n++] = m;
	if (is_object && sorted)
		qsort(order, n, sizeof(order[0]), by_key);
	(void)buf_addc(b, is_object ? '{' : '[');
	for (size_t i = 0; i < n; i++)
		member(b, order[i], sorted, depth + 1, i);
	indent(b, depth);
	(void)buf_addc(b, is_object ? '}' : ']');
}

void
spread_json(struct buf *b, const struct json *v, bool sorted)
{
	spread(b, v, sorted, 0);
}

int
spread_text(FILE *f, const char *text, size_t len, bool sorted)
{
	struct json *j = NULL;
	struct buf b;

	if (json_parse(text, len, SPREAD_DEPTH, &j, NULL) == -1)
		return -1;
	buf_init(&b, SPREAD_MAX);
	spread_json(&b, j, sorted);
	ctl_write_json(f, &b);
	buf_free(&b);
	json_free(j);
	return 0;
}
