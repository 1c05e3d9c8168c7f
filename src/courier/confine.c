/*
 * See confine.h. Runs in the courier, before the first byte of the network is
 * read. It has no root of its own: looking up names takes the files and
 * libraries of the host. So that what it may open is little all the same, rules
 * of landlock name it; what holds without them is a user that owns nothing but
 * the directory of agents.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "courier/confine.h"

#include "lib/confine.h"
#include "lib/defs.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Bits and layouts of the kernel's interface; see sandbox/landlock.c. */
#define FS_EXECUTE (1ull << 0)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_MAKE_CHAR (1ull << 6)
#define FS_MAKE_SOCK (1ull << 9)
#define FS_MAKE_FIFO (1ull << 10)
#define FS_MAKE_BLOCK (1ull << 11)
#define FS_ALL_1 ((1ull << 13) - 1)
#define FS_REFER (1ull << 13)	  /* since 2 */
#define FS_TRUNCATE (1ull << 14)  /* since 3 */
#define FS_IOCTL_DEV (1ull << 15) /* since 5 */
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

#define DESCRIPTORS 512
#define MEMORY_BYTES (3ull << 30) /* of addresses */

struct rule {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

void
confine_begin_or_die(int64_t uid, int64_t gid)
{
	const struct rlimit none = { 0, 0 }, fds = { DESCRIPTORS, DESCRIPTORS };
	const struct rlimit memory = { MEMORY_BYTES, MEMORY_BYTES };

	confine_or_die(uid, gid, NULL);
	/* Lowering cannot fail. */
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)setrlimit(RLIMIT_NOFILE, &fds);
#ifndef SANITIZED
	(void)setrlimit(RLIMIT_AS, &memory);
#else
	(void)memory;
#endif
}

static void
allow(int ruleset, int fd, uint64_t access)
{
	struct rule r = { .allowed_access = access, .parent_fd = fd };
	struct stat st;

	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		r.allowed_access &= FS_READ_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &r,
		0u) == -1)
		fatal("confine", "landlock: %s", strerror(errno));
}

static void
allow_path(int ruleset, const char *path)
{
	autofd int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd != -1) /* what is not there need not be allowed */
		allow(ruleset, fd, FS_READ_FILE | FS_READ_DIR);
}

void
confine_files_or_die(int agents_fd, int mirror_fd, const char *ca_file)
{
	/* Names, certificates, time zones, and the libraries that looking up
	 * names loads late. */
	static const char *const readable[] = { "/etc", "/usr", "/lib",
		"/lib64", "/run/systemd/resolve", "/run/resolvconf",
		"/run/NetworkManager", "/var/lib/ca-certificates", "/dev/null",
		"/dev/urandom" };
	uint64_t handled = FS_ALL_1 | FS_REFER;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0,
	    CREATE_RULESET_VERSION);
	autofd int ruleset = -1;

	if (abi < 2) { /* the first version cannot rename */
		log_info("confine", "no rules for files");
		return;
	}
	if (abi >= 3)
		handled |= FS_TRUNCATE;
	if (abi >= 5)
		handled |= FS_IOCTL_DEV;
	ruleset = (int)syscall(
	    SYS_landlock_create_ruleset, &handled, sizeof(handled), 0u);
	if (ruleset == -1)
		fatal("confine", "landlock: %s", strerror(errno));
	allow(ruleset, agents_fd,
	    handled & ~(FS_EXECUTE | FS_MAKE_CHAR | FS_MAKE_BLOCK |
			  FS_MAKE_SOCK | FS_MAKE_FIFO));
	if (mirror_fd != -1)
		allow(ruleset, mirror_fd, FS_READ_FILE | FS_READ_DIR);
	for (size_t i = 0; i < countof(readable); i++)
		allow_path(ruleset, readable[i]);
	if (ca_file != NULL && ca_file[0] != '\0')
		allow_path(ruleset, ca_file);
	if (syscall(SYS_landlock_restrict_self, ruleset, 0u) == -1)
		fatal("confine", "landlock: %s", strerror(errno));
}
