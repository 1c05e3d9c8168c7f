/*
 * Bytes of commands as JSON text. Runs in sandboxd-gateway.
 */
#include "gateway/lossy.h"
#include "lib/strutil.h"

static const char bad[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Bytes at S[0..N), which is no whole character, that one U+FFFD stands for. */
static size_t
bad_len(const unsigned char *s, size_t n)
{
	unsigned lo = 0x80, hi = 0xbf;
	size_t want, i;

	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		want = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		want = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		want = 4;
	else
		return 1;
	/* The second byte has the narrower bounds. */
	if (s[0] == 0xe0)
		lo = 0xa0;
	else if (s[0] == 0xed)
		hi = 0x9f;
	else if (s[0] == 0xf0)
		lo = 0x90;
	else if (s[0] == 0xf4)
		hi = 0x8f;
	for (i = 1; i < want && i < n && s[i] >= lo && s[i] <= hi; i++) {
		lo = 0x80;
		hi = 0xbf;
	}
	return i;
}

void
lossy_put(struct jw *w, const char *p, size_t n)
{
	size_t good;

	jw_str_begin(w);
	while (n > 0) {
		good = utf8_valid_prefix(p, n);
		jw_str_add(w, p, good);
		p += good;
		n -= good;
		if (n == 0)
			break;
		jw_str_add(w, bad, sizeof(bad) - 1);
		good = bad_len((const unsigned char *)p, n);
		p += good;
		n -= good;
	}
	jw_str_end(w);
}
