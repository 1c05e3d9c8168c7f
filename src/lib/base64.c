/*
 * Base64; see base64.h. What is read anybody may have sent: only the one way to
 * write a value is taken. Any process.
 */
#include "base64.h"

#include <stdio.h>
#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_put(char *dst, const void *p, size_t n)
{
	const unsigned char *s = p;
	unsigned v;

	for (; n >= 3; n -= 3, s += 3, dst += 4) {
		v = (unsigned)s[0] << 16 | (unsigned)s[1] << 8 | s[2];
		dst[0] = alphabet[v >> 18];
		dst[1] = alphabet[v >> 12 & 63];
		dst[2] = alphabet[v >> 6 & 63];
		dst[3] = alphabet[v & 63];
	}
	if (n == 0)
		return;
	v = (unsigned)s[0] << 16 | (n == 2 ? (unsigned)s[1] << 8 : 0);
	dst[0] = alphabet[v >> 18];
	dst[1] = alphabet[v >> 12 & 63];
	dst[2] = n == 2 ? alphabet[v >> 6 & 63] : '=';
	dst[3] = '=';
}

int
base64_add(struct buf *b, const void *p, size_t n)
{
	char *dst = buf_reserve(b, BASE64_LEN(n));

	if (dst == NULL)
		return -1;
	base64_put(dst, p, n);
	b->len += BASE64_LEN(n);
	return 0;
}

int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Characters without the padding, or -1. */
static ssize_t
check(const char *s, size_t n, char why[BASE64_WHY_MAX])
{
	size_t digits = 0, i;

	while (digits < n && base64_value(s[digits]) != -1)
		digits++;
	for (i = digits; i < n && s[i] == '='; i++)
		;
	if (i < n && (base64_value(s[i]) == -1 || i == digits)) {
		(void)snprintf(why, BASE64_WHY_MAX,
		    "Invalid symbol %u, offset %zu.", (unsigned char)s[i], i);
		return -1;
	}
	if (digits % 4 == 1 && i == n) {
		(void)snprintf(
		    why, BASE64_WHY_MAX, "Invalid input length: %zu", n);
		return -1;
	}
	if (i < n || n % 4 != 0 || n - digits > 2) {
		(void)snprintf(why, BASE64_WHY_MAX, "Invalid padding");
		return -1;
	}
	return (ssize_t)digits;
}

int
base64_get(struct buf *out, const char *s, size_t n, char why[BASE64_WHY_MAX])
{
	ssize_t digits = check(s, n, why);
	unsigned v = 0, bits = 0;
	size_t at = 0;
	char *dst;
	ssize_t i;

	if (digits == -1)
		return -1;
	dst = buf_reserve(out, (size_t)digits * 3 / 4);
	if (dst == NULL) {
		(void)snprintf(why, BASE64_WHY_MAX, "too long");
		return -1;
	}
	for (i = 0; i < digits; i++) {
		v = v << 6 | (unsigned)base64_value(s[i]);
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		dst[at++] = (char)(v >> bits & 0xff);
		v &= BIT(bits) - 1;
	}
	if (v != 0) {
		(void)snprintf(why, BASE64_WHY_MAX,
		    "Invalid last symbol %u, offset %zd.",
		    (unsigned char)s[digits - 1], digits - 1);
		return -1;
	}
	out->len += at;
	return 0;
}
