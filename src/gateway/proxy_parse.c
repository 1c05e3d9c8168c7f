/*
 * Reading answers of servers in a sandbox; see proxy_parse.h. Runs in the
 * gateway. Every byte is hostile. What is accepted is put together anew by
 * whoever sends it on, so nothing of the framing that came is ever passed
 * through.
 */
#include "gateway/proxy_parse.h"

#include <string.h>
#include <strings.h>

static bool
is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool
header_name_ok(const char *name)
{
	const char *p;

	for (p = name; *p != '\0'; p++)
		if (!is_token_char((unsigned char)*p))
			return false;
	return p != name;
}

bool
header_value_ok(const char *value)
{
	for (; *value != '\0'; value++)
		if (((unsigned char)*value < ' ' && *value != '\t') ||
		    *value == 0x7f)
			return false;
	return true;
}

bool
header_lists(const char *list, const char *token)
{
	size_t len = strlen(token), n;

	while (*list != '\0') {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == len && strncasecmp(list, token, len) == 0)
			return true;
		list += n;
	}
	return false;
}

bool
header_is_hop(const char *name)
{
	static const char *const names[] = { "Connection", "Keep-Alive",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"TE", "Trailer", "Transfer-Encoding", "Upgrade",
		"HTTP2-Settings" };
	size_t i;

	for (i = 0; i < countof(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

/* --- the head ------------------------------------------------------------- */

size_t
proxy_head_end(const char *text, size_t len, size_t *scanned)
{
	const char *nl;
	size_t at;

	while (*scanned < len) {
		nl = memchr(text + *scanned, '\n', len - *scanned);
		if (nl == NULL) {
			*scanned = len;
			return 0;
		}
		at = (size_t)(nl - text) + 1;
		if (at < len && text[at] == '\n')
			return at + 1;
		if (at + 1 < len && text[at] == '\r' && text[at + 1] == '\n')
			return at + 2;
		/* The end may have come by half: look at this line's end
		 * again. */
		if (at + 1 >= len) {
			*scanned = at - 1;
			return 0;
		}
		*scanned = at;
	}
	return 0;
}

/* The line at *P, without its end, which is cut off; NULL: there is none, or
 * it has a bare CR or a NUL. */
static char *
next_line(char **p, const char *end)
{
	char *line = *p, *nl;
	size_t n;

	if (line >= end)
		return NULL;
	nl = memchr(line, '\n', (size_t)(end - line));
	if (nl == NULL)
		return NULL;
	*p = nl + 1;
	n = (size_t)(nl - line);
	if (n > 0 && line[n - 1] == '\r')
		n--;
	line[n] = '\0';
	return strlen(line) == n && strchr(line, '\r') == NULL ? line : NULL;
}

/* "HTTP/1.1 200 Fine" */
static int
parse_status(const char *line, struct proxy_head *h, bool *old, struct err *e)
{
	const char *p = line + 9;
	int i;

	if (strncmp(line, "HTTP/1.", 7) != 0 ||
	    (line[7] != '0' && line[7] != '1') || line[8] != ' ')
		return err_set(e, ERR_BAD_REQUEST, "not an HTTP/1 status line");
	*old = line[7] == '0';
	for (i = 0; i < 3; i++) {
		if (p[i] < '0' || p[i] > '9')
			return err_set(e, ERR_BAD_REQUEST, "no status code");
		h->status = h->status * 10 + (unsigned)(p[i] - '0');
	}
	if ((p[3] != ' ' && p[3] != '\0') || h->status < 100 ||
	    !header_value_ok(p))
		return err_set(e, ERR_BAD_REQUEST, "not a status line");
	return 0;
}

struct framing {
	int64_t length; /* -1: none */
	unsigned encodings;
	bool chunked;
	bool old; /* HTTP/1.0 */
};

static int
take_length(struct framing *f, const char *value, struct err *e)
{
	int64_t v = 0;

	if (*value == '\0')
		goto bad;
	for (; *value != '\0'; value++) {
		if (*value < '0' || *value > '9' ||
		    v > (INT64_MAX - (*value - '0')) / 10)
			goto bad;
		v = v * 10 + (*value - '0');
	}
	if (f->length != -1 && f->length != v)
		return err_set(e, ERR_BAD_REQUEST, "two content lengths");
	f->length = v;
	return 0;
bad:
	return err_set(e, ERR_BAD_REQUEST, "not a content length");
}

static int
take_header(struct proxy_head *h, struct framing *f, char *line, struct err *e)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (colon == NULL)
		return err_set(e, ERR_BAD_REQUEST, "a header without a colon");
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	/* A continued line begins with a blank, which no name has. */
	if (!header_name_ok(line) || !header_value_ok(value))
		return err_set(e, ERR_BAD_REQUEST, "not a header");
	if (strcasecmp(line, "Content-Length") == 0)
		return take_length(f, value, e);
	if (strcasecmp(line, "Transfer-Encoding") == 0) {
		f->encodings++;
		f->chunked = strcasecmp(value, "chunked") == 0;
	}
	if (h->nheaders == PROXY_HEADERS_MAX)
		return err_set(e, ERR_TOO_LARGE, "too many headers");
	h->headers[h->nheaders].name = line;
	h->headers[h->nheaders++].value = value;
	return 0;
}

static int
decide_framing(
    struct proxy_head *h, const struct framing *f, bool head, struct err *e)
{
	if (f->encodings > 0 &&
	    (f->encodings > 1 || !f->chunked || f->length != -1 || f->old))
		return err_set(e, ERR_BAD_REQUEST,
		    "a transfer encoding that cannot be followed");
	h->length = f->length;
	if (head || h->status < 200 || h->status == 204 || h->status == 304)
		h->framing = PROXY_NO_BODY;
	else if (f->encodings > 0)
		h->framing = PROXY_CHUNKED;
	else
		h->framing = f->length != -1 ? PROXY_LENGTH : PROXY_UNTIL_CLOSE;
	return 0;
}

/* Take out what concerns the connection only. */
static void
drop_hops(struct proxy_head *h)
{
	const char *lists[8];
	size_t nlists = 0, i, j, kept = 0;

	for (i = 0; i < h->nheaders; i++) {
		if (strcasecmp(h->headers[i].name, "Upgrade") == 0)
			h->upgrade = h->headers[i].value;
		if (strcasecmp(h->headers[i].name, "Connection") == 0 &&
		    nlists < countof(lists))
			lists[nlists++] = h->headers[i].value;
	}
	for (i = 0; i < h->nheaders; i++) {
		bool drop = header_is_hop(h->headers[i].name);

		for (j = 0; j < nlists && !drop; j++)
			drop = header_lists(lists[j], h->headers[i].name);
		if (!drop)
			h->headers[kept++] = h->headers[i];
	}
	h->nheaders = kept;
}

int
proxy_head_parse(
    char *text, size_t len, bool head, struct proxy_head *h_out, struct err *e)
{
	struct framing f = { .length = -1 };
	const char *end = text + len;
	char *p = text, *line;

	memset(h_out, 0, sizeof(*h_out));
	line = next_line(&p, end);
	if (line == NULL)
		return err_set(e, ERR_BAD_REQUEST, "not an HTTP/1 status line");
	if (parse_status(line, h_out, &f.old, e) == -1)
		return -1;
	while ((line = next_line(&p, end)) != NULL && *line != '\0')
		if (take_header(h_out, &f, line, e) == -1)
			return -1;
	if (line == NULL || p != end)
		return err_set(e, ERR_BAD_REQUEST, "not a header");
	drop_hops(h_out);
	return decide_framing(h_out, &f, head, e);
}

/* --- the body ------------------------------------------------------------- */

void
proxy_body_begin(struct proxy_body *b, const struct proxy_head *h)
{
	memset(b, 0, sizeof(*b));
	b->framing = h->framing;
	b->state = PB_DATA;
	switch (h->framing) {
	case PROXY_NO_BODY:
		b->state = PB_DONE;
		break;
	case PROXY_LENGTH:
		b->left = (uint64_t)h->length;
		if (b->left == 0)
			b->state = PB_DONE;
		break;
	case PROXY_CHUNKED:
		b->state = PB_SIZE;
		break;
	case PROXY_UNTIL_CLOSE:
		b->left = UINT64_MAX;
		break;
	}
}

bool
proxy_body_eof(struct proxy_body *b)
{
	if (b->framing == PROXY_UNTIL_CLOSE && b->state == PB_DATA)
		b->state = PB_DONE;
	else if (b->state != PB_DONE)
		b->state = PB_BROKEN;
	return b->state == PB_DONE;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum proxy_body_state
size_step(struct proxy_body *b, char c)
{
	int d = hex_digit(c);

	if (d >= 0) {
		/* 15 digits are more than any disk holds. */
		if (++b->digits > 15)
			return PB_BROKEN;
		b->left = b->left << 4 | (uint64_t)d;
		return PB_SIZE;
	}
	if (b->digits == 0)
		return PB_BROKEN;
	if (c == '\r')
		return PB_SIZE_LF;
	return c == ';' || c == ' ' || c == '\t' ? PB_EXT : PB_BROKEN;
}

static bool
extra_ok(struct proxy_body *b, char c)
{
	return ++b->extra <= PROXY_TRAILER_MAX &&
	       ((unsigned char)c >= ' ' || c == '\t') && c != 0x7f;
}

/* One byte of the framing of chunks. */
static enum proxy_body_state
chunk_step(struct proxy_body *b, char c)
{
	switch (b->state) {
	case PB_SIZE:
		return size_step(b, c);
	case PB_EXT:
		if (c == '\r')
			return PB_SIZE_LF;
		return extra_ok(b, c) ? PB_EXT : PB_BROKEN;
	case PB_SIZE_LF:
		if (c != '\n')
			return PB_BROKEN;
		b->digits = 0;
		return b->left > 0 ? PB_DATA : PB_TRAILER;
	case PB_DATA_CR:
		return c == '\r' ? PB_DATA_LF : PB_BROKEN;
	case PB_DATA_LF:
		return c == '\n' ? PB_SIZE : PB_BROKEN;
	case PB_TRAILER:
		if (c == '\r')
			return PB_LAST_LF;
		return extra_ok(b, c) ? PB_TRAILER_LINE : PB_BROKEN;
	case PB_TRAILER_LINE:
		if (c == '\r')
			return PB_TRAILER_LF;
		return extra_ok(b, c) ? PB_TRAILER_LINE : PB_BROKEN;
	case PB_TRAILER_LF:
		return c == '\n' ? PB_TRAILER : PB_BROKEN;
	case PB_LAST_LF:
		return c == '\n' ? PB_DONE : PB_BROKEN;
	default:
		return PB_BROKEN;
	}
}

size_t
proxy_body_decode(struct proxy_body *b, const char *in, size_t n,
    size_t *used_out, char *out, size_t room)
{
	size_t used = 0, made = 0, part;

	while (used < n && b->state != PB_DONE && b->state != PB_BROKEN) {
		if (b->state != PB_DATA) {
			b->state = chunk_step(b, in[used++]);
			continue;
		}
		part = MIN(n - used, room - made);
		part = (size_t)MIN((uint64_t)part, b->left);
		if (part == 0)
			break;
		memmove(out + made, in + used, part);
		used += part;
		made += part;
		if (b->framing == PROXY_UNTIL_CLOSE)
			continue;
		b->left -= part;
		if (b->left == 0)
			b->state =
			    b->framing == PROXY_CHUNKED ? PB_DATA_CR : PB_DONE;
	}
	*used_out = used;
	return made;
}
