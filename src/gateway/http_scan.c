/*
 * The bytes of a connection, looked at once more; see http_scan.h. Runs in
 * sandboxd-gateway, on bytes that anybody sent. What it finds is only ever a
 * reason to refuse: what a request says is told by MHD and req_head.c.
 *
 * A length or a coding that it cannot read is left to req_head.c, which
 * refuses all of these and closes the connection.
 */
#include "gateway/http_scan.h"
#include "lib/xalloc.h"

#include <string.h>
#include <strings.h>

#define DIGITS_MAX 18 /* req_head.c takes no more */

static void
refuse(struct scan *s, unsigned request)
{
	s->bad = request;
	s->at = SCAN_LOST;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Is the line a header of this NAME, with its colon? Its value, trimmed. */
static bool
header_is(
    const struct scan *s, const char *name, const char **v_out, size_t *n_out)
{
	size_t len = strlen(name), end = MIN(s->len, sizeof(s->line));

	if (s->len < len || strncasecmp(s->line, name, len) != 0)
		return false;
	while (len < end && blank(s->line[len]))
		len++;
	while (end > len && blank(s->line[end - 1]))
		end--;
	*v_out = s->line + len;
	*n_out = end - len;
	return true;
}

static void
length_take(struct scan *s, const char *v, size_t n)
{
	uint64_t left = 0;
	size_t i;

	for (i = 0; i < n && v[i] >= '0' && v[i] <= '9'; i++)
		left = i < DIGITS_MAX ? left * 10 + (uint64_t)(v[i] - '0') : 0;
	if (i < n || n == 0 || n > DIGITS_MAX)
		s->unread = true;
	s->left = left;
}

static void
head_line(struct scan *s)
{
	const char *v;
	size_t n;

	if (s->len == 0) {
		s->at = s->unread     ? SCAN_LOST
			: s->chunked  ? SCAN_CHUNK
			: s->left > 0 ? SCAN_BODY
				      : SCAN_BEGIN;
		return;
	}
	/* Folded: obsolete, and not read by all in the same way. */
	if (blank(s->line[0])) {
		refuse(s, s->request);
		return;
	}
	if (header_is(s, "content-length:", &v, &n)) {
		if (s->len > sizeof(s->line))
			refuse(s, s->request);
		else
			length_take(s, v, n);
	} else if (header_is(s, "transfer-encoding:", &v, &n)) {
		if (s->len > sizeof(s->line))
			refuse(s, s->request);
		else if (n == 7 && strncasecmp(v, "chunked", n) == 0)
			s->chunked = true;
		else
			s->unread = true;
	}
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
chunk_line(struct scan *s)
{
	size_t end = MIN(s->len, sizeof(s->line)), i;
	bool huge = false;

	s->left = 0;
	for (i = 0; i < end && hex(s->line[i]) != -1; i++) {
		huge = huge || s->left > UINT64_MAX >> 4;
		s->left = s->left << 4 | (uint64_t)hex(s->line[i]);
	}
	if (i == 0 || i == sizeof(s->line)) {
		refuse(s, s->request);
		return;
	}
	while (i < end && blank(s->line[i]))
		i++;
	if (i < end && s->line[i] != ';')
		refuse(s, s->request);
	else if (huge)
		s->at = SCAN_LOST; /* MHD refuses it */
	else
		s->at = s->left > 0 ? SCAN_DATA : SCAN_TRAILER;
}

/* A line ended in CR LF, which are not counted. */
static void
line_end(struct scan *s)
{
	switch ((enum scan_at)s->at) {
	case SCAN_BEGIN:
		if (s->len == 0)
			break; /* empty lines before a request */
		s->request++;
		s->chunked = false;
		s->left = 0;
		s->at = SCAN_HEAD;
		break;
	case SCAN_HEAD:
		head_line(s);
		break;
	case SCAN_CHUNK:
		chunk_line(s);
		break;
	case SCAN_DATA_LINE:
		if (s->len > 0)
			refuse(s, s->request);
		else
			s->at = SCAN_CHUNK;
		break;
	case SCAN_TRAILER:
		if (s->len == 0)
			s->at = SCAN_BEGIN;
		break;
	case SCAN_BODY:
	case SCAN_DATA:
	case SCAN_LOST:
		break;
	}
	s->len = 0;
}

/* MHD ends a line at a CR alone, too. */
static bool
bare_cr(const struct scan *s, const char *p, size_t len)
{
	const char *cr;

	if (len == 0)
		return false;
	if (s->len > 0 && s->last == '\r')
		return true;
	cr = memchr(p, '\r', len);
	return cr != NULL && cr != p + len - 1;
}

/* How many of the N bytes belong to the line. */
static size_t
line_take(struct scan *s, const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n);
	size_t len = lf != NULL ? (size_t)(lf - p) : n;
	bool bare = bare_cr(s, p, len);

	if (s->len < sizeof(s->line))
		memcpy(s->line + s->len, p, MIN(len, sizeof(s->line) - s->len));
	s->len += len;
	if (len > 0)
		s->last = p[len - 1];
	if (lf == NULL && !bare)
		return n;
	if (bare || s->len == 0 || s->last != '\r') {
		refuse(s, s->at == SCAN_BEGIN ? s->request + 1 : s->request);
		return n;
	}
	s->len--;
	line_end(s);
	return len + 1;
}

void
scan_bytes(struct scan *s, const char *p, size_t n)
{
	size_t took;

	for (; n > 0 && s->at != SCAN_LOST; p += took, n -= took) {
		if (s->at != SCAN_BODY && s->at != SCAN_DATA) {
			took = line_take(s, p, n);
			continue;
		}
		took = MIN(n, s->left);
		s->left -= took;
		if (s->left == 0)
			s->at =
			    s->at == SCAN_BODY ? SCAN_BEGIN : SCAN_DATA_LINE;
	}
}
