/*
 * Foreign text on a terminal; see text.h. Pure: no I/O. Runs as the caller;
 * everything given to it may be hostile.
 */
#include "ctl/text.h"
#include "lib/strutil.h"
#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* Length of the character at S[0..n), its code in *CODE_OUT; 0 when the bytes
 * are no UTF-8. */
static size_t
char_at(const char *s, size_t n, uint32_t *code_out)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t len = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	uint32_t c;
	size_t i;

	if (len > n || utf8_valid_prefix(s, len) != len)
		return 0;
	c = len == 1 ? u[0] : u[0] & (0x7fu >> len);
	for (i = 1; i < len; i++)
		c = c << 6 | (u[i] & 0x3fu);
	*code_out = c;
	return len;
}

/* Characters that show nothing themselves but change what is around them:
 * directions, joins of lines, invisible tags, the byte order mark. */
static bool
is_trick(uint32_t c)
{
	return (c >= 0x80 && c < 0xa0) || c == 0x61c ||
	       (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

static void
spell_control(struct buf *b, const char *s, size_t left, bool lines)
{
	switch (*s) {
	case '\n':
		(void)buf_adds(b, lines ? "\n" : "\\n");
		break;
	case '\t':
		(void)buf_adds(b, lines ? "\t" : "\\t");
		break;
	case '\r':
		if (!(lines && left > 1 && s[1] == '\n'))
			(void)buf_adds(b, "\\r");
		break;
	default:
		(void)buf_addf(b, "\\x%02x", (unsigned char)*s);
	}
}

void
text_clean(struct buf *b, const char *s, size_t n, bool lines)
{
	size_t i = 0;
	size_t from = 0;

	while (i < n) {
		unsigned char c = (unsigned char)s[i];
		uint32_t code = c;
		size_t len = 1;

		if (c >= 0x80)
			len = char_at(s + i, n - i, &code);
		if (len > 0 && code >= 0x20 && code != 0x7f &&
		    !is_trick(code)) {
			i += len;
			continue;
		}
		(void)buf_add(b, s + from, i - from);
		if (len == 0)
			(void)buf_addf(b, "\\x%02x", c);
		else if (c < 0x80)
			spell_control(b, s + i, n - i, lines);
		else
			(void)buf_addf(b, "\\u%04x", (unsigned)code);
		i += len == 0 ? 1 : len;
		from = i;
	}
	(void)buf_add(b, s + from, i - from); /* B tells of failure itself */
}

/* wcwidth says -1 for what it does not know: then the terminal will most
 * likely show one cell. */
static size_t
char_width(uint32_t code)
{
	int w;

	if (code < 0x7f)
		return 1;
	w = wcwidth((wchar_t)code);
	return w < 0 ? 1 : (size_t)w;
}

size_t
text_fit(const char *s, size_t n, size_t columns)
{
	size_t i = 0;
	size_t used = 0;

	while (i < n) {
		uint32_t code = '?';
		size_t len = char_at(s + i, n - i, &code);
		size_t w = char_width(code);

		if (used + w > columns)
			break;
		used += w;
		i += len == 0 ? 1 : len;
	}
	return i;
}

size_t
text_width(const char *s, size_t n)
{
	size_t i = 0;
	size_t used = 0;

	while (i < n) {
		uint32_t code = '?';
		size_t len = char_at(s + i, n - i, &code);

		used += char_width(code);
		i += len == 0 ? 1 : len;
	}
	return used;
}

void
text_line(struct buf *b, const char *s, size_t n, size_t columns,
    const char *ellipsis)
{
	struct buf t;
	size_t dots = text_width(ellipsis, strlen(ellipsis));
	size_t keep;

	/* Every column needs at least a byte, and no character has more than
	 * four and a few combining ones: what lies far behind cannot show. */
	if (columns > 0 && n > columns * 64)
		n = columns * 64;
	buf_init(&t, n * 6 + 16);
	text_clean(&t, s, n, false);
	if (t.failed || t.len == 0) {
		buf_free(&t);
		return;
	}
	if (columns == 0 || text_width(t.data, t.len) <= columns) {
		(void)buf_add(b, t.data, t.len);
	} else {
		keep = text_fit(
		    t.data, t.len, columns > dots ? columns - dots : 0);
		(void)buf_add(b, t.data, keep);
		(void)buf_adds(b, ellipsis);
	}
	buf_free(&t);
}

void
text_age(char dst[AGE_TEXT_MAX], int64_t ms)
{
	int64_t s = ms / 1000;
	char unit = 's';

	if (s < 0)
		s = 0;
	if (s >= 2 * 86400) {
		s /= 86400;
		unit = 'd';
	} else if (s >= 2 * 3600) {
		s /= 3600;
		unit = 'h';
	} else if (s >= 120) {
		s /= 60;
		unit = 'm';
	}
	if (str_format(dst, AGE_TEXT_MAX, "%lld%c", (long long)s, unit) == -1)
		dst[0] = '\0';
}

void
text_bytes(char dst[BYTES_TEXT_MAX], int64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t u = 0;
	int r;

	while (v >= 1024 && u + 1 < countof(units)) {
		v /= 1024;
		u++;
	}
	if (u == 0)
		r = str_format(dst, BYTES_TEXT_MAX, "%lld B", (long long)bytes);
	else
		r = str_format(dst, BYTES_TEXT_MAX, "%.1f %s", v, units[u]);
	if (r == -1)
		dst[0] = '\0';
}
