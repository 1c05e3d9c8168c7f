/*
 * Namespaces; see ns.h. Runs in the supervisor (clone, maps) and in the child
 * (loopback). A namespace that maps ids is given to the kernel as a
 * descriptor; nothing here keeps a process alive to hold one.
 */
#include "sandbox/ns.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The filters of containers know clone3 as a call that does not exist, since
 * they cannot see its flags. Without namespaces fork() does. */
static pid_t
fork_instead(int cgroup_fd, int *pidfd_out)
{
	pid_t pid = fork();
	int fd;

	if (pid == 0 && cgroup_fd != -1) {
		fd = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
		if (fd == -1 || write(fd, "0", 1) != 1)
			_exit(1);
		(void)close(fd); /* the write has told */
	}
	if (pid > 0)
		/* Not reaped, so the number is its own. */
		*pidfd_out = (int)syscall(SYS_pidfd_open, pid, 0u);
	return pid;
}

pid_t
ns_clone(uint64_t flags, int cgroup_fd, int *pidfd_out)
{
	struct clone_args args;
	int pidfd = -1;
	long pid;

	memset(&args, 0, sizeof(args));
	args.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
	args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	args.exit_signal = SIGCHLD;
	if (cgroup_fd != -1) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (unsigned)cgroup_fd;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == -1 && errno == ENOSYS && flags == 0)
		return fork_instead(cgroup_fd, pidfd_out);
	if (pid > 0)
		*pidfd_out = pidfd;
	return (pid_t)pid;
}

static int
proc_write(pid_t pid, const char *name, const char *text)
{
	char path[64];
	size_t len = strlen(text);
	ssize_t n;
	int fd, err;

	if (str_format(path, sizeof(path), "/proc/%d/%s", (int)pid, name) == -1)
		return -1;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	n = write(fd, text, len);
	err = n == -1 ? errno : EIO;
	(void)close(fd); /* the write has told all there is to tell */
	if (n == (ssize_t)len)
		return 0;
	errno = err;
	return -1;
}

int
ns_write_maps(pid_t pid, const struct ns_map *m, bool deny_setgroups)
{
	char text[64];

	if (str_format(text, sizeof(text), "%u %u %u\n", m->uid_inside,
		m->uid_outside, m->count) == -1 ||
	    proc_write(pid, "uid_map", text) == -1)
		return -1;
	if (deny_setgroups && proc_write(pid, "setgroups", "deny") == -1)
		return -1;
	if (str_format(text, sizeof(text), "%u %u %u\n", m->gid_inside,
		m->gid_outside, m->count) == -1)
		return -1;
	return proc_write(pid, "gid_map", text);
}

int
ns_user_fd(pid_t pid)
{
	char path[64];

	if (str_format(path, sizeof(path), "/proc/%d/ns/user", (int)pid) == -1)
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC);
}

/*
 * The holder of a mapping namespace: waits until its maps are written and its
 * namespace is open elsewhere, then ends. It has no exit signal, so that no
 * SIGCHLD handler of the caller's ever hears of it, and is waited for here:
 * it has nothing to do but to end.
 */
int
ns_map_fd(const struct ns_map *m)
{
	struct clone_args args;
	int hold[2], fd = -1, err = 0;
	long pid;
	char c;

	if (pipe2(hold, O_CLOEXEC) == -1)
		return -1;
	memset(&args, 0, sizeof(args));
	args.flags = CLONE_NEWUSER | CLONE_CLEAR_SIGHAND;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		(void)close(hold[1]); /* else we would wait for ourselves */
		(void)!read(hold[0], &c, 1);
		_exit(0);
	}
	if (pid == -1 || ns_write_maps((pid_t)pid, m, false) == -1 ||
	    (fd = ns_user_fd((pid_t)pid)) == -1)
		err = errno;
	(void)close(hold[0]);
	(void)close(hold[1]);
	if (pid > 0)
		while (
		    waitpid((pid_t)pid, NULL, __WALL) == -1 && errno == EINTR)
			;
	errno = err;
	return fd;
}

int
ns_send_listener(uint16_t port, int sock)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, SOMAXCONN) == -1)
		return -1;
	return fd_send(sock, "", 1, &fd, 1) == 1 ? 0 : -1;
}

int
ns_loopback_up(void)
{
	struct ifreq ifr;
	int fd, r, err;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, "lo", sizeof("lo"));
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	r = ioctl(fd, SIOCSIFFLAGS, &ifr);
	err = errno;
	(void)close(fd);
	errno = err;
	return r;
}
