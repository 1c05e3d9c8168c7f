/*
 * A relay under test, the carries given to it, and what its clients read.
 * Included by test_relay*.c.
 */
#ifndef TEST_RELAY_PEER_H
#define TEST_RELAY_PEER_H

#include "test_init_peer.h"

#include <sys/ioctl.h>

static struct peer *relay;
static char empty_dir[] = "/tmp/test_relay.XXXXXX";

struct carry {
	int64_t id;
	int client_fd;	/* the client's side */
	int out_fd[2];	/* write ends */
	struct buf got; /* what the client has read */
};

static inline int
setup(void **state)
{
	const char *program = program_path("sandboxd-relay");
	struct json *j;
	struct err e;
	int ours, theirs;
	pid_t pid;

	(void)state;
	assert_non_null(program);
	assert_non_null(mkdtemp(empty_dir));
	assert_int_equal(fd_socketpair(&ours, &theirs, &e), 0);
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)dup2(theirs, 3);
		if (theirs == 3)
			(void)fd_set_cloexec(3, 0);
		if (getuid() == 0)
			(void)execl(program, "sandboxd-relay", "--uid", "65534",
			    "--gid", "65533", "--root", empty_dir, NULL);
		else
			(void)execl(program, "sandboxd-relay", NULL);
		_exit(98);
	}
	(void)close(theirs);
	relay = calloc(1, sizeof(*relay));
	assert_non_null(relay);
	peer_init(relay, ours, pid);
	j = peer_try(relay, "op", 0, "hello", WAIT_MS);
	assert_non_null(j);
	assert_string_equal(json_str(j, "role", ""), "relay");
	json_free(j);
	return 0;
}

static inline int
teardown(void **state)
{
	int status;

	(void)state;
	fd_close(&relay->fd);
	status = wait_end(relay->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	peer_free(relay);
	free(relay);
	(void)rmdir(empty_dir);
	return 0;
}

static inline void
carry_start(struct carry *c, int64_t output_bytes)
{
	int fds[3], out[2], err[2], pair[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	(void)fd_set_nonblock(pair[1], 1);
	c->id = relay->next_id++;
	c->client_fd = pair[0];
	c->out_fd[0] = out[1];
	c->out_fd[1] = err[1];
	buf_init(&c->got, 1u << 30);
	fds[0] = pair[1];
	fds[1] = out[0];
	fds[2] = err[0];
	peer_sendf(relay, fds, 3,
	    "{\"id\":%lld,\"op\":\"carry\",\"request\":\"\\\"r%lld\\\"\","
	    "\"output_bytes\":%lld,\"fds\":3}",
	    (long long)c->id, (long long)c->id, (long long)output_bytes);
	fd_close_all(fds, 3);
}

static inline void
carry_finish(struct carry *c)
{
	fd_close(&c->out_fd[0]);
	fd_close(&c->out_fd[1]);
	peer_sendf(relay, NULL, 0,
	    "{\"op\":\"finish\",\"carry\":%lld,\"ok\":{\"exit_code\":3}}",
	    (long long)c->id);
}

static inline bool
carry_answer(struct carry *c)
{
	struct json *j = peer_reply(relay, c->id);
	bool gone;

	assert_non_null(json_get(j, "ok"));
	gone = json_bool(json_get(j, "ok"), "gone", false);
	json_free(j);
	return gone;
}

static inline void
carry_close(struct carry *c)
{
	fd_close(&c->client_fd);
	fd_close(&c->out_fd[0]);
	fd_close(&c->out_fd[1]);
	buf_free(&c->got);
}

/* Wait until the relay has read all that is in the pipe. */
static inline void
pipe_wait_empty(int write_fd)
{
	int64_t end = now_monotonic_ms() + WAIT_MS;
	int held = 1;

	while (held > 0 && now_monotonic_ms() < end) {
		assert_int_equal(ioctl(write_fd, FIONREAD, &held), 0);
		if (held > 0)
			(void)poll(NULL, 0, 1);
	}
	assert_int_equal(held, 0);
}

/* One line from the client's side, parsed; NULL when none came in MS. */
static inline struct json *
client_line(struct carry *c, int ms)
{
	int64_t end = now_monotonic_ms() + ms;
	struct pollfd pfd = { .fd = c->client_fd, .events = POLLIN };
	struct json *j;
	struct err e;
	char *nl, *to;
	ssize_t n;

	for (;;) {
		nl = c->got.len == 0 ? NULL
				     : memchr(c->got.data, '\n', c->got.len);
		if (nl != NULL)
			break;
		if (poll(&pfd, 1, (int)MAX(0, end - now_monotonic_ms())) != 1)
			return NULL;
		to = buf_reserve(&c->got, 65536);
		assert_non_null(to);
		n = read(c->client_fd, to, 65536);
		if (n <= 0)
			return NULL;
		c->got.len += (size_t)n;
	}
	if (json_parse(c->got.data, (size_t)(nl - c->got.data), 8, &j, &e) ==
	    -1)
		fail_msg("line: %s", e.text);
	buf_consume(&c->got, (size_t)(nl - c->got.data) + 1);
	return j;
}

static inline int
base64_value(char ch)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = strchr(digits, ch);

	return p == NULL || ch == '\0' ? -1 : (int)(p - digits);
}

static inline void
base64_read(struct buf *b, const char *s, size_t n)
{
	size_t i, k, pad;
	unsigned v;

	assert_int_equal(n % 4, 0);
	for (i = 0; i < n; i += 4) {
		for (v = 0, pad = 0, k = 0; k < 4; k++) {
			v <<= 6;
			if (s[i + k] == '=')
				pad++;
			else
				v |= (unsigned)base64_value(s[i + k]);
		}
		(void)buf_addc(b, (char)(v >> 16));
		if (pad < 2)
			(void)buf_addc(b, (char)(v >> 8));
		if (pad < 1)
			(void)buf_addc(b, (char)v);
	}
}

/* Read to the final line, which the caller frees; the bytes of each stream
 * into OUT. Every line must name the request. */
static inline struct json *
client_read(struct carry *c, struct buf out[2], size_t *base64_out)
{
	char request[32];
	const struct json *item, *v;
	struct json *j;
	size_t which;

	(void)snprintf(request, sizeof(request), "r%lld", (long long)c->id);
	for (;;) {
		j = client_line(c, WAIT_MS);
		if (j == NULL)
			fail_msg("no line");
		assert_string_equal(json_str(j, "id", ""), request);
		item = json_get(j, "item");
		if (item == NULL)
			return j;
		which = strcmp(json_str(item, "stream", ""), "stderr") == 0;
		v = json_get(item, "data");
		if (v != NULL) {
			(void)buf_add(&out[which], v->str, v->len);
		} else {
			v = json_get(item, "base64");
			assert_non_null(v);
			base64_read(&out[which], v->str, v->len);
			if (base64_out != NULL)
				(*base64_out)++;
		}
		json_free(j);
	}
}

static inline void
out_init(struct buf out[2])
{
	buf_init(&out[0], 1u << 30);
	buf_init(&out[1], 1u << 30);
	(void)buf_adds(&out[0], "");
	(void)buf_adds(&out[1], "");
}

static inline void
out_free(struct buf out[2])
{
	buf_free(&out[0]);
	buf_free(&out[1]);
}

static inline int
relay_main(const struct CMUnitTest *tests, size_t n)
{
	if (program_path("sandboxd-relay") == NULL) {
		(void)printf("1..0 # SKIP sandboxd-relay is not built\n");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return _cmocka_run_group_tests("tests", tests, n, setup, teardown);
}

#endif
