/*
 * What this host can give, found by trying it once. Runs in the supervisor at
 * start. A trial child makes what a sandbox's child will make; only what it
 * could do counts, not what a version number or a file in /proc promises.
 */
#include "sandbox/devices.h"
#include "sandbox/landlock.h"
#include "sandbox/launch.h"
#include "sandbox/mounts.h"
#include "sandbox/ns.h"
#include "sandbox/creds.h"
#include "sandbox/rootfs.h"
#include "sandbox/seccomp.h"
#include "sandbox/setup.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define TRIAL_MS 5000
#define TRIAL_ID_BASE 100000u /* any id but 0 does for a trial */

static void ATTR_PRINTF(3, 4)
    lack(struct host *h, enum mechanism m, const char *fmt, ...)
{
	va_list ap;

	h->have[m] = false;
	va_start(ap, fmt);
	(void)vsnprintf(h->why_not[m], sizeof(h->why_not[m]), fmt, ap);
	va_end(ap);
}

/* A child in new namespaces that waits on a pipe. */
struct trial {
	pid_t pid;
	int pidfd, go_fd, answer_fd;
};

/* What the trial child could not do: an errno each, 0 for success. */
struct answer {
	int32_t proc, overlay;
};

static int
trial_overlay(void)
{
	static const struct mount_opt opts[] = { { "lowerdir", "l" },
		{ "upperdir", "u" }, { "workdir", "w" },
		{ "userxattr", NULL } };
	static const char *const dirs[] = { "l", "u", "w" };
	autofd int fd = mounts_new("tmpfs", NULL, 0, 0), ovl_fd = -1;
	size_t i;

	if (fd == -1)
		return errno;
	for (i = 0; i < countof(dirs); i++)
		if (mkdirat(fd, dirs[i], 0755) == -1)
			return errno;
	if (mounts_attach(fd, AT_FDCWD, "/") == -1 || fchdir(fd) == -1)
		return errno;
	ovl_fd = mounts_new("overlay", opts, countof(opts), 0);
	return ovl_fd == -1 ? errno : 0;
}

static void ATTR_NORETURN
trial_child(int go_fd, int answer_fd, bool groups)
{
	struct answer a = { 0, 0 };
	int proc_fd;
	char c;

	if (read(go_fd, &c, 1) != 1)
		_exit(1);
	if (creds_become_root(groups) == -1 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1) {
		a.proc = a.overlay = errno;
	} else {
		proc_fd = mounts_new("proc", NULL, 0, 0);
		a.proc = proc_fd == -1 ? errno : 0;
		a.overlay = trial_overlay();
	}
	(void)!write(answer_fd, &a, sizeof(a));
	_exit(0);
}

static int
trial_start(struct trial *t, uint64_t flags, bool groups)
{
	int go[2], answer[2];

	if (pipe2(go, O_CLOEXEC) == -1)
		return -1;
	if (pipe2(answer, O_CLOEXEC) == -1) {
		(void)close(go[0]);
		(void)close(go[1]);
		return -1;
	}
	t->pid = ns_clone(flags, -1, &t->pidfd);
	if (t->pid == 0) {
		(void)close(go[1]);
		(void)close(answer[0]);
		trial_child(go[0], answer[1], groups);
	}
	(void)close(go[0]);
	(void)close(answer[1]);
	t->go_fd = go[1];
	t->answer_fd = answer[0];
	if (t->pid != -1)
		return 0;
	(void)close(t->go_fd);
	(void)close(t->answer_fd);
	return -1;
}

static void
trial_end(struct trial *t)
{
	(void)pidfd_send_signal(t->pidfd, SIGKILL, NULL, 0);
	while (waitpid(t->pid, NULL, 0) == -1 && errno == EINTR)
		;
	(void)close(t->pidfd);
	(void)close(t->go_fd);
	(void)close(t->answer_fd);
}

/* Each kind of namespace by itself; the reason of the first one that fails is
 * kept. */
static uint64_t
probe_namespaces(struct host *h)
{
	static const struct {
		enum mechanism m;
		uint64_t flag;
	} kinds[] = {
		{ MECH_USER, 0 },
		{ MECH_MOUNT, CLONE_NEWNS },
		{ MECH_PID, CLONE_NEWPID },
		{ MECH_NET, CLONE_NEWNET },
		{ MECH_IPC, CLONE_NEWIPC },
		{ MECH_UTS, CLONE_NEWUTS },
		{ MECH_CGROUP, CLONE_NEWCGROUP },
	};
	uint64_t flags = CLONE_NEWUSER;
	struct trial t;
	size_t i;

	for (i = 0; i < countof(kinds); i++) {
		if (!h->have[MECH_USER] && i > 0) {
			lack(h, kinds[i].m, "needs a user namespace");
			continue;
		}
		h->have[kinds[i].m] = true;
		if (trial_start(&t, CLONE_NEWUSER | kinds[i].flag, false) ==
		    -1) {
			lack(h, kinds[i].m, "clone: %s", strerror(errno));
			continue;
		}
		trial_end(&t);
		flags |= kinds[i].flag;
	}
	return flags;
}

static void
probe_idmap(struct host *h, pid_t pid)
{
	autofd int userns_fd = ns_user_fd(pid);
	autofd int tree_fd = mounts_clone(AT_FDCWD, "/", false);

	if (userns_fd == -1 || tree_fd == -1 ||
	    mounts_idmap(tree_fd, userns_fd, 0) == -1)
		lack(h, MECH_IDMAP, "mount_setattr: %s", strerror(errno));
	else
		h->have[MECH_IDMAP] = true;
}

static bool
may_mount(void)
{
	autofd int tree_fd = mounts_clone(AT_FDCWD, "/", false);

	return tree_fd != -1;
}

static int
answer_read(const struct trial *t, struct answer *a)
{
	struct pollfd pfd = { t->answer_fd, POLLIN, 0 };

	if (poll(&pfd, 1, TRIAL_MS) != 1)
		return -1;
	return read(t->answer_fd, a, sizeof(*a)) == sizeof(*a) ? 0 : -1;
}

/* Ids that T can be given besides our own? A trial that was not let have them
 * is of no further use. */
static bool
probe_lent(struct host *h, const struct trial *t)
{
	struct subids *si = &h->subids;
	struct subids_slice sl = subids_slice(si, 0);
	struct id_map uids, gids;

	subids_slice_map(&uids, sl.uid, sl.count, si->own_uid, 0);
	subids_slice_map(&gids, sl.gid, sl.count, si->own_gid, 0);
	if (subids_map(si, t->pid, &uids, &gids, now_monotonic_ms() + TRIAL_MS,
		si->why, sizeof(si->why)) == 0)
		return true;
	si->lack = SUBIDS_REFUSED;
	return false;
}

/* T's ids, as a sandbox of an ordinary user has them. -1 with errno. */
static int
probe_user_ids(struct host *h, struct trial *t, uint64_t flags)
{
	struct ns_map own = { 0, geteuid(), 0, getegid(), 1 };

	if (h->subids.lack == SUBIDS_HAVE) {
		if (probe_lent(h, t))
			return 0;
		trial_end(t);
		if (trial_start(t, flags, false) == -1)
			return -2;
	}
	return ns_write_maps(t->pid, &own, true);
}

/* All of them together, with ids mapped as a sandbox's are. */
static void
probe_mounts(struct host *h, uint64_t flags)
{
	struct ns_map range = { 0, TRIAL_ID_BASE, 0, TRIAL_ID_BASE, PLAN_IDS };
	struct answer a = { EIO, EIO };
	struct trial t;
	int r = 0;

	if (!h->have[MECH_USER])
		return;
	if (geteuid() != 0)
		subids_find(&h->subids);
	/* Root without the capability to map ids or to mount, as in containers,
	 * is no more than an ordinary user here. */
	if (trial_start(&t, flags, h->root || h->subids.lack == SUBIDS_HAVE) ==
	    -1) {
		lack(h, MECH_MOUNT, "clone: %s", strerror(errno));
		return;
	}
	if (h->root &&
	    (!may_mount() || ns_write_maps(t.pid, &range, false) == -1)) {
		trial_end(&t);
		h->root = false;
		if (trial_start(&t, flags, false) == -1)
			return;
	}
	if (h->root)
		probe_idmap(h, t.pid);
	else
		lack(h, MECH_IDMAP, "not root");
	if (!h->root)
		r = probe_user_ids(h, &t, flags);
	if (r == -2)
		return; /* there is no trial */
	if (r == -1) {
		/* Root needs CAP_SETFCAP even to map itself. */
		lack(h, MECH_USER, "map ids: %s", strerror(errno));
		lack(h, MECH_OVERLAY, "needs a user namespace");
		trial_end(&t);
		return;
	}
	if (write(t.go_fd, "", 1) == 1)
		(void)answer_read(&t, &a);
	trial_end(&t);
	if (a.proc != 0)
		lack(h, MECH_PID, "mount proc: %s", strerror(a.proc));
	h->have[MECH_OVERLAY] = true;
	if (a.overlay != 0)
		lack(h, MECH_OVERLAY, "mount overlay: %s", strerror(a.overlay));
}

static void
probe_filter(struct host *h, struct host_private *hp)
{
	struct filter f;
	struct err e;

	if (filter_compile(false, &f, &e) == -1 ||
	    filter_compile(true, &hp->strict, &e) == -1) {
		filter_release(&f);
		lack(h, MECH_SECCOMP, "%s", e.text);
		return;
	}
	h->filter = f.prog;
	h->filter_len = f.len;
	h->have[MECH_SECCOMP] = true;
}

void
host_probe(struct host *h)
{
	struct host_private *hp;
	unsigned m;

	memset(h, 0, sizeof(*h));
	for (m = 0; m < MECH_N; m++)
		(void)snprintf(
		    h->why_not[m], sizeof(h->why_not[m]), "not tried");
	hp = calloc(1, sizeof(*hp));
	h->priv = hp;
	if (hp == NULL)
		return;
	hp->masked = rootfs_probe_masks();
	hp->dev_fd = -1;
	netpool_init(&hp->nets);
	h->subids.lack = SUBIDS_NOT_TRIED;
	h->root = geteuid() == 0;
	probe_mounts(h, probe_namespaces(h) & ~(uint64_t)CLONE_NEWCGROUP);
	if (h->root)
		hp->dev_fd = devices_template();
	h->landlock_abi = landlock_abi();
	h->have[MECH_LANDLOCK] = true;
	if (h->landlock_abi < LANDLOCK_ABI_MIN)
		lack(h, MECH_LANDLOCK, "the kernel has version %d, %d needed",
		    h->landlock_abi, LANDLOCK_ABI_MIN);
	probe_filter(h, hp);
	h->have[MECH_CAPS] = h->have[MECH_USER];
	h->have[MECH_NO_NEW_PRIVS] = true;
	h->have[MECH_RLIMITS] = true;
	for (m = 0; m < MECH_N; m++)
		if (h->have[m])
			h->why_not[m][0] = '\0';
	reduced_probe(h);
}

void
host_free(struct host *h)
{
	struct host_private *hp = h->priv;

	free((void *)(uintptr_t)h->filter); /* ours, though shown as const */
	if (hp != NULL) {
		filter_release(&hp->strict);
		fd_close(&hp->dev_fd);
		netpool_free(&hp->nets);
	}
	free(hp);
	memset(h, 0, sizeof(*h));
}

bool
host_prepare(struct host *h)
{
	struct host_private *hp = h->priv;

	return hp != NULL && h->root && !h->reduced && h->have[MECH_NET] &&
	       netpool_fill(&hp->nets);
}
