/*
 * courier/confine: what a courier may still do. Each look is made by a child
 * that confines itself as a courier does.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "test_courier.h"

#include "courier/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/test_confine.XXXXXX";
static char agents[64], mirror[64];
static int agents_fd, mirror_fd;

static bool
have_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, 1u) >= 2;
}

/* What FN gives in a confined child: its exit status, or 1000 and the signal
 * that ended it. */
static int
confined(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		confine_begin_or_die(-1, -1);
		confine_files_or_die(agents_fd, mirror_fd, NULL);
		confine_calls_or_die();
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

/* 0, or the error of the call. */
static int
as_code(long r)
{
	return r == -1 ? errno : 0;
}

static int
works_below(void)
{
	int fd =
	    openat(agents_fd, "made", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	if (fd == -1 || write(fd, "x", 1) != 1 || fchmod(fd, 0755) == -1 ||
	    ftruncate(fd, 0) == -1 || close(fd) == -1 ||
	    mkdirat(agents_fd, "d", 0755) == -1 ||
	    renameat(agents_fd, "made", agents_fd, "d/moved") == -1 ||
	    symlinkat("d", agents_fd, "l") == -1 || syncfs(agents_fd) == -1 ||
	    unlinkat(agents_fd, "l", 0) == -1 ||
	    unlinkat(agents_fd, "d/moved", 0) == -1 ||
	    unlinkat(agents_fd, "d", AT_REMOVEDIR) == -1)
		return errno;
	return as_code(openat(mirror_fd, "file", O_RDONLY | O_CLOEXEC));
}

static int
reads_names(void)
{
	return as_code(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int
writes_mirror(void)
{
	return as_code(
	    openat(mirror_fd, "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}

static int
writes_elsewhere(void)
{
	return as_code(open("/tmp/test_confine.elsewhere",
	    O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}

static int
reads_elsewhere(void)
{
	return as_code(open("/proc/self/environ", O_RDONLY | O_CLOEXEC));
}

static int
starts(void)
{
	char *const argv[] = { NULL };

	return as_code(execve("/bin/true", argv, argv));
}

static int
forks(void)
{
	return as_code(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

static int
traces(void)
{
	return as_code(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static int
maps_both(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		   ? errno
		   : 0;
}

static int
kills(void)
{
	return as_code(kill(getppid(), 0));
}

static int
chmods(void)
{
	return as_code(chown("/tmp", 1, 1));
}

static void *
thread(void *arg)
{
	struct addrinfo *got = NULL;

	*(int *)arg = getaddrinfo("localhost", "80", NULL, &got);
	if (got != NULL)
		freeaddrinfo(got);
	return NULL;
}

static int
resolves(void)
{
	pthread_t t;
	int r = -1;

	if (pthread_create(&t, NULL, thread, &r) != 0)
		return 99;
	(void)pthread_join(t, NULL);
	return r == 0 ? 0 : 98;
}

static void
test_may(void **state)
{
	(void)state;
	assert_int_equal(confined(works_below), 0);
	assert_int_equal(confined(reads_names), 0);
	assert_int_equal(confined(resolves), 0);
}

static void
test_may_not_files(void **state)
{
	(void)state;
	if (!have_landlock())
		skip();
	assert_int_equal(confined(writes_mirror), EACCES);
	assert_int_equal(confined(writes_elsewhere), EACCES);
	assert_int_equal(confined(reads_elsewhere), EACCES);
}

static void
test_may_not_calls(void **state)
{
	(void)state;
#ifdef SANITIZED
	return; /* its runtime makes calls that we do not: there is no list */
#endif
	assert_int_equal(confined(starts), 1000 + SIGSYS);
	assert_int_equal(confined(traces), 1000 + SIGSYS);
	assert_int_equal(confined(maps_both), 1000 + SIGSYS);
	assert_int_equal(confined(forks), EPERM);
	assert_int_equal(confined(kills), EPERM);
	assert_int_equal(confined(chmods), EPERM);
}

static int
setup(void **state)
{
	char path[100];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(agents, sizeof(agents), "%s/agents", dir);
	(void)snprintf(mirror, sizeof(mirror), "%s/mirror", dir);
	assert_int_equal(mkdir(agents, 0755), 0);
	assert_int_equal(mkdir(mirror, 0755), 0);
	agents_fd = open(agents, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mirror_fd = open(mirror, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "%s/file", mirror);
	return close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}

static int
teardown(void **state)
{
	(void)state;
	(void)unlinkat(mirror_fd, "file", 0);
	(void)close(agents_fd);
	(void)close(mirror_fd);
	return rmdir(agents) | rmdir(mirror) | rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_may),
		cmocka_unit_test(test_may_not_files),
		cmocka_unit_test(test_may_not_calls),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name(
	    "courier_confine", tests, setup, teardown);
}
