/*
 * Listening sockets. Runs in the supervisor, which only opens them: what comes
 * in is the gateways' to accept. Addresses are numbers, so that no resolver
 * runs here.
 */
#include "supervisor/listen.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "supervisor/address.h"
#include "supervisor/listen_given.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>

#define BACKLOG 4096 /* the system cuts it to its own limit */

/* --- addresses ----------------------------------------------------------- */

static int
parse_unix(const char *path, struct address *a, struct err *e)
{
	autofree char *cwd = path[0] != '/' ? getcwd(NULL, 0) : NULL;

	if (path[0] == '\0' || path[0] == '@')
		return err_set(e, ERR_BAD_REQUEST, "unix: needs a path");
	a->un.sun_family = AF_UNIX;
	a->len = sizeof(a->un);
	if (str_format(a->un.sun_path, sizeof(a->un.sun_path), "%s%s%s",
		cwd != NULL ? cwd : "", cwd != NULL ? "/" : "", path) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "unix:%s: too long for a socket's path", path);
	return 0;
}

/* 127.0.0.1:80, [::1]:80, localhost:80, *:80, unix:/path */
static int
parse_address(const char *text, struct address *a, struct err *e)
{
	const char *colon = strrchr(text, ':');
	char host[64] = "";
	const char *number = host;
	int family = AF_INET;
	size_t n;
	int64_t port;

	memset(a, 0, sizeof(*a));
	if (str_starts(text, "unix:"))
		return parse_unix(text + 5, a, e);
	n = colon != NULL ? (size_t)(colon - text) : sizeof(host);
	if (n == 0 || n >= sizeof(host) ||
	    str_to_int(colon + 1, 0, 65535, &port) == -1)
		return err_set(e, ERR_BAD_REQUEST,
		    "listen: '%.200s' is neither ADDRESS:PORT nor unix:PATH",
		    text);
	memcpy(host, text, n);
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		number = host + 1;
		family = AF_INET6;
	} else if (strcmp(host, "localhost") == 0) {
		number = "127.0.0.1";
	} else if (strcmp(host, "*") == 0) {
		number = "0.0.0.0";
	}
	if (address_set(a, number, (uint16_t)port) == 0 &&
	    a->sa.sa_family == family)
		return 0;
	return err_set(e, ERR_BAD_REQUEST,
	    "listen: '%.200s': the address must be a number, such as "
	    "127.0.0.1:2468 or [::1]:2468",
	    text);
}

/* Whoever may connect may run commands: that is not left to chance. */
static int
check_open(const struct super *s, const struct address *a, const char *name,
    struct err *e)
{
	if (address_is_local(a) || s->http.auth || s->http.no_token)
		return 0;
	return err_set(e, ERR_DENIED,
	    "listen on %s: others than this machine could connect; set "
	    "--token-file or --token, or say --no-token",
	    name);
}

/* Call EACH for the addresses of the command line, else the configuration. */
static int
each_address(struct super *s, const struct conf *c, bool default_too,
    int (*each)(struct super *s, const char *text, struct err *e),
    struct err *e)
{
	const struct words *w = &s->http.listen;
	autofree char *copy = NULL;
	char *rest, *word;

	for (size_t i = 0; i < w->n; i++) {
		if (each(s, w->v[i], e) == -1)
			return -1;
	}
	if (w->n > 0 || !default_too)
		return 0;
	copy = xstrdup(c->listen);
	rest = copy;
	while ((word = strtok_r(rest, " \t", &rest)) != NULL) {
		if (each(s, word, e) == -1)
			return -1;
	}
	return 0;
}

static int
check_one(struct super *s, const char *text, struct err *e)
{
	struct address a;

	if (parse_address(text, &a, e) == -1)
		return -1;
	return check_open(s, &a, text, e);
}

static int
parse_mode(const struct conf *c, mode_t *mode_out, struct err *e)
{
	const char *text = c->unix_mode;
	char *end;
	unsigned long v = strtoul(text, &end, 8);

	if (text[0] < '0' || text[0] > '7' || *end != '\0' || v > 0777)
		return err_set(e, ERR_BAD_REQUEST,
		    "gateway.unix_mode: '%s' is no mode such as 0660", text);
	*mode_out = (mode_t)v;
	return 0;
}

static int
find_group(const struct conf *c, gid_t *gid_out, struct err *e)
{
	const char *name = c->unix_group;
	struct group *g;
	int64_t v;

	*gid_out = (gid_t)-1;
	if (name[0] == '\0')
		return 0;
	if (str_to_int(name, 0, UINT32_MAX - 1, &v) == 0) {
		*gid_out = (gid_t)v;
		return 0;
	}
	g = getgrnam(name);
	if (g == NULL)
		return err_set(e, ERR_BAD_REQUEST,
		    "gateway.unix_group: no group '%s'", name);
	*gid_out = g->gr_gid;
	return 0;
}

int
listen_check(struct super *s, struct err *e)
{
	mode_t mode;
	gid_t gid;

	if (s->http.off)
		return 0;
	if (parse_mode(&s->conf, &mode, e) == -1 ||
	    find_group(&s->conf, &gid, e) == -1)
		return -1;
	return each_address(s, &s->conf, true, check_one, e);
}

/* --- opening ------------------------------------------------------------- */

static struct listener *
add(struct super *s, int fd, char *name, bool tls)
{
	struct listeners *ls = s->listeners;
	struct listener *l = &ls->v[ls->n++];

	*l = (struct listener){
		.name = name, .asked = xstrdup(name), .fd = fd, .tls = tls
	};
	return l;
}

/* Remove a socket that nobody answers; never anything else. */
static int
clear_path(const struct address *a, struct err *e)
{
	autofd int fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const char *path = a->un.sun_path;
	struct stat st;

	if (fd == -1)
		return err_sys(e, "socket");
	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : err_sys(e, "look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(
		    e, ERR_SYSTEM, "%s: exists, and is no socket", path);
	if (connect(fd, &a->sa, a->len) == 0 || errno != ECONNREFUSED)
		return err_set(e, ERR_SYSTEM, "%s: in use", path);
	if (unlink(path) == -1 && errno != ENOENT)
		return err_sys(e, "remove %s", path);
	return 0;
}

/* Our own, whose path goes with us. */
static void
add_unix(struct super *s, int fd, const struct address *a)
{
	struct listener *l = add(s, fd, address_text(a), false);
	struct stat st;

	listen_keep(s, l->name, fd);
	if (lstat(a->un.sun_path, &st) == -1)
		return; /* gone already: nothing to remove */
	l->path = xstrdup(a->un.sun_path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
}

static int
open_unix(struct super *s, const struct address *a, struct err *e)
{
	const char *path = a->un.sun_path;
	mode_t mode = 0, mask;
	gid_t gid;
	int rc, kept_fd = listen_kept_take(s->listeners, a);

	if (kept_fd != -1) {
		add_unix(s, kept_fd, a);
		return 0;
	}
	if (parse_mode(s->listeners->conf, &mode, e) == -1 ||
	    find_group(s->listeners->conf, &gid, e) == -1 ||
	    clear_path(a, e) == -1)
		return -1;
	autofd int fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_sys(e, "socket");
	/* With its rights from the first moment. */
	mask = umask(~mode & 0777);
	rc = bind(fd, &a->sa, a->len);
	(void)umask(mask);
	if (rc == -1)
		return err_sys(e, "listen on %s", path);
	if ((gid != (gid_t)-1 && lchown(path, (uid_t)-1, gid) == -1) ||
	    listen(fd, BACKLOG) == -1) {
		(void)err_sys(e, "listen on %s", path);
		(void)unlink(path); /* it was ours */
		return -1;
	}
	add_unix(s, fd_steal(&fd), a);
	return 0;
}

static int
tcp_socket(const struct listeners *before, struct address *a, const char *text,
    struct err *e)
{
	static const int on = 1;
	autofd int fd = socket(
	    a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return err_sys(e, "listen on %s", text);
	/* Failing costs a little comfort only. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (a->sa.sa_family == AF_INET6)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (listen_beside(before, fd, a, BACKLOG) == -1 ||
	    getsockname(fd, &a->sa, &a->len) == -1)
		return errno == EADDRINUSE
			   ? err_set(e, ERR_SYSTEM,
				 "listen on %s: %s; another place is said with "
				 "--listen, none with --no-http",
				 text, strerror(errno))
			   : err_sys(e, "listen on %s", text);
	return fd_steal(&fd);
}

static int
open_tcp(struct super *s, struct address *a, const char *text, struct err *e)
{
	autofree char *asked = address_text(a);
	int fd = listen_kept_take(s->listeners, a);
	struct listener *l;

	if (fd == -1)
		fd = tcp_socket(s->listeners->before, a, text, e);
	if (fd == -1)
		return -1;
	l = add(s, fd, address_text(a), s->http.tls_cert != NULL);
	free(l->asked);
	l->asked = STEAL(asked);
	listen_keep(s, l->name, l->fd);
	return 0;
}

static int
open_one(struct super *s, const char *text, struct err *e)
{
	autofree char *asked = NULL;
	struct listener *former;
	struct address a;

	if (s->listeners->n == LISTENERS_MAX)
		return err_set(e, ERR_BAD_REQUEST,
		    "listen: more than %d addresses", LISTENERS_MAX);
	if (parse_address(text, &a, e) == -1 ||
	    check_open(s, &a, text, e) == -1)
		return -1;
	asked = address_text(&a);
	former = listen_former(s->listeners, asked);
	if (former != NULL) {
		s->listeners->v[s->listeners->n] = *former;
		s->listeners->v[s->listeners->n++].former = true;
		return 0;
	}
	if (a.sa.sa_family == AF_UNIX)
		return open_unix(s, &a, e);
	return open_tcp(s, &a, text, e);
}

/* --- systemd ------------------------------------------------------------- */

/* One that was opened for us: for HTTP, unless there is to be none. */
static int
add_given(struct super *s, int fd, const struct address *a, struct err *e)
{
	autofree char *name = address_text(a);

	if (s->http.off) {
		(void)close(fd);
		return 0;
	}
	if (check_open(s, a, name, e) == -1)
		return -1;
	(void)add(s, fd, STEAL(name),
	    s->http.tls_cert != NULL && a->sa.sa_family != AF_UNIX);
	return 0;
}

int
listen_open(struct super *s, struct err *e)
{
	s->listeners = xcalloc(1, sizeof(*s->listeners));
	s->listeners->control_fd = -1;
	s->listeners->conf = &s->conf;
	if (listen_given(s, add_given, e) == -1)
		return -1;
	/* What systemd has opened stands for the configuration's. */
	s->listeners->given = s->listeners->n > 0;
	return s->http.off ? 0 : listen_open_all(s, e);
}

int
listen_open_all(struct super *s, struct err *e)
{
	return each_address(
	    s, s->listeners->conf, !s->listeners->given, open_one, e);
}

void
listen_drop(struct super *s, struct listener *l)
{
	struct stat st;

	/* Another's that has taken the place stays. */
	if (l->path != NULL && lstat(l->path, &st) == 0 &&
	    st.st_dev == l->dev && st.st_ino == l->ino)
		(void)unlink(l->path); /* or it is stale */
	if (l->path != NULL)
		listen_keep_no_more(s, l->name);
	fd_close(&l->fd);
	free(l->name);
	free(l->asked);
	free(l->path);
}

void
listen_close(struct super *s)
{
	struct listeners *ls = s->listeners;

	if (ls == NULL)
		return;
	listen_kept_close(s);
	while (ls->n > 0)
		listen_drop(s, &ls->v[--ls->n]);
	fd_close(&ls->control_fd);
	free(ls);
	s->listeners = NULL;
}
