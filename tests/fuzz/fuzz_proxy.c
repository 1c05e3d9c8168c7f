/*
 * Answers of servers behind a port. However an answer is cut into pieces, the
 * same must come of it; what is taken must be fit to be written as headers; and
 * no more may come out than went in.
 *
 * Input: a byte that says how to cut and whether it answers a HEAD, then the
 * answer.
 *
 * Also: src/gateway/proxy_parse.c
 */
#include "fuzz.h"
#include "gateway/proxy_parse.h"
#include <string.h>

#define OUT_MAX (1u << 16)

/* The body of DATA in pieces of STEP. */
static enum proxy_body_state
play(const struct proxy_head *h, const char *data, size_t size, size_t step,
    char *out, size_t *n_out)
{
	struct proxy_body b;
	size_t at = 0, n = 0, used, piece;

	proxy_body_begin(&b, h);
	while (at < size && n < OUT_MAX && b.state != PB_DONE &&
	       b.state != PB_BROKEN) {
		piece = MIN(step, size - at);
		n += proxy_body_decode(
		    &b, data + at, piece, &used, out + n, OUT_MAX - n);
		CHECK(used <= piece);
		CHECK(used > 0 || n == OUT_MAX);
		at += used;
	}
	CHECK(n <= size);
	if (at == size)
		(void)proxy_body_eof(&b);
	*n_out = n;
	return b.state;
}

static void
check_head(const struct proxy_head *h)
{
	size_t i;

	CHECK(h->status >= 100 && h->status <= 999);
	CHECK(h->nheaders <= PROXY_HEADERS_MAX);
	for (i = 0; i < h->nheaders; i++) {
		CHECK(header_name_ok(h->headers[i].name));
		CHECK(header_value_ok(h->headers[i].value));
		CHECK(!header_is_hop(h->headers[i].name));
	}
	CHECK(h->framing != PROXY_LENGTH || h->length >= 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char whole[OUT_MAX], pieces[OUT_MAX];
	size_t len, scanned = 0, at = 0, n, m, step;
	struct proxy_head h;
	struct err e;
	char *text;
	bool head;

	if (size < 2 || size > OUT_MAX)
		return 0;
	step = (data[0] & 31) + 1u;
	head = data[0] >> 7;
	data++;
	size--;
	text = malloc(size + 1);
	CHECK(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	len = proxy_head_end(text, size, &scanned);
	CHECK(len <= size);
	/* The same, as it comes. */
	scanned = 0;
	for (at = 0, n = 0; n == 0 && at < size;) {
		at = MIN(at + step, size);
		n = proxy_head_end(text, at, &scanned);
	}
	CHECK(n == len);
	if (len > 0 && proxy_head_parse(text, len, head, &h, &e) == 0) {
		enum proxy_body_state a, b;

		check_head(&h);
		a = play(&h, text + len, size - len, size, whole, &n);
		b = play(&h, text + len, size - len, step, pieces, &m);
		CHECK(a == b && n == m && memcmp(whole, pieces, n) == 0);
	} else if (len > 0) {
		CHECK(e.code != ERR_NONE && e.text[0] != '\0');
	}
	free(text);
	return 0;
}
