/*
 * What a request has to pass before a door sees it: its headers, its route,
 * its caller, its query, its body. Runs in sandboxd-gateway, on bytes that
 * anybody sent.
 */
#include "gateway/auth.h"
#include "gateway/body.h"
#include "gateway/cors.h"
#include "gateway/req_priv.h"
#include "lib/strutil.h"

#include <string.h>
#include <strings.h>

static enum method
method_of(const char *name)
{
	size_t i;

	for (i = 0; i < M_ANY; i++)
		if (strcmp(name, method_text((enum method)i)) == 0)
			return (enum method)i;
	return M_N;
}

static bool
bad(struct hreq *q, enum problem p, const char *why)
{
	q->conn->linger = true;
	req_add_header(&q->r, "connection", "close");
	req_problem(&q->r, p, "%s", why);
	return false;
}

static void
allow_add(struct hreq *q)
{
	struct buf b;

	buf_init(&b, 128);
	route_allow(&q->match, &b);
	if (!b.failed && b.len > 0)
		req_add_header(&q->r, "allow", b.data);
	buf_free(&b);
}

/* One of the path's routes: they are alike in who may call. */
static const struct route *
match_any(const struct route_match *m)
{
	size_t i;

	for (i = 0; i < M_N; i++)
		if (m->by_method[i] != NULL)
			return m->by_method[i];
	return NULL;
}

static bool
route_take(struct hreq *q)
{
	const struct route_match *m = &q->match;
	const struct route *rt = NULL;
	size_t i;

	if (q->r.method < M_ANY)
		rt = m->by_method[q->r.method];
	if (rt == NULL)
		rt = m->by_method[M_ANY];
	q->r.route = rt != NULL ? rt : match_any(m);
	q->osb = q->r.route->scope == SCOPE_OSB;
	q->r.sandbox = m->sandbox;
	q->r.nparams = m->nparams;
	for (i = 0; i < m->nparams; i++)
		q->r.params[i] = m->params[i];
	if (rt != NULL)
		return true;
	allow_add(q);
	if (auth_check(q, q->r.route->id))
		req_problem(
		    &q->r, PROBLEM_METHOD_NOT_ALLOWED, "method not allowed");
	return false;
}

/* Without a token nothing but its origin tells a page that somebody happens to
 * look at from a client of ours, and a POST without a body needs no preflight.
 * What listens on a port of a sandbox decides for itself. */
static bool
page_may(struct hreq *q)
{
	const struct route *rt = q->r.route;

	if (q->origin == NULL || rt->who == WHO_OPEN || rt->who == WHO_READ ||
	    rt->who == WHO_READ_Q || rt->method == M_ANY ||
	    cors_may_connect(&q->r))
		return true;
	req_problem(&q->r, PROBLEM_PERMISSION_DENIED,
	    "a page of another origin may not do this without a token");
	return false;
}

static bool
body_expect(struct hreq *q)
{
	const struct route *rt = q->r.route;
	bool has = q->r.content_length > 0 || q->transfer != NULL;

	q->limit = rt->limit;
	if (rt->body == BODY_NONE ||
	    (rt->limit == 0 && rt->body != BODY_STREAM))
		q->limit = JSON_BODY_MAX;
	if (!has && q->transfer == NULL && q->r.content_length < 0)
		q->r.content_length = 0;
	if ((rt->body == BODY_JSON || (rt->body == BODY_JSON_OPT && has)) &&
	    !body_type_is_json(q->content_type)) {
		req_problem(&q->r, PROBLEM_UNSUPPORTED_MEDIA,
		    "Content-Type is not application/json");
		return false;
	}
	if (q->limit > 0 && q->r.content_length > 0 &&
	    (uint64_t)q->r.content_length > q->limit) {
		req_problem(&q->r, PROBLEM_TOO_LARGE,
		    "the body is longer than %llu bytes",
		    (unsigned long long)q->limit);
		return false;
	}
	q->body.cap = q->limit;
	return true;
}

bool
req_check_head(
    struct hreq *q, const char *url, const char *method, const char *version)
{
	const size_t most = q->r.gw->limits.max_header_bytes;
	const char *why;
	enum route_found found;

	q->r.method_name = q->method;
	if (str_copy(q->method, sizeof(q->method), method) == -1)
		return bad(
		    q, PROBLEM_INVALID_REQUEST, "the method is too long");
	q->r.head = strcmp(method, "HEAD") == 0;
	q->r.method = q->r.head ? M_GET : method_of(method);
	why = req_head_take(q, url, version);
	if (why != NULL && q->long_length)
		return bad(q, PROBLEM_TOO_LARGE, "the body is too long");
	if (why != NULL)
		return bad(q, PROBLEM_INVALID_REQUEST, why);
	if (q->target_len > most)
		return bad(
		    q, PROBLEM_TARGET_TOO_LONG, "the request line is too long");
	if (q->target_len + q->header_bytes > most)
		return bad(
		    q, PROBLEM_HEADERS_TOO_LARGE, "the headers are too long");
	found = route_match(q->r.path, q->arena, &q->match);
	if (strcmp(method, "OPTIONS") == 0 &&
	    !(found == ROUTE_FOUND && q->match.by_method[M_ANY] != NULL &&
		q->origin == NULL)) {
		if (found == ROUTE_FOUND)
			allow_add(q);
		cors_preflight(q);
		return false;
	}
	if (found == ROUTE_BAD) {
		req_problem(&q->r, PROBLEM_INVALID_REQUEST,
		    "a segment of the path cannot be decoded");
		return false;
	}
	if (found == ROUTE_NONE) {
		req_problem(
		    &q->r, PROBLEM_ENDPOINT_NOT_FOUND, "endpoint not found");
		return false;
	}
	if (!route_take(q))
		return false;
	return auth_check(q, q->r.route->id) && page_may(q) && query_take(q) &&
	       body_expect(q);
}

bool
req_check_lines(struct hreq *q)
{
	if (q->transfer == NULL || !scan_refuses(&q->conn->scan, q->nth))
		return true;
	return bad(q, PROBLEM_INVALID_REQUEST, "a chunk is malformed");
}

bool
req_check_json(struct hreq *q)
{
	struct err e;

	if (q->body.len == 0 && q->r.route->body == BODY_JSON_OPT)
		return true;
	if (json_parse(q->body.len > 0 ? q->body.data : "", q->body.len,
		JSON_DEPTH_AGENT, &q->root, &e) == -1) {
		req_problem(&q->r, PROBLEM_NOT_JSON, "%s", e.text);
		return false;
	}
	q->r.json = q->root;
	q->r.body = q->body.data;
	q->r.body_len = q->body.len;
	if (body_check(q->r.route, q->root, &e) == -1) {
		req_problem(&q->r, PROBLEM_BAD_BODY, "%s", e.text);
		return false;
	}
	return true;
}
