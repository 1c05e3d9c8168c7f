/*
 * Who is asking. Runs in sandboxd-gateway, which knows hashes of tokens only:
 * whoever takes it over learns no token that was not used meanwhile.
 *
 * Global tokens come with the settings; the others are records of the store's
 * table `tokens`, by the hex SHA-256 of the token, so that finding one tells
 * nothing by its time that a guess could use.
 */
#include "gateway/auth.h"
#include "gateway/db.h"
#include "gateway/proxy.h"
#include "gateway/query.h"
#include "gateway/req_priv.h"
#include "lib/base64.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TOKEN_MAX 4096
#define GLOBALS_MAX 64
#define HEX_LEN 64

struct auth {
	bool on;
	size_t nglobals;
	char globals[GLOBALS_MAX][HEX_LEN + 1];
};

int
auth_open(struct gateway *gw, const struct json *settings, struct err *e)
{
	struct auth *a = xcalloc(1, sizeof(*a));

	gw->auth = a;
	a->on = json_bool(settings, "auth", true);
	json_foreach (it, json_get(settings, "token_sha256")) {
		if (it->type != JSON_STRING || it->len != HEX_LEN ||
		    a->nglobals == GLOBALS_MAX)
			return err_set(e, ERR_BAD_REQUEST,
			    "token_sha256 is not a list of hashes");
		memcpy(a->globals[a->nglobals++], it->str, HEX_LEN);
	}
	return 0;
}

bool
auth_wanted(const struct gateway *gw)
{
	return gw->auth->on;
}

const char *
auth_sandbox(const struct req *r)
{
	return hreq_of(r)->caller_sandbox;
}

bool
auth_may_sandbox(const struct req *r, const char *sandbox)
{
	const char *only = auth_sandbox(r);

	return only == NULL || strcmp(only, sandbox) == 0;
}

/*
 * Finding the token of a request. It is wiped from what is ours afterwards.
 */

/* -1: it is no base64. DST has room for as much as S holds. Laxer than
 * base64_get(): clients differ in whether they pad. */
static ssize_t
basic_decode(char *dst, const char *s)
{
	size_t len = strlen(s), i, n = 0;
	uint32_t bits = 0;
	int v, have = 0;

	while (len > 0 && s[len - 1] == '=')
		len--;
	for (i = 0; i < len; i++) {
		v = base64_value(s[i]);
		if (v == -1)
			return -1;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			dst[n++] = (char)(bits >> have & 0xff);
		}
	}
	return (ssize_t)n;
}

/* Up to two texts of which either may be the token. */
struct token {
	char text[TOKEN_MAX];
	const char *at[2];
	size_t len[2];
	size_t n;
	bool given;
};

static void
token_basic(struct token *t, const char *text)
{
	const char *colon;
	ssize_t len = basic_decode(t->text, text);

	if (len <= 0)
		return;
	t->at[t->n] = t->text;
	t->len[t->n++] = (size_t)len;
	colon = memchr(t->text, ':', (size_t)len);
	if (colon == NULL)
		return;
	t->at[t->n] = colon + 1;
	t->len[t->n++] = (size_t)(t->text + len - (colon + 1));
}

static void
token_plain(struct token *t, const char *s, size_t len)
{
	memcpy(t->text, s, len);
	t->at[0] = t->text;
	t->len[0] = len;
	t->n = 1;
}

static void
token_header(struct token *t, const char *value)
{
	size_t word = strcspn(value, " ");
	const char *rest = value + word + strspn(value + word, " ");

	t->given = true;
	if (*rest == '\0' || strlen(rest) >= sizeof(t->text))
		return;
	if (word == 5 && strncasecmp(value, "Basic", word) == 0)
		token_basic(t, rest);
	else if ((word == 6 && strncasecmp(value, "Bearer", word) == 0) ||
		 (word == 5 && strncasecmp(value, "Token", word) == 0))
		token_plain(t, rest, strlen(rest));
}

static void
token_query(struct token *t, const char *query)
{
	struct query_pair p;
	struct buf b;

	buf_init(&b, sizeof(t->text) - 1);
	while (query_next(&query, &p)) {
		if (!query_is(p.name, p.name_len, "access_token"))
			continue;
		t->given = true;
		buf_clear(&b);
		t->n = 0;
		if (query_decode(&b, p.value, p.value_len) == 0 && b.len > 0)
			token_plain(t, b.data, b.len);
	}
	if (b.data != NULL)
		explicit_bzero(b.data, b.len);
	buf_free(&b);
}

static void
token_find(struct hreq *q, const struct route *rt, struct token *t)
{
	t->n = 0;
	t->given = false;
	/* Clients of OpenSandbox send theirs to the addresses below a sandbox
	 * too. */
	if (q->api_key != NULL &&
	    (rt->scope == SCOPE_OSB || str_starts(q->r.path, "/i/"))) {
		t->given = true;
		if (q->api_key[0] != '\0' &&
		    strlen(q->api_key) < sizeof(t->text))
			token_plain(t, q->api_key, strlen(q->api_key));
	} else if (q->authorization != NULL)
		token_header(t, q->authorization);
	else if (rt->who == WHO_READ_Q || rt->who == WHO_WRITE_Q)
		token_query(t, q->r.query);
}

/*
 * What it is good for
 */

struct grant {
	char id[CALLER_MAX];
	char *sandbox; /* owned; NULL: all of them */
	bool read_only;
};

static bool
hash_same(const char *a, const char *b)
{
	unsigned diff = 0;
	size_t i;

	for (i = 0; i < HEX_LEN; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	return diff == 0;
}

static bool
is_global(const struct auth *a, const char *hex)
{
	bool found = false;
	size_t i;

	for (i = 0; i < a->nglobals; i++)
		found |= hash_same(a->globals[i], hex);
	return found;
}

static bool
record_take(struct grant *g, const char *text, size_t len)
{
	const char *sandbox;
	int64_t expires;
	struct json *j;
	bool ok;

	if (json_parse(text, len, JSON_DEPTH_AGENT, &j, NULL) == -1)
		return false;
	sandbox = json_str(j, "sandbox", NULL);
	expires = json_int(j, "expires_at_ms", 0);
	g->read_only = json_bool(j, "read_only", false);
	ok = j->type == JSON_OBJECT &&
	     (expires == 0 || now_realtime_ms() < expires) &&
	     str_copy(g->id, sizeof(g->id), json_str(j, "id", "token")) == 0;
	if (ok && sandbox != NULL)
		g->sandbox = xstrdup(sandbox);
	json_free(j);
	return ok;
}

/* 1: found, 0: not, -1: nobody can tell now. */
static int
grant_find(struct gateway *gw, const char *s, size_t len, struct grant *g)
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	char hex[HEX_LEN + 1];
	const char *text;
	size_t i, text_len;
	SHA2_CTX ctx;
	int found = 0;

	SHA256Init(&ctx);
	SHA256Update(&ctx, (const void *)s, len);
	SHA256Final(sum, &ctx);
	for (i = 0; i < sizeof(sum); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	if (is_global(gw->auth, hex)) {
		memcpy(g->id, "global", sizeof("global"));
		return 1;
	}
	if (gw->db == NULL || db_begin(gw->db, NULL) == -1)
		return -1;
	if (db_record(gw->db, "tokens", hex, &text, &text_len))
		found = record_take(g, text, text_len) ? 1 : 0;
	db_end(gw->db);
	return found;
}

static bool
refuse_unknown(struct hreq *q, bool given)
{
	if (q->osb)
		req_problem_code(&q->r, PROBLEM_TOKEN_INVALID,
		    given ? "INVALID_API_KEY" : "MISSING_API_KEY", "%s",
		    given ? "the API key is not valid"
			  : "an API key is needed");
	else
		req_problem_ext(&q->r, PROBLEM_TOKEN_INVALID,
		    "\"details\":{\"message\":"
		    "\"missing or invalid bearer token\"}",
		    "%s", "");
	return false;
}

static bool
refuse(struct hreq *q, const char *why)
{
	req_problem(&q->r, PROBLEM_PERMISSION_DENIED, "%s", why);
	return false;
}

static bool
grant_fits(struct hreq *q, const struct route *rt)
{
	/* Of OpenSandbox's, those that name one: their doors look which. */
	bool osb = rt->scope == SCOPE_OSB && q->r.nparams > 0;
	/* Routes of OpenSandbox name the sandbox first in their path. */
	const char *sandbox = rt->scope == SCOPE_TOP   ? NULL
			      : rt->scope != SCOPE_OSB ? q->r.sandbox
			      : q->r.nparams > 0       ? q->r.params[0]
						       : NULL;

	if (rt->who == WHO_ADMIN &&
	    (q->caller_sandbox != NULL || q->caller_reads))
		return refuse(q, "this needs a token without limits");
	if (q->caller_sandbox != NULL && !osb &&
	    (sandbox == NULL || strcmp(q->caller_sandbox, sandbox) != 0))
		return refuse(q, "the token is for another sandbox");
	if (q->caller_reads && rt->who != WHO_READ && rt->who != WHO_READ_Q)
		return refuse(q, "the token is for reading only");
	return true;
}

static void
token_wipe(struct token *t)
{
	if (t->n > 0)
		explicit_bzero(
		    t->text, t->len[0] + (size_t)(t->at[0] - t->text));
}

/* In doubt it is one. */
static bool
knows(const struct req *r, struct token *t)
{
	bool known = false;
	size_t i;

	for (i = 0; i < t->n && !known; i++) {
		struct grant g = { "", NULL, false };

		known = grant_find(r->gw, t->at[i], t->len[i], &g) != 0;
		free(g.sandbox);
	}
	token_wipe(t);
	return known;
}

bool
auth_knows_header(const struct req *r, const char *value)
{
	struct token t = { .n = 0 };

	if (!r->gw->auth->on)
		return false;
	token_header(&t, value);
	return knows(r, &t);
}

bool
auth_knows_query(const struct req *r, const char *value, size_t len)
{
	struct token t = { .n = 0 };
	bool known = false;
	struct buf b;

	if (!r->gw->auth->on || len >= sizeof(t.text))
		return r->gw->auth->on;
	buf_init(&b, sizeof(t.text) - 1);
	if (query_decode(&b, value, len) == 0 && b.len > 0) {
		token_plain(&t, b.data, b.len);
		known = knows(r, &t);
	}
	if (b.data != NULL)
		explicit_bzero(b.data, b.len);
	buf_free(&b);
	return known;
}

/* Like grant_find; the token is gone afterwards. */
static int
token_grant(struct hreq *q, struct token *t, struct grant *g)
{
	int found = 0;
	size_t i;

	for (i = 0; i < t->n && found == 0; i++)
		found = grant_find(q->r.gw, t->at[i], t->len[i], g);
	token_wipe(t);
	t->n = 0;
	return found;
}

bool
auth_check(struct hreq *q, enum route_id route)
{
	const struct route *rt = &route_table[route];
	struct grant g = { "", NULL, false };
	struct token t;
	int found;

	if (!q->r.gw->auth->on || rt->who == WHO_OPEN ||
	    ((route == ROUTE_port_proxy || route == ROUTE_port_slash) &&
		proxy_is_public(&q->r)))
		return true;
	token_find(q, rt, &t);
	found = token_grant(q, &t, &g);
	/* The header may be for the server behind a port. */
	if (found == 0 && route == ROUTE_port_proxy &&
	    q->authorization != NULL) {
		token_query(&t, q->r.query);
		found = token_grant(q, &t, &g);
	}
	if (found == -1) {
		req_problem(&q->r, PROBLEM_UNAVAILABLE,
		    "tokens cannot be looked up now");
		return false;
	}
	if (found == 0)
		return refuse_unknown(q, t.given);
	memcpy(q->caller, g.id, sizeof(q->caller));
	q->caller_sandbox = g.sandbox;
	q->caller_reads = g.read_only;
	return grant_fits(q, rt);
}
