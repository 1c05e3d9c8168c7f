/*
 * Requests of a client; see http.h. Runs as the caller.
 */
#include "ctl/http/http.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_MS 15000
#define IDLE_STEP_MS 60000

int
http_open(struct http *h, const struct target *t, struct err *e)
{
	*h = (struct http){ .target = t, .peer_fd = -1 };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(e, ERR_SYSTEM, "libcurl does not start");
	h->multi = curl_multi_init();
	if (h->multi == NULL)
		return err_set(e, ERR_SYSTEM, "no memory for libcurl");
	return 0;
}

void
http_close(struct http *h)
{
	if (h->multi != NULL)
		(void)curl_multi_cleanup(h->multi);
	*h = (struct http){ .peer_fd = -1 };
}

void
http_call_init(struct http_call *c, const char *method, const char *path)
{
	*c = (struct http_call){ .method = method,
		.path = path,
		.upload_fd = -1,
		.upload_len = -1 };
	buf_init(&c->body_in, HTTP_BODY_MAX);
}

/* --- what libcurl asks --------------------------------------------------- */

static size_t
on_write(char *p, size_t size, size_t n, void *ctx)
{
	struct http_call *c = ctx;
	size_t len = size * n;

	if (c->status == 0)
		(void)curl_easy_getinfo(
		    c->easy, CURLINFO_RESPONSE_CODE, &c->status);
	if (c->on_data != NULL && c->status >= 200 && c->status < 300) {
		c->is_stopped = c->on_data(c->ctx, p, len) == -1;
		return c->is_stopped ? 0 : len;
	}
	return buf_add(&c->body_in, p, len) == -1 ? 0 : len;
}

static size_t
on_read(char *p, size_t size, size_t n, void *ctx)
{
	struct http_call *c = ctx;
	ssize_t got;

	do
		got = read(c->upload_fd, p, size * n);
	while (got == -1 && errno == EINTR);
	return got == -1 ? CURL_READFUNC_ABORT : (size_t)got;
}

static size_t
on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct http_call *c = ctx;
	size_t len = size * n;
	size_t i;

	for (i = 0; i < HTTP_WANTED && c->wanted[i] != NULL; i++) {
		size_t name = strlen(c->wanted[i]);
		const char *v = p + name + 1;

		if (len <= name || p[name] != ':' ||
		    strncasecmp(p, c->wanted[i], name) != 0)
			continue;
		while (v < p + len && *v == ' ')
			v++;
		if (str_format(c->values[i], sizeof(c->values[i]), "%.*s",
			(int)MIN((size_t)(p + len - v), len), v) == -1)
			c->values[i][0] = '\0';
		c->values[i][strcspn(c->values[i], "\r\n")] = '\0';
	}
	return len;
}

/* --- setting up ---------------------------------------------------------- */

static void
set_place(CURL *easy, const struct target *t, const char *url)
{
	const char *ca = getenv("SSL_CERT_FILE");

	(void)curl_easy_setopt(easy, CURLOPT_URL, url);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(
	    easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	if (t->unix_path != NULL)
		(void)curl_easy_setopt(
		    easy, CURLOPT_UNIX_SOCKET_PATH, t->unix_path);
	if (t->is_near)
		(void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	if (ca != NULL && *ca != '\0')
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
}

static void
add_header(struct http_call *c, const char *line)
{
	struct curl_slist *l = curl_slist_append(c->list, line);

	if (l != NULL)
		c->list = l;
}

static void
set_headers(struct http *h, struct http_call *c)
{
	size_t i;

	/* A server that never says 100 would cost a second each time. */
	add_header(c, "Expect:");
	if (h->target->token != NULL) {
		autofree char *line =
		    xasprintf("Authorization: Bearer %s", h->target->token);

		add_header(c, line);
	}
	if (c->body != NULL || c->upload_fd != -1) {
		autofree char *line = xasprintf("Content-Type: %s",
		    c->content_type == NULL ? "application/json"
					    : c->content_type);

		add_header(c, line);
	}
	for (i = 0; i < HTTP_HEADERS && c->headers[i] != NULL; i++)
		add_header(c, c->headers[i]);
	(void)curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->list);
}

static void
set_body(struct http_call *c)
{
	bool is_get = strcmp(c->method, "GET") == 0;

	if (c->upload_fd != -1) {
		(void)curl_easy_setopt(c->easy, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(c->easy, CURLOPT_READFUNCTION, on_read);
		(void)curl_easy_setopt(c->easy, CURLOPT_READDATA, c);
		if (c->upload_len >= 0)
			(void)curl_easy_setopt(c->easy,
			    CURLOPT_INFILESIZE_LARGE,
			    (curl_off_t)c->upload_len);
	} else if (c->body != NULL) {
		(void)curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->body);
		(void)curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)c->body_len);
	} else if (strcmp(c->method, "POST") == 0) {
		(void)curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, 0L);
		(void)curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, "");
		/* Without one libcurl says that a form comes. */
		add_header(c, "Content-Type:");
	}
	if (strcmp(c->method, "HEAD") == 0)
		(void)curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
	else if (!is_get || c->body != NULL || c->upload_fd != -1)
		(void)curl_easy_setopt(
		    c->easy, CURLOPT_CUSTOMREQUEST, c->method);
}

static int
start(struct http *h, struct http_call *c, struct err *e)
{
	autofree char *url = xasprintf("%s%s", h->target->base, c->path);

	c->easy = curl_easy_init();
	if (c->easy == NULL)
		return err_set(e, ERR_SYSTEM, "no memory for libcurl");
	set_place(c->easy, h->target, url);
	(void)curl_easy_setopt(
	    c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->error);
	(void)curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_write);
	(void)curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
	(void)curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
	if (c->wanted[0] != NULL) {
		(void)curl_easy_setopt(
		    c->easy, CURLOPT_HEADERFUNCTION, on_header);
		(void)curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
	}
	set_body(c);
	set_headers(h, c);
	if (curl_multi_add_handle(h->multi, c->easy) != CURLM_OK) {
		http_end(h, c);
		return err_set(e, ERR_SYSTEM, "libcurl takes no request");
	}
	return 0;
}

/* --- moving on ----------------------------------------------------------- */

static void
finish(struct http_call *c, CURLcode result)
{
	const char *type = NULL;

	c->is_done = true;
	c->result = result;
	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
	(void)curl_easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
	if (type == NULL || str_copy(c->content_type_in,
				sizeof(c->content_type_in), type) == -1)
		c->content_type_in[0] = '\0';
}

static int
perform(struct http *h, struct err *e)
{
	CURLMsg *m;
	int n;

	if (curl_multi_perform(h->multi, &n) != CURLM_OK)
		return err_set(e, ERR_SYSTEM, "libcurl does not go on");
	while ((m = curl_multi_info_read(h->multi, &n)) != NULL) {
		char *p = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
		if (p != NULL)
			finish((struct http_call *)(void *)p, m->data.result);
	}
	return 0;
}

static void
leave_if_alone(const struct http *h)
{
	char c;

	if (recv(h->peer_fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		_exit(EXIT_OK);
}

static int
step(struct http *h, struct err *e)
{
	struct curl_waitfd peer = { .fd = h->peer_fd,
		.events = CURL_WAIT_POLLIN };
	int n;

	if (curl_multi_poll(h->multi, &peer, h->peer_fd == -1 ? 0 : 1,
		IDLE_STEP_MS, &n) != CURLM_OK)
		return err_set(e, ERR_SYSTEM, "libcurl cannot wait");
	if (h->peer_fd != -1)
		leave_if_alone(h);
	return perform(h, e);
}

static int
look(const struct http *h, const struct http_call *c, struct err *e)
{
	const char *where = h->target->unix_path != NULL ? h->target->unix_path
							 : h->target->base;
	const char *why =
	    *c->error != '\0' ? c->error : curl_easy_strerror(c->result);

	if (c->result == CURLE_OK || c->is_stopped)
		return 0;
	if (c->result == CURLE_COULDNT_CONNECT ||
	    c->result == CURLE_COULDNT_RESOLVE_HOST)
		return err_set(e, ERR_SYSTEM,
		    "no server answers at %s (%s); say with --endpoint or "
		    "SANDBOXCTL_ENDPOINT where it listens",
		    where, why);
	if (c->body_in.failed)
		return err_set(e, ERR_TOO_LARGE,
		    "the answer of %s is longer than %u bytes", where,
		    HTTP_BODY_MAX);
	return err_set(
	    e, ERR_SYSTEM, "%s %s at %s: %s", c->method, c->path, where, why);
}

void
http_end(struct http *h, struct http_call *c)
{
	if (c->easy != NULL) {
		(void)curl_multi_remove_handle(h->multi, c->easy);
		curl_easy_cleanup(c->easy);
	}
	curl_slist_free_all(c->list);
	buf_free(&c->body_in);
	c->easy = NULL;
	c->list = NULL;
}

int
http_begin(struct http *h, struct http_call *c, struct err *e)
{
	return start(h, c, e) == -1 ? -1 : perform(h, e);
}

int
http_do(struct http *h, struct http_call *c, struct err *e)
{
	if (http_begin(h, c, e) == -1)
		return -1;
	while (!c->is_done)
		if (step(h, e) == -1)
			return -1;
	return look(h, c, e);
}

CURL *
http_connect(const struct target *t, struct err *e)
{
	char error[CURL_ERROR_SIZE] = "";
	CURL *easy = curl_easy_init();
	CURLcode r;

	if (easy == NULL) {
		(void)err_set(e, ERR_SYSTEM, "no memory for libcurl");
		return NULL;
	}
	set_place(easy, t, t->base);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
	r = curl_easy_perform(easy);
	if (r == CURLE_OK)
		return easy;
	(void)err_set(e, ERR_SYSTEM, "connect to %s: %s", t->base,
	    *error != '\0' ? error : curl_easy_strerror(r));
	curl_easy_cleanup(easy);
	return NULL;
}
