/*
 * sandboxd-relay and clients that are slow, gone or many, commands that write
 * for ever, and how fast it is.
 */
#include "test_relay_peer.h"

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
	while (!ended) {
		assert_true(now_monotonic_ms() - start < WAIT_MS);
		if (pid != -1 && waitpid(pid, NULL, WNOHANG) == pid) {
			pid = -1;
			carry_finish(&c);
		}
		if (poll(&pfd, 1, 5) != 1)
			continue;
		n = read(c.client_fd, block + kept, sizeof(block) - kept - 1);
		assert_true(n > 0);
		got += (size_t)n;
		kept += (size_t)n;
		block[kept] = '\0';
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
		cmocka_unit_test(test_slow_client),
		cmocka_unit_test(test_client_gone),
		cmocka_unit_test(test_background_writer),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_speed),
	};

	return relay_main(tests, countof(tests));
}
