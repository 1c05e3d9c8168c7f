/*
 * The child between clone and exec: performs the plan, one step after the
 * other, and becomes the sandbox's init. It is root of a user namespace of its
 * own and nobody outside; it trusts the supervisor's memory, which it is a
 * copy of, and nothing else. It reports and does not log; it waits for nobody
 * but the supervisor's word to go on; it allocates nothing.
 *
 * The order of the steps is the security of the whole: mounts while they may
 * still be made, the root, then the rights that made it possible, Landlock,
 * and the filter last so that it need not allow any call made before.
 */
#include "sandbox/creds.h"
#include "sandbox/devices.h"
#include "sandbox/landlock.h"
#include "sandbox/mounts.h"
#include "sandbox/ns.h"
#include "sandbox/rootfs.h"
#include "sandbox/seccomp.h"
#include "sandbox/setup.h"
#include "sandbox/trees.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Descriptors that must outlive the shuffle at the end go above this. */
#define HIGH_FD 64

static int
step_signals(struct setup *s)
{
	sigset_t none;
	int sig;

	(void)s;
	/* clone reset the handlers; what was ignored is still ignored */
	for (sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL); /* fails for KILL, STOP */
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
step_net(struct setup *s)
{
	return s->own_net && !s->net_ready ? ns_loopback_up() : 0;
}

/* PRIV: a socket of the sandbox's network, made before anything of the sandbox
 * runs; it is served outside. Here nothing of it stays. */
static int
step_proxy(struct setup *s)
{
	if (s->proxy_fd == -1)
		return 0;
	if (ns_send_listener(PLAN_PROXY_PORT, s->proxy_fd) == -1)
		return -1;
	fd_close(&s->proxy_fd);
	return 0;
}

static int
step_hostname(struct setup *s)
{
	const char *name = s->plan->hostname;

	return sethostname(name, strlen(name));
}

static int
step_wait(struct setup *s)
{
	ssize_t n;
	char c;

	do
		n = read(s->go_fd, &c, 1);
	while (n == -1 && errno == EINTR);
	if (n == 0) /* the supervisor has gone or changed its mind */
		_exit(1);
	return n == 1 ? 0 : -1;
}

static int
step_creds(struct setup *s)
{
	char c;

	/* PRIV: nobody with every capability of the new user namespace before,
	 * its root, alone in its session and without other groups after. */
	if (creds_become_root(s->ranged || s->lent) == -1 || setsid() == -1)
		return -1;
	/* After the ids, since changing those takes it back. An init that may
	 * outlive the supervisor takes it back itself, once it can wait. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		return -1;
	/* If the supervisor died before that, its channel has ended. */
	if (recv(s->chan_fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		_exit(1);
	return 0;
}

static int
step_cgroup(struct setup *s)
{
	size_t i;

	/* "0" to a v1 `tasks` file moves the writer, without the lock over all
	 * forks of the machine that moving another process takes. */
	for (i = 0; i < s->ncgroups; i++)
		if (write(s->cgroup_fds[i], "0", 1) != 1)
			return -1;
	/* Only now: the namespace's root is the group that we are in. */
	if (!s->host->have[MECH_CGROUP])
		return 0;
	return unshare(CLONE_NEWCGROUP);
}

/* What belongs to ids that only we can be. */
static int
step_layers(struct setup *s)
{
	if (!s->lent)
		return 0;
	return trees_prepare_cow(s, NULL) == -1 ? -1 : trees_prepare(s, NULL);
}

static int
step_trees(struct setup *s)
{
	return s->ranged ? 0 : trees_open_here(s);
}

static int
fd_lift(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, HIGH_FD);

	if (high == -1)
		return -1;
	*fd = high; /* the old one ends with exec, like everything */
	return 0;
}

/* Put init's descriptors where it expects them; mark all others. */
static int
step_fds(struct setup *s, int *init_fd)
{
	unsigned next = SETUP_UPPER_FD;
	int null_fd, adopt_fd = s->plan->adopt_fd;
	size_t i;

	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd == -1 || fd_lift(&null_fd) == -1 ||
	    fd_lift(init_fd) == -1 || fd_lift(&s->chan_fd) == -1 ||
	    fd_lift(&s->report_fd) == -1)
		return -1;
	if (s->plan->adopt_ms > 0 && fd_lift(&adopt_fd) == -1)
		return -1;
	for (i = 0; i < s->nmounts; i++)
		if (s->mounts[i].upper_fd != -1 &&
		    fd_lift(&s->mounts[i].upper_fd) == -1)
			return -1;
	if (dup2(null_fd, 0) == -1 || dup2(null_fd, 1) == -1 ||
	    dup2(null_fd, 2) == -1 || dup2(s->chan_fd, SETUP_CHAN_FD) == -1)
		return -1;
	if (GUARD(strays) &&
	    close_range(SETUP_CHAN_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) == -1)
		return -1;
	if (s->plan->adopt_ms > 0 && dup2(adopt_fd, SETUP_ADOPT_FD) == -1)
		return -1;
	for (i = 0; i < s->nmounts; i++)
		if (s->mounts[i].upper_fd != -1 &&
		    dup2(s->mounts[i].upper_fd, (int)next++) == -1)
			return -1;
	return 0;
}

static int
step_rlimits(struct setup *s)
{
	return creds_rlimits(&s->plan->limits);
}

static int
step_caps(struct setup *s)
{
	(void)s;
	if (!GUARD(caps))
		return 0;
	/* PRIV: every capability of the user namespace before; init's few and
	 * no_new_privs after, for good. */
	return creds_reduce(CREDS_CAPS_INIT);
}

static int
step_landlock(struct setup *s)
{
	int uppers[SETUP_MOUNTS_MAX];
	size_t i, n = 0;
	int fd, r;

	if (!s->host->have[MECH_LANDLOCK] || !GUARD(landlock))
		return 0;
	fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	for (i = 0; i < s->nmounts; i++)
		if (s->mounts[i].upper_fd != -1)
			uppers[n++] = s->mounts[i].upper_fd;
	r = landlock_enter(s->host->landlock_abi, fd, uppers, n);
	(void)close(fd); /* errno of a failure is not changed by success */
	return r;
}

static int
step_seccomp(struct setup *s)
{
	const struct host_private *hp = s->host->priv;
	size_t i;

	if (!s->host->have[MECH_SECCOMP] || !GUARD(seccomp))
		return 0;
	for (i = 0; i < s->nmounts; i++)
		if (s->mounts[i].mode == MOUNT_RW)
			return filter_enter(hp->strict.prog, hp->strict.len);
	return filter_enter(s->host->filter, s->host->filter_len);
}

static void ATTR_NORETURN
fail(const struct setup *s, enum stage stage)
{
	struct start_report r = { (uint32_t)stage, errno, s->detail, "" };

	/* One atomic write; if nobody reads it, nobody wants to know. */
	(void)!write(s->report_fd, &r, sizeof(r));
	_exit(1);
}

static void ATTR_NORETURN
program_exec(const struct setup *s, int fd, char *const argv[])
{
	char *envp[] = { GUARDS_OFF, NULL };

	(void)syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
	fail(s, STAGE_EXEC);
}

static void ATTR_NORETURN
step_exec(struct setup *s, int init_fd)
{
	static char name[] = "sandboxd-init", adopt[40];
	static char args[SETUP_MOUNTS_MAX][PATH_MAX + 16];
	char *argv[SETUP_MOUNTS_MAX + 4];
	unsigned next = SETUP_UPPER_FD;
	size_t i, n = 0;

	argv[n++] = name;
	if (s->plan->adopt_ms > 0) {
		(void)snprintf(adopt, sizeof(adopt), "--adopt=%lld",
		    (long long)s->plan->adopt_ms);
		argv[n++] = adopt;
	}
	argv[n++] = (char *)(uintptr_t)s->plan->id; /* exec does not write */
	for (i = 0; i < s->nmounts; i++) {
		if (s->mounts[i].upper_fd == -1)
			continue;
		(void)snprintf(args[i], sizeof(args[i]), "%u=%s", next++,
		    s->mounts[i].target);
		argv[n++] = args[i];
	}
	argv[n] = NULL;
	program_exec(s, init_fd, argv);
}

void
enter(struct setup *s)
{
	static const struct {
		enum stage stage;
		int (*perform)(struct setup *s);
	} steps[] = {
		/* While the supervisor maps our ids: nothing that has an owner.
		 */
		{ STAGE_NONE, step_signals },
		{ STAGE_NONE, rootfs_private },
		{ STAGE_NET, step_net },
		{ STAGE_PROXY, step_proxy },
		{ STAGE_HOSTNAME, step_hostname },
		{ STAGE_PROC, rootfs_make_proc },
		{ STAGE_SYS, rootfs_make_sys },
		{ STAGE_WAIT, step_wait },
		{ STAGE_CREDS, step_creds },
		{ STAGE_CGROUP, step_cgroup },
		{ STAGE_SCRATCH, rootfs_scratch },
		{ STAGE_LAYERS, step_layers },
		{ STAGE_MOUNTS, step_trees },
		{ STAGE_ROOT, rootfs_root },
		{ STAGE_TMP, rootfs_tmp },
		{ STAGE_TMPFS, rootfs_tmpfs },
		{ STAGE_HOSTS, rootfs_hosts },
		/* Before /dev, /proc and /sys, which then lie on top of
		 * whatever a target that is a link in the image leads to. */
		{ STAGE_MOUNTS, rootfs_mounts },
		{ STAGE_DEV, devices_mount },
		{ STAGE_PROC, rootfs_proc },
		{ STAGE_SYS, rootfs_sys },
		{ STAGE_MASK, rootfs_mask },
		{ STAGE_PIVOT, rootfs_pivot },
	};
	static const struct {
		enum stage stage;
		int (*perform)(struct setup *s);
	} last[] = {
		{ STAGE_CAPS, step_caps },
		{ STAGE_LANDLOCK, step_landlock },
		{ STAGE_SECCOMP, step_seccomp },
		/* Last: the supervisor's descriptors, which exec closes, are
		 * still here and would count. The filter lets it pass. */
		{ STAGE_RLIMITS, step_rlimits },
	};
	int init_fd = s->plan->init_fd;
	size_t i;

	for (i = 0; i < countof(steps); i++)
		if (steps[i].perform(s) == -1)
			fail(s, steps[i].stage);
	if (step_fds(s, &init_fd) == -1)
		fail(s, STAGE_EXEC);
	for (i = 0; i < countof(last); i++)
		if (last[i].perform(s) == -1)
			fail(s, last[i].stage);
	step_exec(s, init_fd);
}

/* --- without namespaces --------------------------------------------------- */

static int
step_caps_ours(struct setup *s)
{
	(void)s;
	/* PRIV: what the supervisor has before; init's few of it and
	 * no_new_privs after, for good. */
	return creds_reduce_to(CREDS_CAPS_INIT);
}

static int
step_tasks(const struct setup *s)
{
	for (size_t i = 0; i < s->ncgroups; i++)
		if (write(s->cgroup_fds[i], "0", 1) != 1)
			return -1;
	return 0;
}

/* The child of the keeper: confined, and then init. */
static void ATTR_NORETURN
become_init(struct setup *s)
{
	static const struct {
		enum stage stage;
		int (*perform)(struct setup *s);
	} last[] = {
		{ STAGE_CAPS, step_caps_ours },
		{ STAGE_LANDLOCK, step_landlock },
		{ STAGE_SECCOMP, step_seccomp },
		{ STAGE_RLIMITS, step_rlimits },
	};
	static char name[] = "sandboxd-init", tree[] = "--tree";
	char *argv[] = { name, tree, (char *)(uintptr_t)s->plan->id, NULL };
	int init_fd = s->plan->init_fd;

	if (setsid() == -1 || step_fds(s, &init_fd) == -1)
		fail(s, STAGE_EXEC);
	for (size_t i = 0; i < countof(last); i++)
		if (last[i].perform(s) == -1)
			fail(s, last[i].stage);
	program_exec(s, init_fd, argv);
}

void
enter_reduced(struct setup *s)
{
	static char name[] = "sandboxd-init", keep[] = "--keep", text[16];
	char *argv[] = { name, keep, (char *)(uintptr_t)s->plan->id, text,
		NULL };
	int pidfd, null_fd;
	pid_t pid;

	if (step_signals(s) == -1 || setsid() == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == -1 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1)
		fail(s, STAGE_NONE);
	if (step_tasks(s) == -1)
		fail(s, STAGE_CGROUP);
	pid = ns_clone(0, -1, &pidfd);
	if (pid == -1)
		fail(s, STAGE_NONE);
	if (pid == 0)
		become_init(s);
	/* PRIV: still ours: the keeper must be able to end what runs as any
	 * user of the sandbox. It reads nothing that comes from there. */
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd == -1 || dup2(null_fd, 0) == -1 || dup2(null_fd, 1) == -1 ||
	    dup2(null_fd, 2) == -1 ||
	    close_range(SETUP_CHAN_FD, ~0u, CLOSE_RANGE_CLOEXEC) == -1)
		fail(s, STAGE_EXEC);
	(void)snprintf(text, sizeof(text), "%d", (int)pid);
	program_exec(s, s->plan->init_fd, argv);
}
