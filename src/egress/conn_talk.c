/*
 * What goes through a connection once both ends are there. Runs in the proxy.
 *
 * In a tunnel the first words of the client tell which server it means, and
 * that must be the one that was allowed: servers behind one address serve names
 * of many, and an allowed name must not lead to others. Requests that are not
 * hidden by TLS are read one by one for the same reason.
 */
#include "egress/proxy.h"

#include "egress/sniff.h"

#include <string.h>

static void
break_off(struct conn *c, const char *why)
{
	const struct verdict v = { .allow = false, .reason = why };

	note_decision(c, &v, c->addr);
	conn_end(c, why);
}

/* --- tunnels ----------------------------------------------------------------
 */

static void
open_up(struct conn *c)
{
	c->state = CONN_TUNNEL;
	conn_deadline(c, 0);
	conn_say(c, SERVER, c->in.data, c->in.len);
	buf_free(&c->in);
	if (!c->gone && c->side[CLIENT].eof)
		conn_say_end(c, SERVER);
}

/* The server NAME that TLS asks for: is it the one that was allowed? */
static void
check_name(struct conn *c, const char *name)
{
	const char *rule;

	if (name[0] == '\0') {
		open_up(c);
		return;
	}
	if (!c->target.is_addr && strcmp(name, c->target.name) != 0) {
		break_off(c, "TLS for another name than the tunnel's");
		return;
	}
	rule = policy_denies_name(&c->box->policy, name, c->target.port);
	if (rule != NULL)
		break_off(c, "TLS for a name that is denied");
	else
		open_up(c);
}

static void
request_begin(struct conn *c)
{
	c->state = CONN_REQUEST;
	http_follow_init(&c->body, &c->req);
	c->body_done = c->req.body == BODY_NONE;
	conn_deadline(c, 0);
	conn_say(c, SERVER, c->head.data, c->head.len);
	buf_free(&c->head);
	if (!c->gone && c->in.len > 0) {
		struct buf rest = c->in;

		buf_init(&c->in, CONN_BUF_MAX);
		conn_talk_input(c, CLIENT, rest.data, rest.len);
		buf_free(&rest);
	}
}

/* A request in a tunnel: its head must be whole. */
static void
request_in_tunnel(struct conn *c)
{
	ssize_t n = http_head_end(c->in.data, c->in.len);
	const char *why = "a head that is too long";

	if (n == 0 && c->in.len < HTTP_HEAD_MAX)
		return;
	if (n == -1)
		why = "a malformed request";
	if (n <= 0 || http_request_parse(c->in.data, (size_t)n, &c->target,
			  &c->req, &c->head, &why) == -1) {
		break_off(c, why);
		return;
	}
	buf_consume(&c->in, (size_t)n);
	request_begin(c);
}

static void
look(struct conn *c)
{
	char name[NETNAME_MAX + 1];
	const char *why;

	switch (sniff(c->in.data, c->in.len, name, &why)) {
	case SNIFF_TLS:
		check_name(c, name);
		break;
	case SNIFF_HTTP:
		request_in_tunnel(c);
		break;
	case SNIFF_OTHER:
		open_up(c);
		break;
	case SNIFF_BAD:
		break_off(c, why);
		break;
	default:
		if (c->in.len >= SNIFF_MAX)
			break_off(c, "it does not get to the point");
		break;
	}
	/* Silence is right where the server speaks first; half a word is not.
	 */
	if (!c->gone && c->state == CONN_SNIFF && c->deadline_ms == 0)
		conn_deadline(c, c->box->p->set.header_ms);
}

/* --- answers ----------------------------------------------------------------
 */

/* Heads of answers until the last one; then all is passed on. */
static void
answer(struct conn *c, const char *s, size_t n)
{
	struct buf head;
	ssize_t len;
	int status;

	if (c->answered) {
		conn_say(c, CLIENT, s, n);
		return;
	}
	if (buf_add(&c->answer, s, n) == -1) {
		conn_refuse(c, 502, "the server's answer has no end");
		return;
	}
	while (!c->answered && !c->gone && c->state == CONN_REQUEST) {
		len = http_answer_end(c->answer.data, c->answer.len);
		if (len == 0)
			return;
		buf_init(&head, HTTP_ANSWER_MAX + 64);
		status = len < 0 ? -1
				 : http_answer_parse(c->answer.data,
				       (size_t)len, c->req.upgrade, &head);
		if (status == -1) {
			buf_free(&head);
			conn_refuse(c, 502, "the server's answer is malformed");
			return;
		}
		conn_say(c, CLIENT, head.data, head.len);
		buf_free(&head);
		buf_consume(&c->answer, (size_t)len);
		c->answered = status >= 200 || status == 101;
		if (status == 101) {
			c->state = CONN_TUNNEL;
			c->body_done = false;
		}
	}
	if (c->answered && !c->gone) {
		conn_say(c, CLIENT, c->answer.data, c->answer.len);
		buf_free(&c->answer);
	}
}

/* The client's side of a request: its body, and nothing after that. */
static void
request_body(struct conn *c, const char *s, size_t n)
{
	bool done = false;
	ssize_t k = http_follow_take(&c->body, s, n, &done);

	if (k == -1) {
		break_off(c, "a malformed body");
		return;
	}
	conn_say(c, SERVER, s, (size_t)k);
	c->body_done = c->body_done || done;
}

/* --- interface --------------------------------------------------------------
 */

void
conn_talk_begin(struct conn *c)
{
	if (!c->tunnel) {
		request_begin(c);
		return;
	}
	c->state = CONN_SNIFF;
	if (c->in.len > 0)
		look(c);
}

void
conn_talk_input(struct conn *c, enum side from, const char *s, size_t n)
{
	if (from == SERVER && c->state == CONN_REQUEST)
		answer(c, s, n);
	else if (from == SERVER)
		conn_say(c, CLIENT, s, n);
	else if (c->state == CONN_TUNNEL)
		conn_say(c, SERVER, s, n);
	else if (c->state == CONN_REQUEST)
		request_body(c, s, n);
	else if (buf_add(&c->in, s, n) == -1)
		break_off(c, "it does not get to the point");
	else
		look(c);
}

void
conn_talk_eof(struct conn *c, enum side from)
{
	if (from == CLIENT && c->state == CONN_SNIFF) {
		if (c->in.len > 0) {
			break_off(c, "it broke off before it was clear");
			return;
		}
		open_up(c);
	} else if (from == CLIENT && c->state == CONN_REQUEST) {
		if (!c->body_done)
			conn_end(c, "closed");
		return;
	} else if (from == SERVER && c->state == CONN_REQUEST) {
		if (!c->answered)
			conn_refuse(c, 502, "the server has no answer");
		else
			conn_linger(c);
		return;
	} else {
		conn_say_end(c, from == CLIENT ? SERVER : CLIENT);
	}
}
