/*
 * sandboxd-init as process 1 of a pid namespace, driven over its channel:
 * commands, how they end, who they run as, what they inherit. What needs many
 * or hostile processes is in test_init_tree.c.
 */
#include "test_init_box.h"

static struct peer *box;

static int
setup(void **state)
{
	const struct box_plan plan = {
		.passwd = "root:x:0:0:root:/root:/bin/sh\n"
			  "ann:x:1000:1000:Ann:/tmp:/bin/sh\n"
			  "bob:x:1001:1001:Bob:/nowhere:/bin/sh\n",
		.group = "root:x:0:\nann:x:1000:\nwheel:x:10:bob,ann\n"
			 "disk:x:6:bob\nstaff:x:50:annabel,ann\n",
		.stray_fds = 50,
	};

	(void)state;
	box = box_start(&plan);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	box_end(box);
	return 0;
}

static void
test_exit_codes(void **state)
{
	static const int codes[] = { 0, 1, 42, 126, 127, 255 };
	char args[128];
	struct ended d;
	size_t i;

	(void)state;
	for (i = 0; i < countof(codes); i++) {
		(void)snprintf(args, sizeof(args),
		    "\"argv\":[\"sh\",\"-c\",\"exit %d\"]", codes[i]);
		free(run_output(box, args, &d));
		assert_int_equal(d.code, codes[i]);
		assert_int_equal(d.signal, -1);
		assert_false(d.timed_out);
	}
}

static void
test_signals(void **state)
{
	static const int sigs[] = { SIGHUP, SIGINT, SIGKILL, SIGSEGV, SIGPIPE,
		SIGTERM, SIGUSR1, 64 };
	char args[128];
	struct ended d;
	size_t i;

	(void)state;
	for (i = 0; i < countof(sigs); i++) {
		(void)snprintf(args, sizeof(args),
		    "\"argv\":[\"bash\",\"-c\",\"ulimit -c 0; kill -%d $$\"]",
		    sigs[i]);
		free(run_output(box, args, &d));
		assert_int_equal(d.signal, sigs[i]);
		assert_int_equal(d.code, -1);
	}
}

static void
test_not_started(void **state)
{
	(void)state;
	run_refused(box, "\"argv\":[\"nosuchcmd\"]", "exec_failed",
	    "exec: nosuchcmd: No such file or directory");
	run_refused(box, "\"argv\":[\"/etc/passwd\"]", "exec_failed",
	    "exec: /etc/passwd: Permission denied");
	run_refused(
	    box, "\"argv\":[\"/etc\"]", "exec_failed", "Permission denied");
	run_refused(box, "\"argv\":[\"\"]", "exec_failed", "No such file");
	run_refused(box, "\"argv\":[\"true\"],\"cwd\":\"/no/such\"",
	    "exec_failed", "directory: /no/such: No such file or directory");
	run_refused(
	    box, "\"argv\":[\"true\"],\"cwd\":\"tmp\"", "bad_request", "cwd");
	/* One on the way that may not be run hides one behind it that is not
	 * there, and does not hide one that is. */
	free(run_output(box,
	    "\"argv\":[\"sh\",\"-c\",\"mkdir -p /tmp/a /tmp/b; "
	    "echo x >/tmp/a/prog; printf 'echo ran $1' >/tmp/b/prog; "
	    "chmod 644 /tmp/a/prog; chmod 755 /tmp/b/prog\"]",
	    NULL));
	run_refused(box,
	    "\"argv\":[\"prog\"],\"env\":{\"PATH\":\"/tmp/a:/none\"}",
	    "exec_failed", "exec: prog: Permission denied");
	run_expect(box,
	    "\"argv\":[\"prog\",\"1\"],\"env\":{\"PATH\":\"/tmp/a:/tmp/b\"}",
	    "ran 1\n");
}

static void
test_stdio(void **state)
{
	struct run r;
	char *text;

	(void)state;
	r = run_start(box, "\"argv\":[\"sh\",\"-c\",\"cat; echo err >&2\"]");
	(void)run_started(box, &r);
	assert_int_equal(fd_write_all(r.in_fd, "in\n", 3), 0);
	fd_close(&r.in_fd);
	text = read_all(r.out_fd, NULL);
	assert_string_equal(text, "in\nerr\n");
	free(text);
	assert_int_equal(run_ended(box, r.id).code, 0);
	run_close(&r);
}

static void
test_descriptors(void **state)
{
	(void)state;
	/* ls itself opens the directory as 3. */
	run_expect(box, "\"argv\":[\"ls\",\"/proc/self/fd\"]", "0\n1\n2\n3\n");
	run_expect(box, "\"argv\":[\"ls\",\"/proc/self/fd\"],\"user\":\"ann\"",
	    "0\n1\n2\n3\n");
}

static void
test_environment(void **state)
{
	(void)state;
	run_expect(box,
	    "\"argv\":[\"env\"],\"env\":{\"A\":\"1\",\"B\":\"x y\"}",
	    "A=1\nB=x y\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
	    "/usr/bin:/sbin:/bin\nHOME=/root\n");
	run_expect(box,
	    "\"argv\":[\"env\"],\"user\":\"ann\","
	    "\"env\":{\"PATH\":\"/usr/bin\",\"HOME\":\"\"}",
	    "PATH=/usr/bin\nHOME=\n");
	run_expect(box,
	    "\"argv\":[\"/usr/bin/env\"],\"user\":\"4000\","
	    "\"env\":{\"PATH\":\"/x\"}",
	    "PATH=/x\nHOME=/\n");
	run_refused(box, "\"argv\":[\"env\"],\"env\":{\"A=B\":\"1\"}",
	    "bad_request", "environment");
}

static void
test_directory(void **state)
{
	static const char *const magic[] = { "/proc/self/cwd", "/proc/1/root",
		"/proc/self/fd/0", "/proc/self/root/tmp" };
	char args[128];
	size_t i;

	(void)state;
	run_expect(
	    box, "\"argv\":[\"pwd\"],\"cwd\":\"/usr/bin\"", "/usr/bin\n");
	run_expect(box, "\"argv\":[\"pwd\"]", "/root\n");
	run_expect(box, "\"argv\":[\"pwd\"],\"user\":\"ann\"", "/tmp\n");
	run_expect(box, "\"argv\":[\"pwd\"],\"user\":\"bob\"", "/\n");
	run_refused(box,
	    "\"argv\":[\"pwd\"],\"user\":\"ann\",\"cwd\":\"/root\"",
	    "exec_failed", "directory: /root: Permission denied");
	for (i = 0; i < countof(magic); i++) {
		(void)snprintf(args, sizeof(args),
		    "\"argv\":[\"pwd\"],\"cwd\":\"%s\"", magic[i]);
		run_refused(box, args, "exec_failed", "directory: ");
	}
}

static void
test_users(void **state)
{
	(void)state;
	run_expect(box, "\"argv\":[\"id\",\"-u\"]", "0\n");
	run_expect(box,
	    "\"user\":\"ann\",\"argv\":[\"sh\",\"-c\",\"id -u; id -G\"]",
	    "1000\n1000 10 50\n");
	run_expect(
	    box, "\"user\":\"1001\",\"argv\":[\"id\",\"-G\"]", "1001 6 10\n");
	run_expect(
	    box, "\"user\":\"ann:disk\",\"argv\":[\"id\",\"-G\"]", "6\n");
	run_expect(box, "\"user\":\"ann:7\",\"argv\":[\"id\",\"-G\"]", "7\n");
	run_expect(box,
	    "\"user\":\"4000:5000\",\"argv\":[\"sh\",\"-c\",\"id -u; id -G\"]",
	    "4000\n5000\n");
	run_expect(box, "\"user\":\"4000\",\"argv\":[\"id\",\"-G\"]", "4000\n");
	run_refused(box, "\"user\":\"carl\",\"argv\":[\"id\"]",
	    "user_not_found", "user: carl: no such user");
	run_refused(box, "\"user\":\"ann:zoo\",\"argv\":[\"id\"]",
	    "user_not_found", "zoo: no such group");
	run_refused(box, "\"user\":\":5\",\"argv\":[\"id\"]", "user_not_found",
	    "not a user's name");
	run_refused(box, "\"user\":\"4294967295\",\"argv\":[\"id\"]",
	    "user_not_found", "4294967295");
}

static void
test_capabilities(void **state)
{
	(void)state;
	run_expect(box,
	    "\"argv\":[\"grep\",\"-E\",\"^Cap|NoNewPrivs|^SigBlk|^SigIgn\","
	    "\"/proc/self/status\"]",
	    "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
	    "CapInh:\t0000000000000000\nCapPrm:\t00000000000004fb\n"
	    "CapEff:\t00000000000004fb\nCapBnd:\t00000000000004fb\n"
	    "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
	run_expect(box,
	    "\"user\":\"ann\",\"argv\":[\"grep\",\"-E\",\"^Cap\","
	    "\"/proc/self/status\"]",
	    "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
	    "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
	    "CapAmb:\t0000000000000000\n");
}

static void
test_huge_arguments(void **state)
{
	struct buf b;
	struct ended d;
	char *text;
	int i;

	(void)state;
	buf_init(&b, FRAME_MAX);
	(void)buf_adds(&b, "\"argv\":[\"sh\",\"-c\",\"echo $#\"");
	for (i = 0; i < 4000; i++)
		(void)buf_addf(&b, ",\"argument number %d, %0100d\"", i, 7);
	(void)buf_adds(&b, "],\"env\":{\"PATH\":\"/bin\"");
	for (i = 0; i < 1000; i++)
		(void)buf_addf(&b, ",\"V%d\":\"%0200d\"", i, i);
	(void)buf_adds(&b, "}");
	text = run_output(box, b.data, &d);
	assert_string_equal(text, "3999\n");
	free(text);
	/* One longer than the kernel takes. */
	buf_clear(&b);
	(void)buf_adds(&b, "\"argv\":[\"true\",\"");
	for (i = 0; i < 200000; i++)
		(void)buf_addc(&b, 'x');
	(void)buf_adds(&b, "\"]");
	run_refused(box, b.data, "exec_failed", "Argument list too long");
	buf_free(&b);
}

static void
test_terminal(void **state)
{
	int64_t id = box->next_id++;
	struct json *j;
	char *text, head[128];
	size_t n;
	int fd;

	(void)state;
	peer_sendf(box, NULL, 0,
	    "{\"id\":%lld,\"op\":\"exec\",\"kind\":\"command\",\"argv\":["
	    "\"sh\","
	    "\"-c\",\"stty size; tty; echo $TERM; read x; echo got $x; "
	    ": </dev/tty && ls -ld $(tty) | cut -d' ' -f1,3; ls /proc/self/fd "
	    "| tr '\\\\n' ' '\"],\"user\":\"ann\",\"env\":{},\"tty\":true,"
	    "\"columns\":132,\"rows\":43}",
	    (long long)id);
	j = peer_reply(box, id);
	assert_non_null(json_get(j, "ok"));
	assert_int_equal(json_int(j, "fds", 0), 1);
	json_free(j);
	assert_int_equal(box->nfds, 1);
	fd = box->fds[0];
	box->nfds = 0;
	/* What is typed is echoed: not between the lines. */
	n = read_until(fd, head, sizeof(head), "xterm\r\n");
	assert_memory_equal(head, "43 132\r\n/dev/pts/", 17);
	assert_true(n > 17);
	assert_int_equal(fd_write_all(fd, "hi\n", 3), 0);
	text = read_all(fd, NULL);
	assert_non_null(strstr(text, "got hi\r\ncrw--w---- ann\r\n0 1 2 3 "));
	free(text);
	(void)close(fd);
	assert_int_equal(run_ended(box, id).code, 0);
}

static void
test_session(void **state)
{
	int64_t id = box->next_id++;
	int exe = open("/bin/sh", O_RDONLY | O_CLOEXEC), a[2], b[2];
	int fds[3];
	struct json *j;
	char *text;

	(void)state;
	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	fds[0] = exe;
	fds[1] = a[1];
	fds[2] = b[1];
	peer_sendf(box, fds, 3,
	    "{\"id\":%lld,\"op\":\"exec\",\"kind\":\"session\",\"argv\":["
	    "\"worker\",\"-c\",\"echo $0 $A $HOME >&3; "
	    "ls /proc/self/fd >&4; readlink /proc/$$/fd/0 >&4\",\"w\"],"
	    "\"user\":\"ann\",\"cwd\":\"/tmp\",\"env\":{\"A\":\"1\"},"
	    "\"fds\":3}",
	    (long long)id);
	(void)close(exe);
	(void)close(a[1]);
	(void)close(b[1]);
	j = peer_reply(box, id);
	assert_non_null(json_get(j, "ok"));
	json_free(j);
	text = read_all(a[0], NULL);
	assert_string_equal(text, "w 1\n");
	free(text);
	text = read_all(b[0], NULL);
	/* 5 is the directory that ls has open. */
	assert_string_equal(text, "0\n1\n2\n3\n4\n5\n/dev/null\n");
	free(text);
	(void)close(a[0]);
	(void)close(b[0]);
	assert_int_equal(run_ended(box, id).code, 0);
}

static void
test_breaches_are_answered(void **state)
{
	static const char *const bad[] = {
		"\"op\":\"exec\",\"kind\":\"command\",\"argv\":[\"true\"],"
		"\"env\":{}",
		"\"op\":\"exec\",\"kind\":\"command\",\"argv\":[],\"env\":{}",
		"\"op\":\"exec\",\"kind\":\"service\",\"argv\":[\"true\"],"
		"\"env\":{}",
		"\"op\":\"exec\",\"kind\":\"command\",\"argv\":[\"true\",7],"
		"\"env\":{}",
		"\"op\":\"exec\",\"kind\":\"command\",\"argv\":[\"true\"]",
		"\"op\":\"exec\",\"kind\":\"session\",\"argv\":[\"true\"],"
		"\"env\":{},\"tty\":true",
		"\"op\":\"kill\",\"exec\":1,\"signal\":65",
		"\"op\":\"changes\",\"target\":\"/none\"",
		"\"op\":\"stop\",\"grace_ms\":-1",
		"\"op\":\"launch\"",
		"\"op\":\"put\",\"db\":\"x\",\"key\":\"x\",\"record\":{}",
	};
	struct json *j;
	int64_t id;
	size_t i;

	(void)state;
	for (i = 0; i < countof(bad); i++) {
		id = box->next_id++;
		peer_sendf(
		    box, NULL, 0, "{\"id\":%lld,%s}", (long long)id, bad[i]);
		j = peer_reply(box, id);
		assert_string_equal(
		    json_str(json_get(j, "error"), "code", "none"),
		    "bad_request");
		json_free(j);
	}
	run_expect(box, "\"argv\":[\"echo\",\"alive\"]", "alive\n");
}

static int
box_fds(void)
{
	char path[64];
	int n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)box->pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	(void)closedir(dir);
	return n;
}

static void
test_no_leak(void **state)
{
	int64_t end = now_monotonic_ms() + WAIT_MS;
	int before, i;

	(void)state;
	free(run_output(box, "\"argv\":[\"true\"]", NULL));
	before = box_fds();
	for (i = 0; i < 10; i++) {
		free(run_output(box, "\"argv\":[\"true\"]", NULL));
		run_refused(box, "\"argv\":[\"nosuchcmd\"]", "exec_failed", "");
		run_refused(box, "\"argv\":[\"true\"],\"cwd\":\"x\"",
		    "bad_request", "");
		run_refused(
		    box, "\"argv\":[\"true\"],\"tty\":true", "bad_request", "");
		test_terminal(state);
		test_session(state);
	}
	/* The answer comes before the child that failed is reaped. */
	while (box_fds() != before && now_monotonic_ms() < end)
		(void)poll(NULL, 0, 2);
	assert_int_equal(box_fds(), before);
}

static void
test_refuses_to_be_another_process(void **state)
{
	const char *program = program_path("sandboxd-init");
	pid_t pid;

	(void)state;
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)close(2);
		(void)execl(program, "sandboxd-init", "box", NULL);
		_exit(1);
	}
	assert_int_equal(WEXITSTATUS(wait_end(pid)), 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_not_started),
		cmocka_unit_test(test_stdio),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_huge_arguments),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_no_leak),
		cmocka_unit_test(test_breaches_are_answered),
		cmocka_unit_test(test_refuses_to_be_another_process),
	};
	const char *why = box_impossible();

	if (why != NULL) {
		(void)printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
