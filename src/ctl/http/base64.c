/*
 * Base64; see base64.h. Knows nobody.
 */
#include "ctl/http/base64.h"
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_encode(struct buf *b, const void *p, size_t n)
{
	const unsigned char *s = p;
	size_t i;

	for (i = 0; i < n; i += 3) {
		unsigned v = (unsigned)s[i] << 16;

		v |= i + 1 < n ? (unsigned)s[i + 1] << 8 : 0;
		v |= i + 2 < n ? (unsigned)s[i + 2] : 0;
		(void)buf_addc(b, digits[v >> 18]);
		(void)buf_addc(b, digits[v >> 12 & 63]);
		(void)buf_addc(b, i + 1 < n ? digits[v >> 6 & 63] : '=');
		(void)buf_addc(b, i + 2 < n ? digits[v & 63] : '=');
	}
}

int
base64_decode(struct buf *b, const char *s, size_t n)
{
	size_t pad = 0;
	size_t i, k;

	if (n % 4 != 0)
		return -1;
	while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
		pad++;
	for (i = 0; i < n; i += 4) {
		unsigned v = 0;
		size_t bytes = i + 4 == n ? 3 - pad : 3;

		for (k = 0; k < 4; k++) {
			const char *d = i + k < n - pad && s[i + k] != '\0'
					    ? strchr(digits, s[i + k])
					    : NULL;

			if (d == NULL && i + k < n - pad)
				return -1;
			v = v << 6 | (d == NULL ? 0 : (unsigned)(d - digits));
		}
		for (k = 0; k < bytes; k++)
			(void)buf_addc(b, (char)(v >> (16 - 8 * k) & 0xff));
	}
	return b->failed ? -1 : 0;
}
