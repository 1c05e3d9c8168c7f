/*
 * The convention of LISTEN_FDS (sd_listen_fds(3)). Runs in the supervisor at
 * start. Whoever started us is trusted to mean it, but not to be right: each
 * descriptor is looked at, and one that is no listening socket is an error
 * that names it.
 *
 * A socket is for the control protocol if it is named "control", or if it is a
 * Unix socket at our own place for it. Names that begin with KEPT are those of
 * the manager's store of descriptors, where a former life of ours has put them:
 * they are used where the configuration still wants them.
 */
#include "supervisor/listen_given.h"

#include "lib/fdio.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/notify.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_FD 3
#define KEPT "sandboxd-"
#define KEPT_NAME_MAX 256

/* --- names --------------------------------------------------------------- */

/* The Nth word of LISTEN_FDNAMES. */
static void
nth_name(const char *names, size_t n, char name_out[KEPT_NAME_MAX])
{
	size_t len;

	name_out[0] = '\0';
	for (; names != NULL && n > 0; n--) {
		names = strchr(names, ':');
		names = names == NULL ? NULL : names + 1;
	}
	if (names == NULL)
		return;
	len = strcspn(names, ":");
	if (len >= KEPT_NAME_MAX)
		return; /* no name of ours */
	memcpy(name_out, names, len);
	name_out[len] = '\0';
}

/* 127.0.0.1:80 is sandboxd-127.0.0.1_80: no colons. */
static void
kept_name(const char *address, char name_out[KEPT_NAME_MAX])
{
	(void)snprintf(name_out, KEPT_NAME_MAX, KEPT "%.200s", address);
	for (char *p = name_out; *p != '\0'; p++) {
		if (*p == ':')
			*p = '_';
	}
}

void
listen_keep(struct super *s, const char *name, int fd)
{
	char kept[KEPT_NAME_MAX];

	kept_name(name, kept);
	notify_keep(s, kept, fd);
}

void
listen_keep_no_more(struct super *s, const char *name)
{
	char kept[KEPT_NAME_MAX];

	kept_name(name, kept);
	notify_drop(s, kept);
}

/* --- kept ones ----------------------------------------------------------- */

/* Where its path is gone, nobody can reach it any more. */
static bool
reachable(const struct address *a)
{
	struct stat st;

	return a->sa.sa_family != AF_UNIX ||
	       (lstat(a->un.sun_path, &st) == 0 && S_ISSOCK(st.st_mode));
}

int
listen_kept_take(struct listeners *ls, const struct address *a)
{
	autofree char *want = address_text(a);

	for (size_t i = 0; i < ls->nkept; i++) {
		struct kept *k = &ls->kept[i];

		if (k->fd == -1 || strcmp(k->address, want) != 0 ||
		    !reachable(a))
			continue;
		return fd_steal(&k->fd);
	}
	return -1;
}

void
listen_kept_close(struct super *s)
{
	struct listeners *ls = s->listeners;

	while (ls->nkept > 0) {
		struct kept *k = &ls->kept[--ls->nkept];

		if (k->fd != -1)
			notify_drop(s, k->name);
		fd_close(&k->fd);
		free(k->name);
		free(k->address);
	}
}

/* --- taking -------------------------------------------------------------- */

static bool
is_control_path(const struct super *s, const struct address *a)
{
	char path[sizeof(a->un.sun_path)];

	return a->sa.sa_family == AF_UNIX &&
	       str_format(path, sizeof(path), "%s/control.sock",
		   s->conf.run_dir) == 0 &&
	       strcmp(path, a->un.sun_path) == 0;
}

static int
look(int fd, struct address *a, struct err *e)
{
	int type = 0, listens = 0;
	socklen_t tn = sizeof(type), ln = sizeof(listens);

	memset(a, 0, sizeof(*a));
	a->len = sizeof(a->un);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &tn) == -1 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &ln) == -1 ||
	    type != SOCK_STREAM || listens == 0 ||
	    getsockname(fd, &a->sa, &a->len) == -1 ||
	    (a->sa.sa_family != AF_UNIX && a->sa.sa_family != AF_INET &&
		a->sa.sa_family != AF_INET6))
		return err_set(e, ERR_BAD_REQUEST,
		    "descriptor %d: not a listening stream socket", fd);
	return 0;
}

static void
keep(struct listeners *ls, int fd, const char *name, const struct address *a)
{
	struct kept *k = &ls->kept[ls->nkept++];

	k->fd = fd;
	k->name = xstrdup(name);
	k->address = address_text(a);
}

static int
take_one(struct super *s, int fd, const char *name,
    int (*add)(struct super *s, int fd, const struct address *a, struct err *e),
    struct err *e)
{
	struct listeners *ls = s->listeners;
	bool control = strcmp(name, "control") == 0;
	struct address a;

	/* Both cannot fail for a descriptor that is open; look() says of one
	 * that is not. */
	(void)fd_set_cloexec(fd, 1);
	(void)fd_set_nonblock(fd, 1);
	if (look(fd, &a, e) == -1) {
		if (!str_starts(name, KEPT))
			return -1;
		/* Of a later version of ours, which had more to keep. */
		notify_drop(s, name);
		(void)close(fd);
		return 0;
	}
	if (str_starts(name, KEPT)) {
		keep(ls, fd, name, &a);
		return 0;
	}
	if (!control && !is_control_path(s, &a))
		return add(s, fd, &a, e);
	if (a.sa.sa_family != AF_UNIX)
		return err_set(e, ERR_BAD_REQUEST,
		    "descriptor %d: the control socket must be a Unix socket",
		    fd);
	if (ls->control_fd != -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "descriptor %d: a second control socket", fd);
	ls->control_fd = fd;
	return 0;
}

static char *
take_env(const char *name)
{
	const char *value = getenv(name);
	char *copy = value != NULL ? xstrdup(value) : NULL;

	(void)unsetenv(name); /* cannot fail for a good name */
	return copy;
}

int
listen_given(struct super *s,
    int (*add)(struct super *s, int fd, const struct address *a, struct err *e),
    struct err *e)
{
	autofree char *pid = take_env("LISTEN_PID"),
		      *fds = take_env("LISTEN_FDS"),
		      *names = take_env("LISTEN_FDNAMES");
	char name[KEPT_NAME_MAX];
	int64_t p, n = 0;

	if (pid == NULL || fds == NULL ||
	    str_to_int(pid, 1, INT32_MAX, &p) == -1 || p != getpid())
		return 0; /* meant for somebody else */
	if (str_to_int(fds, 0, LISTENERS_MAX, &n) == -1)
		return err_set(e, ERR_BAD_REQUEST, "LISTEN_FDS: '%.20s'", fds);
	for (int64_t i = 0; i < n; i++) {
		nth_name(names, (size_t)i, name);
		if (take_one(s, FIRST_FD + (int)i, name, add, e) == -1)
			return err_prefix(e, "socket of LISTEN_FDS");
	}
	return 0;
}
