/*
 * Landlock by its raw system calls; runs in the child once all mounts are
 * made (a confined process cannot mount) and before the system call filter.
 *
 * The file rules look generous: everything is allowed below the sandbox's
 * root. Their worth is in what is not below it. A descriptor that leaked in
 * from the host, or a path that escapes the root by a hole in the kernel's
 * mount code, ends at a directory that no rule names. The scopes are what
 * keeps a sandbox in the host's network from abstract unix sockets there.
 */
#include "sandbox/landlock.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

/* Bits and layouts of the kernel's interface; the installed header may be
 * older than the kernel that we run on. */
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_MAKE_CHAR (1ull << 6)
#define FS_MAKE_BLOCK (1ull << 11)
#define FS_ALL_1 ((1ull << 13) - 1)
#define FS_REFER (1ull << 13)	  /* since 2 */
#define FS_TRUNCATE (1ull << 14)  /* since 3 */
#define FS_IOCTL_DEV (1ull << 15) /* since 5 */
#define SCOPE_ABSTRACT_UNIX (1ull << 0)
#define SCOPE_SIGNAL (1ull << 1)
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

int
landlock_abi(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0,
	    CREATE_RULESET_VERSION);

	return v > 0 ? (int)v : 0;
}

static int
rule_add(int ruleset_fd, int fd, uint64_t access)
{
	struct path_beneath_attr rule = { .allowed_access = access,
		.parent_fd = fd };

	return (int)syscall(
	    SYS_landlock_add_rule, ruleset_fd, RULE_PATH_BENEATH, &rule, 0u);
}

int
landlock_enter(int abi, int root_fd, const int *read_fds, size_t nread)
{
	struct ruleset_attr attr;
	size_t size, i;
	long fd;
	int r, err;

	memset(&attr, 0, sizeof(attr));
	attr.handled_access_fs = FS_ALL_1 | FS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= FS_TRUNCATE;
	if (abi >= 5)
		attr.handled_access_fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	/* An older kernel wants the size of what it knows. */
	size = abi >= 6 ? sizeof(attr) : sizeof(attr.handled_access_fs);

	fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0u);
	if (fd == -1)
		return -1;
	r = rule_add((int)fd, root_fd,
	    attr.handled_access_fs & ~(FS_MAKE_CHAR | FS_MAKE_BLOCK));
	for (i = 0; r == 0 && i < nread; i++)
		r = rule_add((int)fd, read_fds[i], FS_READ_FILE | FS_READ_DIR);
	if (r == 0)
		r = (int)syscall(SYS_landlock_restrict_self, (int)fd, 0u);
	err = errno;
	(void)close((int)fd);
	errno = err;
	return r;
}
