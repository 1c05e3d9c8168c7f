/*
 * sandboxd-init against many, stubborn and hostile processes: orphans, exits
 * in one instant, timeouts, kills, full tables, the way out. This program is
 * its own helper inside the box: `test_init_tree --helper NAME ARG`.
 */
#include "test_init_box.h"

#include <sys/ptrace.h>
#include <sys/utsname.h>

/*
 * Helpers, which run inside the box
 */

/* N orphans, four at a time, each gone a moment after its parent. */
static int
help_orphans(int n)
{
	int i, status;
	pid_t pid;

	for (i = 0; i < n; i++) {
		pid = fork();
		if (pid == -1)
			return 1;
		if (pid == 0)
			_exit(fork() == -1);
		if (waitpid(pid, &status, 0) != pid || status != 0)
			return 1;
	}
	return 0;
}

/* Wait for the end of stdin, then exit with N. */
static int
help_exit(int n)
{
	char c;

	while (read(0, &c, 1) > 0)
		;
	return n;
}

static void
ignore_all(void)
{
	static const int sigs[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	size_t i;

	for (i = 0; i < countof(sigs); i++)
		(void)signal(sigs[i], SIG_IGN);
}

/* A tree of processes that ignore what can be ignored, N deep; every second
 * one in a session of its own. Says so on stdout when it stands. */
static int
help_stubborn(int n)
{
	ignore_all();
	for (;; n--) {
		if (n % 2 == 0)
			(void)setsid();
		if (n == 0)
			(void)fd_write_all(1, "up\n", 3);
		if (n == 0 || fork() != 0)
			break;
	}
	while (pause() == -1)
		;
	return 0;
}

/* A tree that grows as fast as it can: each has up to N children at a time. */
static int
help_bomb(int n)
{
	int i = 0;

	ignore_all();
	while (usleep(i++ < n ? 2000 : 20000) == 0) {
		if (fork() == 0) {
			(void)fd_write_all(1, "b", 1);
			i = 0;
		}
	}
	return 0;
}

/* Ends at once and leaves N behind in its session. */
static int
help_leave(int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (fork() == 0)
			for (;;)
				(void)pause();
	return 0;
}

/* Everything one process of the sandbox's root may try on init. Prints what
 * worked. */
static int
help_attack(int n)
{
	static const char *const files[] = { "/proc/1/mem", "/proc/1/environ",
		"/proc/1/maps", "/proc/1/exe", "/proc/1/fd/3",
		"/proc/1/root/etc", "/proc/1/cwd" };
	char link[64];
	int sig, fd;
	size_t i;

	(void)n;
	for (sig = 1; sig < NSIG; sig++)
		(void)kill(1, sig);
	if (ptrace(PTRACE_ATTACH, 1, NULL, NULL) == 0 ||
	    ptrace(PTRACE_SEIZE, 1, NULL, NULL) == 0)
		(void)printf("ptrace\n");
	for (i = 0; i < countof(files); i++) {
		fd = open(files[i], O_RDONLY | O_CLOEXEC);
		if (fd != -1 && read(fd, link, 1) >= 0)
			(void)printf("open %s\n", files[i]);
	}
	if (readlink("/proc/1/fd/3", link, sizeof(link)) != -1)
		(void)printf("readlink\n");
	fd = (int)syscall(SYS_pidfd_open, 1, 0);
	if (fd != -1 && syscall(SYS_pidfd_getfd, fd, 3, 0) != -1)
		(void)printf("pidfd_getfd\n");
	(void)printf("done\n");
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(int n);
} helpers[] = {
	{ "orphans", help_orphans },
	{ "exit", help_exit },
	{ "stubborn", help_stubborn },
	{ "bomb", help_bomb },
	{ "leave", help_leave },
	{ "attack", help_attack },
};

static int
helper_main(const char *name, const char *arg)
{
	size_t i;

	(void)setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < countof(helpers); i++)
		if (strcmp(helpers[i].name, name) == 0)
			return helpers[i].fn(atoi(arg));
	return 2;
}

/* argv (and MORE members) for a helper; static, used at once. */
static const char *
helper_args(const char *name, int arg, const char *more)
{
	static char text[512];

	(void)snprintf(text, sizeof(text),
	    "\"argv\":[\"" BOX_HELPER "\",\"--helper\",\"%s\",\"%d\"]%s", name,
	    arg, more);
	return text;
}

static struct peer *
plain_box(void)
{
	const struct box_plan plan = { 0 };

	return box_start(&plan);
}

static void
wait_text(int fd, const char *want)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char got[64] = "";
	size_t n = 0;

	while (n < strlen(want)) {
		assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
		assert_true(read(fd, got + n, 1) == 1);
		n++;
	}
	assert_string_equal(got, want);
}

/*
 * Tests
 */

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
	free(run_output(p, helper_args("orphans", 10000, ""), &d));
	assert_int_equal(d.code, 0);
	assert_int_equal(box_wait_count(p, 0, 0), 0);
	cpu = cpu_seconds(p->pid);
	print_message("# init: %.2f s of cpu for 10000 orphans\n", cpu);
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

/*
 * The way out
 */

static void
test_stop_empty(void **state)
{
	struct peer *p = plain_box();
	int status;

	(void)state;
	box_stop(p, 60000);
	json_free(peer_reply(p, 1));
	status = wait_end(p->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	peer_free(p);
	free(p);
}

static void
test_stop_gently(void **state)
{
	struct peer *p = plain_box();
	struct run a, b;
	struct json *j;
	int64_t start;

	(void)state;
	a = run_start(p, "\"argv\":[\"sh\",\"-c\",\"trap 'echo term; exit 5' "
			 "TERM; exec 2>/dev/null; echo "
			 "up; while :; do sleep 0.05; done\"]");
	b = run_start(p, "\"argv\":[\"sh\",\"-c\",\"kill -STOP $$\"]");
	(void)run_started(p, &a);
	(void)run_started(p, &b);
	wait_text(a.out_fd, "up\n");
	assert_int_equal(box_wait_count(p, 'T', 1), 1);
	start = now_monotonic_ms();
	box_stop(p, 15000);
	assert_int_equal(run_ended(p, a.id).code, 5);
	assert_int_equal(run_ended(p, b.id).signal, SIGTERM);
	wait_text(a.out_fd, "term\n");
	/* Nothing new meanwhile; the answer is the last word. */
	j = peer_reply(p, 3);
	assert_non_null(json_get(j, "ok"));
	json_free(j);
	assert_true(now_monotonic_ms() - start < 10000);
	assert_int_equal(WEXITSTATUS(wait_end(p->pid)), 0);
	run_close(&a);
	run_close(&b);
	peer_free(p);
	free(p);
}

static void
test_stop_by_force(void **state)
{
	struct peer *p = plain_box();
	int64_t start, ms;
	struct run r, late;
	struct json *j;

	(void)state;
	r = run_start(p, helper_args("stubborn", 6, ""));
	(void)run_started(p, &r);
	wait_text(r.out_fd, "up\n");
	start = now_monotonic_ms();
	box_stop(p, 400);
	late = run_start(p, "\"argv\":[\"true\"]");
	j = peer_reply(p, late.id);
	assert_string_equal(
	    json_str(json_get(j, "error"), "code", ""), "sandbox_state");
	json_free(j);
	assert_int_equal(run_ended(p, r.id).signal, SIGKILL);
	j = peer_reply(p, 2);
	assert_non_null(json_get(j, "ok"));
	json_free(j);
	ms = now_monotonic_ms() - start;
	assert_true(ms >= 400 && ms < 5000);
	assert_int_equal(WEXITSTATUS(wait_end(p->pid)), 0);
	run_close(&r);
	run_close(&late);
	peer_free(p);
	free(p);
}

static void
test_stop_hastened(void **state)
{
	struct peer *p = plain_box();
	int64_t start;
	struct run r;

	(void)state;
	r = run_start(p, helper_args("stubborn", 3, ""));
	(void)run_started(p, &r);
	wait_text(r.out_fd, "up\n");
	start = now_monotonic_ms();
	box_stop(p, 600000);
	box_stop(p, 100);
	json_free(peer_reply(p, 2));
	json_free(peer_reply(p, 3));
	assert_true(now_monotonic_ms() - start < 5000);
	assert_int_equal(WEXITSTATUS(wait_end(p->pid)), 0);
	run_close(&r);
	peer_free(p);
	free(p);
}

/* Whoever held the other end has gone: everything goes. */
static void
test_channel_closed(void **state)
{
	struct peer *p = plain_box();
	struct run r;
	char *rest;

	(void)state;
	r = run_start(p, helper_args("bomb", 2, ""));
	(void)run_started(p, &r);
	wait_text(r.out_fd, "bb");
	fd_close(&p->fd);
	assert_int_equal(WEXITSTATUS(wait_end(p->pid)), 0);
	/* The pipe's end is the proof that nobody is left. */
	rest = read_all(r.out_fd, NULL);
	free(rest);
	run_close(&r);
	peer_free(p);
	free(p);
}

static void
test_changes(void **state)
{
	char dir[] = "/tmp/test_init.XXXXXX";
	struct box_plan plan = { .upper = dir };
	int out[2], fd;
	struct peer *p;
	struct json *j;
	char *text, path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/new", dir);
	assert_int_equal(put_file(path, "fresh"), 0);
	p = box_start(&plan);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	peer_sendf(p, &out[1], 1,
	    "{\"id\":1,\"op\":\"changes\",\"target\":\"/"
	    "workspace\",\"fds\":1}");
	(void)close(out[1]);
	text = read_all(out[0], NULL);
	(void)close(out[0]);
	j = peer_reply(p, 1);
	assert_int_equal(json_int(json_get(j, "ok"), "entries", -1), 1);
	json_free(j);
	assert_non_null(strstr(text, "\"path\":\"new\""));
	assert_non_null(strstr(text, "}\nfresh{\"end\":true"));
	free(text);

	/* A reader that has gone, and a target that is none. */
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	(void)close(out[0]);
	peer_sendf(p, &out[1], 1,
	    "{\"id\":2,\"op\":\"changes\",\"target\":\"/"
	    "workspace\",\"fds\":1}");
	j = peer_reply(p, 2);
	assert_non_null(json_get(j, "error"));
	json_free(j);
	peer_sendf(p, &out[1], 1,
	    "{\"id\":3,\"op\":\"changes\",\"target\":\"/other\",\"fds\":1}");
	(void)close(out[1]);
	j = peer_reply(p, 3);
	assert_string_equal(
	    json_str(json_get(j, "error"), "code", ""), "bad_request");
	json_free(j);
	/* A reader that does not read holds up nobody else. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	(void)close(fd);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	peer_sendf(p, &out[1], 1,
	    "{\"id\":4,\"op\":\"changes\",\"target\":\"/"
	    "workspace\",\"fds\":1}");
	(void)close(out[1]);
	p->next_id = 5;
	run_expect(p, "\"argv\":[\"echo\",\"meanwhile\"]", "meanwhile\n");
	assert_null(peer_try(p, "id", 4, NULL, 0));
	free(read_all(out[0], NULL));
	(void)close(out[0]);
	json_free(peer_reply(p, 4));
	box_end(p);
	(void)unlink(path);
	(void)rmdir(dir);
}

static long
pss_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Pss: %ld", &kb) == 1)
			break;
	(void)fclose(f);
	return kb;
}

/* What an idle init costs, after work. */
static void
test_memory(void **state)
{
	int64_t end = now_monotonic_ms() + WAIT_MS;
	struct peer *p = plain_box();
	struct run r;
	long kb;
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		r = run_start(p, "\"argv\":[\"true\"]");
		(void)run_started(p, &r);
		(void)run_ended(p, r.id);
		run_close(&r);
	}
	if (getenv("SANDBOXD_SANITIZED") == NULL) {
		while ((kb = pss_kb(p->pid)) >= 600 && now_monotonic_ms() < end)
			(void)poll(NULL, 0, 20);
		print_message("# init: %ld kB PSS idle and alone\n", kb);
		assert_true(kb < 600);
	}
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
		cmocka_unit_test(test_stop_empty),
		cmocka_unit_test(test_stop_gently),
		cmocka_unit_test(test_stop_by_force),
		cmocka_unit_test(test_stop_hastened),
		cmocka_unit_test(test_channel_closed),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_memory),
	};
	const char *why;

	if (argc == 4 && strcmp(argv[1], "--helper") == 0)
		return helper_main(argv[2], argv[3]);
	why = box_impossible();
	if (why != NULL) {
		(void)printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
