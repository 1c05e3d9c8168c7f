/*
 * The store's confinement: own net and ipc namespaces, its directory as root,
 * a user of its own, no capability, no way back. Runs in the store, first
 * thing, single-threaded, before any byte of the database is read.
 *
 * Hosts differ in what they let root do (a container's root may have neither
 * CAP_SYS_ADMIN nor CAP_SYS_CHROOT). Namespaces and chroot that cannot be had
 * are reported and done without; a change of user that was asked for and
 * fails is an error, and so is anything left over after it.
 */
#include "store/confine.h"

#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define CAP_WORDS _LINUX_CAPABILITY_U32S_3

static int
caps_get(struct __user_cap_data_struct data[CAP_WORDS])
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return (int)syscall(SYS_capget, &head, data);
}

static int
caps_clear(struct err *e)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	const struct __user_cap_data_struct none[CAP_WORDS] = { { 0 } };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1 ||
	    syscall(SYS_capset, &head, none) == -1)
		return err_sys(e, "drop capabilities");
	return 0;
}

/* While we still may: a set-uid program could give back what is left here. */
static void
bounding_set_clear(void)
{
	int cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == -1)
			return; /* no CAP_SETPCAP: no_new_privs has to do */
	}
}

static void
surroundings_leave(void)
{
	/* PRIV: root in the host's namespaces; after: in net and ipc
	 * namespaces where nobody else is. */
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC) == -1)
		log_warn("confine", "no namespaces of its own",
		    LOG_STR("cause", strerror(errno)));
	/* PRIV: root with the host's files; after: with one directory, but
	 * root could leave it, so the uid must go as well. */
	if (chroot(".") == -1)
		log_warn("confine", "no root directory of its own",
		    LOG_STR("cause", strerror(errno)));
	else if (chdir("/") == -1)
		fatal("confine", "chdir: %s", strerror(errno));
}

static int
ids_drop(uid_t uid, gid_t gid, struct err *e)
{
	/* PRIV: root; after: uid and gid as told, in no other group. Groups
	 * first, uid last: each needs the right that the next one ends. */
	if (setgroups(0, NULL) == -1)
		return err_sys(e, "setgroups");
	if (setresgid(gid, gid, gid) == -1)
		return err_sys(e, "setresgid %lu", (unsigned long)gid);
	if (setresuid(uid, uid, uid) == -1)
		return err_sys(e, "setresuid %lu", (unsigned long)uid);
	return 0;
}

/* Believe nothing of the above: look, and try what must fail. */
static int
verify(uid_t uid, gid_t gid, struct err *e)
{
	struct __user_cap_data_struct caps[CAP_WORDS];
	uid_t r, x, s;
	gid_t gr, gx, gs;
	unsigned i;

	if (getresuid(&r, &x, &s) == -1 || getresgid(&gr, &gx, &gs) == -1)
		return err_sys(e, "read ids");
	if (r != uid || x != uid || s != uid || gr != gid || gx != gid ||
	    gs != gid || getgroups(0, NULL) != 0)
		return err_set(e, ERR_INTERNAL, "ids are not as told");
	if (caps_get(caps) == -1)
		return err_sys(e, "read capabilities");
	for (i = 0; i < CAP_WORDS; i++) {
		if (caps[i].effective != 0 || caps[i].permitted != 0 ||
		    caps[i].inheritable != 0)
			return err_set(
			    e, ERR_INTERNAL, "capabilities are left");
	}
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return err_set(e, ERR_INTERNAL, "no_new_privs is not set");
	if (uid != 0 && setuid(0) != -1)
		return err_set(e, ERR_INTERNAL, "root could be had again");
	return 0;
}

int
confine(uid_t uid, gid_t gid, struct err *e)
{
	bool root = geteuid() == 0;

	if (root) {
		surroundings_leave();
		bounding_set_clear();
		if (uid != 0 && ids_drop(uid, gid, e) == -1)
			return -1;
		if (caps_clear(e) == -1)
			return -1;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_sys(e, "no_new_privs");
	if (root && uid != 0 && verify(uid, gid, e) == -1)
		return -1;
	/* A change of ids takes this back, so it comes last. A parent that
	 * ended before is seen as the end of file on its channel. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == -1)
		return err_sys(e, "parent-death signal");
	return 0;
}
