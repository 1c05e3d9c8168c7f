/*
 * What the escape tests run inside a sandbox: it tries one way out and says how
 * the kernel answered. Static, so that it runs in any root image; it knows
 * nothing of the sandbox and trusts nobody. It judges nothing: the tests do,
 * from outside.
 *
 *	probe syscalls           "NAME ERRNO" for each call of a table, "NAME
 *ok" where it was let through probe nodes DIR          mknod of each kind below
 *DIR probe connect @NAME|PATH connect to a unix socket probe sockets DIR
 *connect to every socket inode of a tree probe descriptors        descriptors,
 *roots and directories of all processes probe writable-exe       open each
 *process's program for writing probe terminal           push a byte into a
 *terminal of our own probe chroot DIR         the classic way out of a chroot
 *	probe orphans N          N daemons by double fork, that wait
 *	probe handle PATH        open_by_handle_at on a guessed inode
 *	probe i386               a system call by the 32-bit door
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#	define SYS_mount_setattr 442
#endif
#ifndef SYS_pidfd_getfd
#	define SYS_pidfd_getfd 438
#endif
#ifndef TIOCLINUX
#	define TIOCLINUX 0x541C
#endif
#define OPEN_TREE_CLONE_FLAG 1

static void
say(const char *name, long result)
{
	if (result == -1)
		printf("%s %s\n", name, strerrorname_np(errno));
	else
		printf("%s ok\n", name);
}

/* --- system calls -------------------------------------------------------- */

struct clone3_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack;
	uint64_t stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* A child that got through must not go on as a second copy of us. */
static long
fork_like(long (*fn)(unsigned long), unsigned long flags)
{
	long r = fn(flags);

	if (r == 0)
		_exit(0);
	if (r > 0)
		(void)waitpid((pid_t)r, NULL, __WALL);
	return r;
}

static long
raw_clone(unsigned long flags)
{
	return syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static long
raw_clone3(unsigned long flags)
{
	struct clone3_args a = { .flags = flags, .exit_signal = SIGCHLD };

	return syscall(SYS_clone3, &a, sizeof(a));
}

static void
try_namespaces(void)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} ns[] = {
		{ "user", CLONE_NEWUSER },
		{ "mount", CLONE_NEWNS },
		{ "pid", CLONE_NEWPID },
		{ "net", CLONE_NEWNET },
		{ "ipc", CLONE_NEWIPC },
		{ "uts", CLONE_NEWUTS },
		{ "cgroup", CLONE_NEWCGROUP },
		{ "user+mount", CLONE_NEWUSER | CLONE_NEWNS },
	};
	char name[64];

	for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++) {
		(void)snprintf(name, sizeof(name), "clone:%s", ns[i].name);
		say(name, fork_like(raw_clone, ns[i].flag));
		(void)snprintf(name, sizeof(name), "clone3:%s", ns[i].name);
		say(name, fork_like(raw_clone3, ns[i].flag));
		(void)snprintf(name, sizeof(name), "unshare:%s", ns[i].name);
		say(name, syscall(SYS_unshare, ns[i].flag));
	}
	say("setns", syscall(SYS_setns, open("/proc/1/ns/mnt", O_RDONLY), 0));
}

static void
try_mounts(void)
{
	struct {
		uint64_t set, clr, propagation, userns_fd;
	} attr = { 0 };

	say("mount:tmpfs", mount("none", "/tmp", "tmpfs", 0, NULL));
	say("mount:proc", mount("none", "/tmp", "proc", 0, NULL));
	say("mount:bind", mount("/", "/tmp", NULL, MS_BIND | MS_REC, NULL));
	say("mount:cgroup", mount("none", "/tmp", "cgroup", 0, "memory"));
	say("mount:cgroup2", mount("none", "/tmp", "cgroup2", 0, NULL));
	say("mount:overlay",
	    mount("none", "/tmp", "overlay", 0, "lowerdir=/usr:/etc"));
	say("mount:remount", mount("none", "/", NULL, MS_REMOUNT, NULL));
	say("mount:shared", mount("none", "/", NULL, MS_SHARED | MS_REC, NULL));
	say("umount:proc", umount2("/proc", MNT_DETACH));
	say("umount:sysrq", umount2("/proc/sysrq-trigger", MNT_DETACH));
	say("umount:root", umount2("/", MNT_DETACH));
	say("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
	say("open_tree",
	    syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE_FLAG));
	say("move_mount",
	    syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0));
	say("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	say("fspick", syscall(SYS_fspick, AT_FDCWD, "/", 0));
	say("mount_setattr",
	    syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof(attr)));
}

static void
try_processes(void)
{
	char byte = 0;
	struct iovec mine = { &byte, 1 }, theirs = { (void *)0x10000, 1 };
	int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);

	/* Seize does not stop it: a sandbox that lets us must not hang. */
	say("ptrace:seize", ptrace(PTRACE_SEIZE, 1, NULL, NULL));
	say("process_vm_readv", process_vm_readv(1, &mine, 1, &theirs, 1, 0));
	say("process_vm_writev", process_vm_writev(1, &mine, 1, &theirs, 1, 0));
	say("kcmp", syscall(SYS_kcmp, getpid(), 1, 0, 0, 0));
	say("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 3, 0));
}

static void
try_kernel(void)
{
	struct timeval tv = { 1, 0 };
	struct timespec ts = { 1, 0 };
	char attr[128] = { 0 };

	say("bpf", syscall(SYS_bpf, 5, attr, sizeof(attr)));
	say("perf_event_open",
	    syscall(SYS_perf_event_open, attr, 0, -1, -1, 0));
	say("userfaultfd", syscall(SYS_userfaultfd, 0));
	say("io_uring_setup", syscall(SYS_io_uring_setup, 1, attr));
	say("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	say("init_module", syscall(SYS_init_module, attr, 1, ""));
	say("finit_module", syscall(SYS_finit_module, 0, "", 0));
	say("delete_module", syscall(SYS_delete_module, "none", 0));
	say("quotactl", syscall(SYS_quotactl, 0, "/", 0, NULL));
	say("open_by_handle_at",
	    syscall(SYS_open_by_handle_at, AT_FDCWD, attr, 0));
	say("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
	say("add_key", syscall(SYS_add_key, "user", "probe", "x", 1, -3));
	say("request_key", syscall(SYS_request_key, "user", "probe", NULL, -3));
	say("syslog", syscall(SYS_syslog, 3, attr, sizeof(attr)));
	say("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
	say("swapon", syscall(SYS_swapon, "/tmp/none", 0));
	say("swapoff", syscall(SYS_swapoff, "/tmp/none"));
	say("acct", syscall(SYS_acct, NULL));
	say("settimeofday", syscall(SYS_settimeofday, &tv, NULL));
	say("clock_settime", syscall(SYS_clock_settime, 0, &ts));
	say("sethostname", syscall(SYS_sethostname, "evil", 4));
	say("setdomainname", syscall(SYS_setdomainname, "evil", 4));
	say("fanotify_init", syscall(SYS_fanotify_init, 0, 0));
	say("lookup_dcookie", syscall(SYS_lookup_dcookie, 0, attr, 1));
#ifdef SYS_iopl
	say("iopl", syscall(SYS_iopl, 3));
	say("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
#endif
	say("socket:packet", socket(AF_PACKET, SOCK_RAW, 0));
	say("socket:raw", socket(AF_INET, SOCK_RAW, 1));
	say("socket:vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	say("setuid:mapped", syscall(SYS_setresuid, 70000, 70000, 70000));
}

static int
do_syscalls(void)
{
	try_processes();
	try_kernel();
	try_mounts();
	try_namespaces(); /* last: what is let through changes who we are */
	return 0;
}

/* --- files, nodes, sockets ----------------------------------------------- */

static int
do_nodes(const char *dir)
{
	static const struct {
		const char *name;
		mode_t type;
		unsigned major, minor;
	} nodes[] = {
		{ "mem", S_IFCHR, 1, 1 },
		{ "kmsg", S_IFCHR, 1, 11 },
		{ "null", S_IFCHR, 1, 3 },
		{ "fuse", S_IFCHR, 10, 229 },
		{ "kvm", S_IFCHR, 10, 232 },
		{ "sda", S_IFBLK, 8, 0 },
		{ "vda", S_IFBLK, 253, 0 },
		{ "vda254", S_IFBLK, 254, 0 },
		{ "nvme", S_IFBLK, 259, 0 },
		{ "loop0", S_IFBLK, 7, 0 },
	};
	char path[4200];

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/node-%s", dir, nodes[i].name);
		say(nodes[i].name,
		    mknod(path, nodes[i].type | 0666,
			makedev(nodes[i].major, nodes[i].minor)));
	}
	return 0;
}

static int
connect_to(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	int fd, r;

	if (n >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(un.sun_path, name, n);
	if (name[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd == -1)
		return -1;
	r = connect(fd, (struct sockaddr *)&un,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	if (r == -1 && errno == EPROTOTYPE)
		r = 0; /* a datagram socket: it is reachable all the same */
	(void)close(fd);
	return r;
}

/* Walk one file system tree, not following links; depth bounded. */
static void
walk_sockets(const char *dir, int depth)
{
	char path[4200];
	struct dirent *de;
	struct stat st;
	DIR *d;

	if (depth > 40 || (d = opendir(dir)) == NULL)
		return;
	while ((de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s",
			strcmp(dir, "/") == 0 ? "" : dir,
			de->d_name) >= (int)sizeof(path))
			continue;
		if (strcmp(path, "/proc") == 0 || strcmp(path, "/sys") == 0 ||
		    lstat(path, &st) == -1)
			continue;
		if (S_ISDIR(st.st_mode))
			walk_sockets(path, depth + 1);
		else if (S_ISSOCK(st.st_mode))
			say(path, connect_to(path));
	}
	(void)closedir(d);
}

/* --- /proc --------------------------------------------------------------- */

static void
show_link(const char *pid, const char *name)
{
	char path[300], target[4200];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return;
	target[n] = '\0';
	printf("%s %s %s\n", pid, name, target);
}

static void
show_process(const char *pid)
{
	char path[300], name[300];
	struct dirent *de;
	DIR *d;

	show_link(pid, "cwd");
	show_link(pid, "root");
	show_link(pid, "exe");
	(void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	d = opendir(path);
	while (d != NULL && (de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "fd/%s", de->d_name);
		show_link(pid, name);
	}
	if (d != NULL)
		(void)closedir(d);
}

static void
open_exe(const char *pid)
{
	char path[300], label[300];

	(void)snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	(void)snprintf(label, sizeof(label), "exe:%s", pid);
	say(label, open(path, O_RDWR | O_CLOEXEC));
	(void)snprintf(label, sizeof(label), "truncate:%s", pid);
	say(label, truncate(path, 0));
}

static int
each_process(void (*fn)(const char *pid))
{
	DIR *d = opendir("/proc");
	struct dirent *de;

	while (d != NULL && (de = readdir(d)) != NULL) {
		if (de->d_name[0] >= '1' && de->d_name[0] <= '9')
			fn(de->d_name);
	}
	if (d != NULL)
		(void)closedir(d);
	return 0;
}

/* --- terminals ----------------------------------------------------------- */

static int
do_terminal(void)
{
	char byte = 'x', name[64];
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave = -1;
	char sub = 3; /* TIOCL_PASTESEL */

	if (master != -1 && grantpt(master) == 0 && unlockpt(master) == 0 &&
	    ptsname_r(master, name, sizeof(name)) == 0) {
		(void)setsid();
		slave = open(name, O_RDWR);
	}
	printf("slave %s\n", slave == -1 ? "none" : "ok");
	say("TIOCSTI", ioctl(slave, TIOCSTI, &byte));
	say("TIOCSTI:high", syscall(SYS_ioctl, slave,
				(unsigned long)TIOCSTI | (1ul << 32), &byte));
	say("TIOCLINUX", ioctl(slave, TIOCLINUX, &sub));
	say("TIOCLINUX:high",
	    syscall(SYS_ioctl, slave, (unsigned long)TIOCLINUX | (1ul << 33),
		&sub));
	say("TIOCSTI:stdin", ioctl(0, TIOCSTI, &byte));
	return 0;
}

/* --- the rest ------------------------------------------------------------ */

static int
do_chroot(const char *dir)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY);
	struct stat before, after;

	(void)mkdir(dir, 0755);
	if (stat("/", &before) == -1 || chroot(dir) == -1) {
		say("chroot", -1);
		return 0;
	}
	if (fchdir(fd) == 0)
		for (int i = 0; i < 64; i++)
			if (chdir("..") == -1)
				break;
	(void)!chroot(".");
	if (stat("/", &after) == 0 && before.st_ino == after.st_ino &&
	    before.st_dev == after.st_dev)
		printf("chroot inside\n");
	else
		printf("chroot ok\n");
	return 0;
}

static int
do_orphans(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == -1) {
			say("fork", -1);
			break;
		}
		if (pid == 0) {
			(void)setsid();
			if (fork() == 0) {
				for (int fd = 0; fd < 3; fd++)
					(void)close(fd);
				(void)sleep(600);
			}
			_exit(0);
		}
		(void)waitpid(pid, NULL, 0);
	}
	printf("orphans done\n");
	return 0;
}

static int
do_handle(const char *path)
{
	struct {
		struct file_handle h;
		unsigned char bytes[128];
	} fh = { .h = { .handle_bytes = 8, .handle_type = 1 } };
	int mount_fd = open(path, O_RDONLY);

	fh.bytes[0] = 2; /* the root of most file systems */
	say("handle", open_by_handle_at(mount_fd, &fh.h, O_RDONLY));
	return 0;
}

static int
do_i386(void)
{
#ifdef __x86_64__
	long r;

	/* 20: getpid by the 32-bit table; the filter must know the door. */
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory");
	printf("int80 %s\n", r > 0 ? "ok" : strerrorname_np((int)-r));
	r = syscall(0x40000000 + 39); /* x32 getpid */
	say("x32", r);
#endif
	printf("i386 done\n");
	return 0;
}

int
main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *arg = argc > 2 ? argv[2] : "/tmp";

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "syscalls") == 0)
		return do_syscalls();
	if (strcmp(what, "nodes") == 0)
		return do_nodes(arg);
	if (strcmp(what, "connect") == 0) {
		say("connect", connect_to(arg));
		return 0;
	}
	if (strcmp(what, "sockets") == 0) {
		walk_sockets(arg, 0);
		printf("sockets done\n");
		return 0;
	}
	if (strcmp(what, "descriptors") == 0)
		return each_process(show_process);
	if (strcmp(what, "writable-exe") == 0)
		return each_process(open_exe);
	if (strcmp(what, "terminal") == 0)
		return do_terminal();
	if (strcmp(what, "chroot") == 0)
		return do_chroot(arg);
	if (strcmp(what, "orphans") == 0)
		return do_orphans(atoi(arg));
	if (strcmp(what, "handle") == 0)
		return do_handle(arg);
	if (strcmp(what, "i386") == 0)
		return do_i386();
	(void)fprintf(stderr, "probe: unknown way out '%s'\n", what);
	return 100;
}
