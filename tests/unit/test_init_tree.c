/*
 * sandboxd-init against many, stubborn and hostile processes: orphans, exits
 * in one instant, timeouts, kills, full tables, attacks.
 */
#include "test_init_help.h"

#include <sys/utsname.h>

#ifdef __SANITIZE_ADDRESS__
#	define ORPHANS 1000 /* forking is slow with shadow memory */
#else
#	define ORPHANS 10000
#endif

static double
cpu_seconds(pid_t pid)
{
	char path[64], text[512], *s;
	unsigned long u = 0, k = 0;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	s = strrchr(text, ')');
	assert_int_equal(sscanf(s + 2,
			     "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
			     "%lu %lu",
			     &u, &k),
	    2);
	return (double)(u + k) / (double)sysconf(_SC_CLK_TCK);
}

static void
test_orphans(void **state)
{
	struct peer *p = plain_box();
	struct ended d;
	double cpu;

	(void)state;
	free(run_output(p, helper_args("orphans", ORPHANS, ""), &d));
	assert_int_equal(d.code, 0);
	assert_int_equal(box_wait_count(p, 0, 0), 0);
	cpu = cpu_seconds(p->pid);
	print_message("# init: %.2f s of cpu for %d orphans\n", cpu, ORPHANS);
	assert_true(cpu < 1.0);
	box_end(p);
}

static void
test_all_at_once(void **state)
{
	enum {
		N = 500
	};
	struct peer *p = plain_box();
	int in[2], fds[3], i;
	int64_t id[N];
	struct ended d;
	struct json *j;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	fds[0] = in[0];
	fds[1] = fds[2] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (i = 0; i < N; i++) {
		id[i] = p->next_id++;
		peer_sendf(p, fds, 3,
		    "{\"id\":%lld,\"op\":\"exec\",\"kind\":\"command\",%s,"
		    "\"env\":{},\"fds\":3}",
		    (long long)id[i], helper_args("exit", i % 256, ""));
	}
	(void)close(in[0]);
	(void)close(fds[1]);
	for (i = 0; i < N; i++) {
		j = peer_reply(p, id[i]);
		assert_non_null(json_get(j, "ok"));
		json_free(j);
	}
	(void)close(in[1]);
	for (i = 0; i < N; i++) {
		d = run_ended(p, id[i]);
		assert_int_equal(d.code, i % 256);
	}
	/* And none twice. */
	assert_null(peer_try(p, "op", 0, "exited", 50));
	box_end(p);
}

static void
test_few_descriptors(void **state)
{
	const struct box_plan plan = { .open_files = 32 };
	struct peer *p = box_start(&plan);
	struct run r[100];
	size_t i;

	(void)state;
	for (i = 0; i < countof(r); i++)
		r[i] = run_start(p, "\"argv\":[\"true\"]");
	for (i = 0; i < countof(r); i++) {
		(void)run_started(p, &r[i]);
		assert_int_equal(run_ended(p, r[i].id).code, 0);
		run_close(&r[i]);
	}
	box_end(p);
}

static void
test_timeout(void **state)
{
	struct peer *p = plain_box();
	struct run quick, r;
	struct ended d;
	int64_t start;

	(void)state;
	/* One that ends in time is not touched, nor what it leaves. */
	quick = run_start(p, helper_args("leave", 3, ",\"timeout_ms\":300"));
	(void)run_started(p, &quick);
	d = run_ended(p, quick.id);
	assert_int_equal(d.code, 0);
	assert_false(d.timed_out);
	run_close(&quick);
	assert_int_equal(box_wait_count(p, 0, 3), 3);

	start = now_monotonic_ms();
	r = run_start(p, helper_args("stubborn", 5, ",\"timeout_ms\":400"));
	(void)run_started(p, &r);
	wait_text(r.out_fd, "up\n");
	d = run_ended(p, r.id);
	start = now_monotonic_ms() - start;
	assert_true(d.timed_out);
	assert_int_equal(d.signal, SIGKILL);
	assert_true(start >= 400 && start < 5000);
	assert_int_equal(box_wait_count(p, 0, 3), 3);
	run_close(&r);
	box_end(p);
}

/* Only this kernel's pid_max belongs to a namespace; on an older one setting it
 * would harm the machine. */
static bool
pid_max_is_ours(void)
{
	struct utsname u;
	int major, minor;

	return uname(&u) == 0 &&
	       sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 14));
}

static void
test_timeout_of_a_bomb(void **state)
{
	const struct box_plan plan = {
		.pid_max = pid_max_is_ours() ? 1500 : 0,
	};
	struct peer *p = box_start(&plan);
	struct run r;
	struct ended d;

	(void)state;
	r = run_start(p, helper_args("bomb", 3, ",\"timeout_ms\":300"));
	(void)run_started(p, &r);
	d = run_ended(p, r.id);
	assert_true(d.timed_out);
	assert_int_equal(box_wait_count(p, 0, 0), 0);
	run_close(&r);
	box_end(p);
}

static void
kill_exec(struct peer *p, int64_t exec, int sig)
{
	int64_t id = p->next_id++;
	struct json *j;

	peer_sendf(p, NULL, 0,
	    "{\"id\":%lld,\"op\":\"kill\",\"exec\":%lld,\"signal\":%d}",
	    (long long)id, (long long)exec, sig);
	j = peer_reply(p, id);
	assert_non_null(json_get(j, "ok"));
	json_free(j);
}

static void
test_kill(void **state)
{
	struct peer *p = plain_box();
	struct run by, r;
	struct ended d;

	(void)state;
	by = run_start(p, "\"argv\":[\"sleep\",\"1000\"]");
	(void)run_started(p, &by);

	r = run_start(
	    p, "\"argv\":[\"sh\",\"-c\",\"sleep 1000 & sleep 1000 & wait\"]");
	(void)run_started(p, &r);
	assert_int_equal(box_wait_count(p, 0, 4), 4);
	kill_exec(p, r.id, SIGTERM);
	d = run_ended(p, r.id);
	assert_int_equal(d.signal, SIGTERM);
	assert_false(d.timed_out);
	assert_int_equal(box_wait_count(p, 0, 1), 1);
	run_close(&r);

	r = run_start(p, helper_args("stubborn", 6, ""));
	(void)run_started(p, &r);
	wait_text(r.out_fd, "up\n");
	kill_exec(p, r.id, SIGKILL);
	d = run_ended(p, r.id);
	assert_int_equal(d.signal, SIGKILL);
	assert_int_equal(box_wait_count(p, 0, 1), 1);
	/* Again, and one that never was. */
	kill_exec(p, r.id, SIGKILL);
	kill_exec(p, 123456, SIGTERM);
	run_close(&r);

	/* What an ended one has left in its session is reached as well. */
	r = run_start(p, helper_args("leave", 4, ""));
	(void)run_started(p, &r);
	assert_int_equal(run_ended(p, r.id).code, 0);
	assert_int_equal(box_wait_count(p, 0, 5), 5);
	kill_exec(p, r.id, SIGTERM);
	assert_int_equal(box_wait_count(p, 0, 1), 1);
	run_close(&r);
	kill_exec(p, by.id, SIGKILL);
	assert_int_equal(run_ended(p, by.id).signal, SIGKILL);
	run_close(&by);
	box_end(p);
}

static void
test_full_table(void **state)
{
	const struct box_plan plan = { .pid_max = 400 };
	struct peer *p;
	struct run r[420];
	struct json *j;
	size_t i, n = 0;

	(void)state;
	if (!pid_max_is_ours())
		skip();
	p = box_start(&plan);
	/* Until no more fit; each of them answered one way or the other. */
	for (i = 0; i < countof(r) && n == i; i++) {
		r[i] = run_start(p, "\"argv\":[\"sleep\",\"1000\"]");
		j = peer_reply(p, r[i].id);
		if (json_get(j, "ok") != NULL)
			n++;
		else
			assert_string_equal(
			    json_str(json_get(j, "error"), "code", ""),
			    "limit");
		json_free(j);
	}
	assert_true(n > 50 && n < countof(r));
	/* The last: low numbers are not given out again. */
	kill_exec(p, r[n - 1].id, SIGKILL);
	assert_int_equal(run_ended(p, r[n - 1].id).signal, SIGKILL);
	run_expect(p, "\"argv\":[\"echo\",\"again\"]", "again\n");
	while (i-- > 0)
		run_close(&r[i]);
	box_end(p);
}

static void
test_attacks_on_init(void **state)
{
	struct peer *p = plain_box();

	(void)state;
	run_expect(p, helper_args("attack", 0, ""), "done\n");
	run_expect(p, helper_args("attack", 0, ",\"user\":\"1000\""), "done\n");
	run_expect(p, "\"argv\":[\"echo\",\"alive\"]", "alive\n");
	box_end(p);
}

static void
test_hostile_passwd(void **state)
{
	struct box_plan plan = { 0 };
	struct peer *p;
	struct buf b;
	int i;

	(void)state;
	buf_init(&b, 32u << 20);
	(void)buf_adds(&b, "\n:\n::::::\nann\nann:x:-1:0::/:\nann:x:1e3:0::/:\n"
			   "ann:x:99999999999999999999:0::/:\n"
			   "ann:x:4294967295:0::/:\nann:x:1000:\n"
			   "+::::::\n\xff\xfe:x:1:1::/:\n");
	(void)buf_add(&b, "ann\0:x:66:66::/:\n", 17);
	for (i = 0; i < 200000; i++)
		(void)buf_addc(&b, 'a');
	(void)buf_adds(&b, ":x:7:7::/:\n");
	for (i = 0; i < 100000; i++)
		(void)buf_addf(&b, "u%d:x:%d:%d::/:\n", i, i + 2000, i);
	(void)buf_adds(&b, "ann:x:1000:1001:gecos:relative/../home:/x\n"
			   "ann:x:0:0:later:/root:/bin/sh");
	plan.passwd = b.data;
	plan.group = "a:x:1001:ann\nb:x:x:ann\nc:x:7:,,ann,\nd:x:8:annn,an\n"
		     "e:x:9:ann:\nlast:x:12:ann";
	p = box_start(&plan);
	/* strlen ends at the NUL, so the file is what comes before it: the
	 * whole text goes in through a second box. */
	run_refused(p, "\"user\":\"ann\",\"argv\":[\"id\"]", "user_not_found",
	    "no such user");
	box_end(p);
	for (i = 0; i < (int)b.len; i++)
		if (b.data[i] == '\0')
			b.data[i] = '\x01';
	p = box_start(&plan);
	run_expect(p,
	    "\"user\":\"ann\",\"argv\":[\"sh\",\"-c\",\"id -u; id -G; pwd; "
	    "echo "
	    "$HOME\"]",
	    "1000\n1001 7 12\n/\n/\n");
	run_refused(p, "\"user\":\"nobody2\",\"argv\":[\"id\"]",
	    "user_not_found", "no such user");
	box_end(p);
	buf_free(&b);

	plan = (struct box_plan){ .fifo_passwd = true };
	p = box_start(&plan);
	run_refused(p, "\"user\":\"root\",\"argv\":[\"id\"]", "user_not_found",
	    "no such user");
	run_expect(p, "\"user\":\"5:6\",\"argv\":[\"id\",\"-g\"]", "6\n");
	box_end(p);
}

int
main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_few_descriptors),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_timeout_of_a_bomb),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_attacks_on_init),
		cmocka_unit_test(test_hostile_passwd),
	};

	return help_main(argc, argv, tests, countof(tests));
}
