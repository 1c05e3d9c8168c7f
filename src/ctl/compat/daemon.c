/*
 * `sandbox-agent daemon start|stop|status`: a server in the background, known
 * by the files that scripts look for:
 *
 *	DATA/daemon/daemon-ADDRESS-PORT.{pid,version,log}
 *
 * Runs as the caller. Which process owns a server's directories is asked of the
 * lock in them; the pid file is for others to read, and that it is there says
 * that the server is a daemon and not somebody's in the foreground.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "ctl/compat/background.h"
#include "ctl/compat/compat.h"
#include "ctl/compat/listen.h"
#include "ctl/compat/log.h"
#include "ctl/compat/server_conf.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#ifndef PACKAGE_VERSION
#	define PACKAGE_VERSION "0.1.0"
#endif

#define HEALTH_MS 2000
#define VERSION_MAX 80

struct daemon {
	const char *host;
	int port;
	const char *token; /* NULL: none */
	struct place place;
	char pid_file[PATH_MAX], version_file[PATH_MAX], log[PATH_MAX];
};

/* --- its files ----------------------------------------------------------- */

static int
find_daemon(struct daemon *d, const struct args *a, struct err *e)
{
	char dir[PATH_MAX];

	d->token = args_has(a, "no-token") ? NULL : args_str(a, "token", NULL);
	if (place_find(&d->place, d->host, d->port, e) == -1 ||
	    place_data_dir("daemon", dir, e) == -1)
		return -1;
	if (str_format(d->pid_file, PATH_MAX, "%s/daemon-%s.pid", dir,
		d->place.key) == -1 ||
	    str_format(d->version_file, PATH_MAX, "%s/daemon-%s.version", dir,
		d->place.key) == -1 ||
	    str_format(
		d->log, PATH_MAX, "%s/daemon-%s.log", dir, d->place.key) == -1)
		return err_set(e, ERR_SYSTEM, "the path is too long");
	return 0;
}

static int
write_file(const char *path, const char *text, struct err *e)
{
	autofd int fd = open(
	    path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd == -1 || fd_write_all(fd, text, strlen(text)) == -1)
		return err_sys(e, "write %s", path);
	return 0;
}

static bool
read_file(const char *path, char *dst, size_t size)
{
	autofd int fd =
	    open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd == -1 ? -1 : read(fd, dst, size - 1);

	dst[n > 0 ? n : 0] = '\0';
	dst[strcspn(dst, "\r\n")] = '\0';
	return n > 0;
}

/* Which build we would start: another one has another number. */
static int
own_version(char dst[VERSION_MAX], struct err *e)
{
	struct programs p;
	struct stat st;

	if (programs_find(&p, e) == -1)
		return -1;
	if (stat(p.sandboxd, &st) == -1)
		return err_sys(e, "look at %s", p.sandboxd);
	if (str_format(dst, VERSION_MAX, PACKAGE_VERSION "-%lld%09ld",
		(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec) == -1)
		return err_set(e, ERR_SYSTEM, "the version is too long");
	return 0;
}

/* --- what it does -------------------------------------------------------- */

/* The daemon's pid; 0 when it does not run. */
static pid_t
daemon_pid(const struct daemon *d)
{
	char text[32];

	return read_file(d->pid_file, text, sizeof(text))
		   ? place_owner(&d->place)
		   : 0;
}

/* Somebody serves there, be it that he lets us in or not. */
static bool
serves(const struct daemon *d)
{
	int status = health_ask(d->host, d->port, d->token, HEALTH_MS);

	return status == 200 || status == 401 || status == 403;
}

static void
shown_url(const struct daemon *d, char *dst, size_t size)
{
	bool is_v6 = strchr(d->host, ':') != NULL && d->host[0] != '[';

	if (str_format(dst, size, is_v6 ? "http://[%s]:%d" : "http://%s:%d",
		d->host, d->port) == -1)
		*dst = '\0';
}

static int
open_server(struct server *s, struct daemon *d, struct err *e)
{
	/* Copied, and wiped where it stood; d->token is empty after. */
	if (d->token != NULL && server_token(s, d->token, e) == -1)
		return -1;
	if (server_open(s, e) == -1 || server_check(s, e) == -1)
		return -1;
	s->log_fd = open(d->log,
	    O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (s->log_fd == -1)
		return err_sys(e, "open %s", d->log);
	server_credentials();
	return 0;
}

static int
launch(struct daemon *d, struct err *e)
{
	char version[VERSION_MAX];
	char text[24];
	struct server s;
	pid_t pid = 0;
	int r;

	server_init(&s, NULL, d->host, d->port);
	r = own_version(version, e);
	if (r == 0)
		r = open_server(&s, d, e);
	if (r == 0) {
		r = background_start(&s, &pid, e);
		if (r == -1)
			log_show(d->log, 0);
	}
	server_free(&s);
	if (r == -1 || str_format(text, sizeof(text), "%d", (int)pid) == -1)
		return -1;
	if (write_file(d->pid_file, text, e) == -1 ||
	    write_file(d->version_file, version, e) == -1)
		return -1;
	(void)fprintf(
	    stderr, "daemon started (PID %d, logs: %s)\n", (int)pid, d->log);
	return 0;
}

static int
start(struct daemon *d, struct err *e)
{
	char url[128];

	shown_url(d, url, sizeof(url));
	(void)fprintf(
	    stderr, "starting daemon at %s (logs: %s)\n", url, d->log);
	return launch(d, e);
}

static int
stop(struct daemon *d, struct err *e)
{
	pid_t pid = daemon_pid(d);

	if (pid == 0) {
		(void)fputs("daemon is not running (no PID file)\n", stderr);
	} else {
		(void)fprintf(stderr, "stopping daemon (PID %d)...\n", pid);
		if (background_stop(&d->place, pid, e) == -1)
			return -1;
		(void)fputs("daemon stopped\n", stderr);
	}
	/* Also those of one that was killed. */
	(void)unlink(d->pid_file);
	(void)unlink(d->version_file);
	return 0;
}

/* --- daemon start -------------------------------------------------------- */

/* With --upgrade: is what runs of another build than we are? */
static int
is_old(const struct daemon *d, bool *old_out, struct err *e)
{
	char now[VERSION_MAX], then[VERSION_MAX];

	if (own_version(now, e) == -1)
		return -1;
	*old_out = !read_file(d->version_file, then, sizeof(then)) ||
		   strcmp(now, then) != 0;
	return 0;
}

static int
start_or_leave(struct daemon *d, bool upgrade, struct err *e)
{
	bool is_ours = daemon_pid(d) != 0;
	bool old = false;
	char url[128];

	shown_url(d, url, sizeof(url));
	if (upgrade)
		(void)fprintf(stderr,
		    "checking daemon health at %s (token: %s)...\n", url,
		    d->token == NULL ? "unset" : "set");
	if (!is_ours && !serves(d))
		return start(d, e);
	if (upgrade && is_ours && is_old(d, &old, e) == -1)
		return -1;
	if (old) {
		(void)fputs(
		    "daemon is of another build; restarting it\n", stderr);
		return stop(d, e) == -1 ? -1 : start(d, e);
	}
	(void)fprintf(stderr, "daemon already running at %s\n", url);
	return 0;
}

static int
run_daemon(struct ctl *ctl, const struct args *a,
    int (*fn)(struct daemon *d, const struct args *a, struct err *e))
{
	struct daemon d = { 0 };
	struct err e;

	if (compat_where(a, &d.host, &d.port, &e) == -1 ||
	    server_conf_check(NULL, &e) == -1)
		return ctl_misuse(ctl, &e);
	if (d.port == 0) {
		(void)err_set(&e, ERR_BAD_REQUEST,
		    "a daemon is known by its port, which cannot be 0");
		return ctl_misuse(ctl, &e);
	}
	if (find_daemon(&d, a, &e) == -1 || fn(&d, a, &e) == -1)
		return ctl_fail(ctl, &e);
	return EXIT_OK;
}

static int
do_start(struct daemon *d, const struct args *a, struct err *e)
{
	return start_or_leave(d, args_has(a, "upgrade"), e);
}

static int
run_start(struct ctl *ctl, const struct args *a)
{
	return run_daemon(ctl, a, do_start);
}

static const struct opt_def start_opts[] = {
	SERVER_WHERE_OPTS,
	{ "upgrade", '\0', NULL, "Start it again if another build runs." },
};

const struct command compat_daemon_start = {
	.name = "daemon start",
	.operands = "",
	.help = "Start a server in the background.",
	COMMAND_OPTS(start_opts),
	.max = 0,
	.run = run_start,
};

/* --- daemon stop --------------------------------------------------------- */

static int
do_stop(struct daemon *d, const struct args *a, struct err *e)
{
	(void)a;
	return stop(d, e);
}

static int
run_stop(struct ctl *ctl, const struct args *a)
{
	return run_daemon(ctl, a, do_stop);
}

static const struct opt_def where_opts[] = { SERVER_WHERE_OPTS };

const struct command compat_daemon_stop = {
	.name = "daemon stop",
	.operands = "",
	.help = "End it.",
	COMMAND_OPTS(where_opts),
	.max = 0,
	.run = run_stop,
};

/* --- daemon status ------------------------------------------------------- */

static int
do_status(struct daemon *d, const struct args *a, struct err *e)
{
	char version[VERSION_MAX];
	pid_t pid = daemon_pid(d);

	(void)a;
	(void)e;
	if (pid == 0 && !serves(d)) {
		(void)fputs("Daemon not running\n", stderr);
		return 0;
	}
	if (!read_file(d->version_file, version, sizeof(version)))
		(void)strcpy(version, "unknown");
	if (pid == 0)
		(void)fputs("Daemon running (PID unknown: it was not started "
			    "by `daemon start`)\n",
		    stderr);
	else
		(void)fprintf(stderr,
		    "Daemon running (PID %d, build %s, logs: %s)\n", pid,
		    version, d->log);
	return 0;
}

static int
run_status(struct ctl *ctl, const struct args *a)
{
	return run_daemon(ctl, a, do_status);
}

const struct command compat_daemon_status = {
	.name = "daemon status",
	.operands = "",
	.help = "Tell whether it runs.",
	COMMAND_OPTS(where_opts),
	.max = 0,
	.run = run_status,
};
