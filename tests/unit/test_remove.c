/*
 * tree_remove() on what a sandbox may leave: deep, odd, linked, growing.
 * Without root the parts that need it are left out.
 */
#include "sandbox/remove.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#define DEEP 3000

static char dir[64];
static int dir_fd;

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/remove-XXXXXX");
	assert_non_null(mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd == -1;
}

static int
teardown(void **state)
{
	(void)state;
	(void)close(dir_fd);
	return rmdir(dir); /* fails the test if anything is left */
}

static void
file_make(const char *name)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	(void)close(fd);
}

static int
removed(const char *name, int64_t budget)
{
	struct err e;
	int r = tree_remove(dir_fd, name, &budget, &e);

	if (r == -1)
		print_message("# %s\n", e.text);
	return r;
}

static void
removes_what_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(removed("missing", 10), 0);
	file_make("file");
	assert_int_equal(removed("file", 10), 0);
}

static void
removes_deep_trees(void **state)
{
	int fd = dup(dir_fd), next, i;

	(void)state;
	for (i = 0; i < DEEP; i++) {
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_int_not_equal(next, -1);
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
	assert_int_equal(removed("d", 1000000), 0);
}

static void
survives_names_like_its_own(void **state)
{
	char name[64];
	int i;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "t", 0700), 0);
	assert_int_equal(mkdirat(dir_fd, "t/a", 0700), 0);
	for (i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "t/%d", i);
		file_make(name);
		(void)snprintf(name, sizeof(name), "t/a/%d", i);
		assert_int_equal(mkdirat(dir_fd, name, 0700), 0);
		(void)snprintf(name, sizeof(name), "t/a/%d/x", i);
		file_make(name);
	}
	assert_int_equal(removed("t", 1000000), 0);
}

static void
follows_no_link(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "keep", 0700), 0);
	file_make("keep/file");
	assert_int_equal(mkdirat(dir_fd, "t", 0700), 0);
	assert_int_equal(symlinkat("../keep", dir_fd, "t/link"), 0);
	assert_int_equal(symlinkat(dir, dir_fd, "t/abs"), 0);
	assert_int_equal(removed("t", 100), 0);
	assert_int_equal(symlinkat("keep", dir_fd, "l"), 0);
	assert_int_equal(removed("l", 100), 0);
	assert_int_equal(fstatat(dir_fd, "keep/file", &st, 0), 0);
	assert_int_equal(removed("keep", 100), 0);
}

static void
stops_at_its_budget(void **state)
{
	int64_t budget = 10;
	struct err e;
	char name[64];
	int i, rounds = 0;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "t", 0700), 0);
	for (i = 0; i < 95; i++) {
		(void)snprintf(name, sizeof(name), "t/%d", i);
		file_make(name);
	}
	while (tree_remove(dir_fd, "t", &budget, &e) == 1) {
		assert_int_equal(budget, 0);
		assert_true(++rounds < 20);
		budget = 10;
	}
	assert_true(rounds >= 9);
}

static void
opens_up_closed_directories(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "t", 0777), 0);
	assert_int_equal(fchmodat(dir_fd, "t", 0777, 0), 0);
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 &&
		    (chmod(dir, 0755) == -1 || setgid(12345) == -1 ||
			setuid(12345) == -1))
			_exit(1);
		if (mkdirat(dir_fd, "t/w", 0700) == -1 ||
		    mkdirat(dir_fd, "t/w/x", 0700) == -1 ||
		    fchmodat(dir_fd, "t/w/x", 0, 0) == -1 ||
		    fchmodat(dir_fd, "t/w", 0, 0) == -1)
			_exit(2);
		int t_fd = openat(dir_fd, "t", O_RDONLY | O_CLOEXEC);
		int64_t budget = 100;
		struct err e;

		_exit(tree_remove(t_fd, "w", &budget, &e) == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(removed("t", 100), 0);
}

static void
stays_on_its_file_system(void **state)
{
	char path[128];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdirat(dir_fd, "t", 0700), 0);
	assert_int_equal(mkdirat(dir_fd, "t/m", 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/t/m", dir);
	if (mount("none", path, "tmpfs", 0, NULL) == -1)
		skip();
	file_make("t/m/file");
	assert_int_equal(removed("t", 100), -1);
	assert_int_equal(faccessat(dir_fd, "t/m/file", F_OK, 0), 0);
	assert_int_equal(umount(path), 0);
	assert_int_equal(removed("t", 100), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(removes_what_is_not_there),
		T(removes_deep_trees),
		T(survives_names_like_its_own),
		T(follows_no_link),
		T(stops_at_its_budget),
		T(opens_up_closed_directories),
		T(stays_on_its_file_system),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
