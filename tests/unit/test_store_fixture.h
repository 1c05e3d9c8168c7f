/*
 * A store in a process of its own, as the supervisor would start it, and the
 * other ends of its channels: the supervisor's, workers', control clients'.
 * Everything waits for a condition with a deadline; nothing sleeps.
 */
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H

#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/json.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "store/confine.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define FX_TIMEOUT_MS 20000
#define FX_TIME "2026-11-21T02:56:07.100787888Z"

struct fx {
	char dir[64];
	size_t map_bytes;
	enum durability durability;
	uid_t uid; /* confined to this one; 0: not confined */
	pid_t pid; /* 0: not running */
	int fd;	   /* the supervisor's end */
	int64_t next_id;
};

/* --- life ---------------------------------------------------------------- */

/* Directories that a test which failed has left. */
static char fx_dirs[64][64];
static size_t fx_ndirs;
static pid_t fx_owner;

static inline void
fx_remove_dir(const char *dir)
{
	char path[400];
	struct dirent *de;
	DIR *d = opendir(dir);

	while (d != NULL && (de = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		(void)unlink(path); /* . and .. refuse */
	}
	if (d != NULL)
		(void)closedir(d);
	(void)rmdir(dir);
}

static inline void
fx_at_exit(void)
{
	if (getpid() != fx_owner)
		return; /* a store */
	while (fx_ndirs > 0)
		fx_remove_dir(fx_dirs[--fx_ndirs]);
}

static inline void
fx_spawn(struct fx *f)
{
	struct store_options opt = { .db = { .path = ".",
					 .durability = f->durability,
					 .map_bytes = f->map_bytes } };
	struct err e;
	int theirs;

	assert_int_equal(fd_socketpair(&f->fd, &theirs, &e), 0);
	(void)fflush(NULL);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		(void)close(f->fd);
		if (chdir(f->dir) == -1)
			_exit(99);
		opt.super_fd = theirs;
		if (f->uid != 0 && confine(f->uid, f->uid, &e) == -1)
			_exit(98);
		if (f->uid != 0)
			_exit(store_run(&opt)); /* no /proc for a leak check */
		exit(store_run(&opt));
	}
	(void)close(theirs);
	(void)fd_set_nonblock(f->fd, 0);
}

static inline void
fx_init(struct fx *f)
{
	memset(f, 0, sizeof(*f));
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_store.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	if (fx_owner == 0) {
		fx_owner = getpid();
		(void)atexit(fx_at_exit);
	}
	assert_true(fx_ndirs < countof(fx_dirs));
	memcpy(fx_dirs[fx_ndirs++], f->dir, sizeof(f->dir));
	f->map_bytes = (size_t)64 << 20;
	f->durability = DURABILITY_NONE;
	f->fd = -1;
	f->next_id = 1;
}

/* Its exit code, or minus the signal. */
static inline int
fx_wait(struct fx *f)
{
	int status;

	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	f->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void
fx_kill(struct fx *f)
{
	(void)kill(f->pid, SIGKILL);
	assert_int_equal(fx_wait(f), -SIGKILL);
	fd_close(&f->fd);
}

/* Leave as a parent does: the store sees the end of file. */
static inline int
fx_stop(struct fx *f)
{
	fd_close(&f->fd);
	return fx_wait(f);
}

static inline void
fx_remove(struct fx *f)
{
	size_t i;

	if (f->pid != 0)
		fx_kill(f);
	fx_remove_dir(f->dir);
	for (i = 0; i < fx_ndirs; i++) {
		if (strcmp(fx_dirs[i], f->dir) == 0)
			memmove(
			    fx_dirs[i], fx_dirs[--fx_ndirs], sizeof(f->dir));
	}
}

/* --- frames -------------------------------------------------------------- */

static inline bool
fx_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static inline int
fx_try_send(int fd, const char *text, size_t len, const int *fds, size_t nfds)
{
	struct buf b;
	size_t pos, done;
	ssize_t n;

	buf_init(&b, (size_t)4 << 20);
	pos = frame_begin(&b);
	(void)buf_add(&b, text, len);
	if (frame_end(&b, pos) == -1) {
		buf_free(&b);
		return -1;
	}
	n = fd_send(fd, b.data, b.len, fds, nfds);
	done = n > 0 ? (size_t)n : 0;
	if (n > 0 && done < b.len)
		n = fd_write_all(fd, b.data + done, b.len - done);
	buf_free(&b);
	return n < 0 ? -1 : 0;
}

static inline void
fx_send(int fd, const char *text, const int *fds, size_t nfds)
{
	assert_int_equal(fx_try_send(fd, text, strlen(text), fds, nfds), 0);
}

static inline bool
fx_read_all(int fd, char *p, size_t n)
{
	ssize_t rc;

	while (n > 0) {
		if (!fx_readable(fd, FX_TIMEOUT_MS))
			fail_msg("nothing came in %d ms", FX_TIMEOUT_MS);
		rc = read(fd, p, n);
		if (rc == -1 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (rc <= 0)
			return false;
		p += rc;
		n -= (size_t)rc;
	}
	return true;
}

/* The next frame as a tree, or NULL at the end of file. */
static inline struct json *
fx_recv(int fd)
{
	unsigned char h[FRAME_HEADER];
	struct json *j = NULL;
	struct err e;
	size_t len;
	char *text;

	if (!fx_read_all(fd, (char *)h, sizeof(h)))
		return NULL;
	len =
	    (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
	assert_true(len > 0 && len <= FRAME_MAX);
	text = xmalloc(len);
	if (fx_read_all(fd, text, len) &&
	    json_parse(text, len, 80, &j, &e) == -1)
		fail_msg("frame: %s: %.*s", e.text, (int)len, text);
	free(text);
	return j;
}

/* The next frame of the store to its supervisor that is no line for the log. */
static inline struct json *
fx_super_recv(struct fx *f)
{
	struct json *j;

	for (;;) {
		j = fx_recv(f->fd);
		if (j == NULL || strcmp(json_str(j, "op", ""), "log") != 0)
			return j;
		json_free(j);
	}
}

static inline void
fx_hello(struct fx *f)
{
	struct json *j = fx_super_recv(f);

	assert_non_null(j);
	assert_string_equal(json_str(j, "op", ""), "hello");
	assert_string_equal(json_str(j, "role", ""), "store");
	json_free(j);
}

static inline void
fx_start(struct fx *f)
{
	fx_spawn(f);
	fx_hello(f);
}

/* --- requests ------------------------------------------------------------ */

/* Send {"op":OP,"id":N,REST}; returns N. REST begins with its comma. */
static inline int64_t
fx_ask(struct fx *f, const char *op, const char *rest, int fd)
{
	struct buf b;
	int64_t id = f->next_id++;

	buf_init(&b, FRAME_MAX);
	(void)buf_addf(&b, "{\"op\":\"%s\",\"id\":%lld%s%s}", op, (long long)id,
	    rest, fd != -1 ? ",\"fds\":1" : "");
	fx_send(f->fd, b.data, &fd, fd != -1);
	buf_free(&b);
	if (fd != -1)
		(void)close(fd);
	return id;
}

static inline struct json *
fx_reply(struct fx *f, int64_t id)
{
	struct json *j = fx_super_recv(f);

	assert_non_null(j);
	assert_int_equal(json_int(j, "id", -1), id);
	return j;
}

static inline struct json *
fx_call(struct fx *f, const char *op, const char *rest)
{
	return fx_reply(f, fx_ask(f, op, rest, -1));
}

static inline void
fx_ok(struct json *reply)
{
	assert_non_null(reply);
	if (json_get(reply, "ok") == NULL)
		fail_msg("refused: %s",
		    json_str(json_get(reply, "error"), "detail", "?"));
	json_free(reply);
}

static inline void
fx_error(struct json *reply, const char *code)
{
	assert_non_null(reply);
	assert_string_equal(
	    json_str(json_get(reply, "error"), "code", "none"), code);
	json_free(reply);
}

static inline void
fx_put(struct fx *f, const char *db, const char *key, const char *record)
{
	struct buf b;

	buf_init(&b, FRAME_MAX);
	(void)buf_addf(
	    &b, ",\"db\":\"%s\",\"key\":\"%s\",\"record\":%s", db, key, record);
	fx_ok(fx_call(f, "put", b.data));
	buf_free(&b);
}

static inline void
fx_session(struct fx *f, const char *id)
{
	char rec[800];

	(void)snprintf(rec, sizeof(rec),
	    "{\"id\":\"%s\",\"agent\":\"mock\",\"sandbox\":\"box1\","
	    "\"state\":\"starting\",\"env\":{\"K\":\"secret\"}}",
	    id);
	fx_put(f, "sessions", id, rec);
}

/* --- workers ------------------------------------------------------------- */

/* A worker's end, whose `attached` said that NEXT comes next. */
static inline int
fx_attach(struct fx *f, const char *session, int64_t *next_out)
{
	char rest[400];
	struct json *j;
	struct err e;
	int ours, theirs;
	int64_t id;

	assert_int_equal(fd_socketpair(&ours, &theirs, &e), 0);
	(void)fd_set_nonblock(ours, 0);
	(void)snprintf(rest, sizeof(rest), ",\"session\":\"%s\"", session);
	id = fx_ask(f, "attach", rest, theirs);
	fx_ok(fx_reply(f, id));
	j = fx_recv(ours);
	assert_string_equal(json_str(j, "op", ""), "attached");
	*next_out = json_int(j, "next", -1);
	json_free(j);
	return ours;
}

static inline void
fx_event(struct buf *b, const char *type, const char *data, const char *raw)
{
	(void)buf_addf(b,
	    "{\"time\":\"" FX_TIME "\",\"native_session_id\":\"n1\","
	    "\"synthetic\":false,\"source\":\"agent\",\"type\":\"%s\","
	    "\"data\":%s,\"raw\":%s}",
	    type, data, raw);
}

/* An append of N deltas, each naming its sequence. */
static inline void
fx_deltas(struct buf *b, int64_t id, int64_t first, int n)
{
	char data[80];
	int i;

	(void)buf_addf(b,
	    "{\"op\":\"append\",\"id\":%lld,\"first\":%lld,\"events\":[",
	    (long long)id, (long long)first);
	for (i = 0; i < n; i++) {
		if (i > 0)
			(void)buf_addc(b, ',');
		(void)snprintf(data, sizeof(data),
		    "{\"item_id\":\"itm_1\",\"delta\":\"%lld\"}",
		    (long long)first + i);
		fx_event(b, "item.delta", data, "{\"native\":[1,2]}");
	}
	(void)buf_adds(b, "]}");
}

static inline struct json *
fx_append_text(int fd, const char *text)
{
	fx_send(fd, text, NULL, 0);
	return fx_recv(fd);
}

static inline void
fx_append(int fd, int64_t id, int64_t first, int n)
{
	struct json *j;
	struct buf b;

	buf_init(&b, FRAME_MAX);
	fx_deltas(&b, id, first, n);
	j = fx_append_text(fd, b.data);
	assert_non_null(j);
	assert_int_equal(json_int(j, "id", -1), id);
	assert_int_equal(
	    json_int(json_get(j, "ok"), "last", -1), first + n - 1);
	json_free(j);
	buf_free(&b);
}

/* One event of TYPE. */
static inline void
fx_append_one(int fd, int64_t first, const char *type)
{
	struct buf b;

	buf_init(&b, FRAME_MAX);
	(void)buf_addf(&b,
	    "{\"op\":\"append\",\"id\":%lld,\"first\":%lld,\"events\":[",
	    (long long)first, (long long)first);
	fx_event(&b, type, "{}", "null");
	(void)buf_adds(&b, "]}");
	fx_ok(fx_append_text(fd, b.data));
	buf_free(&b);
}

/* --- control clients ----------------------------------------------------- */

struct client {
	int fd;
	struct buf in;
	int64_t id; /* of the supervisor's request */
};

/* A client whose request number 7 the store answers. */
static inline void
fx_serve(struct fx *f, struct client *c, const char *rest)
{
	char args[800];
	struct err e;
	int theirs;

	assert_int_equal(fd_socketpair(&c->fd, &theirs, &e), 0);
	buf_init(&c->in, (size_t)64 << 20);
	(void)snprintf(args, sizeof(args), ",\"request\":\"7\"%s", rest);
	c->id = fx_ask(f, "serve", args, theirs);
}

/* The next line as a tree; NULL at the end of file. */
static inline struct json *
client_line(struct client *c)
{
	char chunk[65536];
	struct json *j;
	struct err e;
	char *end;
	ssize_t n;

	for (;;) {
		end =
		    c->in.len > 0 ? memchr(c->in.data, '\n', c->in.len) : NULL;
		if (end != NULL)
			break;
		if (!fx_readable(c->fd, FX_TIMEOUT_MS))
			fail_msg("no line came in %d ms", FX_TIMEOUT_MS);
		n = read(c->fd, chunk, sizeof(chunk));
		if (n <= 0)
			return NULL;
		assert_int_equal(buf_add(&c->in, chunk, (size_t)n), 0);
	}
	if (json_parse(c->in.data, (size_t)(end - c->in.data), 80, &j, &e) ==
	    -1)
		fail_msg("line: %s", e.text);
	buf_consume(&c->in, (size_t)(end - c->in.data) + 1);
	assert_int_equal(json_int(j, "id", -1), 7);
	return j;
}

/* Nothing is to come within MS. */
static inline bool
client_quiet(struct client *c, int ms)
{
	return c->in.len == 0 && !fx_readable(c->fd, ms);
}

static inline void
client_free(struct client *c)
{
	fd_close(&c->fd);
	buf_free(&c->in);
}

/* Items FIRST..LAST in order, each once. */
static inline void
client_items(struct client *c, int64_t first, int64_t last)
{
	const struct json *item;
	struct json *j;
	int64_t seq;
	char id[40];

	for (seq = first; seq <= last; seq++) {
		j = client_line(c);
		assert_non_null(j);
		item = json_get(j, "item");
		if (item == NULL)
			fail_msg("no item %lld", (long long)seq);
		assert_int_equal(json_int(item, "sequence", -1), seq);
		(void)snprintf(id, sizeof(id), "evt_%lld", (long long)seq);
		assert_string_equal(json_str(item, "event_id", ""), id);
		json_free(j);
	}
}

static inline void
client_final(
    struct fx *f, struct client *c, int64_t last, int64_t count, bool more)
{
	struct json *j = client_line(c);
	const struct json *ok = json_get(j, "ok");

	assert_non_null(ok);
	assert_int_equal(json_int(ok, "last", -1), last);
	assert_int_equal(json_int(ok, "count", -1), count);
	assert_int_equal(json_bool(ok, "more", !more), more);
	json_free(j);
	j = fx_reply(f, c->id);
	assert_false(json_bool(json_get(j, "ok"), "gone", true));
	json_free(j);
	client_free(c);
}

#endif
