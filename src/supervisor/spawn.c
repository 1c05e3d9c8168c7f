/*
 * Helpers are exec'd, never just forked: fresh address space, no inherited
 * loop, only the descriptors meant for them. Runs in the supervisor.
 */
#include "supervisor/spawn.h"

#include "lib/fdio.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PROGRAM_MAX_BYTES (64u << 20)

static int
program_path(const struct super *s, const char *name, char *dst, size_t size,
    struct err *e)
{
	if (str_format(dst, size, "%s/%s", s->conf.libexec_dir, name) == -1)
		return err_set(e, ERR_TOO_LARGE, "path of %s too long", name);
	return 0;
}

/* Descriptors 0 and 1 to nowhere, 2 ours (for words before hello), 3 the
 * channel, the rest closed. The child's end of the channel is duplicated onto
 * 3 without close-on-exec. */
static int
file_actions(posix_spawn_file_actions_t *fa, int child_fd, int dir_fd)
{
	int bad = 0;

	bad |=
	    posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);
	bad |=
	    posix_spawn_file_actions_addopen(fa, 1, "/dev/null", O_WRONLY, 0);
	bad |= posix_spawn_file_actions_addfchdir_np(fa, dir_fd);
	bad |= posix_spawn_file_actions_adddup2(fa, child_fd, CHILD_SUPER_FD);
	bad |= posix_spawn_file_actions_addclosefrom_np(fa, CHILD_SUPER_FD + 1);
	return bad;
}

static int
attributes(posix_spawnattr_t *at)
{
	sigset_t none, all;
	int bad = 0;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	bad |= posix_spawnattr_setsigmask(at, &none);
	bad |= posix_spawnattr_setsigdefault(at, &all);
	/* A group of its own: a Ctrl-C on our terminal is ours to handle. */
	bad |= posix_spawnattr_setpgroup(at, 0);
	bad |= posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	return bad;
}

int
spawn_helper(struct super *s, struct proc *p, int dir_fd, char *const argv[],
    struct err *e)
{
	char *const no_env[] = { NULL };
	char path[4096];
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	int ours = -1, child_fd = -1, high_fd = -1, pidfd, bad;
	pid_t pid;

	if (program_path(s, argv[0], path, sizeof(path), e) == -1 ||
	    fd_socketpair(&ours, &child_fd, e) == -1)
		return -1;
	/* Above 3, so that dup2 always makes a new descriptor. */
	high_fd = fcntl(child_fd, F_DUPFD_CLOEXEC, 16);
	fd_close(&child_fd);
	(void)posix_spawn_file_actions_init(&fa); /* cannot fail in glibc */
	(void)posix_spawnattr_init(&at);
	bad = high_fd == -1 ? errno : file_actions(&fa, high_fd, dir_fd);
	if (bad == 0)
		bad = attributes(&at);
	/* PRIV: before: ours (root or the caller). After: the same, in the new
	 * program, which gives it up before it says hello. */
	if (bad == 0)
		bad = posix_spawn(&pid, path, &fa, &at, argv, no_env);
	(void)posix_spawn_file_actions_destroy(&fa);
	(void)posix_spawnattr_destroy(&at);
	fd_close(&high_fd);
	if (bad != 0) {
		fd_close(&ours);
		errno = bad;
		return err_sys(e, "start %s", path);
	}
	/* The child is ours and not reaped, so its number is still its own. */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	proc_spawned(p, pid, pidfd, ours);
	return 0;
}

int
spawn_once(struct super *s, pid_t *pid_out, int fd, int dir_fd,
    char *const argv[], struct err *e)
{
	char *const no_env[] = { NULL };
	autofd int high_fd = fcntl(fd, F_DUPFD_CLOEXEC, 16);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	char path[4096];
	int bad;

	if (high_fd == -1)
		return err_sys(e, "duplicate a descriptor");
	if (program_path(s, argv[0], path, sizeof(path), e) == -1)
		return -1;
	(void)posix_spawn_file_actions_init(&fa); /* cannot fail in glibc */
	(void)posix_spawnattr_init(&at);
	bad = file_actions(&fa, high_fd, dir_fd);
	if (bad == 0)
		bad = attributes(&at);
	/* PRIV: before: ours. After: the same, in the new program, which gives
	 * it up before it reads a byte. */
	if (bad == 0)
		bad = posix_spawn(pid_out, path, &fa, &at, argv, no_env);
	(void)posix_spawn_file_actions_destroy(&fa);
	(void)posix_spawnattr_destroy(&at);
	if (bad == 0)
		return 0;
	errno = bad;
	return err_sys(e, "start %s", path);
}

int
spawn_load_program(
    struct super *s, const char *name, int *fd_out, struct err *e)
{
	autofree char *data = NULL;
	char path[4096];
	size_t len = 0;

	if (program_path(s, name, path, sizeof(path), e) == -1)
		return -1;
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return err_sys(e, "open %s", path);
	if (fd_slurp(fd, PROGRAM_MAX_BYTES, &data, &len, e) == -1 ||
	    fd_sealed(name, data, len, fd_out, e) == -1)
		return err_prefix(e, "load %s", path);
	/* A program that may not be read makes its process undumpable from its
	 * first instruction: nobody inside can trace it. */
	if (fchmod(*fd_out, GUARD(unreadable) ? 0111 : 0777) == -1)
		return err_sys(e, "chmod of %s", name);
	return 0;
}
