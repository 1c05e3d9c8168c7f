/*
 * The image behind a sandbox's upper layers; see disk.h. The work is done in a
 * child of the supervisor, since all of it may wait: for the disk, for a mount
 * that is on its way out, for a journal. The child runs our code only; it
 * trusts the supervisor's memory, which it is a copy of, and an image that
 * nobody but us and the kernel has ever written: what is inside the sandbox
 * writes into the file system, and never sees the file that it is in.
 *
 * Two mounts of one image would destroy it. The file is locked (flock) before
 * it is attached, and the loop device keeps the same open file, so the lock is
 * held until the device has let go of it, whoever has died meanwhile.
 */
#include "sandbox/disk.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "sandbox/creds.h"
#include "sandbox/disk_priv.h"
#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE_NEW DISK_IMAGE ".new"
#define IMAGE_FD 3 /* mke2fs's */
#define SOCK_FD 3  /* the child's, while it works */
#define DIR_FD 4
#define LOOP_TRIES 64
#define JOURNAL_SIZE "size=4"

#define STEPS(X)                                          \
	X(NONE, "start")                                  \
	X(MAKE, "make the disk image")                    \
	X(MKE2FS, "mke2fs failed on the disk image")      \
	X(LOCK, "lock the disk image")                    \
	X(LOOP, "attach the disk image to a loop device") \
	X(MOUNT, "mount the disk image")

enum step {
#define X(sym, text) STEP_##sym,
	STEPS(X)
#undef X
	STEP_N
};

static const char *const step_texts[STEP_N] = {
#define X(sym, text) [STEP_##sym] = text,
	STEPS(X)
#undef X
};

struct answer {
	uint32_t step; /* STEP_NONE: success, a descriptor comes with it */
	int32_t err;
};

const char *
disk_mke2fs(void)
{
	static const char *const paths[] = { "/usr/sbin/mke2fs",
		"/sbin/mke2fs" };

	for (size_t i = 0; i < countof(paths); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

/* --- the child ----------------------------------------------------------- */

static void ATTR_NORETURN
answer(enum step step, int fd)
{
	struct answer a = { step, step == STEP_NONE ? 0 : errno };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct iovec iov = { &a, sizeof(a) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (step == STEP_NONE) {
		memset(&u, 0, sizeof(u));
		m.msg_control = u.buf;
		m.msg_controllen = sizeof(u.buf);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	/* If nobody hears it, nobody wants it. */
	(void)!sendmsg(SOCK_FD, &m, MSG_NOSIGNAL);
	_exit(step == STEP_NONE ? 0 : 1);
}

static void ATTR_NORETURN
mke2fs_exec(int image_fd, char *inodes)
{
	static char file[] = "/proc/self/fd/3";
	char *argv[24] = { "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096",
		"-m", "0", "-J", JOURNAL_SIZE, "-O", "^resize_inode", "-E",
		"nodiscard,lazy_itable_init=1,lazy_journal_init=1" };
	char *envp[] = { "MKE2FS_CONFIG=/dev/null", NULL };
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t n = 0;

	while (argv[n] != NULL)
		n++;
	if (inodes != NULL) {
		argv[n++] = "-N";
		argv[n++] = inodes;
	}
	argv[n] = file;
	if (null_fd == -1 || dup2(null_fd, 0) == -1 || dup2(null_fd, 1) == -1 ||
	    dup2(null_fd, 2) == -1 || dup2(image_fd, IMAGE_FD) == -1 ||
	    close_range(IMAGE_FD + 1, ~0u, 0) == -1)
		_exit(1);
	/* PRIV: root with every capability before; after, a root without any,
	 * for good, whose one descriptor is a file of its own. */
	if (creds_reduce(0) == -1)
		_exit(1);
	(void)execve(disk_mke2fs(), argv, envp);
	_exit(1);
}

/* Under another name until it is whole. Returns its descriptor, locked. */
static int
image_make(int64_t bytes, int64_t inodes)
{
	char count[32];
	int fd, status;
	pid_t pid;

	(void)snprintf(count, sizeof(count), "%lld", (long long)inodes);
	(void)unlinkat(DIR_FD, IMAGE_NEW, 0); /* of one that was interrupted */
	fd = openat(
	    DIR_FD, IMAGE_NEW, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1 || ftruncate(fd, bytes) == -1 ||
	    flock(fd, LOCK_EX | LOCK_NB) == -1)
		answer(STEP_MAKE, -1);
	pid = fork();
	if (pid == 0)
		mke2fs_exec(fd, inodes > 0 ? count : NULL);
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		answer(STEP_MAKE, -1);
	errno = EIO;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		answer(STEP_MKE2FS, -1);
	if (renameat(DIR_FD, IMAGE_NEW, DIR_FD, DISK_IMAGE) == -1)
		answer(STEP_MAKE, -1);
	return fd;
}

/* Attach IMAGE_FD to a free loop device, which goes with its last user. The
 * device's descriptor; its path in DEV. */
static int
loop_attach(int image_fd, char *dev, size_t size)
{
	int ctl_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	struct loop_config c;
	int fd, n, tries;

	if (ctl_fd == -1)
		return -1;
	memset(&c, 0, sizeof(c));
	c.fd = (uint32_t)image_fd;
	c.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	for (tries = 0; tries < LOOP_TRIES; tries++) {
		n = ioctl(ctl_fd, LOOP_CTL_GET_FREE);
		if (n == -1)
			return -1;
		(void)snprintf(dev, size, "/dev/loop%d", n);
		fd = open(dev, O_RDWR | O_CLOEXEC);
		if (fd == -1)
			return -1;
		if (ioctl(fd, LOOP_CONFIGURE, &c) == 0) {
			(void)close(ctl_fd);
			return fd;
		}
		(void)close(fd);
		if (errno != EBUSY) /* else somebody else was faster */
			return -1;
	}
	return -1;
}

static void ATTR_NORETURN
child(int64_t bytes, int64_t inodes)
{
	/* discard: what is deleted inside is free outside. */
	static const struct mount_opt flags[] = { { "source", NULL },
		{ "errors", "remount-ro" }, { "discard", NULL },
		{ "noinit_itable", NULL } };
	struct mount_opt opts[countof(flags)];
	char dev[32];
	int image_fd, loop_fd, mount_fd;

	image_fd = openat(DIR_FD, DISK_IMAGE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (image_fd == -1 && errno == ENOENT)
		image_fd = image_make(bytes, inodes);
	else if (image_fd == -1)
		answer(STEP_MAKE, -1);
	/* Waits for a former mount; whoever started us has a deadline. */
	else if (flock(image_fd, LOCK_EX) == -1)
		answer(STEP_LOCK, -1);
	loop_fd = loop_attach(image_fd, dev, sizeof(dev));
	if (loop_fd == -1)
		answer(STEP_LOOP, -1);
	memcpy(opts, flags, sizeof(opts));
	opts[0].value = dev;
	/* PRIV: root of the host mounts a file system whose every byte came
	 * from mke2fs and the kernel; it is attached nowhere here. */
	mount_fd = mounts_new(
	    "ext4", opts, countof(opts), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mount_fd == -1)
		answer(STEP_MOUNT, -1);
	answer(STEP_NONE, mount_fd);
}

/* --- the supervisor ------------------------------------------------------ */

static void ATTR_NORETURN
child_begin(int dir_fd, int sock_fd, int64_t bytes, int64_t inodes)
{
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL); /* fails for KILL, STOP */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* Out of the way of the numbers that they get. */
	dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 16);
	sock_fd = fcntl(sock_fd, F_DUPFD_CLOEXEC, 16);
	if (dir_fd == -1 || sock_fd == -1 ||
	    dup3(sock_fd, SOCK_FD, O_CLOEXEC) == -1 ||
	    dup3(dir_fd, DIR_FD, O_CLOEXEC) == -1 ||
	    close_range(DIR_FD + 1, ~0u, 0) == -1)
		_exit(1);
	child(bytes, inodes);
}

int
disk_image_start(int dir_fd, int64_t bytes, int64_t inodes,
    struct disk_job *job, struct err *e)
{
	int ours = -1, theirs = -1;

	if (fd_socketpair(&ours, &theirs, e) == -1)
		return -1;
	/* PRIV: a copy of the supervisor, with its rights and two of its
	 * descriptors; it ends before anything of a sandbox runs. */
	job->pid = fork();
	if (job->pid == 0)
		child_begin(dir_fd, theirs, bytes, inodes);
	(void)close(theirs);
	if (job->pid == -1) {
		(void)close(ours);
		return err_sys(e, "start a child for the disk image");
	}
	job->fd = ours;
	return 0;
}

int
disk_image_result(const struct disk_job *job, int *mount_fd_out, struct err *e)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} u;
	struct answer a;
	struct iovec iov = { &a, sizeof(a) };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = u.buf,
		.msg_controllen = sizeof(u.buf) };
	struct cmsghdr *c;
	ssize_t n;

	n = recvmsg(job->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n != (ssize_t)sizeof(a))
		return err_set(
		    e, ERR_SYSTEM, "the child for the disk image has ended");
	c = CMSG_FIRSTHDR(&m);
	if (a.step == STEP_NONE && c != NULL) {
		memcpy(mount_fd_out, CMSG_DATA(c), sizeof(int));
		return 0;
	}
	errno = a.err;
	return err_sys(e, "%s",
	    a.step < STEP_N ? step_texts[a.step] : step_texts[STEP_NONE]);
}
