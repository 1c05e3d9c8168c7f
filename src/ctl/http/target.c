/*
 * Endpoints and tokens; see target.h. Runs as the caller, who is trusted to
 * mean what he writes; nothing of it may become a header line of its own.
 */
#include "ctl/http/target.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <fcntl.h>
#include <string.h>

#define TOKEN_MAX 4096
#define ENDPOINT_MAX 2048

static bool
is_printable(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static int
set_token(struct target *t, const char *token, struct err *e)
{
	size_t n = strlen(token);

	if (n == 0 || n > TOKEN_MAX || !is_printable(token))
		return err_set(e, ERR_BAD_REQUEST,
		    "a token is 1 to %d printable characters without blanks",
		    TOKEN_MAX);
	t->token = xstrdup(token);
	return 0;
}

static int
read_token(struct target *t, const char *path, struct err *e)
{
	autofree char *text = NULL;
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len;

	if (fd == -1)
		return err_sys(e, "--token-file %s", path);
	if (fd_slurp(fd, TOKEN_MAX + 2, &text, &len, e) == -1)
		return err_prefix(e, "--token-file %s", path);
	text[strcspn(text, "\r\n")] = '\0';
	if (set_token(t, text, e) == -1)
		return err_prefix(e, "--token-file %s", path);
	return 0;
}

/* A word of the command line can be read by everybody who may list processes:
 * take it out of there once it is copied. */
static void
wipe(const char *word)
{
	explicit_bzero((char *)(uintptr_t)word, strlen(word));
}

static int
open_token(struct target *t, const struct backend_where *w, struct err *e)
{
	const char *env = getenv("SANDBOXCTL_TOKEN");

	if (w->token != NULL && w->token_file != NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "--token and --token-file say the same thing twice");
	if (w->token != NULL) {
		if (set_token(t, w->token, e) == -1)
			return -1;
		wipe(w->token);
		return 0;
	}
	if (w->token_file != NULL)
		return read_token(t, w->token_file, e);
	if (env != NULL && *env != '\0')
		return set_token(t, env, e);
	return 0;
}

static bool
host_is_near(const char *host)
{
	return str_starts(host, "127.") || str_starts(host, "[::1]") ||
	       strcmp(host, "localhost") == 0 || str_starts(host, "localhost:");
}

static int
open_unix(struct target *t, const char *path, struct err *e)
{
	if (str_starts(path, "//"))
		path += 2; /* unix:///run/… as some write it */
	if (*path == '\0' || strlen(path) > 107)
		return err_set(e, ERR_BAD_REQUEST,
		    "--endpoint unix:PATH: a path has 1 to 107 bytes");
	t->unix_path = xstrdup(path);
	t->host = xstrdup("localhost");
	t->prefix = xstrdup("");
	t->base = xstrdup("http://localhost");
	t->is_near = true;
	return 0;
}

static int
open_url(struct target *t, const char *url, struct err *e)
{
	const char *scheme = "http";
	const char *rest = url;
	size_t n, host;

	if (str_starts(url, "http://")) {
		rest += strlen("http://");
	} else if (str_starts(url, "https://")) {
		scheme = "https";
		rest += strlen("https://");
	} else if (strstr(url, "://") != NULL) {
		return err_set(e, ERR_BAD_REQUEST,
		    "--endpoint '%s': write http://HOST:PORT, "
		    "https://HOST:PORT or unix:PATH",
		    url);
	}
	host = strcspn(rest, "/");
	n = strlen(rest);
	while (n > host && rest[n - 1] == '/')
		n--;
	/* A name in front of the host, or a query, is no part of a place. */
	if (host == 0 || strpbrk(rest, "@?#\\") != NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "--endpoint '%s': write http://HOST:PORT", url);
	t->host = xstrndup(rest, host);
	t->prefix = n > host ? xstrndup(rest + host, n - host) : xstrdup("");
	t->base = xasprintf("%s://%s%s", scheme, t->host, t->prefix);
	t->is_near = host_is_near(t->host);
	return 0;
}

int
target_open(struct target *t, const struct backend_where *w, struct err *e)
{
	const char *url = w->endpoint == NULL ? TARGET_DEFAULT : w->endpoint;
	int r;

	*t = (struct target){ 0 };
	if (strlen(url) > ENDPOINT_MAX || *url == '\0')
		r = err_set(e, ERR_BAD_REQUEST,
		    "--endpoint: 1 to %d characters", ENDPOINT_MAX);
	else if (str_starts(url, "unix:"))
		r = open_unix(t, url + strlen("unix:"), e);
	else if (!is_printable(url))
		r = err_set(e, ERR_BAD_REQUEST,
		    "--endpoint: blanks and controls have no place in a URL");
	else
		r = open_url(t, url, e);
	if (r == 0)
		r = open_token(t, w, e);
	if (r == -1)
		target_free(t);
	return r;
}

void
target_free(struct target *t)
{
	free(t->base);
	free(t->host);
	free(t->prefix);
	free(t->unix_path);
	if (t->token != NULL)
		explicit_bzero(t->token, strlen(t->token));
	free(t->token);
	*t = (struct target){ 0 };
}

void
target_escape(struct buf *b, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~";

	for (; *s != '\0'; s++)
		if (strchr(plain, *s) != NULL)
			(void)buf_addc(b, *s);
		else
			(void)buf_addf(b, "%%%02X", (unsigned char)*s);
}
