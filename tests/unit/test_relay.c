/*
 * sandboxd-relay driven over its channel: pipes in, lines of JSON out, and
 * what clients may do to it.
 */
#include "test_init_peer.h"

#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct peer *relay;
static char empty_dir[] = "/tmp/test_relay.XXXXXX";

struct carry {
	int64_t id;
	int client_fd;	/* the client's side */
	int out_fd[2];	/* write ends */
	struct buf got; /* what the client has read */
};

static int
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

static int
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

static void
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

static void
carry_finish(struct carry *c)
{
	fd_close(&c->out_fd[0]);
	fd_close(&c->out_fd[1]);
	peer_sendf(relay, NULL, 0,
	    "{\"op\":\"finish\",\"carry\":%lld,\"ok\":{\"exit_code\":3}}",
	    (long long)c->id);
}

static bool
carry_answer(struct carry *c)
{
	struct json *j = peer_reply(relay, c->id);
	bool gone;

	assert_non_null(json_get(j, "ok"));
	gone = json_bool(json_get(j, "ok"), "gone", false);
	json_free(j);
	return gone;
}

static void
carry_close(struct carry *c)
{
	fd_close(&c->client_fd);
	fd_close(&c->out_fd[0]);
	fd_close(&c->out_fd[1]);
	buf_free(&c->got);
}

/* Wait until the relay has read all that is in the pipe. */
static void
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
static struct json *
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

static int
base64_value(char ch)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = strchr(digits, ch);

	return p == NULL || ch == '\0' ? -1 : (int)(p - digits);
}

static void
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
static struct json *
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

static void
out_init(struct buf out[2])
{
	buf_init(&out[0], 1u << 30);
	buf_init(&out[1], 1u << 30);
	(void)buf_adds(&out[0], "");
	(void)buf_adds(&out[1], "");
}

static void
out_free(struct buf out[2])
{
	buf_free(&out[0]);
	buf_free(&out[1]);
}

static void
test_privileges(void **state)
{
	char path[64], text[4096], root[PATH_MAX];
	ssize_t n;
	int fd;

	(void)state;
	if (getuid() != 0)
		skip();
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)relay->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "\nUid:\t65534\t65534\t65534\t65534\n"));
	assert_non_null(strstr(text, "\nGid:\t65533\t65533\t65533\t65533\n"));
	assert_non_null(strstr(text, "\nGroups:\t \n"));
	assert_non_null(strstr(text, "\nCapPrm:\t0000000000000000\n"));
	assert_non_null(strstr(text, "\nCapBnd:\t0000000000000000\n"));
	assert_non_null(strstr(text, "\nNoNewPrivs:\t1\n"));
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)relay->pid);
	n = readlink(path, root, sizeof(root) - 1);
	assert_true(n > 0);
	root[n] = '\0';
	assert_string_equal(root, empty_dir);
}

static void
test_lines(void **state)
{
	struct buf out[2];
	struct carry c;
	struct json *j;

	(void)state;
	out_init(out);
	carry_start(&c, 1000);
	/* A client that has nothing more to say is still there. */
	assert_int_equal(shutdown(c.client_fd, SHUT_WR), 0);
	assert_int_equal(fd_write_all(c.out_fd[0], "a\"\n\x01\0z", 6), 0);
	assert_int_equal(fd_write_all(c.out_fd[1], "err", 3), 0);
	j = client_line(&c, WAIT_MS);
	assert_non_null(json_get(j, "item"));
	(void)buf_adds(&out[strcmp(json_str(json_get(j, "item"), "stream", ""),
				"stderr") == 0],
	    "");
	json_free(j);
	pipe_wait_empty(c.out_fd[0]);
	pipe_wait_empty(c.out_fd[1]);
	carry_finish(&c);
	j = client_read(&c, out, NULL);
	assert_int_equal(json_int(json_get(j, "ok"), "exit_code", -1), 3);
	assert_int_equal(json_int(json_get(j, "ok"), "stdout_bytes", -1), 6);
	assert_int_equal(json_int(json_get(j, "ok"), "stderr_bytes", -1), 3);
	assert_false(json_bool(json_get(j, "ok"), "truncated", true));
	json_free(j);
	assert_false(carry_answer(&c));
	carry_close(&c);
	out_free(out);
}

static void
test_final_line_alone(void **state)
{
	struct buf out[2];
	struct carry c;
	struct json *j;

	(void)state;
	out_init(out);
	carry_start(&c, 0);
	peer_sendf(relay, NULL, 0,
	    "{\"op\":\"finish\",\"carry\":%lld,\"ok\":{}}", (long long)c.id);
	j = client_read(&c, out, NULL);
	assert_int_equal(json_int(json_get(j, "ok"), "stdout_bytes", -1), 0);
	json_free(j);
	assert_false(carry_answer(&c));
	carry_close(&c);

	carry_start(&c, 0);
	peer_sendf(relay, NULL, 0,
	    "{\"op\":\"finish\",\"carry\":%lld,\"error\":{\"code\":"
	    "\"exec_failed\",\"detail\":\"exec: x\"}}",
	    (long long)c.id);
	j = client_read(&c, out, NULL);
	assert_string_equal(
	    json_str(json_get(j, "error"), "detail", ""), "exec: x");
	json_free(j);
	assert_false(carry_answer(&c));
	carry_close(&c);
	out_free(out);
}

static void
test_binary(void **state)
{
	char bytes[70000];
	struct buf out[2];
	size_t i, base64 = 0;
	struct carry c;
	struct json *j;
	int status;
	pid_t pid;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 251);
	out_init(out);
	carry_start(&c, INT64_MAX);
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(fd_write_all(c.out_fd[1], bytes, sizeof(bytes)) != 0);
	status = wait_end(pid);
	assert_int_equal(status, 0);
	carry_finish(&c);
	j = client_read(&c, out, &base64);
	assert_int_equal(out[1].len, sizeof(bytes));
	assert_memory_equal(out[1].data, bytes, sizeof(bytes));
	assert_true(base64 > 0);
	json_free(j);
	assert_false(carry_answer(&c));
	carry_close(&c);
	out_free(out);
}

static void
test_cut_characters(void **state)
{
	static const char text[] = "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!";
	size_t i, base64 = 0;
	struct buf out[2];
	struct carry c;
	struct json *j;

	(void)state;
	out_init(out);
	carry_start(&c, 1000);
	for (i = 0; i < strlen(text); i++) {
		assert_int_equal(fd_write_all(c.out_fd[0], text + i, 1), 0);
		pipe_wait_empty(c.out_fd[0]);
	}
	/* One that its command never completes. */
	assert_int_equal(fd_write_all(c.out_fd[0], "x\xe2\x82", 3), 0);
	carry_finish(&c);
	j = client_read(&c, out, &base64);
	assert_string_equal(
	    out[0].data, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!x\xe2\x82");
	assert_int_equal(base64, 1);
	json_free(j);
	assert_false(carry_answer(&c));
	carry_close(&c);
	out_free(out);
}

static void
test_cap(void **state)
{
	char bytes[30000];
	struct buf out[2];
	size_t base64 = 0;
	struct carry c;
	struct json *j;
	int i;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes + 9, "\xe2\x82\xac", 3); /* the cap cuts it */
	out_init(out);
	carry_start(&c, 10);
	for (i = 0; i < 20; i++) {
		assert_int_equal(
		    fd_write_all(c.out_fd[0], bytes, sizeof(bytes)), 0);
		/* Dropped, not left to block the command. */
		pipe_wait_empty(c.out_fd[0]);
	}
	carry_finish(&c);
	j = client_read(&c, out, &base64);
	assert_string_equal(out[0].data, "xxxxxxxxx");
	assert_int_equal(base64, 0);
	assert_true(json_bool(json_get(j, "ok"), "truncated", false));
	assert_int_equal(json_int(json_get(j, "ok"), "stdout_bytes", -1),
	    20 * (int)sizeof(bytes));
	json_free(j);
	assert_false(carry_answer(&c));
	carry_close(&c);
	out_free(out);
}

static long
rss_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	(void)fclose(f);
	return kb;
}

/* A writer of N bytes of text in a process of its own, which alone holds the
 * pipe then. */
static pid_t
writer_start(struct carry *c, size_t n)
{
	static char block[65536];
	size_t i, k;
	pid_t pid;

	for (i = 0; i < sizeof(block); i++)
		block[i] = i % 80 == 79 ? '\n' : (char)('a' + i % 26);
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)close(relay->fd);
		fd_close(&c->client_fd);
		for (; n > 0; n -= k) {
			k = MIN(n, sizeof(block));
			if (fd_write_all(c->out_fd[0], block, k) == -1)
				_exit(1);
		}
		_exit(0);
	}
	fd_close(&c->out_fd[0]);
	fd_close(&c->out_fd[1]);
	return pid;
}

static void
test_slow_client(void **state)
{
	const size_t total = 32u << 20;
	struct carry slow, quick;
	struct buf out[2];
	struct json *j;
	long before, after;
	int i, status;
	pid_t pid;

	(void)state;
	out_init(out);
	before = rss_kb(relay->pid);
	carry_start(&slow, INT64_MAX);
	pid = writer_start(&slow, total);
	/* Others go on meanwhile. */
	for (i = 0; i < 50; i++) {
		carry_start(&quick, 1000);
		assert_int_equal(fd_write_all(quick.out_fd[0], "q", 1), 0);
		carry_finish(&quick);
		j = client_read(&quick, out, NULL);
		json_free(j);
		assert_false(carry_answer(&quick));
		carry_close(&quick);
	}
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0); /* it is held */
	after = rss_kb(relay->pid);
	assert_true(after - before < 2048);
	out[0].len = 0;
	peer_sendf(relay, NULL, 0,
	    "{\"op\":\"finish\",\"carry\":%lld,\"ok\":{}}", (long long)slow.id);
	/* Finished while its pipe is full: that much is still the command's.
	 */
	j = client_read(&slow, out, NULL);
	assert_true(out[0].len >= 65536);
	assert_true(out[0].len < total);
	assert_int_equal(json_int(json_get(j, "ok"), "stdout_bytes", -1),
	    (int64_t)out[0].len);
	json_free(j);
	assert_false(carry_answer(&slow));
	/* Its reader has gone, so the writer ends as well. */
	status = wait_end(pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
	carry_close(&slow);
	out_free(out);
}

static void
test_client_gone(void **state)
{
	struct carry c;
	struct json *j;
	pid_t pid;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		carry_start(&c, INT64_MAX);
		if (i == 1) { /* while lines wait for it */
			pid = writer_start(&c, 4u << 20);
			j = client_line(&c, WAIT_MS);
			assert_non_null(j);
			json_free(j);
		} else {
			pid = -1;
		}
		fd_close(&c.client_fd);
		j = peer_try(relay, "carry", c.id, NULL, WAIT_MS);
		assert_non_null(j);
		assert_string_equal(json_str(j, "op", ""), "gone");
		json_free(j);
		/* The command is not held up by that. */
		if (pid == -1)
			pid = writer_start(&c, 4u << 20);
		assert_int_equal(wait_end(pid), 0);
		assert_null(peer_try(relay, "id", c.id, NULL, 0));
		carry_finish(&c);
		assert_true(carry_answer(&c));
		carry_close(&c);
	}
}

/* The pipe stays open, and is written to for ever, by what a command has left
 * behind: that is not waited for. */
static void
test_background_writer(void **state)
{
	struct buf out[2];
	struct carry c;
	struct json *j;
	pid_t pid;

	(void)state;
	out_init(out);
	carry_start(&c, 1000000);
	pid = writer_start(&c, (size_t)1 << 40);
	carry_finish(&c);
	j = client_read(&c, out, NULL);
	assert_non_null(json_get(j, "ok"));
	json_free(j);
	assert_false(carry_answer(&c));
	assert_true(WIFSIGNALED(wait_end(pid)));
	carry_close(&c);
	out_free(out);
}

static void
test_many_at_once(void **state)
{
	enum {
		N = 150
	};
	static struct carry c[N];
	struct buf out[2];
	struct json *j;
	char text[64];
	int i, k;

	(void)state;
	for (i = 0; i < N; i++)
		carry_start(&c[i], INT64_MAX);
	for (k = 0; k < 20; k++) {
		for (i = 0; i < N; i++) {
			(void)snprintf(text, sizeof(text), "%d:%d\n", i, k);
			assert_int_equal(fd_write_all(c[i].out_fd[k % 2], text,
					     strlen(text)),
			    0);
		}
	}
	for (i = N - 1; i >= 0; i--)
		carry_finish(&c[i]);
	for (i = 0; i < N; i++) {
		out_init(out);
		j = client_read(&c[i], out, NULL);
		json_free(j);
		for (k = 0; k < 20; k++) {
			(void)snprintf(text, sizeof(text), "%d:%d\n", i, k);
			assert_non_null(strstr(out[k % 2].data, text));
		}
		assert_false(carry_answer(&c[i]));
		carry_close(&c[i]);
		out_free(out);
	}
}

/* Descriptors must not pile up: the relay holds as many as at the start. */
static void
test_no_leak(void **state)
{
	char path[64];
	struct carry c;
	struct json *j;
	struct buf out[2];
	int i, before = -1, count;
	struct dirent *d;
	DIR *dir;

	(void)state;
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)relay->pid);
	for (i = 0; i < 20; i++) {
		out_init(out);
		carry_start(&c, 10);
		if (i % 2 == 1)
			fd_close(&c.client_fd);
		carry_finish(&c);
		if (i % 2 == 0) {
			j = client_read(&c, out, NULL);
			json_free(j);
		}
		(void)carry_answer(&c);
		carry_close(&c);
		out_free(out);
		dir = opendir(path);
		if (dir == NULL)
			skip(); /* not ours to look into */
		for (count = 0; (d = readdir(dir)) != NULL;)
			count++;
		(void)closedir(dir);
		if (before == -1)
			before = count;
		assert_int_equal(count, before);
	}
}

static void
test_refused(void **state)
{
	int pair[2];
	struct json *j;

	(void)state;
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	peer_sendf(relay, pair, 2,
	    "{\"id\":900001,\"op\":\"carry\",\"request\":\"1\","
	    "\"output_bytes\":1,\"fds\":2}");
	fd_close_all(pair, 2);
	j = peer_reply(relay, 900001);
	assert_string_equal(
	    json_str(json_get(j, "error"), "code", ""), "bad_request");
	json_free(j);
	/* Of a carry that was refused the supervisor may still tell the end. */
	peer_sendf(
	    relay, NULL, 0, "{\"op\":\"finish\",\"carry\":900001,\"ok\":{}}");
	j = peer_try(relay, "op", 0, "log", WAIT_MS);
	assert_non_null(j);
	json_free(j);
}

static void
test_speed(void **state)
{
	const size_t total = 64u << 20;
	static char block[1 << 20];
	struct pollfd pfd = { .events = POLLIN };
	int64_t start, ms;
	size_t got = 0, kept = 0;
	bool ended = false;
	struct carry c;
	ssize_t n;
	pid_t pid;

	(void)state;
	carry_start(&c, INT64_MAX);
	pfd.fd = c.client_fd;
	start = now_monotonic_ms();
	pid = writer_start(&c, total);
	/* Lines are longer than what they carry, so this much is not the end,
	 * and what is missing then waits in the pipe. */
	while (!ended) {
		assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
		n = read(c.client_fd, block + kept, sizeof(block) - kept - 1);
		assert_true(n > 0);
		got += (size_t)n;
		kept += (size_t)n;
		block[kept] = '\0';
		if (pid != -1 && waitpid(pid, NULL, WNOHANG) == pid) {
			pid = -1;
			carry_finish(&c);
		}
		ended = strstr(block, "\"stdout_bytes\":67108864,") != NULL;
		/* What is looked for may come in two pieces. */
		memmove(block, block + kept - MIN(kept, 64), MIN(kept, 64));
		kept = MIN(kept, 64);
	}
	ms = now_monotonic_ms() - start;
	assert_true(got > total);
	assert_false(carry_answer(&c));
	carry_close(&c);
	print_message("# relay: %zu MB of text in %lld ms: %lld MB/s\n",
	    total >> 20, (long long)ms,
	    (long long)((int64_t)(total >> 20) * 1000 / MAX(ms, 1)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_privileges),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_final_line_alone),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_cut_characters),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_slow_client),
		cmocka_unit_test(test_client_gone),
		cmocka_unit_test(test_background_writer),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_no_leak),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_speed),
	};

	if (program_path("sandboxd-relay") == NULL) {
		(void)printf("1..0 # SKIP sandboxd-relay is not built\n");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
