/*
 * Query strings, taken apart. Runs in sandboxd-gateway on bytes that anybody
 * sent.
 */
#include "gateway/query.h"
#include "lib/strutil.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

int
query_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
query_next(const char **at, struct query_pair *p_out)
{
	const char *s = *at, *eq;
	size_t len;

	while (*s == '&')
		s++;
	if (*s == '\0')
		return false;
	len = strcspn(s, "&");
	eq = memchr(s, '=', len);
	p_out->name = s;
	p_out->name_len = eq != NULL ? (size_t)(eq - s) : len;
	p_out->value = eq != NULL ? eq + 1 : s + len;
	p_out->value_len = (size_t)(s + len - p_out->value);
	*at = s + len;
	return true;
}

/* One byte of S[0..N); how many bytes stood for it. */
static size_t
byte_next(const char *s, size_t n, char *c_out)
{
	int hi, lo;

	*c_out = s[0] == '+' ? ' ' : s[0];
	if (s[0] != '%' || n < 3 || (hi = query_hex(s[1])) == -1 ||
	    (lo = query_hex(s[2])) == -1)
		return 1;
	*c_out = (char)(hi << 4 | lo);
	return 3;
}

/* Append what is valid of RAW[0..N), a replacement for each byte that is not.
 */
static int
utf8_append(struct buf *out, const char *raw, size_t n)
{
	size_t ok;

	for (;;) {
		ok = utf8_valid_prefix(raw, n);
		if (ok > 0 && buf_add(out, raw, ok) == -1)
			return -1;
		if (ok == n)
			return 0;
		if (buf_adds(out, REPLACEMENT) == -1)
			return -1;
		raw += ok + 1;
		n -= ok + 1;
	}
}

int
query_decode(struct buf *out, const char *s, size_t n)
{
	struct buf raw;
	size_t i;
	int rc;
	char c;

	if (memchr(s, '%', n) == NULL && memchr(s, '+', n) == NULL)
		return utf8_append(out, s, n);
	buf_init(&raw, n + 1);
	for (i = 0; i < n;) {
		i += byte_next(s + i, n - i, &c);
		(void)buf_addc(&raw, c);
	}
	rc = raw.failed || memchr(raw.data, '\0', raw.len) != NULL
		 ? -1
		 : utf8_append(out, raw.data, raw.len);
	buf_free(&raw);
	return rc;
}

bool
query_is(const char *s, size_t n, const char *name)
{
	char c;
	size_t i;

	for (i = 0; i < n; name++) {
		i += byte_next(s + i, n - i, &c);
		if (*name == '\0' || *name != c)
			return false;
	}
	return *name == '\0';
}
