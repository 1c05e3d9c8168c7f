/*
 * See digest.h. Runs in the courier; the texts come from registries and
 * recipes. The sums themselves are libmd's.
 */
#include "courier/digest.h"

#include "lib/base64.h"
#include "lib/buf.h"
#include "lib/defs.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	size_t size;
} kinds[DIGEST_N] = { { "none", 0 }, { "sha1", SHA1_DIGEST_LENGTH },
	{ "sha256", SHA256_DIGEST_LENGTH }, { "sha384", SHA384_DIGEST_LENGTH },
	{ "sha512", SHA512_DIGEST_LENGTH } };

size_t
digest_size(enum digest_kind kind)
{
	return kinds[kind].size;
}

const char *
digest_name(enum digest_kind kind)
{
	return kinds[kind].name;
}

/* "sha512-BASE64", perhaps with "?options" behind it. */
static int
integrity_word(struct digest *d_out, const char *word, size_t n)
{
	char why[BASE64_WHY_MAX];
	const char *dash = memchr(word, '-', n), *end;
	struct buf b;
	int r = -1;

	if (dash == NULL)
		return -1;
	end = memchr(word, '?', n);
	if (end == NULL)
		end = word + n;
	buf_init(&b, SHA512_DIGEST_LENGTH);
	for (unsigned k = DIGEST_SHA1; k < DIGEST_N && end > dash; k++) {
		if (strlen(kinds[k].name) != (size_t)(dash - word) ||
		    memcmp(word, kinds[k].name, (size_t)(dash - word)) != 0 ||
		    base64_get(&b, dash + 1, (size_t)(end - dash - 1), why) ==
			-1 ||
		    b.len != kinds[k].size)
			continue;
		d_out->kind = k;
		memcpy(d_out->bytes, b.data, b.len);
		r = 0;
	}
	buf_free(&b);
	return r;
}

int
digest_integrity(struct digest *d_out, const char *text)
{
	struct digest best = { .kind = DIGEST_NONE }, d;

	while (*(text += strspn(text, " \t\r\n")) != '\0') {
		size_t n = strcspn(text, " \t\r\n");

		if (integrity_word(&d, text, n) == 0 && d.kind > best.kind)
			best = d;
		text += n;
	}
	if (best.kind == DIGEST_NONE)
		return -1;
	*d_out = best;
	return 0;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
digest_hex(struct digest *d_out, enum digest_kind kind, const char *hex)
{
	size_t size = digest_size(kind);

	if (strlen(hex) != 2 * size)
		return -1;
	d_out->kind = kind;
	for (size_t i = 0; i < size; i++) {
		int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);

		if (hi == -1 || lo == -1)
			return -1;
		d_out->bytes[i] = (unsigned char)(hi << 4 | lo);
	}
	return 0;
}

void
digest_text(const struct digest *d, char *dst, size_t size)
{
	size_t n = digest_size(d->kind);

	dst[0] = '\0';
	for (size_t i = 0; i < n && 2 * i + 2 < size; i++)
		(void)snprintf(dst + 2 * i, 3, "%02x", d->bytes[i]);
}

void
hasher_init(struct hasher *h, enum digest_kind kind)
{
	memset(h, 0, sizeof(*h));
	h->kind = kind;
	if (kind == DIGEST_SHA1)
		SHA1Init(&h->u.sha1);
	else if (kind == DIGEST_SHA256)
		SHA256Init(&h->u.sha2);
	else if (kind == DIGEST_SHA384)
		SHA384Init(&h->u.sha2);
	else if (kind == DIGEST_SHA512)
		SHA512Init(&h->u.sha2);
}

void
hasher_add(struct hasher *h, const void *p, size_t n)
{
	if (h->kind == DIGEST_SHA1)
		SHA1Update(&h->u.sha1, p, n);
	else if (h->kind == DIGEST_SHA256)
		SHA256Update(&h->u.sha2, p, n);
	else if (h->kind == DIGEST_SHA384)
		SHA384Update(&h->u.sha2, p, n);
	else if (h->kind == DIGEST_SHA512)
		SHA512Update(&h->u.sha2, p, n);
}

void
hasher_end(struct hasher *h, struct digest *d_out)
{
	memset(d_out, 0, sizeof(*d_out));
	d_out->kind = h->kind;
	if (h->kind == DIGEST_SHA1)
		SHA1Final(d_out->bytes, &h->u.sha1);
	else if (h->kind == DIGEST_SHA256)
		SHA256Final(d_out->bytes, &h->u.sha2);
	else if (h->kind == DIGEST_SHA384)
		SHA384Final(d_out->bytes, &h->u.sha2);
	else if (h->kind == DIGEST_SHA512)
		SHA512Final(d_out->bytes, &h->u.sha2);
}

int
digest_compare(
    const struct digest *want, const struct digest *got, struct err *e)
{
	char a[25], b[25];

	if (want->kind == got->kind && want->kind != DIGEST_NONE &&
	    memcmp(want->bytes, got->bytes, digest_size(want->kind)) == 0)
		return 0;
	digest_text(want, a, sizeof(a));
	digest_text(got, b, sizeof(b));
	return err_set(e, ERR_INSTALL_FAILED, "%s should be %s…, is %s…",
	    digest_name(want->kind), a, b);
}
