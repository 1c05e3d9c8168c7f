/*
 * Makes system calls in the place of another process, by ptrace as root of the
 * host: what somebody could do who has taken that process over.
 *
 *	inject PID CALL...    "CALL ok|ERRNO" a line, or "CALL killed" and an
 *end
 *
 * Calls: open=PATH openw=PATH fork execve=PATH ptrace=PID kill=PID vm=PID
 * socket connect=PORT setuid unshare mount chroot=PATH getpid keyctl
 */
#ifndef __x86_64__
int
main(void)
{
	return 77;
}
#else
#	include <arpa/inet.h>
#	include <errno.h>
#	include <fcntl.h>
#	include <sched.h>
#	include <signal.h>
#	include <stdint.h>
#	include <stdio.h>
#	include <stdlib.h>
#	include <string.h>
#	include <sys/ptrace.h>
#	include <sys/socket.h>
#	include <sys/syscall.h>
#	include <sys/uio.h>
#	include <sys/user.h>
#	include <sys/wait.h>

static pid_t pid;
static struct user_regs_struct saved;

/* The process is gone: by the filter, or otherwise. */
static void
gone(const char *name, int status)
{
	if (WIFSIGNALED(status))
		printf(
		    "%s killed SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
	else
		printf("%s exits\n", name);
	exit(0);
}

static long
call(const char *name, long nr, const long *args, const void *data, size_t len)
{
	struct user_regs_struct r = saved;
	/* below the red zone; the last page of a stack has room */
	unsigned long at = (saved.rsp - 4096) & ~15ul;
	struct iovec mine = { (void *)(uintptr_t)data, len },
		     theirs = { (void *)at, len };
	int status;

	if (len > 0 &&
	    process_vm_writev(pid, &mine, 1, &theirs, 1, 0) != (ssize_t)len) {
		perror("process_vm_writev");
		exit(1);
	}
	r.rax = (unsigned long)nr;
	r.orig_rax = (unsigned long)-1;
	r.rip = saved.rip - 2; /* it waits in a call: there is one */
	r.rdi = args[0] == -2 ? at : (unsigned long)args[0];
	r.rsi = args[1] == -2 ? at : (unsigned long)args[1];
	r.rdx = args[2] == -2 ? at : (unsigned long)args[2];
	r.r10 = (unsigned long)args[3];
	r.r8 = r.r9 = 0;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &r) == -1 ||
	    ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == -1) {
		perror("ptrace");
		exit(1);
	}
	for (;;) {
		if (waitpid(pid, &status, __WALL) != pid)
			exit(1);
		if (WIFEXITED(status) || WIFSIGNALED(status))
			gone(name, status);
		if (WSTOPSIG(status) == SIGTRAP)
			break;
		(void)ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
	}
	if (ptrace(PTRACE_GETREGS, pid, NULL, &r) == -1)
		exit(1);
	return (long)r.rax;
}

static void
say(const char *name, long r)
{
	if (r < 0 && r > -4096)
		printf("%s %s\n", name, strerrorname_np((int)-r));
	else
		printf("%s ok %ld\n", name, r);
}

static void
one(const char *name)
{
	const char *v = strchr(name, '=');
	size_t n = v == NULL ? strlen(name) : (size_t)(v - name);
	size_t len = v == NULL ? 0 : strlen(++v) + 1;
	long p = v == NULL ? 0 : atol(v), r;

#	define IS(word) (n == strlen(word) && strncmp(name, word, n) == 0)
#	define CALL(nr, a, b, c, d, data, size) \
		call(name, nr, (const long[]){ a, b, c, d }, data, size)
	if (IS("open"))
		r = CALL(SYS_openat, AT_FDCWD, -2, O_RDONLY, 0, v, len);
	else if (IS("openw"))
		r = CALL(SYS_openat, AT_FDCWD, -2, O_RDWR, 0, v, len);
	else if (IS("fork"))
		r = CALL(SYS_fork, 0, 0, 0, 0, NULL, 0);
	else if (IS("clone"))
		r = CALL(SYS_clone, SIGCHLD, 0, 0, 0, NULL, 0);
	else if (IS("execve"))
		r = CALL(SYS_execve, -2, 0, 0, 0, v, len);
	else if (IS("ptrace"))
		r = CALL(SYS_ptrace, PTRACE_SEIZE, p, 0, 0, NULL, 0);
	else if (IS("kill"))
		r = CALL(SYS_kill, p, 0, 0, 0, NULL, 0);
	else if (IS("vm"))
		r = CALL(SYS_process_vm_readv, p, -2, 1, 0, "", 1);
	else if (IS("socket"))
		r = CALL(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, NULL, 0);
	else if (IS("packet"))
		r = CALL(SYS_socket, AF_PACKET, SOCK_RAW, 0, 0, NULL, 0);
	else if (IS("setuid"))
		r = CALL(SYS_setuid, 0, 0, 0, 0, NULL, 0);
	else if (IS("unshare"))
		r = CALL(SYS_unshare, CLONE_NEWUSER, 0, 0, 0, NULL, 0);
	else if (IS("mount"))
		r = CALL(SYS_mount, 0, -2, 0, 0, "/", 2);
	else if (IS("chroot"))
		r = CALL(SYS_chroot, -2, 0, 0, 0, v, len);
	else if (IS("keyctl"))
		r = CALL(SYS_keyctl, 0, -3, 0, 0, NULL, 0);
	else if (IS("bpf"))
		r = CALL(SYS_bpf, 5, -2, 48, 0, NULL, 0);
	else if (IS("getpid"))
		r = CALL(SYS_getpid, 0, 0, 0, 0, NULL, 0);
	else
		r = -EINVAL;
	say(name, r);
}

int
main(int argc, char *argv[])
{
	int status;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	pid = argc > 2 ? atoi(argv[1]) : 0;
	if (pid <= 0 || ptrace(PTRACE_SEIZE, pid, NULL, NULL) == -1 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == -1 ||
	    waitpid(pid, &status, __WALL) != pid ||
	    ptrace(PTRACE_GETREGS, pid, NULL, &saved) == -1) {
		perror("inject");
		return 1;
	}
	for (int i = 2; i < argc; i++)
		one(argv[i]);
	(void)ptrace(PTRACE_SETREGS, pid, NULL, &saved);
	(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return 0;
}
#endif
