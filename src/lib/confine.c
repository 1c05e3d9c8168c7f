/*
 * See confine.h. Started by root, trusts what stood on the command line.
 */
#include "confine.h"
#include "callfilter.h"
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void
root_enter_or_die(const char *root)
{
	struct dirent *d;
	DIR *dir = opendir(root);

	if (dir == NULL)
		fatal("confine", "open %s: %s", root, strerror(errno));
	while ((d = readdir(dir)) != NULL)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			fatal("confine", "%s is not empty", root);
	if (fchdir(dirfd(dir)) == -1 || chroot(".") == -1 || chdir("/") == -1)
		fatal("confine", "chroot %s: %s", root, strerror(errno));
	(void)closedir(dir); /* opened for reading */
}

static void
ids_take_or_die(uid_t uid, gid_t gid)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct d[2];

	if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		fatal("confine", "become %u:%u: %s", uid, gid, strerror(errno));
	if (getuid() != uid || geteuid() != uid || getgid() != gid ||
	    getegid() != gid || setresuid((uid_t)-1, 0, (uid_t)-1) != -1 ||
	    setresgid((gid_t)-1, 0, (gid_t)-1) != -1)
		fatal("confine", "root was not given up");
	if (syscall(SYS_capget, &h, d) == -1 ||
	    (d[0].permitted | d[1].permitted | d[0].inheritable |
		d[1].inheritable) != 0)
		fatal("confine", "capabilities were not given up");
}

void
confine_or_die(int64_t uid, int64_t gid, const char *root)
{
	int cap;

	if (uid != -1) {
		/* PRIV: root outside of sandboxes; only what is on descriptor
		 * 3 has been ours so far. */
		if (root != NULL)
			root_enter_or_die(root);
		for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
			if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
				break;
		ids_take_or_die((uid_t)uid, (gid_t)gid);
		/* PRIV: nobody, in an empty directory (or where we were, with
		 * the rights of nobody), without capabilities. */
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("confine", "prctl: %s", strerror(errno));
}

/* Refused only: a library may try one and do without it. */
static const unsigned refused[] = { SYS_socket, SYS_connect, SYS_bind,
	SYS_tkill, SYS_pidfd_send_signal };
/* These, too, in a process that makes no copies of itself. */
static const unsigned alone[] = { SYS_clone, SYS_kill, SYS_pidfd_open };
static const unsigned absent[] = { SYS_clone3, SYS_io_uring_setup };

#define NEW_NAMESPACES                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

void
confine_never_or_die(bool copies)
{
	static struct callfilter f;

	callfilter_begin(&f);
	callfilter_never(&f);
	callfilter_list(
	    &f, refused, countof(refused), SECCOMP_RET_ERRNO | EPERM);
	callfilter_list(
	    &f, absent, countof(absent), SECCOMP_RET_ERRNO | ENOSYS);
	if (!copies)
		callfilter_list(
		    &f, alone, countof(alone), SECCOMP_RET_ERRNO | EPERM);
	callfilter_when(&f, SYS_clone, 3);
	callfilter_load_argument(&f, 0);
	callfilter_when_any(&f, NEW_NAMESPACES, 1);
	callfilter_verdict(&f, SECCOMP_RET_KILL_PROCESS);
	callfilter_verdict(&f, SECCOMP_RET_ALLOW);
	callfilter_apply_or_die(&f);
}

size_t
confine_limits(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit fds;

	/* Lowering cannot fail. */
	(void)setrlimit(RLIMIT_NPROC, &none);
	(void)setrlimit(RLIMIT_CORE, &none);
	if (getrlimit(RLIMIT_NOFILE, &fds) == -1)
		return 64;
	fds.rlim_cur = fds.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &fds);
	if (getrlimit(RLIMIT_NOFILE, &fds) == -1)
		return 64;
	return (size_t)fds.rlim_cur;
}
