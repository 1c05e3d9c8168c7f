/*
 * The request that a server in a sandbox gets; see proxy_priv.h. Runs in the
 * gateway. Line and headers are written anew from what was parsed, so that
 * nothing a client sends can be one request to us and two to the server; and
 * the server never sees what lets a client in here.
 */
#include "gateway/proxy_priv.h"

#include "gateway/auth.h"
#include "gateway/query.h"
#include <string.h>
#include <strings.h>

#define LISTS_MAX 8 /* Connection headers */

struct copy {
	struct req *r;
	struct buf *b;
	const struct proxy_options *opt;
	const char *lists[LISTS_MAX];
	size_t nlists;
	const char *bad; /* why it cannot be passed on */
};

bool
proxy_has_body(const struct req *r)
{
	return r->content_length > 0 ||
	       req_header(r, "Transfer-Encoding") != NULL;
}

/* --- the line ------------------------------------------------------------- */

/* Bytes of a target as they came; those that no target may have are refused,
 * those of other alphabets escaped. */
static int
add_target(struct buf *b, const char *s, size_t n, struct err *e)
{
	size_t i;

	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c <= ' ' || c == 0x7f || c == '#')
			return err_set(e, ERR_BAD_REQUEST,
			    "the path has a byte that must be escaped");
		if (c >= 0x80)
			(void)buf_addf(b, "%%%02X", c);
		else
			(void)buf_addc(b, (char)c);
	}
	return 0;
}

/* The query without the tokens that were meant for us. */
static int
add_query(struct buf *b, const struct req *r, struct err *e)
{
	const char *p = r->query, *eq;
	char sep = '?';
	size_t n;

	for (;; p += n + 1) {
		n = strcspn(p, "&");
		eq = memchr(p, '=', n);
		/* The name as we have read it ourselves: escapes and all. */
		if (!(eq != NULL &&
			query_is(p, (size_t)(eq - p), "access_token") &&
			auth_knows_query(
			    r, eq + 1, n - (size_t)(eq + 1 - p))) &&
		    !(n == 0 && sep == '?' && p[n] == '\0')) {
			(void)buf_addc(b, sep);
			sep = '&';
			if (add_target(b, p, n, e) == -1)
				return -1;
		}
		if (p[n] == '\0')
			return 0;
	}
}

static int
add_line(struct buf *b, const struct req *r, const char *rest, struct err *e)
{
	if (!header_name_ok(r->method_name) ||
	    strcasecmp(r->method_name, "CONNECT") == 0)
		return err_set(
		    e, ERR_BAD_REQUEST, "this method is not passed on");
	(void)buf_addf(b, "%s /", r->method_name);
	if (add_target(b, rest, strlen(rest), e) == -1 ||
	    (r->query[0] != '\0' && add_query(b, r, e) == -1))
		return -1;
	return buf_adds(b, " HTTP/1.1\r\n");
}

/* --- headers -------------------------------------------------------------- */

static void
collect_lists(void *ctx, const char *name, const char *value)
{
	struct copy *c = ctx;

	if (strcasecmp(name, "Connection") != 0)
		return;
	if (c->nlists == LISTS_MAX)
		c->bad = "too many Connection headers";
	else
		c->lists[c->nlists++] = value;
}

static bool
listed(const struct copy *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nlists; i++)
		if (header_lists(c->lists[i], name))
			return true;
	return false;
}

/* Written by us, whatever the client says. */
static bool
is_ours(const struct copy *c, const char *name)
{
	static const char *const always[] = { "Host", "Content-Length",
		"Expect", "X-Forwarded-For", "OPEN-SANDBOX-API-KEY" };
	static const char *const unless_strict[] = { "X-Forwarded-Host",
		"X-Forwarded-Proto", "X-Forwarded-Prefix" };
	size_t i;

	for (i = 0; i < countof(always); i++)
		if (strcasecmp(always[i], name) == 0)
			return true;
	for (i = 0; i < countof(unless_strict) && !c->opt->strict; i++)
		if (strcasecmp(unless_strict[i], name) == 0)
			return true;
	return false;
}

/* It would tell the server a token of ours. */
static bool
is_secret(const struct copy *c, const char *name, const char *value)
{
	if (strcasecmp(name, "Authorization") == 0)
		return c->opt->strict || auth_knows_header(c->r, value);
	if (strcasecmp(name, "Cookie") == 0)
		return c->opt->strict;
	/* The address of the page that asks may have one in its query. */
	return strcasecmp(name, "Referer") == 0 &&
	       strcasestr(value, "access_token") != NULL;
}

static void
copy_header(void *ctx, const char *name, const char *value)
{
	struct copy *c = ctx;

	if (!header_name_ok(name) || !header_value_ok(value)) {
		c->bad = "a header has a byte that none may have";
		return;
	}
	if (header_is_hop(name) || is_ours(c, name) || listed(c, name) ||
	    is_secret(c, name, value))
		return;
	(void)buf_addf(c->b, "%s: %s\r\n", name, value);
}

static void
add_unless_there(struct copy *c, const char *name, const char *value)
{
	if (value == NULL || !header_value_ok(value) ||
	    (c->opt->strict && req_header(c->r, name) != NULL))
		return;
	(void)buf_addf(c->b, "%s: %s\r\n", name, value);
}

static void
add_forwarded(struct copy *c)
{
	const char *before = req_header(c->r, "X-Forwarded-For");

	if (before != NULL && header_value_ok(before) && *before != '\0')
		(void)buf_addf(c->b, "X-Forwarded-For: %s, %s\r\n", before,
		    req_peer(c->r));
	else
		(void)buf_addf(c->b, "X-Forwarded-For: %s\r\n", req_peer(c->r));
	add_unless_there(
	    c, "X-Forwarded-Proto", c->r->secure ? "https" : "http");
	add_unless_there(c, "X-Forwarded-Host", req_header(c->r, "Host"));
	add_unless_there(c, "X-Forwarded-Prefix", c->opt->prefix);
}

/* The upgrade that the client wants; NULL: none. One with a body would leave
 * it open where the body ends and the new protocol begins. */
static const char *
wanted_upgrade(const struct copy *c)
{
	const char *to = req_header(c->r, "Upgrade");

	if (to == NULL || *to == '\0' || !header_value_ok(to) ||
	    !listed(c, "upgrade") || proxy_has_body(c->r))
		return NULL;
	return to;
}

int
proxy_write_request(struct buf *b, struct req *r, int64_t port,
    const char *rest, const struct proxy_options *opt, bool *upgrade_out,
    bool *chunked_out, struct err *e)
{
	struct copy c = { .r = r, .b = b, .opt = opt };
	const char *upgrade;

	if (add_line(b, r, rest, e) == -1)
		return -1;
	req_headers(r, collect_lists, &c);
	(void)buf_addf(b, "Host: localhost:%d\r\n", (int)port);
	req_headers(r, copy_header, &c);
	add_forwarded(&c);
	upgrade = wanted_upgrade(&c);
	*upgrade_out = upgrade != NULL;
	if (upgrade != NULL)
		(void)buf_addf(
		    b, "Connection: Upgrade\r\nUpgrade: %s\r\n", upgrade);
	else
		(void)buf_adds(b, "Connection: close\r\n");
	*chunked_out = proxy_has_body(r) && r->content_length < 0;
	if (*chunked_out)
		(void)buf_adds(b, "Transfer-Encoding: chunked\r\n");
	else if (r->content_length > 0 ||
		 req_header(r, "Content-Length") != NULL)
		(void)buf_addf(b, "Content-Length: %lld\r\n",
		    (long long)r->content_length);
	(void)buf_adds(b, "\r\n");
	if (c.bad != NULL)
		return err_set(e, ERR_BAD_REQUEST, "%s", c.bad);
	if (b->failed)
		return err_set(e, ERR_TOO_LARGE, "the headers are too long");
	return 0;
}
