/*
 * The stage for tests of the session worker; see session_play.h.
 */
#include "session_play.h"

#include "lib/fdio.h"
#include "lib/frame.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEPTH 80

static const char *
program(void)
{
	static const char *const places[] = { "./sandboxd-session",
		"src/session/sandboxd-session", "src/sandboxd-session" };
	const char *s = getenv("SESSION_WORKER");
	size_t i;

	for (i = 0; s == NULL && i < countof(places); i++)
		if (access(places[i], X_OK) == 0)
			s = places[i];
	if (s == NULL)
		fail_msg("no worker: set SESSION_WORKER");
	return s;
}

/* --- frames -------------------------------------------------------------- */

static void
send_text(int fd, const char *text, const int *fds, size_t nfds)
{
	struct buf b;
	size_t at;
	ssize_t n;

	buf_init(&b, FRAME_MAX + 64);
	at = frame_begin(&b);
	(void)buf_adds(&b, text);
	assert_int_equal(frame_end(&b, at), 0);
	n = fd_send(fd, b.data, b.len, fds, nfds);
	/* A worker that has died shows elsewhere. */
	if (n > 0 && (size_t)n < b.len)
		(void)fd_write_all(fd, b.data + n, b.len - (size_t)n);
	buf_free(&b);
}

static void
attached(struct play *p)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kstr(&w, "op", "attached");
	jw_kint(&w, "next", (int64_t)p->nevents + 1);
	jw_key(&w, "record");
	jw_object(&w);
	jw_kstr(&w, "id", "s1");
	if (p->state[0] != '\0')
		jw_kstr(&w, "state", p->state);
	if (p->native[0] != '\0')
		jw_kstr(&w, "native_session_id", p->native);
	if (p->model[0] != '\0')
		jw_kstr(&w, "model", p->model);
	if (p->mode[0] != '\0')
		jw_kstr(&w, "permission_mode", p->mode);
	if (p->agent_mode[0] != '\0')
		jw_kstr(&w, "agent_mode", p->agent_mode);
	if (p->thought_level[0] != '\0')
		jw_kstr(&w, "thought_level", p->thought_level);
	if (p->checkpoint != NULL) {
		jw_key(&w, "checkpoint");
		jw_raw(&w, p->checkpoint, strlen(p->checkpoint));
	}
	if (p->keys != NULL)
		jw_kstr(&w, "keys", p->keys);
	jw_object_end(&w);
	jw_object_end(&w);
	assert_false(b.failed);
	send_text(p->store_fd, b.data, NULL, 0);
	buf_free(&b);
}

static void
take_set(struct play *p, const struct json *set)
{
	const struct json *c = json_get(set, "checkpoint");
	struct buf b;
	struct jw w;

	json_foreach (v, set) {
		char *dst =
		    strcmp(v->key, "state") == 0	       ? p->state
		    : strcmp(v->key, "native_session_id") == 0 ? p->native
		    : strcmp(v->key, "model") == 0	       ? p->model
		    : strcmp(v->key, "permission_mode") == 0   ? p->mode
		    : strcmp(v->key, "agent_mode") == 0	       ? p->agent_mode
		    : strcmp(v->key, "thought_level") == 0 ? p->thought_level
							   : NULL;

		if (v == c || strcmp(v->key, "options") == 0 ||
		    strcmp(v->key, "version") == 0)
			continue; /* a probe's */
		if (strcmp(v->key, "keys") == 0) {
			assert_int_equal(v->type, JSON_STRING);
			assert_true(v->len <= 20480);
			free(p->keys);
			p->keys = xstrdup(v->str);
			continue;
		}
		assert_non_null(dst);
		assert_int_equal(v->type, JSON_STRING);
		assert_true(v->len < 32 || dst == p->native || dst == p->model);
		memcpy(dst, v->str, v->len + 1);
	}
	if (c == NULL)
		return;
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_value(&w, c);
	assert_false(b.failed);
	assert_true(b.len <= 16384);
	free(p->checkpoint);
	p->checkpoint = buf_steal(&b);
}

/* The session's last events, with what the agent sent only if it is asked
 * for. */
static void
on_tail(struct play *p, const struct json *m)
{
	size_t max = (size_t)json_int(m, "events", 0), i;
	bool raw = json_bool(m, "raw", false);
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	jw_kint(&w, "id", json_int(m, "id", 0));
	jw_key(&w, "ok");
	jw_object(&w);
	jw_key(&w, "events");
	jw_array(&w);
	for (i = p->nevents > max ? p->nevents - max : 0; i < p->nevents; i++) {
		jw_object(&w);
		json_foreach (v, p->events[i])
			if (raw || strcmp(v->key, "raw") != 0)
				jw_kvalue(&w, v->key, v);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	assert_false(b.failed);
	send_text(p->store_fd, b.data, NULL, 0);
	buf_free(&b);
}

static void
on_append(struct play *p, struct json *m, size_t len)
{
	const struct json *list = json_get(m, "events");
	int64_t first = json_int(m, "first", 0);
	char answer[128];
	size_t i = 0;

	if (strcmp(json_str(m, "op", ""), "tail") == 0) {
		on_tail(p, m);
		json_free(m);
		return;
	}
	assert_string_equal(json_str(m, "op", ""), "append");
	assert_true(len <= FRAME_MAX);
	if (p->refuse != NULL) {
		assert_int_equal(
		    str_format(answer, sizeof(answer),
			"{\"id\":%lld,\"error\":{\"code\":\"%s\","
			"\"detail\":\"full\"}}",
			(long long)json_int(m, "id", 0), p->refuse),
		    0);
		send_text(p->store_fd, answer, NULL, 0);
		json_free(m);
		return;
	}
	p->appends++;
	if (first != (int64_t)p->nevents + 1) {
		/* A repetition of what is stored, as a whole. */
		assert_true(
		    first + (int64_t)list->len - 1 <= (int64_t)p->nevents);
		json_free(m);
		return;
	}
	if (list->len > 0)
		p->events = xreallocarray(
		    p->events, p->nevents + list->len, sizeof(*p->events));
	json_foreach (ev, list) {
		p->events[p->nevents++] = ev;
		i++;
	}
	assert_int_equal(i, list->len);
	take_set(p, json_get(m, "set"));
	p->roots = xreallocarray(p->roots, p->nroots + 1, sizeof(*p->roots));
	p->roots[p->nroots++] = m;
	if (p->lose_answers)
		return;
	assert_int_equal(str_format(answer, sizeof(answer),
			     "{\"id\":%lld,\"ok\":{\"last\":%zu}}",
			     (long long)json_int(m, "id", 0), p->nevents),
	    0);
	send_text(p->store_fd, answer, NULL, 0);
}

static void
on_super(struct play *p, struct json *m)
{
	const char *op = json_str(m, "op", NULL);
	int64_t id;

	if (op != NULL) {
		if (strcmp(op, "hello") == 0) {
			assert_false(p->hello);
			p->hello = true;
			p->busy = false;
		} else if (strcmp(op, "busy") == 0) {
			/* Told when it changes, and only then. */
			assert_true(p->busy != json_bool(m, "busy", p->busy));
			p->busy = !p->busy;
		} else {
			assert_string_equal(op, "log");
			p->logs++;
			print_message("# %s\n", json_str(m, "line", ""));
		}
		json_free(m);
		return;
	}
	id = json_int(m, "id", -1);
	assert_in_range(id, 1, PLAY_REPLIES - 1);
	assert_null(p->replies[id]); /* answered once */
	p->replies[id] = m;
}

/* Read what is there. False when the other side has closed. */
static bool
fill(int fd, struct buf *b)
{
	char *room = buf_reserve(b, 65536);
	ssize_t n;

	assert_non_null(room);
	n = recv(fd, room, 65536, MSG_DONTWAIT);
	if (n > 0)
		b->len += (size_t)n;
	return n > 0 || (n == -1 && (errno == EAGAIN || errno == EINTR));
}

static bool
next_frame(struct buf *b, struct json **m_out, size_t *len_out)
{
	const char *body;
	struct err e;
	size_t len;

	if (frame_peek(b->data, b->len, FRAME_MAX, &body, &len) != 1)
		return false;
	if (json_parse(body, len, DEPTH, m_out, &e) == -1)
		fail_msg("a frame of the worker: %s", e.text);
	*len_out = len;
	buf_consume(b, FRAME_HEADER + len);
	return true;
}

void
play_step(struct play *p, int ms)
{
	struct pollfd fds[2] = { { .fd = p->super_fd, .events = POLLIN },
		{ .fd = p->hold ? -1 : p->store_fd, .events = POLLIN } };
	struct json *m;
	size_t len;

	(void)poll(fds, 2, ms);
	if (fds[0].revents != 0 && !fill(p->super_fd, &p->super_in))
		fd_close(&p->super_fd);
	if (fds[1].revents != 0 && !fill(p->store_fd, &p->store_in))
		fd_close(&p->store_fd);
	while (next_frame(&p->super_in, &m, &len))
		on_super(p, m);
	while (!p->hold && next_frame(&p->store_in, &m, &len))
		on_append(p, m, len);
}

int64_t
play_deadline(void)
{
	return now_monotonic_ms() + PLAY_MS;
}

void
play_check(struct play *p, int64_t deadline_ms, const char *cond)
{
	if (now_monotonic_ms() > deadline_ms)
		fail_msg("waited in vain for %s (%zu events, state %s)", cond,
		    p->nevents, p->state);
	if (p->super_fd == -1)
		fail_msg("the worker left while waiting for %s", cond);
}

/* --- life ---------------------------------------------------------------- */

static void
spawn(struct play *p)
{
	const char *path = program();
	int super[2], store[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, super), 0);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, store), 0);
	p->pid = fork();
	assert_int_not_equal(p->pid, -1);
	if (p->pid == 0) {
		/* High first: 3 and 4 may be either of them. */
		int a = fcntl(super[1], F_DUPFD, 20);
		int b = fcntl(store[1], F_DUPFD, 20);

		if (dup2(a, 3) == -1 || dup2(b, 4) == -1 ||
		    close_range(5, ~0u, 0) == -1)
			_exit(126);
		(void)execl(path, "sandboxd-session", (char *)NULL);
		_exit(127);
	}
	(void)close(super[1]);
	(void)close(store[1]);
	p->super_fd = super[0];
	p->store_fd = store[0];
	p->hello = false;
	buf_init(&p->super_in, 4u << 20);
	buf_init(&p->store_in, 16u << 20);
}

static const struct json *
start(struct play *p)
{
	spawn(p);
	attached(p);
	return play_call(p, "start", p->start);
}

const struct json *
play_open(struct play *p, const char *agent, const char *members)
{
	memset(p, 0, sizeof(*p));
	p->super_fd = p->store_fd = -1;
	p->start =
	    xasprintf(",\"session\":\"s1\",\"agent\":\"%s\"%s", agent, members);
	return start(p);
}

const struct json *
play_again(struct play *p)
{
	return start(p);
}

static void
hang_up(struct play *p)
{
	fd_close(&p->super_fd);
	fd_close(&p->store_fd);
	buf_free(&p->super_in);
	buf_free(&p->store_in);
}

void
play_kill(struct play *p)
{
	int status;

	if (p->pid == 0)
		return;
	(void)kill(p->pid, SIGKILL);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	p->pid = 0;
	hang_up(p);
}

int
play_wait_exit(struct play *p)
{
	int64_t deadline = play_deadline();
	int status;

	while (waitpid(p->pid, &status, WNOHANG) == 0) {
		if (now_monotonic_ms() > deadline)
			fail_msg("the worker does not leave");
		play_step(p, 10);
	}
	play_step(p, 0);
	p->pid = 0;
	hang_up(p);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void
play_close(struct play *p)
{
	size_t i;

	if (p->pid != 0) {
		/* Its supervisor gone, it leaves at once and in order. */
		fd_close(&p->super_fd);
		assert_int_equal(play_wait_exit(p), 0);
	}
	for (i = 0; i < p->nroots; i++)
		json_free(p->roots[i]);
	for (i = 0; i < PLAY_REPLIES; i++)
		json_free(p->replies[i]);
	free(p->roots);
	free(p->events);
	free(p->start);
	free(p->checkpoint);
	free(p->keys);
	hang_up(p);
}

void
play_new_store(struct play *p)
{
	int pair[2];

	fd_close(&p->store_fd);
	buf_free(&p->store_in);
	buf_init(&p->store_in, 16u << 20);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p->store_fd = pair[0];
	send_text(p->super_fd, "{\"op\":\"store\",\"fds\":1}", &pair[1], 1);
	(void)close(pair[1]);
}

void
play_attach(struct play *p)
{
	attached(p);
}

/* --- requests ------------------------------------------------------------ */

int64_t
play_send(struct play *p, const char *op, const char *members)
{
	autofree char *text = NULL;

	p->ids++;
	text = xasprintf(
	    "{\"op\":\"%s\",\"id\":%lld%s}", op, (long long)p->ids, members);
	send_text(p->super_fd, text, NULL, 0);
	return p->ids;
}

const struct json *
play_reply(struct play *p, int64_t id)
{
	play_until(p, p->replies[id] != NULL);
	return p->replies[id];
}

const struct json *
play_call(struct play *p, const char *op, const char *members)
{
	return play_reply(p, play_send(p, op, members));
}

void
play_ok(struct play *p, const char *op, const char *members)
{
	const struct json *r = play_call(p, op, members);

	if (json_get(r, "ok") == NULL)
		fail_msg("%s: %s", op,
		    json_str(json_get(r, "error"), "detail", "?"));
}

void
play_error(
    struct play *p, const char *op, const char *members, const char *code)
{
	const struct json *r = play_call(p, op, members);

	assert_string_equal(json_str(json_get(r, "error"), "code", "ok"), code);
}

void
play_prompt(struct play *p, const char *text)
{
	struct buf b;
	struct jw w;

	buf_init(&b, FRAME_MAX);
	(void)buf_addc(&b, ',');
	(void)buf_adds(&b, "\"text\":");
	jw_init(&w, &b);
	jw_str(&w, text);
	play_ok(p, "prompt", b.data);
	buf_free(&b);
}

void
play_idle(struct play *p)
{
	play_until(p, strcmp(p->state, "idle") == 0);
}

/* --- gateways ------------------------------------------------------------ */

void
play_gate_open(struct play *p, struct play_gate *g)
{
	struct err e;
	int far;

	memset(g, 0, sizeof(*g));
	buf_init(&g->in, 4u << 20);
	assert_int_equal(fd_socketpair(&g->fd, &far, &e), 0);
	send_text(
	    p->super_fd, "{\"op\":\"session.gateway\",\"fds\":1}", &far, 1);
	(void)close(far);
}

void
play_gate_close(struct play_gate *g)
{
	size_t i;

	fd_close(&g->fd);
	buf_free(&g->in);
	for (i = 0; i < PLAY_REPLIES; i++)
		json_free(g->replies[i]);
}

static int64_t
gate_send(struct play_gate *g, const char *op, const char *members,
    const int *fds, size_t nfds)
{
	autofree char *text = NULL;

	g->ids++;
	text = xasprintf("{\"op\":\"%s\",\"id\":%lld%s%s}", op,
	    (long long)g->ids, members, nfds > 0 ? ",\"fds\":1" : "");
	send_text(g->fd, text, fds, nfds);
	return g->ids;
}

int64_t
play_gate_send(struct play_gate *g, const char *op, const char *members)
{
	return gate_send(g, op, members, NULL, 0);
}

static void
gate_step(struct play *p, struct play_gate *g)
{
	struct pollfd fd = { .fd = g->fd, .events = POLLIN };
	struct json *m;
	int64_t id;
	size_t len;

	play_step(p, 2);
	if (poll(&fd, 1, 2) > 0 && !fill(g->fd, &g->in))
		fail_msg("%s", "the worker has closed the gateway's channel");
	while (next_frame(&g->in, &m, &len)) {
		id = json_int(m, "id", -1);
		assert_in_range(id, 1, PLAY_REPLIES - 1);
		assert_null(g->replies[id]); /* answered once */
		g->replies[id] = m;
	}
}

const struct json *
play_gate_reply(struct play *p, struct play_gate *g, int64_t id)
{
	int64_t deadline = play_deadline();

	assert_in_range(id, 1, PLAY_REPLIES - 1);
	while (g->replies[id] == NULL) {
		play_check(p, deadline, "an answer to a gateway");
		gate_step(p, g);
	}
	return g->replies[id];
}

int64_t
play_acp_send(struct play_gate *g, const char *envelope)
{
	size_t len = strlen(envelope);
	autofree char *members = NULL;
	struct err e;
	struct buf b;
	struct jw w;
	int64_t id;
	int fd;

	if (len > 400000) {
		assert_int_equal(
		    fd_sealed("envelope", envelope, len, &fd, &e), 0);
		id = gate_send(g, "session.acp", "", &fd, 1);
		(void)close(fd);
		return id;
	}
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_str(&w, envelope);
	members = xasprintf(",\"text\":%s", b.data);
	buf_free(&b);
	return play_gate_send(g, "session.acp", members);
}

const struct json *
play_acp_reply(struct play *p, struct play_gate *g, int64_t id)
{
	const struct json *r = play_gate_reply(p, g, id);
	int64_t seq = json_int(json_get(r, "ok"), "seq", 0);

	if (json_get(r, "ok") == NULL)
		fail_msg("session.acp: %s",
		    json_str(json_get(r, "error"), "detail", "?"));
	assert_in_range(seq, 1, p->nevents);
	return json_get(p->events[seq - 1], "raw");
}

const struct json *
play_acp(struct play *p, struct play_gate *g, const char *envelope)
{
	return play_acp_reply(p, g, play_acp_send(g, envelope));
}

static bool
said(const struct json *raw, const char *method, const char *update)
{
	const struct json *u = json_path(raw, "params.update");

	return strcmp(json_str(raw, "method", ""), method) == 0 &&
	       (update == NULL ||
		   strcmp(json_str(u, "sessionUpdate", ""), update) == 0);
}

const struct json *
play_acp_said(
    const struct play *p, const char *method, const char *update, size_t n)
{
	const struct json *raw;
	size_t i;

	for (i = 0; i < p->nevents; i++) {
		raw = json_get(p->events[i], "raw");
		if (said(raw, method, update) && n-- == 0)
			return raw;
	}
	return NULL;
}

size_t
play_acp_count(const struct play *p, const char *method, const char *update)
{
	const struct json *raw;
	size_t i, n = 0;

	for (i = 0; i < p->nevents; i++) {
		raw = json_get(p->events[i], "raw");
		n += said(raw, method, update);
	}
	return n;
}

/* --- looking at the log -------------------------------------------------- */

size_t
play_count(const struct play *p, const char *type)
{
	size_t i, n = 0;

	for (i = 0; i < p->nevents; i++)
		n += strcmp(json_str(p->events[i], "type", ""), type) == 0;
	return n;
}

const struct json *
play_event(const struct play *p, const char *type, size_t n)
{
	size_t i;

	for (i = 0; i < p->nevents; i++)
		if (strcmp(json_str(p->events[i], "type", ""), type) == 0 &&
		    n-- == 0)
			return p->events[i];
	fail_msg("no such %s among %zu events", type, p->nevents);
	return NULL;
}

const char *
play_str(const struct json *event, const char *path)
{
	const struct json *v = json_path(json_get(event, "data"), path);

	if (v == NULL || v->type != JSON_STRING)
		return "(none)";
	return v->str;
}

const char *
play_last_text(const struct play *p)
{
	const struct json *item, *found = NULL;
	size_t i;

	for (i = 0; i < p->nevents; i++) {
		item = json_path(p->events[i], "data.item");
		if (strcmp(json_str(p->events[i], "type", ""),
			"item.completed") == 0 &&
		    strcmp(json_str(item, "kind", ""), "message") == 0 &&
		    strcmp(json_str(item, "role", ""), "assistant") == 0)
			found = json_get(item, "content");
	}
	return found != NULL ? json_str(found->child, "text", "(none)")
			     : "(none)";
}

static void
check_body(const struct json *ev)
{
	static const char *const members[] = { "time", "native_session_id",
		"synthetic", "source", "type", "data", "raw" };
	const struct json *v = ev->child;
	size_t i;

	for (i = 0; i < countof(members); i++, v = v->next) {
		assert_non_null(v);
		assert_string_equal(v->key, members[i]);
	}
	assert_null(v);
	assert_string_equal(json_str(ev, "source", ""),
	    json_bool(ev, "synthetic", false) ? "daemon" : "agent");
}

/* What became of one item. */
struct seen {
	bool started, completed;
};

static struct seen *
item_seen(struct seen **seen, size_t *n, const char *id)
{
	size_t number, room = *n;

	assert_true(str_starts(id, "itm_"));
	number = strtoul(id + 4, NULL, 10);
	assert_in_range(number, 1, 10000000);
	if (number >= room) {
		*n = number * 2;
		*seen = xreallocarray(*seen, *n, sizeof(**seen));
		memset(*seen + room, 0, (*n - room) * sizeof(**seen));
	}
	return &(*seen)[number];
}

static void
check_item(
    const struct json *ev, const char *type, struct seen **seen, size_t *n)
{
	struct seen *it;

	if (strcmp(type, "item.delta") == 0) {
		it = item_seen(seen, n, play_str(ev, "item_id"));
		assert_true(it->started && !it->completed);
		return;
	}
	it = item_seen(seen, n, play_str(ev, "item.item_id"));
	if (strcmp(type, "item.started") == 0) {
		assert_false(it->started);
		it->started = true;
	} else {
		assert_true(it->started && !it->completed);
		it->completed = true;
	}
}

void
play_check_log(const struct play *p, bool open)
{
	struct seen *seen = NULL;
	const char *type;
	bool turn = false;
	size_t i, n = 0;

	for (i = 0; i < p->nevents; i++) {
		const struct json *ev = p->events[i];

		check_body(ev);
		type = json_str(ev, "type", "");
		if (i == 0)
			assert_string_equal(type, "session.started");
		if (strcmp(type, "turn.started") == 0) {
			assert_false(turn);
			turn = true;
		} else if (strcmp(type, "turn.ended") == 0) {
			assert_true(turn);
			turn = false;
		} else if (str_starts(type, "item.")) {
			assert_true(turn);
			check_item(ev, type, &seen, &n);
		}
	}
	for (i = 0; i < n && !open; i++)
		assert_true(seen[i].started == seen[i].completed);
	assert_true(open || !turn);
	free(seen);
}
