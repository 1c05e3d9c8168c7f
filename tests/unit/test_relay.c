/*
 * sandboxd-relay driven over its channel: what it may do, and which lines of
 * JSON come out. Slow, gone and many clients are in test_relay_load.c.
 */
#include "test_relay_peer.h"

#include <dirent.h>

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

static int
relay_exit_code(const char *const args[])
{
	const char *program = program_path("sandboxd-relay");
	char *argv[8] = { (char *)(uintptr_t)program };
	size_t i;
	pid_t pid;

	for (i = 0; args[i] != NULL; i++)
		argv[i + 1] = (char *)(uintptr_t)args[i];
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)close(2);
		(void)execv(program, argv);
		_exit(1);
	}
	return WEXITSTATUS(wait_end(pid));
}

static void
test_bad_starts(void **state)
{
	const char *const half[] = { "--uid", "65534", NULL };
	const char *const zero[] = { "--uid", "0", "--gid", "0", "--root",
		empty_dir, NULL };
	const char *const full[] = { "--uid", "65534", "--gid", "65534",
		"--root", "/usr", NULL };

	(void)state;
	assert_int_equal(relay_exit_code(half), 100);
	assert_int_equal(relay_exit_code(zero), 100);
	assert_int_equal(relay_exit_code(full), 111);
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
		cmocka_unit_test(test_no_leak),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_starts),
	};

	return relay_main(tests, countof(tests));
}
