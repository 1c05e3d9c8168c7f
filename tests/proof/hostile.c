/*
 * What the proof tests run inside a sandbox, and outside to show that it works
 * where nothing forbids it: one way out a word. Says "NAME ok" or "NAME ERRNO"
 * and judges nothing. Static; knows nothing of the sandbox. See also
 * tests/abuse/probe.c, which tries many calls of one kind at once.
 *
 * exe SECONDS PID...  overwrite the programs of these processes
 *                     (0: all that run from memory, as the daemon's do)
 * take SECONDS        put ourselves in the place of a worker's program
 * nested              root of a new user namespace, then mount
 * keys                make, ask for and search keys
 * trace PID           look into and steal from a process
 * swap SECONDS A B    let two names change places, again and again
 * turn SECONDS A B    let A be a directory, then a link to B
 * orphans N           N orphans by double fork, that end at once
 * spread N            N processes that leave by every way, and wait
 * victim              a child that waits, and that nobody reaps
 * reuse PID           told by USR1: a child of that number; was it hit?
 * hold PATH           open PATH and wait
 * uring PATH          read PATH by io_uring
 * handle PATH         open PATH by a handle
 * listener            install a filter that asks somebody else
 * frozen              children that stop and ignore everything
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long
say(const char *name, long result)
{
	if (result == -1)
		printf("%s %s\n", name, strerrorname_np(errno));
	else
		printf("%s ok\n", name);
	return result;
}

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- programs of processes ------------------------------------------------ */

/* 1 when it was opened for writing, and then it is overwritten. */
static int
exe_once(const char *pid, int only_ours)
{
	char path[300], self[64], what[4200] = "";
	int fd, w;

	(void)snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	/* its own root's programs are its own */
	if (only_ours && (readlink(path, what, sizeof(what) - 1) == -1 ||
			     strstr(what, "memfd:") == NULL))
		return 0;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd == -1)
		return 0;
	/* Busy as long as it runs: so we hold it, and ask until it does not. */
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	for (int i = 0; i < 200; i++) {
		w = open(self, O_WRONLY | O_CLOEXEC);
		if (w != -1) {
			(void)!write(w, "#!/bin/false\n", 13);
			(void)close(w);
			(void)close(fd);
			return 1;
		}
	}
	(void)close(fd);
	return 0;
}

static int
do_exe(double seconds, char *pids[])
{
	double end = now() + seconds;
	long hits = 0, tries = 0;

	while (now() < end) {
		for (char **p = pids; *p != NULL; p++) {
			DIR *d;
			struct dirent *de;

			if (strcmp(*p, "0") != 0) {
				hits += exe_once(*p, 0);
				tries++;
				continue;
			}
			d = opendir("/proc");
			while (d != NULL && (de = readdir(d)) != NULL)
				if (de->d_name[0] >= '1' &&
				    de->d_name[0] <= '9' &&
				    atoi(de->d_name) != getpid()) {
					hits += exe_once(de->d_name, 1);
					tries++;
				}
			if (d != NULL)
				(void)closedir(d);
		}
	}
	printf("tries %ld\nhits %ld\n", tries, hits);
	return 0;
}

/* A worker of ours whose program may be looked at: 1 and its name is in PATH.
 */
static int
worker_find(char path[300])
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	char what[4200];
	int found = 0;
	ssize_t n;

	while (!found && d != NULL && (de = readdir(d)) != NULL) {
		(void)snprintf(path, 300, "/proc/%s/exe", de->d_name);
		n = readlink(path, what, sizeof(what) - 1);
		what[n > 0 ? n : 0] = '\0';
		found = strstr(what, "memfd:sandboxd-session") != NULL;
	}
	if (d != NULL)
		(void)closedir(d);
	return found;
}

/* It is busy as long as anybody runs it: so we hold it, and ask until nobody
 * does. Then it holds what we are. */
static int
do_take(double seconds)
{
	double end = now() + seconds;
	char path[300], buf[65536];
	int held = -1, to = -1, me;
	ssize_t n;

	while (to == -1 && now() < end) {
		if (held == -1 && worker_find(path))
			held = open(path, O_PATH | O_CLOEXEC);
		if (held != -1) {
			(void)snprintf(
			    path, sizeof(path), "/proc/self/fd/%d", held);
			to = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
			if (to == -1 && errno != ETXTBSY)
				break;
		}
		(void)usleep(1000);
	}
	printf("held %d\n", held != -1);
	say("overwritten", to);
	me = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	while (to != -1 && (n = read(me, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			return 1;
	return 0;
}

/* --- namespaces ----------------------------------------------------------- */

static int
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t n = fd == -1 ? -1 : write(fd, text, strlen(text));

	if (fd != -1)
		(void)close(fd);
	return n == -1 ? -1 : 0;
}

static int
do_nested(void)
{
	char map[64];
	uid_t uid = getuid();
	gid_t gid = getgid();
	int r;

	/* Root may not map itself again; it becomes somebody else. */
	if (uid == 0 && setgid(1000) == 0 && setuid(1000) == 0)
		uid = gid = 1000;
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* or /proc/self is root's */
	if (say("unshare:user", unshare(CLONE_NEWUSER)) == 0) {
		(void)put("/proc/self/setgroups", "deny");
		(void)snprintf(map, sizeof(map), "0 %u 1", uid);
		(void)put("/proc/self/uid_map", map);
		(void)snprintf(map, sizeof(map), "0 %u 1", gid);
		(void)put("/proc/self/gid_map", map);
	}
	r = unshare(
	    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWNET);
	say("unshare:others", r);
	(void)mkdir("/tmp/n", 0755);
	(void)mkdir("/tmp/n/old", 0755);
	say("mount:tmpfs", mount("none", "/tmp/n", "tmpfs", 0, NULL));
	(void)mkdir("/tmp/n/old", 0755);
	(void)mkdir("/tmp/n/c", 0755);
	say("mount:cgroup", mount("none", "/tmp/n/c", "cgroup", 0, "memory"));
	say("mount:cgroup2", mount("none", "/tmp/n/c", "cgroup2", 0, NULL));
	say("mount:overmask",
	    mount("/tmp/n", "/proc/sys", NULL, MS_BIND | MS_REC, NULL));
	say("sethostname", sethostname("evil", 4));
	say("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	say("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/tmp/n", 1));
	/* these two are refused even to it: the mounts are not its own */
	say("remount:proc",
	    mount("none", "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
	say("umount:mask", umount2("/proc/kcore", MNT_DETACH));
	if (say("pivot_root",
		syscall(SYS_pivot_root, "/tmp/n", "/tmp/n/old")) == 0)
		say("after:chroot", chroot("/old"));
	else
		say("chroot", chroot("/tmp/n"));
	return 0;
}

/* --- keys, other processes -------------------------------------------------
 */

static int
do_keys(void)
{
	long k = syscall(SYS_add_key, "user", "proof", "x", 1, -3);

	say("add_key", k);
	say("request_key", syscall(SYS_request_key, "user", "proof", NULL, -3));
	say("keyctl", syscall(SYS_keyctl, 10, -3, "user", "proof", 0));
	if (k != -1)
		(void)syscall(SYS_keyctl, 21, k); /* invalidate */
	return 0;
}

static int
do_trace(pid_t pid)
{
	char byte[8] = "";
	struct iovec mine = { byte, 1 }, theirs = { byte, 1 };
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	say("pidfd_open", fd);
	say("process_vm_readv", process_vm_readv(pid, &mine, 1, &theirs, 1, 0));
	say("process_vm_writev",
	    process_vm_writev(pid, &mine, 1, &theirs, 1, 0));
	say("pidfd_getfd", syscall(SYS_pidfd_getfd, fd, 0, 0));
	say("kcmp", syscall(SYS_kcmp, getpid(), pid, 0, 0, 0));
	if (say("ptrace", ptrace(PTRACE_SEIZE, pid, NULL, NULL)) != -1)
		(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return 0;
}

/* --- names that change ------------------------------------------------------
 */

static int
do_swap(double seconds, const char *a, const char *b)
{
	double end = now() + seconds;
	long n = 0;

	while (now() < end)
		for (int i = 0; i < 100; i++)
			n += renameat2(AT_FDCWD, a, AT_FDCWD, b,
				 RENAME_EXCHANGE) == 0;
	printf("swaps %ld\n", n);
	return 0;
}

static int
do_turn(double seconds, const char *a, const char *b)
{
	double end = now() + seconds;
	long n = 0;

	while (now() < end)
		for (int i = 0; i < 100; i++) {
			(void)rmdir(a);
			n += symlink(b, a) == 0;
			(void)unlink(a);
			(void)mkdir(a, 0777);
		}
	printf("turns %ld\n", n);
	return 0;
}

/* --- processes --------------------------------------------------------------
 */

static int
do_orphans(int n)
{
	int failed = 0;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (fork() == 0)
				_exit(0);
			_exit(0);
		}
		if (pid == -1)
			failed++;
		else
			(void)waitpid(pid, NULL, 0);
	}
	printf("orphans %d\nfailed %d\n", n, failed);
	return 0;
}

static int
do_spread(int n)
{
	srand((unsigned)now());
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == -1) {
			(void)usleep(1000);
			continue;
		}
		if (pid > 0) {
			(void)waitpid(pid, NULL, 0);
			continue;
		}
		for (int k = rand() % 4; k >= 0; k--) {
			if (rand() % 2)
				(void)setsid();
			else
				(void)setpgid(0, 0);
			if (fork() != 0)
				_exit(0);
		}
		/* Some stay, to be counted. */
		if (i % 50 == 0) {
			for (int fd = 0; fd < 3; fd++)
				(void)close(fd);
			(void)prctl(PR_SET_NAME, "spread");
			(void)sleep(120);
		}
		_exit(0);
	}
	printf("spread %d\n", n);
	return 0;
}

static int
do_frozen(void)
{
	struct sigaction ign = { .sa_handler = SIG_IGN };

	for (int s = 1; s < 32; s++)
		(void)sigaction(s, &ign, NULL);
	for (int i = 0; i < 20; i++)
		if (fork() == 0) {
			(void)setsid();
			(void)raise(SIGSTOP);
			(void)sleep(600);
			_exit(0);
		}
	printf("frozen ok\n");
	(void)fflush(stdout);
	(void)sleep(600);
	return 0;
}

static int
do_victim(void)
{
	pid_t pid;

	/* Its number is free as soon as it is dead. */
	(void)signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid != 0) {
		(void)signal(SIGTERM, SIG_IGN);
		printf("victim %d\n", pid);
	}
	while (pause() == -1)
		;
	return 0;
}

static int
do_reuse(pid_t number)
{
	sigset_t told;
	int st = 0, tries = 0;
	pid_t pid;

	(void)sigemptyset(&told);
	(void)sigaddset(&told, SIGUSR1);
	(void)sigaddset(&told, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &told, NULL);
	printf("waits ok\n");
	while (sigwaitinfo(&told, NULL) != SIGUSR1)
		;
	do {
		pid = fork();
		while (pid == 0) {
			if (getpid() != number)
				_exit(0);
			(void)pause();
		}
		if (pid != number)
			(void)waitpid(pid, NULL, 0);
	} while (pid != number && ++tries < 1000);
	printf("reused %s\n", pid == number ? "ok" : "never");
	/* Until it dies, or the one who told us has seen enough. */
	while (pid == number && waitpid(pid, &st, WNOHANG) == 0)
		if (sigwaitinfo(&told, NULL) == SIGUSR1 &&
		    waitpid(pid, &st, WNOHANG) == 0) {
			printf("hit never\n");
			(void)kill(pid, SIGKILL);
			return 0;
		}
	printf("hit %d\n", WTERMSIG(st));
	return 0;
}

/* --- filters, rings ----------------------------------------------------------
 */

static int
do_listener(void)
{
	struct sock_filter code[] = { { BPF_RET | BPF_K, 0, 0,
	    SECCOMP_RET_ALLOW } };
	struct sock_fprog prog = { 1, code };

	char path[64], what[64] = "";
	long fd;

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = say("listener", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				 SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd);
	(void)!readlink(path, what, sizeof(what) - 1);
	printf("is %s\n", what);
	return 0;
}

static int
do_uring(const char *path)
{
	char params[256] = "";
	long fd = syscall(SYS_io_uring_setup, 4, params);

	say("io_uring_setup", fd);
	say("io_uring_enter",
	    syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0));
	say("io_uring_register",
	    syscall(SYS_io_uring_register, fd, 8, params, 0));
	say("open", open(path, O_RDONLY));
	return 0;
}

/* By a handle a file is opened without a path, from any mount of its disk. */
static int
do_handle(const char *path)
{
	struct {
		struct file_handle h;
		unsigned char bytes[MAX_HANDLE_SZ];
	} fh = { .h = { .handle_bytes = MAX_HANDLE_SZ } };
	int id, dir = open("/", O_RDONLY | O_DIRECTORY);
	char name[4200];

	(void)snprintf(name, sizeof(name), "%s", path);
	*strrchr(name, '/') = '\0';
	say("name_to_handle_at",
	    name_to_handle_at(AT_FDCWD, path, &fh.h, &id, 0));
	/* of the same file system as the file */
	dir = *name == '\0' ? dir : open(name, O_RDONLY | O_DIRECTORY);
	say("open_by_handle_at", open_by_handle_at(dir, &fh.h, O_RDONLY));
	return 0;
}

static int
do_hold(const char *path)
{
	int fd = open(path, O_RDONLY);

	say("hold", fd);
	(void)fflush(stdout);
	if (fd != -1)
		(void)sleep(600);
	return 0;
}

int
main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *a = argc > 2 ? argv[2] : "0";

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	/* Somebody was made to believe that this is a worker's program. */
	if (strcmp(argv[0], "sandboxd-session") == 0)
		return mkdir("/tmp/taken", 0755);
	if (strcmp(what, "take") == 0)
		return do_take(atof(a));
	if (strcmp(what, "exe") == 0 && argc > 3)
		return do_exe(atof(a), argv + 3);
	if (strcmp(what, "nested") == 0)
		return do_nested();
	if (strcmp(what, "keys") == 0)
		return do_keys();
	if (strcmp(what, "trace") == 0)
		return do_trace(atoi(a));
	if (strcmp(what, "swap") == 0 && argc > 4)
		return do_swap(atof(a), argv[3], argv[4]);
	if (strcmp(what, "turn") == 0 && argc > 4)
		return do_turn(atof(a), argv[3], argv[4]);
	if (strcmp(what, "orphans") == 0)
		return do_orphans(atoi(a));
	if (strcmp(what, "spread") == 0)
		return do_spread(atoi(a));
	if (strcmp(what, "frozen") == 0)
		return do_frozen();
	if (strcmp(what, "victim") == 0)
		return do_victim();
	if (strcmp(what, "reuse") == 0)
		return do_reuse(atoi(a));
	if (strcmp(what, "listener") == 0)
		return do_listener();
	if (strcmp(what, "uring") == 0)
		return do_uring(a);
	if (strcmp(what, "handle") == 0)
		return do_handle(a);
	if (strcmp(what, "hold") == 0)
		return do_hold(a);
	(void)fprintf(stderr, "hostile: unknown way out '%s'\n", what);
	return 100;
}
