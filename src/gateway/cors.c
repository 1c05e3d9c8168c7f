/*
 * CORS: which pages of browsers may use us. Runs in sandboxd-gateway. Nobody
 * may, unless the configuration names origins.
 */
#include "gateway/auth.h"
#include "gateway/cors.h"
#include "gateway/req_priv.h"
#include "lib/xalloc.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define LIST_BYTES_MAX 65536

struct cors {
	char **origins;		     /* "*" stands for each */
	struct buf methods, headers; /* as they are sent */
	bool credentials;
};

static void
list_write(struct buf *b, const struct json *list, bool lower)
{
	size_t at;

	buf_init(b, LIST_BYTES_MAX);
	json_foreach (it, list) {
		if (it->type != JSON_STRING)
			continue;
		if (b->len > 0)
			(void)buf_addc(b, ',');
		at = b->len;
		(void)buf_add(b, it->str, it->len);
		for (; lower && at < b->len; at++)
			b->data[at] = (char)tolower((unsigned char)b->data[at]);
	}
	if (b->len == 0)
		(void)buf_addc(b, '*');
}

int
cors_open(struct gateway *gw, const struct json *settings, struct err *e)
{
	struct cors *c = xcalloc(1, sizeof(*c));

	gw->cors = c;
	c->origins = json_strv(json_get(settings, "origins"));
	c->credentials = json_bool(settings, "credentials", false);
	list_write(&c->methods, json_get(settings, "methods"), false);
	list_write(&c->headers, json_get(settings, "headers"), true);
	if (c->methods.failed || c->headers.failed)
		return err_set(e, ERR_BAD_REQUEST, "CORS lists are too long");
	return 0;
}

static bool
origin_listed(const struct cors *c, const char *origin)
{
	char **o;

	for (o = c->origins; o != NULL && *o != NULL; o++)
		if (strcmp(*o, "*") == 0 || strcmp(*o, origin) == 0)
			return true;
	return false;
}

void
cors_answer(struct hreq *q)
{
	const struct cors *c = q->r.gw->cors;

	if (q->origin != NULL && q->norigin == 1 && origin_listed(c, q->origin))
		req_add_header(&q->r, "access-control-allow-origin", q->origin);
	if (c->credentials)
		req_add_header(
		    &q->r, "access-control-allow-credentials", "true");
}

/* The host of ORIGIN ("scheme://host:port") as a name of this machine. */
static bool
is_local(const char *host)
{
	size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

	return (n == 9 && strncasecmp(host, "localhost", n) == 0) ||
	       (n == 5 && strncmp(host, "[::1]", n) == 0) ||
	       (strncmp(host, "127.", 4) == 0 &&
		   strspn(host, "0123456789.") == n);
}

bool
cors_may_connect(const struct req *r)
{
	const char *host, *asked = req_header(r, "host");
	const struct hreq *q = hreq_of(r);

	if (auth_wanted(r->gw) || q->origin == NULL)
		return true;
	if (q->norigin != 1)
		return false;
	if (origin_listed(r->gw->cors, q->origin))
		return true;
	host = strstr(q->origin, "://");
	if (host == NULL)
		return false;
	host += 3;
	return is_local(host) ||
	       (asked != NULL && strcasecmp(asked, host) == 0);
}

bool
cors_always(const struct gateway *gw)
{
	return gw->cors->credentials;
}

void
cors_preflight(struct hreq *q)
{
	const struct cors *c = q->r.gw->cors;

	req_add_header(&q->r, "access-control-allow-methods", c->methods.data);
	req_add_header(&q->r, "access-control-allow-headers", c->headers.data);
	req_reply_empty(&q->r, 200);
}
