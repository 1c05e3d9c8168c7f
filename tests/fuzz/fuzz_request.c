/*
 * The parts of an HTTP request that are ours to read: path, query, and JSON
 * body, against the table of routes.
 *
 * Input: the target (path?query), a line end, the body.
 */
#include "fuzz.h"
#include "gateway/body.c"
#include "gateway/query.c"
#include "gateway/route.c"

/* The table names every door; none is opened here. */
#define ROUTE(sym, method, path, scope, who, body, limit, help) \
	void route_##sym(struct req *r)                         \
	{                                                       \
		(void)r;                                        \
		abort();                                        \
	}
#include "gateway/routes.def"

/* Each parameter is clean text that stands for a segment of the path. */
static void
check_match(const struct route_match *m, const char *path)
{
	const struct route *rt = NULL;
	size_t i, n = 0;

	for (i = 0; i < M_N; i++)
		if (m->by_method[i] != NULL)
			rt = m->by_method[i];
	CHECK(rt != NULL);
	CHECK(m->nparams <= REQ_PARAMS_MAX);
	CHECK(strcmp(m->sandbox, "default") == 0 ||
	      strlen(m->sandbox) <= strlen(path));
	CHECK(utf8_valid_prefix(m->sandbox, strlen(m->sandbox)) ==
	      strlen(m->sandbox));
	for (i = 0; i < m->nparams; i++) {
		n += strlen(m->params[i]);
		if (strstr(rt->path, "{*") == NULL || i + 1 < m->nparams)
			CHECK(
			    utf8_valid_prefix(m->params[i],
				strlen(m->params[i])) == strlen(m->params[i]));
	}
	CHECK(n <= strlen(path));
}

static const struct route *
check_path(const char *path)
{
	struct route_match m;
	char *arena = malloc(strlen(path) + 1);
	const struct route *rt = NULL;
	struct buf b;
	size_t i;

	CHECK(arena != NULL);
	if (route_match(path, arena, &m) == ROUTE_FOUND) {
		check_match(&m, path);
		buf_init(&b, 128);
		route_allow(&m, &b);
		CHECK(!b.failed && b.len > 0);
		buf_free(&b);
		for (i = 0; i < M_N; i++)
			if (m.by_method[i] != NULL)
				rt = m.by_method[i];
	}
	free(arena);
	return rt;
}

static void
check_query(const char *query)
{
	const char *at = query;
	struct query_pair p;
	struct buf b;
	size_t n = 0;

	while (query_next(&at, &p)) {
		CHECK(at <= query + strlen(query));
		CHECK(p.name + p.name_len <= at && p.value + p.value_len <= at);
		buf_init(&b, 1 << 20);
		if (query_decode(&b, p.name, p.name_len) == 0) {
			const char *name = b.len > 0 ? b.data : "";

			CHECK(strlen(name) == b.len);
			CHECK(utf8_valid_prefix(name, b.len) == b.len);
			/* Unless something was replaced it is found again. */
			if (strstr(name, "\xef\xbf\xbd") == NULL)
				CHECK(query_is(p.name, p.name_len, name));
		}
		buf_free(&b);
		CHECK(++n <= strlen(query) + 1);
	}
}

static void
check_body(const struct route *rt, const char *body, size_t len)
{
	struct json *j;
	struct err e;
	size_t i;

	if (json_parse(body, len, JSON_DEPTH_AGENT, &j, &e) == -1)
		return;
	if (body_check(rt, j, &e) == -1)
		CHECK(e.text[0] != '\0');
	else
		for (i = 0; i < rt->nfields; i++)
			CHECK(!rt->fields[i].required ||
			      json_get(j, rt->fields[i].name) != NULL);
	json_free(j);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *end = memchr(data, '\n', size);
	size_t len = end != NULL ? (size_t)(end - text) : size;
	const struct route *rt;
	char *target, *query;

	if (size > 1 << 16)
		return 0;
	routes_open();
	target = malloc(len + 1);
	CHECK(target != NULL);
	memcpy(target, text, len);
	target[len] = '\0';
	query = strchr(target, '?');
	if (query != NULL)
		*query++ = '\0';
	rt = check_path(target);
	if (query != NULL)
		check_query(query);
	(void)body_type_is_json(target);
	if (rt != NULL && end != NULL)
		check_body(rt, end + 1, size - len - 1);
	free(target);
	return 0;
}
