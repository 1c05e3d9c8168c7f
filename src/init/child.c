/*
 * The child of init between fork and exec.
 *
 * Starts as a copy of init with all that init may do, and ends as the program
 * of the command with the user's rights and nothing else. Reads files that the
 * sandbox controls (passwd, group, the working directory, PATH): here, where a
 * failure costs one command, and never in init itself. Must not touch init's
 * event loop or channel.
 */
#include "init/child.h"
#include "init/become.h"
#include "init/gate.h"
#include "init/init.h"
#include "init/user.h"
#include "lib/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DEFAULT_PATH \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define NOTIFY_NAME "NOTIFY_FD"

int
child_keep_fds(int *fds, size_t n, int *rest, size_t nrest)
{
	int all[CHILD_FDS_MAX];
	size_t i;

	/* First out of the way of the places they will take. */
	for (i = 0; i < n + nrest; i++) {
		all[i] = fcntl(i < n ? fds[i] : rest[i - n], F_DUPFD_CLOEXEC,
		    CHILD_FDS_MAX);
		if (all[i] == -1)
			return -1;
	}
	for (i = 0; i < n + nrest; i++) {
		if (dup3(all[i], (int)i, i < n ? 0 : O_CLOEXEC) == -1)
			return -1;
		if (i < n)
			fds[i] = (int)i;
		else
			rest[i - n] = (int)i;
	}
	if (!GUARD(strays))
		return 0;
	return close_range((unsigned)(n + nrest), ~0U, 0);
}

/* Somebody else's pipe could not be opened by name, as in `>/dev/stderr`. One
 * that is not of init's making stays as it is. */
static void
fds_own(const int *fds, size_t n, const struct user *u)
{
	struct stat st;
	size_t i;

	for (i = 0; u->uid != 0 && i < n; i++)
		if (fstat(fds[i], &st) == 0 && S_ISFIFO(st.st_mode))
			(void)!fchown(fds[i], u->uid, (gid_t)-1);
}

/* The descriptors of the program: after this only they, the report and the
 * session's program are open. */
static int
fds_arrange(struct child_plan *p, const struct user *u, struct err *e)
{
	int keep[5], rest[2] = { p->report_fd, -1 };
	int slave_fd;
	size_t n = 3;

	if (p->session) {
		keep[0] = keep[1] = keep[2] = p->null_fd;
		keep[3] = p->fds[1];
		keep[4] = p->fds[2];
		n = 5;
		rest[1] = p->fds[0];
	} else if (p->master_fd != -1) {
		slave_fd = ioctl(
		    p->master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (slave_fd == -1)
			return err_sys(e, "terminal");
		/* Owned by root it could not be opened by name. */
		if (fchown(slave_fd, u->uid, (gid_t)-1) == -1 ||
		    fchmod(slave_fd, 0620) == -1 ||
		    ioctl(slave_fd, TIOCSCTTY, 0) == -1)
			return err_sys(e, "terminal");
		keep[0] = keep[1] = keep[2] = slave_fd;
	} else {
		memcpy(keep, p->fds, sizeof(p->fds));
		if (p->notify_fd > 0)
			keep[n++] = p->notify_fd;
		if (p->own_fds)
			fds_own(keep, n, u);
	}
	if (child_keep_fds(keep, n, rest, p->session ? 2 : 1) == -1)
		return err_sys(e, "descriptors");
	p->report_fd = rest[0];
	p->fds[0] = rest[1];
	return 0;
}

/*
 * Environment
 */

struct env {
	char **v; /* NULL-terminated */
	size_t n;
};

static const char *
env_get(const struct env *env, const char *name)
{
	size_t i, n = strlen(name);

	for (i = 0; i < env->n; i++)
		if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=')
			return env->v[i] + n + 1;
	return NULL;
}

static int
env_add(struct env *env, const char *name, const char *value)
{
	size_t n = strlen(name), m = strlen(value);
	char *s = malloc(n + m + 2);

	if (s == NULL)
		return -1;
	memcpy(s, name, n);
	s[n] = '=';
	memcpy(s + n + 1, value, m + 1);
	env->v[env->n++] = s;
	return 0;
}

static int
env_default(struct env *env, const char *name, const char *value)
{
	return env_get(env, name) != NULL ? 0 : env_add(env, name, value);
}

static int
env_defaults(const struct child_plan *p, const struct user *u, struct env *env)
{
	const struct gate_defaults *d = p->defaults;
	const char *home = u->home[0] != '\0' ? u->home : "/";
	char *eq;
	size_t i;
	int r;

	for (i = 0; d != NULL && d->env[i] != NULL; i++) {
		eq = strchr(d->env[i], '=');
		if (eq == NULL)
			continue;
		*eq = '\0'; /* of our own copy */
		r = env_default(env, d->env[i], eq + 1);
		*eq = '=';
		if (r == -1)
			return -1;
	}
	if (d != NULL && d->home != NULL)
		home = d->home;
	if ((p->notify_fd > 0 && env_add(env, NOTIFY_NAME, "3") == -1) ||
	    env_default(env, "PATH", DEFAULT_PATH) == -1 ||
	    env_default(env, "HOME", home) == -1)
		return -1;
	return p->term != NULL ? env_default(env, "TERM", p->term) : 0;
}

/* Exactly what the request says; for a command also the defaults, and PATH,
 * HOME and TERM where nothing says them. */
static int
env_build(const struct child_plan *p, const struct user *u, struct env *env,
    struct err *e)
{
	const struct json *map = json_get(p->msg, "env");
	size_t n = 0;

	env->n = 0;
	if (p->defaults != NULL)
		while (p->defaults->env[n] != NULL)
			n++;
	env->v = calloc((map != NULL ? map->len : 0) + n + 5, sizeof(*env->v));
	if (env->v == NULL)
		return err_sys(e, "environment");
	json_foreach (it, map) {
		if (it->key[0] == '\0' || strchr(it->key, '=') != NULL)
			return err_set(e, ERR_BAD_REQUEST,
			    "environment: '%.40s' is not a name", it->key);
		if (p->notify_fd > 0 && strcmp(it->key, NOTIFY_NAME) == 0)
			continue; /* this one is ours to say */
		if (env_add(env, it->key, it->str) == -1)
			return err_sys(e, "environment");
	}
	if (p->session)
		return 0;
	return env_defaults(p, u, env) == 0 ? 0 : err_sys(e, "environment");
}

/* Links of /proc lead past every root, so none may be part of the way. Opened
 * as the user: a directory that only root can enter is refused. */
static int
dir_enter(const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = GUARD(magic_links) ? RESOLVE_NO_MAGICLINKS : 0,
	};
	autofd int fd =
	    (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	char plain[PATH_MAX];

	/* Some sandboxes have no openat2. There the links are followed as the
	 * text that they show, which leads nowhere outside. */
	if (fd == -1 && errno == ENOSYS && realpath(path, plain) != NULL)
		fd = open(plain, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd == -1 ? -1 : fchdir(fd);
}

static int
cwd_enter(const struct child_plan *p, const struct user *u, struct err *e)
{
	const struct gate_defaults *d = p->defaults;
	const char *cwd = json_str(p->msg, "cwd", NULL);

	/* Where a gateway's commands start, and what their relative paths are
	 * relative to. */
	if (d != NULL && d->directory != NULL &&
	    (cwd == NULL || cwd[0] != '/')) {
		if (dir_enter(d->directory) == -1)
			return err_sys(e, "directory: %s", d->directory);
		if (cwd == NULL)
			return 0;
	}
	if (cwd != NULL) {
		if (dir_enter(cwd) == 0)
			return 0;
		return err_sys(e, "directory: %s", cwd);
	}
	if (u->home[0] != '\0' && dir_enter(u->home) == 0)
		return 0;
	return dir_enter("/") == 0 ? 0 : err_sys(e, "directory: /");
}

/*
 * Program
 */

/* A file that the kernel does not recognise is a script for the shell, as
 * execvp(3) has it. */
static void
exec_shell(const char *path, char **argv, size_t argc, char **envp)
{
	char **v = calloc(argc + 2, sizeof(*v));
	char sh[] = "/bin/sh";

	if (v == NULL)
		return;
	v[0] = sh;
	v[1] = (char *)(uintptr_t)path; /* execve does not write to it */
	memcpy(v + 2, argv + 1, argc * sizeof(*v)); /* with the NULL */
	(void)execve(sh, v, envp);
	errno = ENOEXEC;
	free(v);
}

static void
exec_path(const char *path, char **argv, size_t argc, char **envp)
{
	/* Looking is cheaper than trying. */
	if (access(path, F_OK) == -1)
		return;
	(void)execve(path, argv, envp);
	if (errno == ENOEXEC)
		exec_shell(path, argv, argc, envp);
}

/* Returns only on failure, with errno: of the candidate that existed but could
 * not be run, else of the last. */
static void
exec_search(const char *path, char **argv, size_t argc, char **envp)
{
	char file[PATH_MAX];
	bool denied = false;
	size_t n;

	if (argv[0][0] == '\0') {
		errno = ENOENT;
		return;
	}
	if (strchr(argv[0], '/') != NULL) {
		exec_path(argv[0], argv, argc, envp);
		return;
	}
	errno = ENOENT;
	for (;; path += n + 1) {
		n = strcspn(path, ":");
		/* An empty entry is the working directory. */
		if (snprintf(file, sizeof(file), "%.*s%s%s", (int)MIN(n, 4096),
			path, n > 0 ? "/" : "./",
			argv[0]) < (int)sizeof(file)) {
			exec_path(file, argv, argc, envp);
			if (errno == EACCES)
				denied = true;
			else if (errno != ENOENT && errno != ENOTDIR)
				return;
		}
		if (path[n] == '\0')
			break;
	}
	if (denied)
		errno = EACCES;
}

static int
program_exec(const struct child_plan *p, const struct env *env, struct err *e)
{
	const struct json *list = json_get(p->msg, "argv");
	char **argv = calloc(list->len + 1, sizeof(*argv));
	size_t argc = 0;
	int saved;

	if (argv == NULL || list->len == 0)
		return err_set(e, ERR_EXEC_FAILED, "exec: no arguments");
	json_foreach (it, list)
		argv[argc++] = (char *)(uintptr_t)it->str; /* only read */
	if (p->session)
		(void)execveat(p->fds[0], "", argv, env->v, AT_EMPTY_PATH);
	else
		exec_search(env_get(env, "PATH"), argv, argc, env->v);
	saved = errno;
	(void)err_set(e, ERR_EXEC_FAILED, "exec: %s: %s",
	    p->session ? "sandboxd-session" : argv[0], strerror(saved));
	e->sys = saved;
	return -1;
}

static int
child_become(struct child_plan *p, struct err *e)
{
	autofd int root_fd = -1;
	const char *user = "0";
	struct user u;
	struct env env;

	if (setsid() == -1 ||
	    (p->adopt && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == -1))
		return err_sys(e, "session");
	if (p->defaults != NULL && p->defaults->user != NULL)
		user = p->defaults->user;
	/* Before any descriptor is arranged: root_fd is closed with the rest.
	 */
	root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd == -1)
		return err_sys(e, "root directory");
	if (user_find(root_fd, json_str(p->msg, "user", user), &u, e) == -1)
		return -1;
	fd_close(&root_fd);
	if (fds_arrange(p, &u, e) == -1 || become_user(&u, e) == -1 ||
	    env_build(p, &u, &env, e) == -1 || cwd_enter(p, &u, e) == -1)
		return -1;
	(void)umask(022);
	return program_exec(p, &env, e);
}

void
child_run(struct child_plan *p)
{
	struct err e;

	/* PRIV: a copy of init. Becomes the command's user in become_user();
	 * until then nothing of the sandbox but its passwd and group files is
	 * read. */
	init_signals_child();
	err_clear(&e);
	(void)child_become(p, &e); /* returns only when it failed */
	if (e.code == ERR_SYSTEM)
		e.code = ERR_EXEC_FAILED;
	/* Should even this fail, init sees the end without an exec. */
	(void)!write(p->report_fd, &e, sizeof(e));
	_exit(127);
}
