/*
 * Groups, ids and capabilities of a command; runs in the forked child between
 * reading the user and exec. The order matters: the bounding set while we may
 * still change it, then groups, group, user, then what capabilities are left.
 */
#include "init/become.h"
#include "sandbox/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Dropping from the bounding set wants CAP_SETPCAP. Where a sandbox's init has
 * it, nothing remains that an exec could bring back; where it has not,
 * no_new_privs says the same. */
static void
bounding_limit(uint64_t keep)
{
	int cap, has;

	for (cap = 0; cap < 64; cap++) {
		if ((keep & CREDS_CAP(cap)) != 0)
			continue;
		has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (has == -1) /* the kernel knows no more of them */
			return;
		if (has == 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			return;
	}
}

static int
caps_get(struct __user_cap_data_struct d[2])
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return (int)syscall(SYS_capget, &h, d);
}

static int
caps_limit(uint64_t keep, struct err *e)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct d[2];
	const uint32_t mask[2] = { (uint32_t)keep, (uint32_t)(keep >> 32) };
	int i;

	if (caps_get(d) == -1)
		return err_sys(e, "capabilities");
	for (i = 0; i < 2; i++) {
		d[i].permitted &= mask[i];
		d[i].effective = d[i].permitted;
		d[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &h, d) == -1)
		return err_sys(e, "capabilities");
	/* Kernels without ambient capabilities have none to clear. */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (caps_get(d) == -1)
		return err_sys(e, "capabilities");
	for (i = 0; i < 2; i++)
		if ((d[i].permitted & ~mask[i]) != 0 || d[i].inheritable != 0)
			return err_set(
			    e, ERR_EXEC_FAILED, "capabilities: not given up");
	return 0;
}

/* In a sandbox without an id range of its own the kernel denies setgroups for
 * good, and there is nobody but root to become. */
static bool
setgroups_denied(void)
{
	autofd int fd = open("/proc/self/setgroups", O_RDONLY | O_CLOEXEC);
	char word[8] = "";

	return fd != -1 && read(fd, word, sizeof(word) - 1) >= 4 &&
	       memcmp(word, "deny", 4) == 0;
}

static bool
has_setgid(void)
{
	struct __user_cap_data_struct d[2];

	return caps_get(d) == -1 ||
	       (d[0].effective & CREDS_CAP(CAP_SETGID)) != 0;
}

static int
groups_take(const struct user *u)
{
	if (setgroups(u->ngroups, u->groups) == 0)
		return 0;
	/* The group file may name groups that the sandbox has no ids for; who
	 * is in one of those goes without any. */
	if (errno == EINVAL && setgroups(1, &u->gid) == 0)
		return 0;
	if (errno != EPERM)
		return -1;
	/* Who has no power over groups keeps those that it has. */
	return setgroups_denied() || !has_setgid() ? 0 : -1;
}

static int
id_error(struct err *e, const char *what, uint32_t id)
{
	if (errno == EINVAL)
		return err_set(e, ERR_USER_NOT_FOUND,
		    "user: %s %u: not among the sandbox's ids", what, id);
	return err_sys(e, "user: become %s %u", what, id);
}

static int
ids_verify(const struct user *u, struct err *e)
{
	uid_t r, f, s;
	gid_t gr, gf, gs;

	if (getresuid(&r, &f, &s) == -1 || getresgid(&gr, &gf, &gs) == -1)
		return err_sys(e, "user");
	if (r != u->uid || f != u->uid || s != u->uid || gr != u->gid ||
	    gf != u->gid || gs != u->gid)
		return err_set(e, ERR_EXEC_FAILED, "user: ids did not change");
	if (u->uid != 0 && setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
		return err_set(e, ERR_EXEC_FAILED, "user: root not given up");
	return 0;
}

int
become_user(const struct user *u, struct err *e)
{
	uint64_t keep = u->uid == 0 ? CREDS_CAPS_ROOT : 0;

	if (u->uid == 0 && !GUARD(command_caps))
		keep = UINT64_MAX;
	/* PRIV: the sandbox's root with init's capabilities. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_sys(e, "no_new_privs");
	bounding_limit(keep);
	if (groups_take(u) == -1)
		return id_error(e, "groups of", u->uid);
	if (setresgid(u->gid, u->gid, u->gid) == -1)
		return id_error(e, "group", u->gid);
	if (setresuid(u->uid, u->uid, u->uid) == -1)
		return id_error(e, "user", u->uid);
	if (caps_limit(keep, e) == -1)
		return -1;
	/* PRIV: U, with CREDS_CAPS_ROOT at most if root and none otherwise;
	 * ids_verify proves that there is no way back. */
	return ids_verify(u, e);
}
