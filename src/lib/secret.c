/*
 * Masking secrets; see secret.h. Linked into every program. Trusts nothing
 * about the text; never writes more of a secret than eight bytes of it.
 */
#include "secret.h"

#include <string.h>

#define KEY_MIN 12 /* bytes of a word that may be a key */

static bool
is_printable(char c)
{
	return c > ' ' && c <= '~';
}

static void
copy_part(char *dst, const char *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = '?';
	for (size_t i = 0; i < n; i++) {
		if (is_printable(src[i]))
			dst[i] = src[i];
	}
}

static void
mask(char dst[SECRET_MASK_MAX], const char *secret, size_t n)
{
	if (n <= 8) {
		memcpy(dst, "****", sizeof("****"));
		return;
	}
	copy_part(dst, secret, 4);
	memcpy(dst + 4, "...", 3);
	copy_part(dst + 7, secret + n - 4, 4);
	dst[11] = '\0';
}

void
secret_mask(char dst[SECRET_MASK_MAX], const char *secret)
{
	mask(dst, secret, strlen(secret));
}

/* What keys are written in: other bytes end a word. */
static bool
is_key_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-_.~+/=", c) != NULL);
}

static bool
ends_with(const char *s, size_t n, const char *end)
{
	size_t len = strlen(end);

	if (n < len)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[n - len + i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (c != end[i])
			return false;
	}
	return true;
}

bool
secret_name(const char *name, size_t n)
{
	static const char *const ends[] = { "KEY", "TOKEN", "SECRET",
		"PASSWORD", "CREDENTIALS" };

	for (size_t i = 0; i < countof(ends); i++) {
		if (ends_with(name, n, ends[i]))
			return true;
	}
	return false;
}

static bool
is_key(const char *word, size_t n)
{
	static const char *const starts[] = { "sk-", "sk_", "gsk_", "xai-",
		"AIza", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-",
		"sgamp_", "sgp_", "csk-", "pplx-", "hf_", "r8_", "AKIA",
		"eyJ" };

	if (n < KEY_MIN)
		return false;
	for (size_t i = 0; i < countof(starts); i++) {
		size_t len = strlen(starts[i]);

		if (n > len && memcmp(word, starts[i], len) == 0)
			return true;
	}
	return false;
}

/* The word at TEXT[0..n), where it may begin with NAME= of a secret: so many
 * bytes of it are not the secret. N: none of it is. */
static size_t
secret_at(const char *text, size_t n, bool after_bearer)
{
	const char *eq = memchr(text, '=', n);

	if (after_bearer || is_key(text, n))
		return 0;
	if (eq != NULL && eq + 1 < text + n &&
	    (secret_name(text, (size_t)(eq - text)) ||
		is_key(eq + 1, (size_t)(text + n - eq - 1))))
		return (size_t)(eq + 1 - text);
	return n;
}

/* SECRET[0..n) masked into DST, where it may lie itself; the length, never
 * more than N. */
static size_t
mask_in_place(char *dst, const char *secret, size_t n)
{
	char shown[SECRET_MASK_MAX] = "****";
	size_t len = MIN(n, 4);

	if (n >= SECRET_MASK_MAX - 1) {
		mask(shown, secret, n);
		len = SECRET_MASK_MAX - 1;
	}
	memcpy(dst, shown, len);
	return len;
}

size_t
secret_scrub(char *text, size_t n)
{
	bool after_bearer = false;
	size_t out = 0;
	size_t i = 0;

	while (i < n) {
		size_t len = 0;
		size_t clear;

		while (i + len < n && is_key_byte(text[i + len]))
			len++;
		if (len == 0) {
			/* One blank stands between the scheme and its token. */
			after_bearer = after_bearer && text[i] == ' ';
			text[out++] = text[i++];
			continue;
		}
		clear = secret_at(text + i, len, after_bearer);
		after_bearer = ends_with(text + i, len, "BEARER");
		memmove(text + out, text + i, clear);
		out += clear;
		if (clear < len)
			out += mask_in_place(
			    text + out, text + i + clear, len - clear);
		i += len;
	}
	return out;
}
