/*
 * What the egress proxy reads: requests, SOCKS, beginnings of TLS, answers,
 * rules and addresses. However a request's body is cut, the same belongs to it;
 * what goes on to a server is a request that names the target and no other, and
 * is read by us as such again.
 *
 * Input: a byte that says what it is, and how to cut; then the bytes.
 *
 * Also: src/egress/http.c
 * Also: src/egress/socks.c
 * Also: src/egress/sniff.c
 * Also: src/egress/target.c
 * Also: src/egress/addr.c
 */
#include "egress/addr.h"
#include "egress/http.h"
#include "egress/sniff.h"
#include "egress/socks.h"
#include "fuzz.h"
#include <string.h>

static void
check_target(const struct target *t)
{
	char text[TARGET_TEXT_MAX];
	struct target again;

	CHECK(t->port != 0);
	target_text(text, t, 0);
	CHECK(target_parse(&again, text, strlen(text), 0) == 0);
	CHECK(target_same_host(t, &again) && t->port == again.port);
	if (t->is_addr)
		(void)addr_special(t->addr);
}

static void
check_body(const struct http_request *r, const char *s, size_t n, size_t step)
{
	struct http_follow whole, parts;
	bool done_whole, done = false;
	ssize_t k, got = 0;
	size_t at = 0;

	http_follow_init(&whole, r);
	http_follow_init(&parts, r);
	k = http_follow_take(&whole, s, n, &done_whole);
	while (at < n && !done && got != -1) {
		size_t piece = MIN(step, n - at);

		got = http_follow_take(&parts, s + at, piece, &done);
		CHECK(got <= (ssize_t)piece);
		if (got > 0)
			at += (size_t)got;
		CHECK(got == (ssize_t)piece || done || got == -1);
	}
	if (k == -1)
		CHECK(got == -1 || n == 0);
	else if (n > 0)
		CHECK((size_t)k == at && done_whole == done);
}

static void
play_request(const char *s, size_t n, size_t step, const struct target *tunnel)
{
	ssize_t end = http_head_end(s, n), end2;
	struct http_request r, again;
	const char *why;
	struct buf head, head2;

	if (end <= 0 || end > HTTP_HEAD_MAX)
		return;
	buf_init(&head, 2 * HTTP_HEAD_MAX);
	buf_init(&head2, 2 * HTTP_HEAD_MAX);
	if (http_request_parse(s, (size_t)end, tunnel, &r, &head, &why) == 0) {
		check_target(&r.target);
		check_body(&r, s + end, n - (size_t)end, step);
		CHECK(r.connect == (head.len == 0));
		if (!r.connect) {
			end2 = http_head_end(head.data, head.len);
			CHECK(end2 == (ssize_t)head.len);
			CHECK(http_request_parse(head.data, head.len, &r.target,
				  &again, &head2, &why) == 0);
			CHECK(again.body == r.body && again.length == r.length);
		}
	} else {
		CHECK(why != NULL);
	}
	buf_free(&head);
	buf_free(&head2);
}

static void
play_answer(const char *s, size_t n)
{
	ssize_t end = http_answer_end(s, n);
	struct buf head;

	if (end <= 0)
		return;
	buf_init(&head, HTTP_ANSWER_MAX);
	(void)http_answer_parse(s, (size_t)end, false, &head);
	buf_free(&head);
}

static void
play_socks(const char *s, size_t n)
{
	enum socks_reply reply;
	struct target t;
	ssize_t k = socks_methods(s, n);

	CHECK(k <= (ssize_t)n);
	k = socks_request(s, n, &t, &reply);
	CHECK(k <= (ssize_t)n);
	if (k > 0)
		check_target(&t);
}

/* More bytes never change what was clear. */
static void
play_sniff(const char *s, size_t n)
{
	char name[NETNAME_MAX + 1], before[NETNAME_MAX + 1];
	const char *why;
	enum sniff was = sniff(s, n / 2, before, &why), is;

	is = sniff(s, n, name, &why);
	if (was != SNIFF_MORE)
		CHECK(is == was && strcmp(name, before) == 0);
	CHECK((is == SNIFF_BAD) == (why != NULL));
}

static void
play_rule(const char *s, size_t n)
{
	char text[NETRULE_TEXT_MAX + 2];
	struct netrule r;
	struct err e;

	if (n >= sizeof(text) || memchr(s, '\0', n) != NULL)
		return;
	memcpy(text, s, n);
	text[n] = '\0';
	if (netrule_parse(text, &r, &e) == -1)
		return;
	if (r.kind == NETRULE_NAME)
		CHECK(netrule_has_name(
		    &r, r.name, r.nports > 0 ? r.ports[0].low : 1));
	if (r.kind == NETRULE_NET)
		CHECK(netrule_has_addr(
		    &r, r.addr, r.nports > 0 ? r.ports[0].low : 1));
	netrule_free(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data + 1;
	struct target tunnel = { .name = "a.example", .port = 80 };
	size_t step;

	if (size < 1)
		return 0;
	size--;
	step = 1 + (data[0] >> 4);
	switch (data[0] % 6) {
	case 0:
		play_request(s, size, step, NULL);
		break;
	case 1:
		play_request(s, size, step, &tunnel);
		break;
	case 2:
		play_answer(s, size);
		break;
	case 3:
		play_socks(s, size);
		break;
	case 4:
		play_sniff(s, size);
		break;
	default:
		play_rule(s, size);
		break;
	}
	return 0;
}
