/*
 * Control groups on the hierarchies that this host really has, below our own
 * group. Skipped where none can be written.
 */
#include "sandbox/cgroup.h"
#include "lib/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>

#define WAIT_MS 10000
#define MIB (1024 * 1024)

static struct cgroup_host *host;
static char instance[32];

/* A condition, asked for until it holds or time is up. */
#define wait_for(cond)                          \
	do {                                    \
		int tries_ = WAIT_MS / 5;       \
		while (!(cond) && tries_-- > 0) \
			(void)usleep(5000);     \
		assert_true(cond);              \
	} while (0)

static struct cgroup *
make(const char *id, struct plan_limits l)
{
	struct cgroup *cg = NULL;
	struct err e;

	if (cgroup_create(host, id, &l, &cg, &e) == -1) {
		if (e.code == ERR_ISOLATION_UNAVAILABLE)
			skip();
		fail_msg("%s", e.text);
	}
	return cg;
}

static void
unmake(struct cgroup *cg)
{
	cgroup_kill(cg);
	wait_for(cgroup_remove(cg) == 0);
	cgroup_free(cg);
}

/* A child inside CG, as launch.c does it but for the v2 part. */
static pid_t
child_in(const struct cgroup *cg, void (*work)(void))
{
	int fds[8], n, i, ready[2];
	struct err e;
	pid_t pid;
	char c;

	n = cgroup_task_fds(cg, fds, 8, &e);
	assert_int_not_equal(n, -1);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		for (i = 0; i < n; i++)
			if (write(fds[i], "0", 1) != 1)
				_exit(99);
		if (cgroup_v2_fd(cg) != -1 &&
		    cgroup_join(cg, getpid(), true, &e) == -1)
			_exit(98);
		(void)!write(ready[1], "x", 1);
		work();
		_exit(0);
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	(void)close(ready[0]);
	fd_close_all(fds, (size_t)n);
	return pid;
}

static void
work_pause(void)
{
	for (;;)
		(void)pause();
}

static void
makes_and_removes(void **state)
{
	struct cgroup *cg = make("one", (struct plan_limits){ 0 });
	struct cgroup *twice = NULL;
	struct err e;
	struct plan_limits none = { 0 };
	bool made = false;
	pid_t pid;

	(void)state;
	pid = child_in(cg, work_pause);
	/* While somebody lives there, another has a name beside it. */
	assert_int_equal(cgroup_create(host, "one", &none, &twice, &e), 0);
	assert_string_equal(cgroup_name(cg), "one");
	assert_string_equal(cgroup_name(twice), "one" CGROUP_NAME_MARK "1");
	unmake(twice);
	twice = NULL;
	cgroup_kill(cg);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* What a dead one has left is no obstacle. */
	cgroup_free(cg);
	wait_for(
	    made || (made = cgroup_create(host, "one", &none, &cg, &e) == 0));
	unmake(cg);
	cg = make("one", none);
	unmake(cg);
}

static void
kills_everything(void **state)
{
	struct cgroup *cg = make("kill", (struct plan_limits){ 0 });
	pid_t a = child_in(cg, work_pause), b = child_in(cg, work_pause);
	int status;

	(void)state;
	assert_int_equal(cgroup_remove(cg), -1);
	cgroup_kill(cg);
	assert_int_equal(waitpid(a, &status, 0), a);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(waitpid(b, &status, 0), b);
	unmake(cg);
}

static void
work_spawn(void)
{
	for (;;)
		if (fork() == -1)
			_exit(errno == EAGAIN ? 7 : 8);
}

static void
limits_pids(void **state)
{
	struct cgroup *cg = make("pids", (struct plan_limits){ .pids = 16 });
	struct cgroup_stats st;
	pid_t pid = child_in(cg, work_spawn);
	int status;

	(void)state;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 7 << 8);
	cgroup_stats(cg, &st);
	assert_true(st.pids >= 0 && st.pids <= 16);
	unmake(cg);
}

static void
work_fill(void)
{
	char *p = mmap(NULL, 256 * MIB, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, 1, 256 * MIB);
}

static void
limits_memory(void **state)
{
	struct cgroup *cg =
	    make("memory", (struct plan_limits){ .memory_bytes = 32 * MIB });
	struct cgroup_stats st;
	pid_t pid = child_in(cg, work_fill);
	int status;

	(void)state;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	wait_for((cgroup_stats(cg, &st), st.oom_kills >= 1));
	assert_true(st.memory_peak_bytes > 16 * MIB);
	assert_true(st.memory_peak_bytes <= 33 * MIB);
	unmake(cg);
}

static void
freezes_and_thaws(void **state)
{
	struct cgroup *cg =
	    make("freeze", (struct plan_limits){ .cpu_millis = 500 });
	struct err e;
	pid_t pid = child_in(cg, work_pause);
	int status;

	(void)state;
	if (cgroup_freeze(cg, true, &e) == -1)
		fail_msg("%s", e.text);
	/* killed while frozen, it must die all the same */
	cgroup_kill(cg);
	(void)cgroup_freeze(cg, false, &e);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unmake(cg);
}

static void
sweeps_what_was_left(void **state)
{
	struct cgroup *cg = make("left", (struct plan_limits){ .pids = 50 });
	struct cgroup_host *later;
	struct err e;
	pid_t pid = child_in(cg, work_pause);

	(void)state;
	cgroup_free(cg); /* as if we had been killed */
	later = cgroup_host_open(instance, &e);
	assert_non_null(later);
	(void)cgroup_host_sweep(later, NULL, NULL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	wait_for(cgroup_host_sweep(later, NULL, NULL) == 0);
	cg = make("left", (struct plan_limits){ .pids = 50 });
	unmake(cg);
	cgroup_host_free(host);
	host = later;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_and_removes),
		cmocka_unit_test(kills_everything),
		cmocka_unit_test(limits_pids),
		cmocka_unit_test(limits_memory),
		cmocka_unit_test(freezes_and_thaws),
		cmocka_unit_test(sweeps_what_was_left),
	};
	struct err e;
	int r;

	(void)snprintf(instance, sizeof(instance), "test%d", (int)getpid());
	host = cgroup_host_open(instance, &e);
	if (host == NULL) {
		printf("1..0 # SKIP %s\n", e.text);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)cgroup_host_sweep(host, NULL, NULL);
	cgroup_host_free(host);
	return r;
}
