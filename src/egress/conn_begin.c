/*
 * The beginning of a connection: what the client wants, whether it may, and
 * where that is. Runs in the proxy.
 *
 * A name is judged before it is looked up, each of its addresses after; those
 * that may be dialled are dialled, as they were judged, and the name is not
 * looked up again. So whatever a name server says next changes nothing.
 */
#include "egress/proxy.h"

#include "egress/socks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- refusals ---------------------------------------------------------------
 */

static const char *
phrase(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 408:
		return "Request Timeout";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	default:
		return "Bad Gateway";
	}
}

static enum socks_reply
reply_of(int status)
{
	return status == 403   ? SOCKS_DENIED
	       : status == 504 ? SOCKS_TIMED_OUT
	       : status == 502 ? SOCKS_UNREACHABLE
			       : SOCKS_FAILED;
}

static void
socks_say(struct conn *c, enum socks_reply reply)
{
	const char msg[10] = { SOCKS_VERSION, (char)reply, 0, 1 };

	conn_say(c, CLIENT, msg, sizeof(msg));
}

void
conn_refuse(struct conn *c, int status, const char *why)
{
	char text[1024], host[TARGET_TEXT_MAX] = "";
	char body[512];

	if (c->gone)
		return;
	if (c->socks && c->state != CONN_REQUEST) {
		if (c->state != CONN_HEAD) /* else there is no word for it */
			socks_say(c, reply_of(status));
		if (!c->gone)
			conn_linger(c);
		return;
	}
	if (c->target.port != 0)
		target_text(host, &c->target, 0);
	(void)snprintf(body, sizeof(body), "sandboxd: %s%s%s\n", host,
	    host[0] != '\0' ? ": " : "", why);
	(void)snprintf(text, sizeof(text),
	    "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n"
	    "X-Sandboxd-Egress: %s\r\n\r\n%s",
	    status, phrase(status), strlen(body),
	    status == 403 ? "denied" : "failed", body);
	conn_say(c, CLIENT, text, strlen(text));
	if (!c->gone)
		conn_linger(c);
}

static void
deny(struct conn *c, const struct verdict *v, const uint8_t *addr)
{
	note_decision(c, v, addr);
	conn_refuse(c, 403, v->reason);
}

/* --- to the server -----------------------------------------------------------
 */

static void
connected(struct conn *c, int fd, const uint8_t addr[NETADDR_BYTES])
{
	static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";

	c->side[SERVER].fd = fd;
	memcpy(c->addr, addr, NETADDR_BYTES);
	conn_deadline(c, 0);
	if (c->socks)
		socks_say(c, SOCKS_OK);
	else if (c->tunnel)
		conn_say(c, CLIENT, ok, strlen(ok));
	if (!c->gone)
		conn_talk_begin(c);
}

static void
on_dialled(void *ctx, int fd, const uint8_t addr[NETADDR_BYTES], int error)
{
	struct conn *c = ctx;

	c->dial = NULL;
	c->busy = true;
	if (fd != -1)
		connected(c, fd, addr);
	else
		conn_refuse(c, error == ETIMEDOUT ? 504 : 502, strerror(error));
	conn_leave(c);
}

static void
dial(struct conn *c, const uint8_t (*addrs)[NETADDR_BYTES], size_t n)
{
	c->dial = dial_start(c->box->p->loop, addrs, n, c->target.port,
	    c->box->p->set.dial_ms, on_dialled, c);
}

/* Its addresses: those that may be dialled. What is told of is the first. */
static void
judge(struct conn *c, const uint8_t (*addrs)[NETADDR_BYTES], size_t n)
{
	uint8_t good[RESOLVE_ADDRS_MAX][NETADDR_BYTES];
	struct verdict v, first = { .allow = false }, name;
	size_t ngood = 0;

	/* The rules may be others by now. */
	policy_name(&c->box->policy, c->target.name, c->target.port, &name);
	for (size_t i = 0; i < n && name.allow; i++) {
		policy_addr(
		    &c->box->policy, addrs[i], c->target.port, true, &v);
		if (v.allow)
			memcpy(good[ngood++], addrs[i], NETADDR_BYTES);
		else if (first.reason == NULL)
			first = v;
	}
	if (ngood == 0) {
		deny(c, name.allow ? &first : &name, addrs[0]);
		return;
	}
	note_decision(c, &name, good[0]);
	dial(c, (const uint8_t(*)[NETADDR_BYTES])good, ngood);
}

static void
on_resolved(
    void *ctx, const uint8_t (*addrs)[NETADDR_BYTES], size_t n, const char *why)
{
	struct conn *c = ctx;

	c->lookup = NULL;
	c->busy = true;
	if (n == 0)
		conn_refuse(c, 502, why);
	else
		judge(c, addrs, n);
	conn_leave(c);
}

/* C->target is what it wants. */
static void
decide(struct conn *c)
{
	struct verdict v;

	c->state = CONN_WAIT;
	conn_deadline(c, c->box->p->set.dial_ms);
	if (c->target.is_addr) {
		policy_addr(
		    &c->box->policy, c->target.addr, c->target.port, false, &v);
		if (!v.allow) {
			deny(c, &v, c->target.addr);
			return;
		}
		note_decision(c, &v, c->target.addr);
		dial(c, (const uint8_t(*)[NETADDR_BYTES])c->target.addr, 1);
		return;
	}
	policy_name(&c->box->policy, c->target.name, c->target.port, &v);
	if (!v.allow)
		deny(c, &v, NULL);
	else
		c->lookup = resolve(
		    c->box->p->resolver, c->target.name, on_resolved, c);
}

/* --- what it says
 * -------------------------------------------------------------- */

static void
malformed(struct conn *c, int status, const char *why)
{
	const struct verdict v = { .allow = false, .reason = why };

	note_decision(c, &v, NULL);
	conn_refuse(c, status, why);
}

static void
begin_http(struct conn *c)
{
	ssize_t n = http_head_end(c->in.data, c->in.len);
	const char *why;

	if (n == 0 && c->in.len < HTTP_HEAD_MAX)
		return;
	if (n <= 0 || n > HTTP_HEAD_MAX) {
		malformed(c, n == -1 ? 400 : 431,
		    n == -1 ? "no request of HTTP/1"
			    : "a head that is too long");
		return;
	}
	if (http_request_parse(
		c->in.data, (size_t)n, NULL, &c->req, &c->head, &why) == -1) {
		malformed(c, 400, why);
		return;
	}
	buf_consume(&c->in, (size_t)n);
	c->target = c->req.target;
	c->tunnel = c->req.connect;
	decide(c);
}

static void
begin_socks(struct conn *c)
{
	static const char chosen[] = { SOCKS_VERSION, 0 };
	static const char none[] = { SOCKS_VERSION, (char)0xff };
	enum socks_reply reply;
	ssize_t n;

	c->socks = c->tunnel = true;
	if (c->state == CONN_HEAD) {
		n = socks_methods(c->in.data, c->in.len);
		if (n == 0)
			return;
		conn_say(c, CLIENT, n == -1 ? none : chosen, sizeof(chosen));
		if (n == -1) {
			if (!c->gone)
				conn_linger(c);
			return;
		}
		buf_consume(&c->in, (size_t)n);
		c->state = CONN_SOCKS;
	}
	n = socks_request(c->in.data, c->in.len, &c->target, &reply);
	if (n == 0 || c->gone)
		return;
	if (n == -1) {
		const struct verdict v = { .allow = false,
			.reason = "no request of SOCKS that can be served" };

		note_decision(c, &v, NULL);
		socks_say(c, reply);
		if (!c->gone)
			conn_linger(c);
		return;
	}
	buf_consume(&c->in, (size_t)n);
	decide(c);
}

void
conn_begin_input(struct conn *c)
{
	if (c->state == CONN_SOCKS || c->in.data[0] == SOCKS_VERSION)
		begin_socks(c);
	else
		begin_http(c);
}
