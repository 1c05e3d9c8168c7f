/*
 * Credentials of the child, in the order in which enter.c uses them. Runs in
 * the child between clone and exec. What is taken away here cannot come back:
 * no_new_privs rules out set-user-id programs and file capabilities, and the
 * bounding set limits what root gets at exec.
 */
#include "sandbox/creds.h"

#include <errno.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Ambient capabilities are never used. The rest stays as it is: root's commands
 * get the bounding set at exec, and setpriv and the like may keep what they
 * have across setuid. */
#define SECUREBITS \
	(SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

/* The wrappers of libc would synchronize threads; the child has one. */
int
creds_become_root(bool setgroups_too)
{
	if (syscall(SYS_setresgid, 0, 0, 0) == -1)
		return -1;
	if (setgroups_too && syscall(SYS_setgroups, 0, NULL) == -1)
		return -1;
	return (int)syscall(SYS_setresuid, 0, 0, 0);
}

static int
caps_set(uint64_t keep)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2];

	memset(data, 0, sizeof(data));
	data[0].effective = data[0].permitted = (uint32_t)keep;
	data[1].effective = data[1].permitted = (uint32_t)(keep >> 32);
	return (int)syscall(SYS_capset, &head, data);
}

/* Compare what the kernel says now with KEEP. */
static bool
caps_are(uint64_t keep)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2];

	memset(data, 0xff, sizeof(data));
	if (syscall(SYS_capget, &head, data) == -1)
		return false;
	return data[0].effective == (uint32_t)keep &&
	       data[0].permitted == (uint32_t)keep &&
	       data[0].inheritable == 0 &&
	       data[1].effective == (uint32_t)(keep >> 32) &&
	       data[1].permitted == (uint32_t)(keep >> 32) &&
	       data[1].inheritable == 0;
}

int
creds_reduce(uint64_t keep)
{
	unsigned c;
	int has;

	/* Up to the first number that the kernel does not know: a capability
	 * newer than our headers is dropped like the others. */
	for (c = 0; c < 64; c++) {
		if (keep & CREDS_CAP(c))
			continue;
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == -1) {
			if (errno == EINVAL)
				break;
			return -1;
		}
	}
	if (prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0) == -1 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == -1 ||
	    caps_set(keep) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	has = prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0);
	if (has != 0 || !caps_are(keep) ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
		errno = ENOTRECOVERABLE;
		return -1;
	}
	return 0;
}

static uint64_t
caps_permitted(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2];

	memset(data, 0, sizeof(data));
	if (syscall(SYS_capget, &head, data) == -1)
		return 0;
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

int
creds_reduce_to(uint64_t keep)
{
	keep &= caps_permitted();
	/* No_new_privs comes first: with it no exec gives back what the
	 * bounding set may still hold. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	for (unsigned c = 0; c < 64; c++)
		if ((keep & CREDS_CAP(c)) == 0 &&
		    prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == -1)
			break; /* unknown, or not allowed */
	(void)prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0); /* if allowed */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (caps_set(keep) == -1)
		return -1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || !caps_are(keep)) {
		errno = ENOTRECOVERABLE;
		return -1;
	}
	return 0;
}

int
creds_rlimits(const struct plan_limits *l)
{
	struct rlimit rl = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &rl) == -1)
		return -1;
	if (l->open_files <= 0)
		return 0;
	/* Raising the hard limit needs CAP_SYS_RESOURCE, which we may lack. */
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return -1;
	rl.rlim_max = MIN(rl.rlim_max, (rlim_t)l->open_files);
	rl.rlim_cur = rl.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &rl);
}
