/*
 * See fetch.h. Runs in the courier; what comes over the network may be
 * anything: nothing here looks into it but to count and to sum it.
 *
 * A file that broke off stays, and the next try asks for the rest of it. It is
 * never believed before its digest is right; one that was put together from
 * pieces and turned out wrong is fetched once more from the beginning.
 */
#include "courier/fetch_priv.h"

#include "lib/defs.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define TRIES 5	       /* in a row without a byte */
#define TRIES_ALL 40   /* of one download */
#define BACKOFF_S 0.25 /* doubled with each try */
#define BACKOFF_MAX_S 8.
#define RETRY_AFTER_MAX_S 30
#define CONNECT_S 20L
#define STALL_S 30L /* without a byte */
#define READ_BYTES (1u << 16)

void
url_show(char *dst, size_t size, const char *url)
{
	const char *host = strstr(url, "://"), *at;
	autofree char *clean = NULL;

	if (host != NULL) {
		host += 3;
		at = memchr(host, '@', strcspn(host, "/?#"));
		if (at != NULL)
			clean =
			    xasprintf("%.*s%s", (int)(host - url), url, at + 1);
	}
	url = clean != NULL ? clean : url;
	str_show(dst, size, url, strlen(url));
}

/* ERR_INSTALL_FAILED "GET URL: …", unless E says something better. */
static void
fail(struct fetch *f, const char *why)
{
	char shown[200];

	url_show(shown, sizeof(shown), f->url);
	err_set(&f->e, ERR_INSTALL_FAILED, "GET %s: %s", shown, why);
}

/* --- the file ------------------------------------------------------------ */

/* Begin from nothing. */
static int
file_reset(struct fetch *f)
{
	f->size = 0;
	hasher_init(&f->hash, f->digest.kind);
	if (ftruncate(f->fd, 0) == -1)
		return err_sys(&f->e, "truncate %s", f->name);
	return 0;
}

/* Open it and count what is there already. */
static int
file_open(struct fetch *f)
{
	autofree char *block = xmalloc(READ_BYTES);
	ssize_t n;

	f->fd = openat(f->dir_fd, f->name,
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->fd == -1)
		return err_sys(&f->e, "open %s", f->name);
	hasher_init(&f->hash, f->digest.kind);
	f->size = 0;
	while ((n = pread(f->fd, block, READ_BYTES, f->size)) > 0) {
		hasher_add(&f->hash, block, (size_t)n);
		f->size += n;
	}
	if (n == -1)
		return err_sys(&f->e, "read %s", f->name);
	if (f->size > f->max_bytes && file_reset(f) == -1)
		return -1;
	f->patched = f->size > 0;
	return 0;
}

static int
file_add(struct fetch *f, const char *p, size_t n)
{
	hasher_add(&f->hash, p, n);
	while (n > 0) {
		ssize_t w = pwrite(f->fd, p, n, f->size);

		if (w == -1)
			return err_sys(&f->e, "write %s", f->name);
		p += w;
		n -= (size_t)w;
		f->size += w;
	}
	return 0;
}

/* --- what libcurl calls -------------------------------------------------- */

static size_t
on_header(char *p, size_t size, size_t n, void *ctx)
{
	static const char range[] = "content-range: bytes ";
	struct fetch *f = ctx;
	char text[64];

	n *= size;
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
		f->range_from = -1; /* another answer, after a redirect */
	if (n > sizeof(range) && n < sizeof(range) + 60 &&
	    strncasecmp(p, range, sizeof(range) - 1) == 0) {
		memcpy(text, p + sizeof(range) - 1, n - sizeof(range) + 1);
		text[n - sizeof(range) + 1] = '\0';
		text[strcspn(text, "-")] = '\0';
		if (str_to_int(text, 0, INT64_MAX, &f->range_from) == -1)
			f->range_from = -1;
	}
	return n;
}

/* The first bytes of an answer: does it go on where we are? */
static int
answer_begin(struct fetch *f)
{
	curl_off_t left = -1;
	long code = 0;

	f->began = true;
	(void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &code);
	(void)curl_easy_getinfo(
	    f->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &left);
	if (f->name != NULL && f->size > 0 &&
	    (code != 206 || f->range_from != f->size)) {
		if (code == 206) {
			f->whole = true; /* next time without a range */
			fail(f, "the server sent another part than asked for");
			f->again = true;
			return -1;
		}
		f->patched = false;
		if (file_reset(f) == -1)
			return -1;
	}
	f->total = left > 0 ? f->size + left : 0;
	if (f->total > f->max_bytes) {
		fail(f, "longer than there is room for");
		return -1;
	}
	return 0;
}

static size_t
on_data(char *p, size_t size, size_t n, void *ctx)
{
	struct fetch *f = ctx;

	n *= size;
	if (!f->began && answer_begin(f) == -1)
		return 0;
	if ((int64_t)n > f->max_bytes - f->size) {
		fail(f, "longer than there is room for");
		return 0;
	}
	f->received += (int64_t)n;
	if (f->name == NULL) {
		if (buf_add(&f->body, p, n) == -1) {
			fail(f, "longer than there is room for");
			return 0;
		}
		f->size += (int64_t)n;
	} else if (file_add(f, p, n) == -1) {
		return 0;
	}
	return n;
}

/* --- one try ------------------------------------------------------------- */

static void
set_token(struct fetch *f)
{
	const struct fetch_settings *s = &f->fs->set;

	if (s->token == NULL || s->token[0] == '\0' ||
	    !url_same_host(f->url, s->token_url))
		return;
	/* libcurl itself keeps it from the hosts of redirects. */
	curl_easy_setopt(f->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
	curl_easy_setopt(f->easy, CURLOPT_XOAUTH2_BEARER, s->token);
}

static void
set_net(struct fetch *f)
{
	const struct fetch_settings *s = &f->fs->set;
	bool tls = strncasecmp(f->url, "https:", 6) == 0;
	const char *proxy = tls ? s->https_proxy : s->http_proxy;

	curl_easy_setopt(f->easy, CURLOPT_URL, f->url);
	curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	/* Nobody leads us from a protected place to an open one. */
	curl_easy_setopt(
	    f->easy, CURLOPT_REDIR_PROTOCOLS_STR, tls ? "https" : "http,https");
	curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(f->easy, CURLOPT_MAXREDIRS, 5L);
	curl_easy_setopt(f->easy, CURLOPT_PROXY, proxy != NULL ? proxy : "");
	curl_easy_setopt(
	    f->easy, CURLOPT_NOPROXY, s->no_proxy != NULL ? s->no_proxy : "");
	if (s->ca_file != NULL && s->ca_file[0] != '\0')
		curl_easy_setopt(f->easy, CURLOPT_CAINFO, s->ca_file);
	curl_easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_TIME, STALL_S);
	curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "sandboxd");
	curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
}

static int
try_open(struct fetch *f)
{
	char range[32];

	f->easy = curl_easy_init();
	if (f->easy == NULL)
		return err_set(&f->e, ERR_LIMIT, "no memory for a download");
	set_net(f);
	set_token(f);
	curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
	curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->why);
	curl_easy_setopt(f->easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	if (f->name == NULL) {
		buf_clear(&f->body);
		f->size = 0;
		curl_easy_setopt(f->easy, CURLOPT_ACCEPT_ENCODING, "");
	} else if (f->whole && f->size > 0) {
		f->patched = false;
		if (file_reset(f) == -1)
			return -1;
	} else if (f->size > 0) {
		(void)snprintf(
		    range, sizeof(range), "%lld-", (long long)f->size);
		curl_easy_setopt(f->easy, CURLOPT_RANGE, range);
	}
	if (f->headers != NULL)
		curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
	f->began = f->again = false;
	f->why[0] = '\0';
	f->range_from = -1;
	f->tried_from = f->size;
	if (curl_multi_add_handle(f->fs->multi, f->easy) != CURLM_OK)
		return err_set(&f->e, ERR_LIMIT, "no memory for a download");
	return 0;
}

static void
try_close(struct fetch *f)
{
	if (f->easy == NULL)
		return;
	(void)curl_multi_remove_handle(f->fs->multi, f->easy);
	curl_easy_cleanup(STEAL(f->easy));
}

static void
finish(struct fetch *f, const struct err *e)
{
	ev_timer_stop(f->fs->loop, &f->timer);
	fd_close(&f->fd);
	f->done(f->ctx, f, e); /* may free F */
}

static void
try_soon(struct fetch *f, double seconds)
{
	ev_timer_stop(f->fs->loop, &f->timer);
	ev_timer_set(&f->timer, seconds, 0.);
	ev_timer_start(f->fs->loop, &f->timer);
}

/* --- what became of it --------------------------------------------------- */

static bool
worth_trying(CURLcode code, long status)
{
	switch (code) {
	case CURLE_HTTP_RETURNED_ERROR:
		return status >= 500 || status == 408 || status == 416 ||
		       status == 425 || status == 429;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PARTIAL_FILE:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_WEIRD_SERVER_REPLY:
		return true;
	default:
		return false;
	}
}

static double
backoff(struct fetch *f, curl_off_t retry_after)
{
	double s = BACKOFF_S;

	for (unsigned i = 1; i < f->tries && s < BACKOFF_MAX_S; i++)
		s *= 2;
	if (retry_after > 0)
		return (double)MIN(retry_after, (curl_off_t)RETRY_AFTER_MAX_S);
	return MIN(s, BACKOFF_MAX_S);
}

static void
try_failed(struct fetch *f, CURLcode code)
{
	curl_off_t retry_after = 0;
	long status = 0;
	char text[CURL_ERROR_SIZE + 32];

	(void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &retry_after);
	try_close(f);
	if (f->e.code != ERR_NONE && !f->again) {
		finish(f, &f->e);
		return;
	}
	if (f->e.code == ERR_NONE) {
		if (code == CURLE_HTTP_RETURNED_ERROR)
			(void)snprintf(text, sizeof(text), "HTTP %ld", status);
		else
			(void)snprintf(text, sizeof(text), "%s",
			    f->why[0] != '\0' ? f->why
					      : curl_easy_strerror(code));
		fail(f, text);
	}
	f->whole = f->whole || status == 416;
	f->tries = f->size > f->tried_from ? 1 : f->tries + 1;
	if (!(f->again || worth_trying(code, status)) || f->tries >= TRIES ||
	    ++f->tries_all >= TRIES_ALL) {
		finish(f, &f->e);
		return;
	}
	log_info("fetch", "broke off", LOG_STR("detail", f->e.text),
	    LOG_INT("at", f->size), LOG_INT("try", f->tries));
	try_soon(f, backoff(f, retry_after));
}

/* All is there. Is it what it should be? */
static void
try_succeeded(struct fetch *f)
{
	struct digest got;
	char shown[200];

	try_close(f);
	if (f->name == NULL) {
		finish(f, NULL);
		return;
	}
	hasher_end(&f->hash, &got);
	if (digest_compare(&f->digest, &got, &f->e) == 0) {
		finish(f, NULL);
		return;
	}
	/* The next try does not begin with what is wrong. */
	if (unlinkat(f->dir_fd, f->name, 0) == -1 && errno != ENOENT)
		log_warn("fetch", "not removed", LOG_STR("file", f->name));
	url_show(shown, sizeof(shown), f->url);
	err_prefix(&f->e, "GET %s: not what it should be", shown);
	if (!f->patched || f->whole) {
		finish(f, &f->e);
		return;
	}
	log_info("fetch", "from the beginning", LOG_STR("detail", f->e.text));
	fd_close(&f->fd);
	f->whole = true;
	try_soon(f, 0.);
}

void
fetch_ended(struct fetch *f, CURLcode code)
{
	/* An empty answer calls nobody. */
	if (code == CURLE_OK && !f->began && answer_begin(f) == -1)
		code = CURLE_WRITE_ERROR;
	if (code == CURLE_OK)
		try_succeeded(f);
	else
		try_failed(f, code);
}

/* Did an earlier life of ours fetch all of it? */
static bool
file_whole(const struct fetch *f)
{
	struct hasher copy = f->hash;
	struct digest got;
	struct err ignored;

	if (f->name == NULL || f->size == 0)
		return false;
	hasher_end(&copy, &got);
	return digest_compare(&f->digest, &got, &ignored) == 0;
}

static void
on_try(struct ev_loop *loop ATTR_UNUSED, ev_timer *t, int revents ATTR_UNUSED)
{
	struct fetch *f = t->data;

	err_clear(&f->e);
	if (f->name != NULL && f->fd == -1) {
		if (file_open(f) == -1) {
			finish(f, &f->e);
			return;
		}
		if (file_whole(f)) {
			f->total = f->size;
			finish(f, NULL);
			return;
		}
	}
	if (try_open(f) == -1) {
		try_close(f);
		finish(f, &f->e);
		return;
	}
	fetches_kick(f->fs);
}

/* --- interface ----------------------------------------------------------- */

struct fetch *
fetch_start(struct fetches *fs, const struct fetch_want *w, fetch_done_cb *done,
    void *ctx)
{
	struct fetch *f = xcalloc(1, sizeof(*f));
	char accept[200];

	f->fs = fs;
	f->url = xstrdup(w->url);
	f->max_bytes = w->max_bytes;
	f->dir_fd = w->dir_fd;
	f->name = w->name != NULL ? xstrdup(w->name) : NULL;
	f->digest = w->digest;
	f->fd = -1;
	f->done = done;
	f->ctx = ctx;
	buf_init(&f->body, (size_t)(w->name == NULL ? w->max_bytes : 1));
	if (w->accept != NULL &&
	    str_format(accept, sizeof(accept), "Accept: %s", w->accept) == 0)
		f->headers = curl_slist_append(NULL, accept);
	ev_timer_init(&f->timer, on_try, 0., 0.);
	f->timer.data = f;
	LIST_INSERT_HEAD(&fs->all, f, link);
	try_soon(f, 0.);
	return f;
}

void
fetch_free(struct fetch *f)
{
	if (f == NULL)
		return;
	LIST_REMOVE(f, link);
	ev_timer_stop(f->fs->loop, &f->timer);
	try_close(f);
	fd_close(&f->fd);
	curl_slist_free_all(f->headers);
	buf_free(&f->body);
	free(f->url);
	free(f->name);
	free(f);
}

const struct buf *
fetch_body(const struct fetch *f)
{
	return &f->body;
}

void
fetch_progress(const struct fetch *f, int64_t *done_out, int64_t *total_out)
{
	*done_out = f->size;
	*total_out = f->total;
}

int64_t
fetch_received(const struct fetch *f)
{
	return f->received;
}
