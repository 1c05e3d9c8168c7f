/*
 * Settings of the HTTP gateway. Runs in the supervisor, at its start and on
 * HUP, with words of whoever started it and files that it names: no byte here
 * comes from a client. It hashes tokens and reads a key, and shows neither.
 */
#include "supervisor/settings.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <fcntl.h>
#include <sha2.h>
#include <string.h>
#include <sys/stat.h>

#define TOKEN_MAX 4096
#define CERT_MAX (256u << 10)
#define KEY_MAX (64u << 10)

void
sha256_hex(const char *text, size_t len, char hex_out[SHA256_HEX + 1])
{
	(void)SHA256Data((const uint8_t *)text, len, hex_out);
}

int
words_add(struct words *w, const char *word, struct err *e)
{
	if (w->n == SETTINGS_WORDS_MAX)
		return err_set(
		    e, ERR_LIMIT, "more than %d of them", SETTINGS_WORDS_MAX);
	w->v[w->n++] = xstrdup(word);
	return 0;
}

static int
add_token(struct http_settings *h, const char *token, size_t len, struct err *e)
{
	h->auth = true;
	if (len == 0)
		return 0; /* nothing can match it */
	if (len > TOKEN_MAX)
		return err_set(e, ERR_BAD_REQUEST,
		    "a token of more than %d bytes", TOKEN_MAX);
	if (h->ntokens == SETTINGS_TOKENS_MAX)
		return err_set(
		    e, ERR_LIMIT, "more than %d tokens", SETTINGS_TOKENS_MAX);
	sha256_hex(token, len, h->token_sha256[h->ntokens++]);
	return 0;
}

int
settings_token(struct http_settings *h, char *token, struct err *e)
{
	size_t len = strlen(token);
	int rc = add_token(h, token, len, e);

	explicit_bzero(token, len);
	return rc;
}

/* --- files --------------------------------------------------------------- */

/* Read PATH, which nobody but its owner (root or we) may read if SECRET. */
static int
read_file(const char *path, bool secret, size_t max, char **data_out,
    size_t *len_out, struct err *e)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "open %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(
		    e, ERR_BAD_REQUEST, "%s: not a regular file", path);
	if (secret && st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(e, ERR_BAD_REQUEST,
		    "%s: belongs to uid %lu, neither root nor us", path,
		    (unsigned long)st.st_uid);
	if (secret && (st.st_mode & 077) != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "%s: others than its owner may use it (mode %04o)", path,
		    (unsigned)st.st_mode & 07777);
	return fd_slurp(fd, max, data_out, len_out, e);
}

static int
read_token_file(struct http_settings *h, const char *path, struct err *e)
{
	char *text = NULL;
	size_t len = 0, n;
	int rc;

	if (read_file(path, true, 2 * TOKEN_MAX, &text, &len, e) == -1)
		return err_prefix(e, "token file");
	n = strcspn(text, "\r\n");
	if (n == 0)
		rc = err_set(e, ERR_BAD_REQUEST,
		    "token file %s: its first line is empty", path);
	else
		rc = add_token(h, text, n, e);
	explicit_bzero(text, len);
	free(text);
	return rc;
}

static int
read_pem(
    const char *path, bool secret, size_t max, char **text_out, struct err *e)
{
	autofree char *text = NULL;
	size_t len = 0;

	if (read_file(path, secret, max, &text, &len, e) == -1)
		return -1;
	if (strlen(text) != len || utf8_valid_prefix(text, len) != len ||
	    strstr(text, "-----BEGIN ") == NULL)
		return err_set(
		    e, ERR_BAD_REQUEST, "%s: not in the PEM form", path);
	*text_out = STEAL(text);
	return 0;
}

static void
wipe(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static int
load_tls(struct http_settings *h, const struct conf *c, struct err *e)
{
	char *cert = NULL, *key = NULL;

	if ((c->tls_cert[0] == '\0') != (c->tls_key[0] == '\0'))
		return err_set(e, ERR_BAD_REQUEST,
		    "TLS needs both a certificate and its key");
	if (c->tls_cert[0] != '\0' &&
	    (read_pem(c->tls_cert, false, CERT_MAX, &cert, e) == -1 ||
		read_pem(c->tls_key, true, KEY_MAX, &key, e) == -1)) {
		free(cert);
		return err_prefix(e, "TLS");
	}
	free(h->tls_cert);
	wipe(h->tls_key);
	h->tls_cert = cert;
	h->tls_key = key;
	return 0;
}

/* --- CORS ---------------------------------------------------------------- */

/* A name as HTTP has them: methods, headers. */
static bool
is_token(const char *s)
{
	static const char other[] = "!#$%&'*+-.^_`|~";

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		char low = (char)(*s | 0x20);

		if (!(low >= 'a' && low <= 'z') && !(*s >= '0' && *s <= '9') &&
		    strchr(other, *s) == NULL)
			return false;
	}
	return true;
}

static bool
is_header_value(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s < 0x20 || *s > 0x7e)
			return false;
	}
	return true;
}

static bool
has_star(const struct words *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (strcmp(w->v[i], "*") == 0)
			return true;
	}
	return false;
}

static int
check_words(const struct words *w, bool (*good)(const char *), const char *what,
    struct err *e)
{
	char shown[80];

	for (size_t i = 0; i < w->n; i++) {
		if (good(w->v[i]))
			continue;
		str_show(shown, sizeof(shown), w->v[i], strlen(w->v[i]));
		return err_set(
		    e, ERR_BAD_REQUEST, "invalid cors %s: %s", what, shown);
	}
	return 0;
}

static int
check_cors(struct http_settings *h, struct err *e)
{
	if (check_words(&h->origins, is_header_value, "origin", e) == -1 ||
	    check_words(&h->methods, is_token, "method", e) == -1 ||
	    check_words(&h->headers, is_token, "header", e) == -1)
		return -1;
	/* Browsers take no wildcard where credentials are allowed. */
	if (h->credentials && (h->methods.n == 0 || h->headers.n == 0))
		return err_set(e, ERR_BAD_REQUEST,
		    "cors: credentials need methods and headers by name");
	if (h->credentials && (has_star(&h->origins) || has_star(&h->methods) ||
				  has_star(&h->headers)))
		return err_set(
		    e, ERR_BAD_REQUEST, "cors: credentials do not go with '*'");
	for (size_t i = 0; i < h->headers.n; i++) {
		for (char *p = h->headers.v[i]; *p != '\0'; p++) {
			if (*p >= 'A' && *p <= 'Z')
				*p = (char)(*p | 0x20);
		}
	}
	return 0;
}

/* --- all of it ----------------------------------------------------------- */

int
settings_load(struct http_settings *h, const struct conf *c, struct err *e)
{
	if (h->off)
		return 0;
	if (check_cors(h, e) == -1)
		return -1;
	if (c->token_file[0] != '\0' &&
	    read_token_file(h, c->token_file, e) == -1)
		return -1;
	return load_tls(h, c, e);
}

int
settings_reload(struct http_settings *h, const struct conf *c, struct err *e)
{
	return h->off ? 0 : load_tls(h, c, e);
}

static void
write_words(struct jw *w, const char *key, const struct words *words)
{
	jw_key(w, key);
	jw_array(w);
	for (size_t i = 0; i < words->n; i++)
		jw_str(w, words->v[i]);
	jw_array_end(w);
}

void
settings_write(
    const struct http_settings *h, const struct conf *c, struct jw *w)
{
	jw_object(w);
	jw_kbool(w, "auth", h->auth);
	jw_key(w, "token_sha256");
	jw_array(w);
	for (size_t i = 0; i < h->ntokens; i++)
		jw_str(w, h->token_sha256[i]);
	jw_array_end(w);
	jw_key(w, "cors");
	jw_object(w);
	write_words(w, "origins", &h->origins);
	write_words(w, "methods", &h->methods);
	write_words(w, "headers", &h->headers);
	jw_kbool(w, "credentials", h->credentials);
	jw_object_end(w);
	jw_key(w, "limits");
	jw_object(w);
	jw_kint(w, "max_connections", c->max_connections);
	jw_kint(w, "max_per_address", c->max_per_address);
	jw_kint(w, "max_header_bytes", c->max_header_bytes);
	jw_kint(w, "idle_ms", c->idle_ms);
	jw_kint(w, "header_ms", c->header_ms);
	jw_kint(w, "stream_bytes", c->stream_bytes);
	jw_kint(w, "proxy_ms", c->proxy_ms);
	jw_kint(w, "tunnel_ms", c->tunnel_ms);
	jw_object_end(w);
	if (h->tls_cert != NULL) {
		jw_key(w, "tls");
		jw_object(w);
		jw_kstr(w, "cert", h->tls_cert);
		jw_kstr(w, "key", h->tls_key);
		jw_object_end(w);
	}
	jw_kbool(w, "access_log", strcmp(c->access_log, "yes") == 0);
	jw_object_end(w);
}

static void
words_free(struct words *w)
{
	while (w->n > 0)
		free(w->v[--w->n]);
}

void
settings_free(struct http_settings *h)
{
	words_free(&h->listen);
	words_free(&h->origins);
	words_free(&h->methods);
	words_free(&h->headers);
	free(h->tls_cert);
	wipe(h->tls_key);
	h->tls_cert = h->tls_key = NULL;
}
