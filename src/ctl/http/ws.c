/*
 * A WebSocket of a client; see ws.h. Runs as the caller. What the server sends
 * is bounded, must not be masked, and must keep the order of fragments.
 */
#include "ctl/http/ws.h"
#include "lib/base64.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <poll.h>
#include <sha1.h>
#include <string.h>
#include <sys/random.h>

#define KEY_BYTES 16
#define HEAD_MAX 65536
#define READ_CHUNK 65536
#define HANDSHAKE_MS 30000

/* --- bytes --------------------------------------------------------------- */

static int
wait_fd(const struct ws *s, short events, int timeout_ms)
{
	struct pollfd pfd = { .fd = s->fd, .events = events };
	int r;

	do
		r = poll(&pfd, 1, timeout_ms);
	while (r == -1 && errno == EINTR);
	return r == 1 ? 0 : -1;
}

static int
send_all(struct ws *s, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		size_t sent = 0;
		CURLcode r = curl_easy_send(s->easy, p, n, &sent);

		p += sent;
		n -= sent;
		if (r == CURLE_AGAIN) {
			if (wait_fd(s, POLLOUT, -1) == -1)
				return err_sys(e, "wait for the server");
		} else if (r != CURLE_OK) {
			return err_set(e, ERR_SYSTEM, "send to the server: %s",
			    curl_easy_strerror(r));
		}
	}
	return 0;
}

int
ws_fill(struct ws *s, struct err *e)
{
	size_t before = s->in.len;

	for (;;) {
		char *room = buf_reserve(&s->in, READ_CHUNK);
		size_t n = 0;
		CURLcode r;

		if (room == NULL)
			return err_set(e, ERR_TOO_LARGE,
			    "the server's message is too long");
		r = curl_easy_recv(s->easy, room, READ_CHUNK, &n);
		if (r == CURLE_AGAIN)
			return 0;
		/* What came with the end is still to be looked at. */
		if ((r != CURLE_OK || n == 0) && s->in.len > before)
			return 0;
		if (r != CURLE_OK || n == 0)
			return err_set(e, ERR_SYSTEM,
			    "the server hung up while the terminal was open");
		s->in.len += n;
	}
}

/* --- the handshake ------------------------------------------------------- */

/* What a server makes of our key (RFC 6455, 4.2.2). */
static void
expect_answer(struct ws *s, const char *key)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[SHA1_DIGEST_LENGTH];
	SHA1_CTX sha;

	SHA1Init(&sha);
	SHA1Update(&sha, (const uint8_t *)key, strlen(key));
	SHA1Update(&sha, (const uint8_t *)guid, strlen(guid));
	SHA1Final(digest, &sha);
	base64_put(s->accept, digest, sizeof(digest));
	s->accept[BASE64_LEN(sizeof(digest))] = '\0';
}

static int
send_request(
    struct ws *s, const struct target *t, const char *path, struct err *e)
{
	unsigned char raw[KEY_BYTES];
	char key[BASE64_LEN(KEY_BYTES) + 1];
	autofree char *text = NULL;

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return err_sys(e, "getrandom");
	base64_put(key, raw, sizeof(raw));
	key[sizeof(key) - 1] = '\0';
	text = xasprintf("GET %s%s HTTP/1.1\r\nHost: %s\r\n"
			 "Connection: Upgrade\r\nUpgrade: websocket\r\n"
			 "Sec-WebSocket-Version: 13\r\n"
			 "Sec-WebSocket-Key: %s\r\n%s%s%s\r\n",
	    t->prefix, path, t->host, key,
	    t->token == NULL ? "" : "Authorization: Bearer ",
	    t->token == NULL ? "" : t->token, t->token == NULL ? "" : "\r\n");
	expect_answer(s, key);
	return send_all(s, text, strlen(text), e);
}

/* Did the server see our key, and not just any request? */
static bool
is_accepted(const struct ws *s, size_t head)
{
	static const char name[] = "\nsec-websocket-accept:";
	const char *p = s->in.data;
	const char *end = p + head;

	for (; p + sizeof(name) < end; p++) {
		if (strncasecmp(p, name, sizeof(name) - 1) != 0)
			continue;
		p += sizeof(name) - 1;
		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		return (size_t)(end - p) > strlen(s->accept) &&
		       memcmp(p, s->accept, strlen(s->accept)) == 0 &&
		       p[strlen(s->accept)] == '\r';
	}
	return false;
}

/* The body of a refusal says more than its status. */
static int
refused(struct ws *s, long status, size_t head, struct err *e)
{
	struct http_call c;
	struct err gone;

	while (wait_fd(s, POLLIN, 1000) == 0 && ws_fill(s, &gone) == 0 &&
	       s->in.len < HEAD_MAX)
		;
	http_call_init(&c, "GET", "the terminal");
	c.status = status;
	(void)buf_add(&c.body_in, s->in.data + head, s->in.len - head);
	(void)http_problem(&c, e);
	buf_free(&c.body_in);
	return -1;
}

static int
read_answer(struct ws *s, struct err *e)
{
	char *end = NULL;
	int64_t status;
	size_t head;
	bool accepted;

	while (end == NULL) {
		if (s->in.len > HEAD_MAX ||
		    wait_fd(s, POLLIN, HANDSHAKE_MS) == -1)
			return err_set(e, ERR_SYSTEM,
			    "the server does not answer the upgrade");
		if (ws_fill(s, e) == -1)
			return -1;
		end = memmem(s->in.data, s->in.len, "\r\n\r\n", 4);
	}
	if (s->in.len < 12 || memcmp(s->in.data, "HTTP/1.1 ", 9) != 0)
		return err_set(e, ERR_INTERNAL, "the server speaks no HTTP");
	head = (size_t)(end + 4 - s->in.data);
	accepted = is_accepted(s, head);
	s->in.data[12] = '\0';
	if (str_to_int(s->in.data + 9, 100, 999, &status) == -1)
		return err_set(e, ERR_INTERNAL, "the server speaks no HTTP");
	if (status != 101)
		return refused(s, (long)status, head, e);
	if (!accepted)
		return err_set(
		    e, ERR_INTERNAL, "the server speaks no WebSocket");
	buf_consume(&s->in, head);
	return 0;
}

int
ws_open(struct ws *s, const struct target *t, const char *path, struct err *e)
{
	*s = (struct ws){ .fd = -1 };
	buf_init(&s->in, WS_MESSAGE_MAX + 65536);
	buf_init(&s->message, WS_MESSAGE_MAX);
	s->easy = http_connect(t, e);
	if (s->easy == NULL)
		return -1;
	if (curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &s->fd) !=
	    CURLE_OK)
		return err_set(e, ERR_SYSTEM, "the connection has no socket");
	if (send_request(s, t, path, e) == -1)
		return -1;
	return read_answer(s, e);
}

void
ws_close(struct ws *s)
{
	if (s->easy != NULL)
		curl_easy_cleanup(s->easy);
	buf_free(&s->in);
	buf_free(&s->message);
	*s = (struct ws){ .fd = -1 };
}

/* --- frames -------------------------------------------------------------- */

int
ws_send(struct ws *s, enum ws_kind kind, const char *p, size_t n, struct err *e)
{
	unsigned char mask[4];
	struct buf b;
	size_t i;
	int r;

	if (s->left)
		return 0;
	if (getrandom(mask, sizeof(mask), 0) != (ssize_t)sizeof(mask))
		return err_sys(e, "getrandom");
	buf_init(&b, WS_MESSAGE_MAX + 16);
	(void)buf_addc(&b, (char)(0x80 | kind));
	if (n < 126) {
		(void)buf_addc(&b, (char)(0x80 | n));
	} else if (n < 65536) {
		(void)buf_addc(&b, (char)(0x80 | 126));
		(void)buf_addc(&b, (char)(n >> 8));
		(void)buf_addc(&b, (char)(n & 0xff));
	} else {
		(void)buf_addc(&b, (char)(0x80 | 127));
		for (i = 8; i-- > 0;)
			(void)buf_addc(
			    &b, (char)((uint64_t)n >> (8 * i) & 0xff));
	}
	(void)buf_add(&b, mask, sizeof(mask));
	for (i = 0; i < n; i++)
		(void)buf_addc(&b, (char)(p[i] ^ (char)mask[i % 4]));
	r = b.failed ? err_set(e, ERR_TOO_LARGE, "the message is too long") : 0;
	/* A server that has left may have said before how the command ended;
	 * when there is nothing more to read, ws_fill() tells. */
	if (r == 0 && send_all(s, b.data, b.len, e) == -1)
		s->left = true;
	buf_free(&b);
	return r;
}

struct frame {
	bool fin;
	unsigned op;
	size_t head; /* bytes of the header */
	uint64_t len;
};

/* 1: *F_OUT is whole in s->in; 0: not yet; -1. */
static int
peek_frame(const struct ws *s, struct frame *f_out, struct err *e)
{
	const unsigned char *p = (const unsigned char *)s->in.data;
	size_t extra, i;

	if (s->in.len < 2)
		return 0;
	*f_out = (struct frame){
		.fin = (p[0] & 0x80) != 0, .op = p[0] & 0x0f, .len = p[1] & 0x7f
	};
	if ((p[0] & 0x70) != 0 || (p[1] & 0x80) != 0)
		return err_set(e, ERR_INTERNAL,
		    "the server's frame breaks the rules of WebSockets");
	extra = f_out->len == 126 ? 2 : f_out->len == 127 ? 8 : 0;
	f_out->head = 2 + extra;
	if (s->in.len < f_out->head)
		return 0;
	if (extra > 0)
		f_out->len = 0;
	for (i = 0; i < extra; i++)
		f_out->len = f_out->len << 8 | p[2 + i];
	if (f_out->len > WS_MESSAGE_MAX)
		return err_set(
		    e, ERR_TOO_LARGE, "the server's message is too long");
	return s->in.len - f_out->head >= f_out->len ? 1 : 0;
}

/* Take one frame in. 1: a message is complete. */
static int
take_frame(struct ws *s, const struct frame *f, struct err *e)
{
	const char *p = s->in.data + f->head;
	bool first = f->op != 0;

	if (f->op == WS_PING)
		return ws_send(s, WS_PONG, p, (size_t)f->len, e);
	if (f->op == WS_PONG)
		return 0;
	if (f->op == WS_CLOSE) {
		buf_clear(&s->message);
		s->kind = WS_CLOSE;
		return 1;
	}
	if (f->op > WS_BINARY || first == s->in_message)
		return err_set(
		    e, ERR_INTERNAL, "the server's frames are out of order");
	if (first) {
		buf_clear(&s->message);
		s->kind = (enum ws_kind)f->op;
	}
	s->in_message = !f->fin;
	if (buf_add(&s->message, p, (size_t)f->len) == -1)
		return err_set(
		    e, ERR_TOO_LARGE, "the server's message is too long");
	return f->fin ? 1 : 0;
}

int
ws_next(struct ws *s, struct err *e)
{
	for (;;) {
		struct frame f;
		int r = peek_frame(s, &f, e);

		if (r != 1)
			return r;
		r = take_frame(s, &f, e);
		buf_consume(&s->in, f.head + (size_t)f.len);
		if (r != 0)
			return r;
	}
}
