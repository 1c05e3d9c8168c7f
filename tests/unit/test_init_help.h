/*
 * Helper programs for the box: a test that includes this is its own helper,
 * `PROGRAM --helper NAME ARG`, for orphans, stubborn and growing trees, and
 * attacks on init. Included by test_init_tree.c and test_init_stop.c.
 */
#ifndef TEST_INIT_HELP_H
#define TEST_INIT_HELP_H

#include "test_init_box.h"

#include <sys/ptrace.h>

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

static inline int
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
static inline const char *
helper_args(const char *name, int arg, const char *more)
{
	static char text[512];

	(void)snprintf(text, sizeof(text),
	    "\"argv\":[\"" BOX_HELPER "\",\"--helper\",\"%s\",\"%d\"]%s", name,
	    arg, more);
	return text;
}

static inline struct peer *
plain_box(void)
{
	const struct box_plan plan = { 0 };

	return box_start(&plan);
}

static inline void
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

/* main of both: helper, reason to skip, or the tests. */
static inline int
help_main(int argc, char *argv[], const struct CMUnitTest *tests, size_t n)
{
	const char *why;

	if (argc == 4 && strcmp(argv[1], "--helper") == 0)
		return helper_main(argv[2], argv[3]);
	why = box_impossible();
	if (why != NULL) {
		(void)printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
}

#endif
