/*
 * Halves of surrogate pairs in JSON texts. Runs in every process of ours, on
 * texts that may be anything at all; changes nothing but such escapes, and
 * never a length.
 */
#include "json.h"

#include <string.h>

/* The four hex digits at S, or -1. */
static int
hex4(const char *s)
{
	int v = 0, i, d;

	for (i = 0; i < 4; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			d = s[i] - '0';
		else if ((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'f')
			d = (s[i] | 0x20) - 'a' + 10;
		else
			return -1;
		v = v * 16 + d;
	}
	return v;
}

/* Where from S[at] on stands a \u escape of half a surrogate pair without its
 * other half? N if nowhere. Streaming agents print such when they cut a text
 * between two pieces; yajl would turn them into a question mark or into bytes
 * that are not UTF-8. */
static size_t
lone_surrogate(const char *s, size_t at, size_t n)
{
	const char *p;
	int v, w;

	while (at < n && (p = memchr(s + at, '\\', n - at)) != NULL) {
		at = (size_t)(p - s);
		if (n - at < 6 || p[1] != 'u') {
			at += MIN(n - at, (size_t)2);
			continue;
		}
		v = hex4(p + 2);
		if (v < 0xd800 || v > 0xdfff) {
			at += v == -1 ? 2 : 6;
			continue;
		}
		w = n - at >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8)
								: -1;
		if (v >= 0xdc00 || w < 0xdc00 || w > 0xdfff)
			return at;
		at += 12;
	}
	return n;
}

bool
json_whole(const char *text, size_t len)
{
	return lone_surrogate(text, 0, len) == len;
}

void
json_mend(char *text, size_t len)
{
	size_t at = 0;

	while ((at = lone_surrogate(text, at, len)) < len)
		memcpy(text + at, "\\ufffd", 6);
}
