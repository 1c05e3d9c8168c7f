/*
 * See sniff.h. Runs in the proxy, on bytes from inside sandboxes. A name that
 * is hidden (ECH) is not seen; the one beside it is.
 */
#include "egress/sniff.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define HANDSHAKE 22
#define CLIENT_HELLO 1
#define RECORD_HEAD 5
#define RECORD_MAX (16384 + 256)
#define HELLO_MAX 32768
#define EXT_SERVER_NAME 0
#define LINE_MAX_BYTES 8192

/* What is left of a message. */
struct part {
	const uint8_t *p;
	size_t n;
};

static unsigned
u16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static bool
skip(struct part *m, size_t n)
{
	if (n > m->n)
		return false;
	m->p += n;
	m->n -= n;
	return true;
}

/* A part that begins with its length in BYTES bytes. */
static bool
take(struct part *m, size_t bytes, struct part *out)
{
	size_t n = 0;

	if (m->n < bytes)
		return false;
	for (size_t i = 0; i < bytes; i++)
		n = n << 8 | m->p[i];
	(void)skip(m, bytes); /* it is there */
	*out = (struct part){ m->p, n };
	return skip(m, n);
}

/* The messages of all records that are there, one after the other. -1: no TLS;
 * 0: more must come; 1: the hello is whole. */
static int
gather(const uint8_t *p, size_t n, uint8_t *hello, size_t *len_out)
{
	size_t len = 0, rec;

	for (;;) {
		if (n < RECORD_HEAD)
			return 0;
		rec = u16(p + 3);
		if (p[0] != HANDSHAKE || p[1] != 3 || rec == 0 ||
		    rec > RECORD_MAX)
			return -1;
		if (rec > n - RECORD_HEAD)
			rec = n - RECORD_HEAD;
		if (len + rec > HELLO_MAX)
			return -1;
		memcpy(hello + len, p + RECORD_HEAD, rec);
		len += rec;
		if (len >= 1 && hello[0] != CLIENT_HELLO)
			return -1;
		if (len >= 4) {
			size_t want = 4 + ((size_t)hello[1] << 16 |
					      (size_t)hello[2] << 8 | hello[3]);

			if (want > HELLO_MAX)
				return -1;
			if (len >= want) {
				*len_out = want;
				return 1;
			}
		}
		if (rec < u16(p + 3))
			return 0;
		p += RECORD_HEAD + rec;
		n -= RECORD_HEAD + rec;
	}
}

/* One name of the kind that there is. */
static bool
take_server_name(struct part ext, char name[NETNAME_MAX + 1])
{
	struct part list, host;

	if (!take(&ext, 2, &list) || ext.n != 0 || list.n < 1 ||
	    list.p[0] != 0 || !skip(&list, 1) || !take(&list, 2, &host) ||
	    list.n != 0)
		return false;
	return netname_clean(name, (const char *)host.p, host.n) == 0;
}

static bool
take_hello(struct part m, char name[NETNAME_MAX + 1])
{
	struct part exts, ext, unused;
	bool seen = false;
	unsigned type;

	/* type and length, version, random */
	if (!skip(&m, 4 + 2 + 32) || !take(&m, 1, &unused) ||
	    !take(&m, 2, &unused) || !take(&m, 1, &unused))
		return false;
	if (m.n == 0)
		return true; /* of a time before extensions */
	if (!take(&m, 2, &exts) || m.n != 0)
		return false;
	while (exts.n > 0) {
		if (exts.n < 2)
			return false;
		type = u16(exts.p);
		(void)skip(&exts, 2); /* they are there */
		if (!take(&exts, 2, &ext))
			return false;
		if (type != EXT_SERVER_NAME)
			continue;
		if (seen || !take_server_name(ext, name))
			return false;
		seen = true;
	}
	return true;
}

static enum sniff
sniff_tls(
    const uint8_t *p, size_t n, char name[NETNAME_MAX + 1], const char **why)
{
	static uint8_t hello[HELLO_MAX]; /* large; we have one thread */
	size_t len;

	switch (gather(p, n, hello, &len)) {
	case 0:
		return SNIFF_MORE;
	case 1:
		if (take_hello((struct part){ hello, len }, name))
			return SNIFF_TLS;
		break;
	}
	*why = "a malformed beginning of TLS";
	return SNIFF_BAD;
}

static bool
starts(const char *s, size_t n, const char *word)
{
	size_t m = strlen(word);

	return memcmp(s, word, n < m ? n : m) == 0;
}

/* A first line that ends in HTTP/n.n is a request's. */
static enum sniff
sniff_line(const char *s, size_t n, const char **why)
{
	const char *lf = memchr(s, '\n', n);
	size_t len = lf != NULL ? (size_t)(lf - s) : n;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if ((c < ' ' && c != '\t' && c != '\r') || c >= 0x7f)
			return SNIFF_OTHER;
	}
	if (lf == NULL && n < LINE_MAX_BYTES)
		return SNIFF_MORE;
	while (len > 0 &&
	       (s[len - 1] == '\r' || s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	for (size_t i = 0; i + 5 <= len; i++) {
		if (strncasecmp(s + i, "HTTP/", 5) != 0)
			continue;
		if (lf != NULL && i > 0 && s[i - 1] == ' ')
			return SNIFF_HTTP;
		*why = "a malformed request";
		return SNIFF_BAD;
	}
	return SNIFF_OTHER;
}

enum sniff
sniff(const char *s, size_t n, char name[NETNAME_MAX + 1], const char **why)
{
	name[0] = '\0';
	*why = NULL;
	if (n == 0)
		return SNIFF_MORE;
	if ((uint8_t)s[0] == HANDSHAKE)
		return sniff_tls((const uint8_t *)s, n, name, why);
	if (s[0] == '\r' || s[0] == '\n' || s[0] == ' ') {
		/* Servers of HTTP skip these. */
		*why = "an empty line before a request";
		return SNIFF_BAD;
	}
	if (starts(s, n, "PRI * HTTP/2")) {
		if (n < 12)
			return SNIFF_MORE;
		*why = "HTTP/2 without TLS";
		return SNIFF_BAD;
	}
	return sniff_line(s, n, why);
}
