/*
 * Starting the command. Runs in the supervisor; what becomes of it is a plain
 * child: our own user and namespaces, environment, directory and inherited
 * descriptors, and of umask, limits, signal mask and dispositions what we had
 * before we changed them for ourselves, or the default.
 */
#include "supervisor/command_priv.h"

#include "supervisor/super.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

extern char **environ;

bool
command_tty_shared(void)
{
	return getsid(0) != getpid() && tcgetsid(STDIN_FILENO) == getsid(0) &&
	       tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static int
attributes(posix_spawnattr_t *at)
{
	sigset_t none, all;
	int bad = 0;

	(void)sigemptyset(&none);
	/* Not sigfillset(), which leaves out the two that belong to libc; those
	 * would be ignored in the child, instead of being as in others. */
	memset(&all, 0xff, sizeof(all));
	bad |= posix_spawnattr_setsigmask(at, &none);
	bad |= posix_spawnattr_setsigdefault(at, &all);
	bad |= posix_spawnattr_setpgroup(at, 0);
	bad |= posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	return bad;
}

/* The foreground of our terminal becomes the child's, before it runs: a program
 * that reads at once would otherwise be stopped. */
static int
actions(posix_spawn_file_actions_t *fa)
{
	if (tcgetsid(STDIN_FILENO) != getsid(0) ||
	    tcgetpgrp(STDIN_FILENO) != getpgrp())
		return 0;
	return posix_spawn_file_actions_addtcsetpgrp_np(fa, STDIN_FILENO);
}

static int
spawn(const char *path, char *const *argv, bool search, pid_t *pid)
{
	const struct command_origin *o = &command_origin;
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	struct rlimit ours;
	bool lowered;
	int bad;

	(void)posix_spawn_file_actions_init(&fa); /* cannot fail in glibc */
	(void)posix_spawnattr_init(&at);
	bad = attributes(&at);
	if (bad == 0)
		bad = actions(&fa);
	/* What we changed for ourselves is as it was while the child is born.
	 */
	lowered = o->nofile_known && getrlimit(RLIMIT_NOFILE, &ours) == 0 &&
		  setrlimit(RLIMIT_NOFILE, &o->nofile) == 0;
	(void)umask(o->umask);
	/* PRIV: before and after: ours. The command is as trusted as whoever
	 * started us: it is what we were started for. */
	if (bad == 0)
		bad = (search ? posix_spawnp : posix_spawn)(
		    pid, path, &fa, &at, argv, environ);
	(void)umask(022);
	if (lowered)
		(void)setrlimit(RLIMIT_NOFILE, &ours); /* it was so before */
	(void)posix_spawn_file_actions_destroy(&fa);
	(void)posix_spawnattr_destroy(&at);
	return bad;
}

/* Where NAME is, as a search of PATH finds it. False: not there. */
static bool
where(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	size_t n;

	if (strchr(name, '/') != NULL)
		return snprintf(path, size, "%s", name) < (int)size;
	for (dirs = dirs != NULL ? dirs : "/bin:/usr/bin";; dirs += n + 1) {
		n = strcspn(dirs, ":");
		if (snprintf(path, size, "%.*s%s%s", (int)MIN(n, PATH_MAX),
			dirs, n > 0 ? "/" : "./", name) < (int)size &&
		    access(path, X_OK) == 0)
			return true;
		if (dirs[n] == '\0')
			return false;
	}
}

/* A file without a format that the kernel knows is the shell's, as execvp(3)
 * has it. */
static int
spawn_script(char *const *argv, pid_t *pid)
{
	static char sh[] = "/bin/sh";
	char path[PATH_MAX];
	size_t argc = 0;
	char **v;
	int bad;

	if (!where(argv[0], path, sizeof(path)))
		return ENOEXEC;
	while (argv[argc] != NULL)
		argc++;
	v = calloc(argc + 2, sizeof(*v));
	if (v == NULL)
		return ENOMEM;
	v[0] = sh;
	v[1] = path;
	memcpy(v + 2, argv + 1, argc * sizeof(*v)); /* with the NULL */
	bad = spawn(sh, v, false, pid);
	free(v);
	return bad;
}

pid_t
command_spawn(const struct command *c, int *code, struct err *e)
{
	pid_t pid = -1;
	int bad = spawn(c->o.argv[0], c->o.argv, true, &pid);

	if (bad == ENOEXEC)
		bad = spawn_script(c->o.argv, &pid);
	if (bad == 0)
		return pid;
	errno = bad;
	*code = bad == ENOENT || bad == ENOTDIR ? 127 : 126;
	return err_sys(e, "run %.200s", c->o.argv[0]); /* always -1 */
}
