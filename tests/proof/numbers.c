/*
 * Every number of the system call table, each tried in a process of its own
 * with arguments that mean nothing: "NUMBER RESULT" a line, where RESULT is ok,
 * an errno, a signal, or `waits`. Static, runs inside sandboxes; judges
 *nothing.
 *
 *	numbers native|x32|int80
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LAST 1023

struct answer {
	volatile int done, err;
};

static long
door(const char *how, long nr)
{
#ifdef __x86_64__
	if (strcmp(how, "int80") == 0) {
		long r;

		/* The 32-bit table: 64-bit registers are cut. */
		__asm__ volatile(
		    "int $0x80"
		    : "=a"(r)
		    : "a"(nr), "b"(-1L), "c"(-1L), "d"(-1L), "S"(-1L), "D"(-1L)
		    : "memory", "r8", "r9", "r10", "r11");
		r = (int)r;
		if (r < 0 && r > -4096) {
			errno = (int)-r;
			return -1;
		}
		return r;
	}
	if (strcmp(how, "x32") == 0)
		nr |= 0x40000000;
#endif
	return syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L);
}

static void
try_one(const char *how, long nr, struct answer *a)
{
	struct timespec bound = { 2, 0 };
	int status, i, late;
	sigset_t child;
	pid_t pid;

	a->done = 0;
	pid = fork();
	if (pid == -1) {
		printf("%ld fork-%s\n", nr, strerrorname_np(errno));
		return;
	}
	if (pid == 0) {
		long r;

		/* what it prints or reads must not be ours */
		for (i = 0; i < 3; i++)
			(void)close(i);
		r = door(how, nr);
		a->err = r == -1 ? errno : 0;
		a->done = 1;
		_exit(0);
	}
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	/* A signal may be one of an earlier process: then there is none of
	 * this one yet. */
	do
		late = sigtimedwait(&child, NULL, &bound) == -1;
	while (waitpid(pid, &status, WNOHANG) == 0 && !late);
	if (late && kill(pid, SIGKILL) == 0)
		(void)waitpid(pid, &status, 0);
	if (a->done)
		printf("%ld %s\n", nr,
		    a->err == 0 ? "ok" : strerrorname_np(a->err));
	else if (late)
		printf("%ld waits\n", nr);
	else if (WIFSIGNALED(status))
		printf("%ld SIG%s\n", nr, sigabbrev_np(WTERMSIG(status)));
	else
		printf("%ld exits\n", nr);
}

int
main(int argc, char *argv[])
{
	struct answer *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	sigset_t child;

	/* blocked, so that none is lost before it is waited for */
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, NULL);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2 || a == MAP_FAILED)
		return 100;
	for (long nr = 0; nr <= LAST; nr++)
		try_one(argv[1], nr, a);
	return 0;
}
