/*
 * The headers of a request, looked at once. Runs in sandboxd-gateway.
 *
 * What two parsers could understand differently is refused: two lengths, a
 * length beside chunks, a coding we do not know, two hosts. A proxy in front of
 * us may have read it the other way.
 */
#include "gateway/req_priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
is(const char *name, size_t len, const char *want, size_t want_len)
{
	return len == want_len && strncasecmp(name, want, len) == 0;
}
#define IS(want) is(name, len, want, sizeof(want) - 1)

static bool
name_valid(const char *name, size_t len)
{
	static const char other[] = "!#$%&'*+-.^_`|~";
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
		    !(c >= '0' && c <= '9') &&
		    (c == '\0' || strchr(other, c) == NULL))
			return false;
	}
	return len > 0;
}

/* This version of MHD ends lines in place, with two NULs for CR LF, and a NUL
 * within a line hides what follows from us. So what does not end in two is a
 * hidden rest, a line that ends in LF alone, or one that was folded: others
 * read all of these differently. Later versions refuse such NULs themselves. */
static bool
ends_known(void)
{
	static int known = -1;

	if (known == -1)
		known = strcmp(MHD_get_version(), "0.9.75") == 0;
	return known == 1;
}

static bool
ends_hidden(const char *end)
{
	return ends_known() && end[1] != '\0';
}

/* Bytes that end lines or strings elsewhere. */
static bool
value_valid(const char *value, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static void
length_take(struct hreq *q, const char *value, size_t len)
{
	int64_t n = 0;
	size_t i;

	if (q->nlength++ > 0 || len == 0 || len > 18)
		q->bad_header = true;
	q->long_length =
	    q->nlength == 1 && len > 18 && strspn(value, "0123456789") == len;
	for (i = 0; i < len && !q->bad_header; i++) {
		if (value[i] < '0' || value[i] > '9')
			q->bad_header = true;
		n = n * 10 + (value[i] - '0');
	}
	if (!q->bad_header)
		q->r.content_length = n;
}

static enum MHD_Result
header_take(void *cls, enum MHD_ValueKind kind, const char *name, size_t len,
    const char *value, size_t value_len)
{
	struct hreq *q = cls;

	(void)kind;
	q->header_bytes += len + value_len + 4;
	if (value == NULL)
		value = "";
	if (!name_valid(name, len) || !value_valid(value, value_len) ||
	    (value_len > 0 && ends_hidden(value + value_len)))
		q->bad_header = true;
	switch (len) {
	case 4:
		if (IS("host"))
			q->nhost++;
		break;
	case 6:
		if (IS("origin")) {
			q->origin = value;
			q->norigin++;
		} else if (IS("expect"))
			q->expect = value;
		break;
	case 12:
		if (IS("content-type"))
			q->content_type = value;
		else if (IS("x-request-id"))
			q->request_id = value;
		break;
	case 13:
		if (IS("authorization"))
			q->authorization = value;
		break;
	case 14:
		if (IS("content-length"))
			length_take(q, value, value_len);
		break;
	case 17:
		if (IS("transfer-encoding")) {
			q->transfer = value;
			q->ntransfer++;
		}
		break;
	case 20:
		if (IS("open-sandbox-api-key"))
			q->api_key = value;
		break;
	default:
		break;
	}
	return MHD_YES;
}

/* The same in the request line: the target is followed by the version, and has
 * no bytes that would need to be encoded. */
static bool
target_hidden(const struct hreq *q, const char *url, const char *version)
{
	size_t i;

	for (i = 0; q->r.path[i] != '\0'; i++)
		if ((unsigned char)q->r.path[i] <= ' ' || q->r.path[i] == 0x7f)
			return true;
	for (i = 0; q->r.query[i] != '\0'; i++)
		if ((unsigned char)q->r.query[i] <= ' ' ||
		    q->r.query[i] == 0x7f)
			return true;
	return ends_known() && url + q->target_len + 1 != version;
}

/* What is wrong with the headers, or NULL. */
const char *
req_head_take(struct hreq *q, const char *url, const char *version)
{
	q->old = strcmp(version, "HTTP/1.1") != 0;
	(void)MHD_get_connection_values_n(
	    q->mc, MHD_HEADER_KIND, header_take, q);
	if (q->bad_header)
		return "a header is malformed";
	if (scan_refuses(&q->conn->scan, q->nth))
		return "a line does not end in CR LF";
	if (target_hidden(q, url, version))
		return "the request line is malformed";
	if (strcmp(version, "HTTP/1.1") != 0 &&
	    strcmp(version, "HTTP/1.0") != 0)
		return "the version of HTTP is not supported";
	if (q->nhost > 1)
		return "two Host headers";
	if (q->nhost == 0 && !q->old)
		return "no Host header";
	if (q->ntransfer > 0 && q->nlength > 0)
		return "Content-Length beside Transfer-Encoding";
	if (q->ntransfer > 1 ||
	    (q->ntransfer == 1 && strcasecmp(q->transfer, "chunked") != 0))
		return "the transfer encoding is not supported";
	if (q->ntransfer == 1 && q->old)
		return "HTTP/1.0 has no transfer encodings";
	return NULL;
}

const char *
req_header(const struct req *r, const char *name)
{
	const struct hreq *q = hreq_of(r);

	if (q->mc == NULL)
		return NULL;
	return lookup_header(q->mc, name);
}

struct each {
	void (*fn)(void *ctx, const char *name, const char *value);
	void *ctx;
};

static enum MHD_Result
each_header(
    void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	const struct each *e = cls;

	(void)kind;
	e->fn(e->ctx, name, value != NULL ? value : "");
	return MHD_YES;
}

void
req_headers(const struct req *r,
    void (*each)(void *ctx, const char *name, const char *value), void *ctx)
{
	struct each e = { each, ctx };

	if (hreq_of(r)->mc != NULL)
		(void)MHD_get_connection_values(
		    hreq_of(r)->mc, MHD_HEADER_KIND, each_header, &e);
}

const char *
req_peer(const struct req *r)
{
	const struct hreq *q = hreq_of(r);
	const union MHD_ConnectionInfo *info;
	const struct sockaddr *sa;
	struct conn *c = q->conn;
	const void *at;

	if (c == NULL)
		return "";
	if (c->local)
		return "unix";
	if (c->peer[0] != '\0')
		return c->peer;
	info =
	    MHD_get_connection_info(q->mc, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	sa = info != NULL ? info->client_addr : NULL;
	if (sa == NULL)
		return "";
	at =
	    sa->sa_family == AF_INET
		? (const void *)&((const struct sockaddr_in *)(const void *)sa)
		      ->sin_addr
		: (const void *)&((const struct sockaddr_in6 *)(const void *)sa)
		      ->sin6_addr;
	if (inet_ntop(sa->sa_family, at, c->peer, sizeof(c->peer)) == NULL)
		c->peer[0] = '\0';
	return c->peer;
}
