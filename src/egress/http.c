/*
 * See http.h. Runs in the proxy, on bytes from inside sandboxes and from
 * servers anywhere.
 */
#include "egress/http.h"

#include "lib/strutil.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct text {
	const char *s;
	size_t n;
};

struct field {
	struct text name, value;
};

struct head {
	struct text method, target;
	int minor;
	struct field fields[HTTP_FIELDS_MAX];
	size_t nfields;
};

/* --- words --------------------------------------------------------------- */

static bool
is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_token(struct text t)
{
	for (size_t i = 0; i < t.n; i++) {
		if (!is_token_char(t.s[i]))
			return false;
	}
	return t.n > 0;
}

static bool
is(struct text t, const char *word)
{
	return t.n == strlen(word) && strncasecmp(t.s, word, t.n) == 0;
}

static struct text
trim(const char *s, size_t n)
{
	while (n > 0 && (s[0] == ' ' || s[0] == '\t')) {
		s++;
		n--;
	}
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	return (struct text){ s, n };
}

/* The next word of a list with commas; false at its end. */
static bool
next_word(struct text *list, struct text *word_out)
{
	const char *comma;
	size_t n;

	if (list->s == NULL)
		return false;
	comma = memchr(list->s, ',', list->n);
	n = comma != NULL ? (size_t)(comma - list->s) : list->n;
	*word_out = trim(list->s, n);
	if (comma == NULL) {
		list->s = NULL;
	} else {
		list->s += n + 1;
		list->n -= n + 1;
	}
	return true;
}

/* --- where a head ends ---------------------------------------------------- */

ssize_t
http_head_end(const char *s, size_t n)
{
	const char *at = s, *lf;

	while ((lf = memchr(at, '\n', n - (size_t)(at - s))) != NULL) {
		if (lf == s || lf[-1] != '\r')
			return -1;
		if (lf - 1 == at) /* an empty line: not as the first one */
			return at == s ? -1 : lf + 1 - s;
		at = lf + 1;
	}
	return 0;
}

ssize_t
http_answer_end(const char *s, size_t n)
{
	const char *at = s, *lf;

	while ((lf = memchr(at, '\n', n - (size_t)(at - s))) != NULL) {
		if (lf == at || (lf == at + 1 && *at == '\r'))
			return at == s ? -1 : lf + 1 - s;
		at = lf + 1;
	}
	return 0;
}

/* --- a head in parts ------------------------------------------------------ */

/* METHOD SP TARGET SP HTTP/1.x */
static const char *
split_line(struct head *h, const char *s, size_t n)
{
	const char *sp = memchr(s, ' ', n), *sp2;

	if (sp == NULL)
		return "no request line";
	h->method = (struct text){ s, (size_t)(sp - s) };
	n -= h->method.n + 1;
	s = sp + 1;
	sp2 = memchr(s, ' ', n);
	if (sp2 == NULL || !is_token(h->method) || h->method.n > 32)
		return "no request line";
	h->target = (struct text){ s, (size_t)(sp2 - s) };
	n -= h->target.n + 1;
	s = sp2 + 1;
	if (n != 8 || memcmp(s, "HTTP/1.", 7) != 0 ||
	    (s[7] != '0' && s[7] != '1'))
		return "neither HTTP/1.0 nor HTTP/1.1";
	h->minor = s[7] - '0';
	for (size_t i = 0; i < h->target.n; i++) {
		unsigned char c = (unsigned char)h->target.s[i];

		if (c <= ' ' || c >= 0x7f)
			return "a target with a bad character";
	}
	return h->target.n > 0 ? NULL : "no target";
}

static const char *
split_field(struct head *h, const char *s, size_t n)
{
	const char *colon = memchr(s, ':', n);
	struct field *f = &h->fields[h->nfields];

	if (s[0] == ' ' || s[0] == '\t')
		return "a field over several lines";
	if (colon == NULL)
		return "a field without a colon";
	if (h->nfields == HTTP_FIELDS_MAX)
		return "too many fields";
	f->name = (struct text){ s, (size_t)(colon - s) };
	f->value = trim(colon + 1, n - f->name.n - 1);
	if (!is_token(f->name))
		return "a field with a bad name";
	for (size_t i = 0; i < f->value.n; i++) {
		unsigned char c = (unsigned char)f->value.s[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return "a field with a bad character";
	}
	h->nfields++;
	return NULL;
}

/* S[0..n): a whole head, by http_head_end(). */
static const char *
split(struct head *h, const char *s, size_t n)
{
	const char *end = s + n - 2, *why;

	h->nfields = 0;
	for (bool first = true; s < end; first = false) {
		size_t len =
		    (size_t)((char *)memchr(s, '\n', (size_t)(end - s)) - s) -
		    1;

		why = first ? split_line(h, s, len) : split_field(h, s, len);
		if (why != NULL)
			return why;
		s += len + 2;
	}
	return NULL;
}

/* The field of this name; *N_OUT how many there are. */
static const struct field *
field(const struct head *h, const char *name, size_t *n_out)
{
	const struct field *found = NULL;

	*n_out = 0;
	for (size_t i = 0; i < h->nfields; i++) {
		if (is(h->fields[i].name, name)) {
			found = &h->fields[i];
			++*n_out;
		}
	}
	return found;
}

/* --- what a request asks for ---------------------------------------------- */

static const char *
take_body(const struct head *h, struct http_request *r)
{
	size_t nlength, ncoding;
	const struct field *length = field(h, "Content-Length", &nlength);
	const struct field *coding = field(h, "Transfer-Encoding", &ncoding);
	char digits[24];

	r->body = BODY_NONE;
	if (nlength > 1 || ncoding > 1 || (nlength > 0 && ncoding > 0))
		return "a body of two lengths";
	if (coding != NULL) {
		if (h->minor == 0 || !is(coding->value, "chunked"))
			return "a transfer coding other than chunked";
		r->body = BODY_CHUNKED;
	}
	if (length != NULL) {
		if (length->value.n == 0 || length->value.n > 18)
			return "a bad Content-Length";
		memcpy(digits, length->value.s, length->value.n);
		digits[length->value.n] = '\0';
		if (digits[0] == '-' ||
		    str_to_int(digits, 0, INT64_MAX, &r->length) == -1)
			return "a bad Content-Length";
		r->body = r->length > 0 ? BODY_LENGTH : BODY_NONE;
	}
	return r->connect && r->body != BODY_NONE ? "CONNECT with a body"
						  : NULL;
}

/* http://HOST[:PORT][/PATH][?QUERY]: the rest after the host is in PATH. */
static const char *
take_absolute(struct text url, struct target *t, struct text *path)
{
	size_t n;

	if (url.n < 7 || strncasecmp(url.s, "http://", 7) != 0)
		return "not an address with http (for https use CONNECT)";
	url.s += 7;
	url.n -= 7;
	for (n = 0; n < url.n && url.s[n] != '/' && url.s[n] != '?'; n++)
		;
	if (memchr(url.s, '@', n) != NULL)
		return "an address with a user name";
	if (target_parse(t, url.s, n, 80) == -1)
		return "an address without a proper host";
	*path = (struct text){ url.s + n, url.n - n };
	return NULL;
}

static const char *
take_target(const struct head *h, const struct target *tunnel,
    struct http_request *r, struct text *path)
{
	const char *why = NULL;

	*path = h->target;
	r->connect = h->method.n == 7 && memcmp(h->method.s, "CONNECT", 7) == 0;
	if (memchr(h->target.s, '#', h->target.n) != NULL)
		return "an address with a fragment";
	if (tunnel != NULL && r->connect)
		return "CONNECT in a tunnel";
	if (r->connect)
		return target_parse(&r->target, h->target.s, h->target.n, 0) ==
			       -1
			   ? "CONNECT without HOST:PORT"
			   : NULL;
	if (tunnel == NULL)
		return take_absolute(h->target, &r->target, path);
	r->target = *tunnel;
	if (h->target.s[0] == '/' || is(h->target, "*"))
		return NULL;
	why = take_absolute(h->target, &r->target, path);
	if (why == NULL && (!target_same_host(&r->target, tunnel) ||
			       r->target.port != tunnel->port))
		why = "an address of another host than the tunnel's";
	return why;
}

/* It must say what the target says. */
static const char *
check_host(
    const struct head *h, const struct target *tunnel, struct http_request *r)
{
	struct target host;
	size_t n;
	const struct field *f = field(h, "Host", &n);

	if (n == 0)
		return tunnel != NULL ? "no Host field" : NULL;
	if (n > 1)
		return "two Host fields";
	if (target_parse(&host, f->value.s, f->value.n,
		r->connect ? r->target.port : 80) == -1)
		return "a bad Host field";
	if (!target_same_host(&host, &r->target))
		return "a Host field that names another host";
	/* In a tunnel some programs leave out its port. */
	if (host.port != r->target.port && (tunnel == NULL || host.port != 80))
		return "a Host field that names another port";
	return NULL;
}

/* --- what goes on --------------------------------------------------------- */

/* Fields that are between a client and us. */
static bool
is_hop(struct text name)
{
	static const char *const hop[] = { "Connection", "Proxy-Connection",
		"Keep-Alive", "Proxy-Authorization", "Proxy-Authenticate", "TE",
		"Upgrade", "HTTP2-Settings" };

	for (size_t i = 0; i < countof(hop); i++) {
		if (is(name, hop[i]))
			return true;
	}
	return false;
}

/* Named by Connection: it is meant for us only. */
static bool
is_named(const struct head *h, struct text name)
{
	for (size_t i = 0; i < h->nfields; i++) {
		struct text list = h->fields[i].value, word;

		if (!is(h->fields[i].name, "Connection"))
			continue;
		while (next_word(&list, &word)) {
			if (word.n == name.n &&
			    strncasecmp(word.s, name.s, name.n) == 0)
				return true;
		}
	}
	return false;
}

/* How many fields it has now. */
static size_t
write_request(const struct head *h, const struct http_request *r,
    struct text path, struct buf *b)
{
	size_t nfields = r->upgrade ? 3 : 2;
	char host[TARGET_TEXT_MAX];

	target_text(host, &r->target, 80);
	(void)buf_add(b, h->method.s, h->method.n); /* it has the room */
	(void)buf_addc(b, ' ');
	if (path.n == 0)
		(void)buf_addc(b, is(h->method, "OPTIONS") ? '*' : '/');
	else if (path.s[0] == '?')
		(void)buf_addc(b, '/');
	(void)buf_add(b, path.s, path.n);
	(void)buf_addf(b, " HTTP/1.%d\r\nHost: %s\r\n", h->minor, host);
	for (size_t i = 0; i < h->nfields; i++) {
		const struct field *f = &h->fields[i];

		if (is(f->name, "Host") || is_hop(f->name) ||
		    (is_named(h, f->name) && !is(f->name, "Content-Length") &&
			!is(f->name, "Transfer-Encoding")))
			continue;
		(void)buf_add(b, f->name.s, f->name.n);
		(void)buf_adds(b, ": ");
		(void)buf_add(b, f->value.s, f->value.n);
		(void)buf_adds(b, "\r\n");
		nfields++;
	}
	/* One request on each connection: then nobody can disagree about where
	 * the next one begins. */
	(void)buf_adds(
	    b, r->upgrade ? "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
			  : "Connection: close\r\n\r\n");
	return nfields;
}

int
http_request_parse(const char *s, size_t n, const struct target *tunnel,
    struct http_request *r, struct buf *head, const char **why)
{
	static struct head h; /* large; we have one thread */
	const struct field *upgrade;
	struct text path = { NULL, 0 };
	size_t nupgrade;

	memset(r, 0, sizeof(*r));
	*why = split(&h, s, n);
	if (*why == NULL)
		*why = take_target(&h, tunnel, r, &path);
	if (*why == NULL)
		*why = check_host(&h, tunnel, r);
	if (*why == NULL)
		*why = take_body(&h, r);
	if (*why != NULL)
		return -1;
	if (r->connect)
		return 0;
	upgrade = field(&h, "Upgrade", &nupgrade);
	r->upgrade = nupgrade == 1 && is(upgrade->value, "websocket") &&
		     r->body == BODY_NONE && h.minor == 1;
	/* What we would not take from others we do not send. */
	if (write_request(&h, r, path, head) > HTTP_FIELDS_MAX)
		*why = "too many fields";
	else if (head->failed)
		*why = "a head that is too long";
	return *why != NULL ? -1 : 0;
}

/* --- answers -------------------------------------------------------------- */

int
http_answer_parse(const char *s, size_t n, bool upgrade, struct buf *head)
{
	const char *end = s + n;
	int status;

	if (n < 12 || memcmp(s, "HTTP/1.", 7) != 0 || s[8] != ' ' ||
	    s[9] < '1' || s[9] > '9' || s[10] < '0' || s[10] > '9' ||
	    s[11] < '0' || s[11] > '9')
		return -1;
	status = (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
	if (status == 101 && !upgrade)
		return -1;
	while (s < end) {
		const char *lf = memchr(s, '\n', (size_t)(end - s));
		size_t len = (size_t)(lf - s);
		const char *colon = memchr(s, ':', len);
		struct text name = { s,
			colon != NULL ? (size_t)(colon - s) : 0 };

		while (len > 0 && s[len - 1] == '\r')
			len--;
		if (len > 0 && (status < 200 || !is_hop(name))) {
			(void)buf_add(head, s, len);
			(void)buf_adds(head, "\r\n");
		}
		s = lf + 1;
	}
	(void)buf_adds(
	    head, status < 200 ? "\r\n" : "Connection: close\r\n\r\n");
	return head->failed ? -1 : status;
}

/* --- bodies --------------------------------------------------------------- */

enum {
	F_SIZE,	   /* digits */
	F_SIZE_LF, /* after their CR */
	F_DATA,
	F_DATA_CR,
	F_DATA_LF,
	F_LAST_CR, /* of the empty line after the last chunk */
	F_LAST_LF
};

void
http_follow_init(struct http_follow *f, const struct http_request *r)
{
	memset(f, 0, sizeof(*f));
	f->body = r->body;
	f->left = r->length;
	f->state = F_SIZE;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte that is not data. No extensions, no trailers: nobody sends them, and
 * servers differ about them. */
static int
chunk_byte(struct http_follow *f, char c, bool *done)
{
	switch (f->state) {
	case F_SIZE:
		if (c == '\r' && f->digits > 0) {
			f->state = F_SIZE_LF;
			return 0;
		}
		if (hex(c) == -1 || ++f->digits > 15)
			return -1;
		f->left = f->left * 16 + hex(c);
		return 0;
	case F_SIZE_LF:
		f->state = f->left == 0 ? F_LAST_CR : F_DATA;
		return c == '\n' ? 0 : -1;
	case F_DATA_CR:
		f->state = F_DATA_LF;
		return c == '\r' ? 0 : -1;
	case F_DATA_LF:
		f->state = F_SIZE;
		f->digits = 0;
		return c == '\n' ? 0 : -1;
	case F_LAST_CR:
		f->state = F_LAST_LF;
		return c == '\r' ? 0 : -1;
	default:
		*done = true;
		return c == '\n' ? 0 : -1;
	}
}

ssize_t
http_follow_take(struct http_follow *f, const char *s, size_t n, bool *done)
{
	size_t i = 0, part;

	*done = f->body == BODY_NONE;
	while (i < n && !*done) {
		if (f->body == BODY_CHUNKED && f->state != F_DATA) {
			if (chunk_byte(f, s[i++], done) == -1)
				return -1;
			continue;
		}
		part = (int64_t)(n - i) < f->left ? n - i : (size_t)f->left;
		i += part;
		f->left -= (int64_t)part;
		if (f->left == 0 && f->body == BODY_LENGTH)
			*done = true;
		else if (f->left == 0)
			f->state = F_DATA_CR;
	}
	return (ssize_t)i;
}
