/*
 * The directory of installed agents as others see it, and what the courier is
 * told of the world: configuration first, then our own environment. Runs in the
 * supervisor.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif
#include "supervisor/courier_priv.h"
#include "supervisor/carry_parts.h"

#include "lib/log.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#ifndef NPM_REGISTRY
#	define NPM_REGISTRY ""
#endif
#define VERSION_MAX 160
#define TOKEN_MAX 4000

/* --- the directory ------------------------------------------------------- */

/* The lock of one agent. */
static void
give_lock(int dir_fd, const char *agent, uid_t owner)
{
	autofd int fd = openat(
	    dir_fd, agent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd != -1)
		(void)!fchownat(fd, ".lock", owner, owner, AT_SYMLINK_NOFOLLOW);
}

/* What a former life has left there under another id (another ids_base): the
 * courier works in these; versions stay as they are, to be read only. */
static void
give_entries(int dir_fd, const char *dir, uid_t owner, bool files)
{
	int fd = openat(
	    dir_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (d == NULL) {
		fd_close(&fd);
		return;
	}
	while ((de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		if (fchownat(fd, de->d_name, owner, owner,
			AT_SYMLINK_NOFOLLOW) == -1)
			log_warn("courier", "not given to the courier",
			    LOG_STR("name", de->d_name),
			    LOG_STR("error", strerror(errno)));
		if (!files && strcmp(de->d_name, ".partial") == 0)
			give_entries(fd, de->d_name, owner, true);
		else if (!files)
			give_lock(fd, de->d_name, owner);
	}
	(void)closedir(d); /* only read */
}

int
courier_open_dir(struct super *s, int *fd_out, struct err *e)
{
	uid_t owner = SUPER_COURIER_ID(s);
	struct stat st;
	autofd int fd = -1;

	fd = open(
	    s->agents_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "open %s", s->agents_dir);
	if (s->root && st.st_uid != owner) {
		give_entries(AT_FDCWD, s->agents_dir, owner, false);
		if (fchown(fd, owner, owner) == -1)
			return err_sys(e, "give %s to uid %lu", s->agents_dir,
			    (unsigned long)owner);
	}
	*fd_out = fd_steal(&fd);
	return 0;
}

/* A single part of a path, and not a hidden one. */
static bool
name_good(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
	       strlen(name) < VERSION_MAX;
}

char *
courier_current(struct courier *c, const char *agent)
{
	char link[VERSION_MAX + 16], version[VERSION_MAX];
	ssize_t n;

	if (!name_good(agent) ||
	    str_format(link, sizeof(link), "%s/current", agent) == -1)
		return NULL;
	n = readlinkat(c->dir_fd, link, version, sizeof(version) - 1);
	if (n <= 0)
		return NULL;
	version[n] = '\0';
	if (!name_good(version))
		return NULL;
	version[strcspn(version, "~")] = '\0'; /* installed once more */
	return xstrdup(version);
}

char *
courier_launcher(struct courier *c, const char *agent, const char *program)
{
	autofree char *path = NULL;

	if (!name_good(agent) || !name_good(program))
		return NULL;
	path = xasprintf("%s/current/bin/%s", agent, program);
	if (faccessat(c->dir_fd, path, X_OK, AT_EACCESS) == -1)
		return NULL;
	return xasprintf("%s/%s", c->s->agents_dir, path);
}

/* --- settings ------------------------------------------------------------ */

static bool
mirror_is_dir(const struct super *s)
{
	return s->conf.courier_mirror[0] == '/';
}

int
courier_open_mirror(struct super *s, int *fd_out, struct err *e)
{
	*fd_out = -1;
	if (!mirror_is_dir(s))
		return 0;
	/* Opened with our rights, so the way there need not be open to
	 * everybody; the directory itself and its files must be. */
	*fd_out =
	    open(s->conf.courier_mirror, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd_out != -1)
		return 0;
	(void)err_sys(e, "courier.mirror: open %s", s->conf.courier_mirror);
	e->code = ERR_INSTALL_FAILED;
	return -1;
}

/* The first of these that says something. */
static const char *
first(const char *a, const char *b, const char *c)
{
	if (a != NULL && a[0] != '\0')
		return a;
	if (b != NULL && b[0] != '\0')
		return b;
	return c != NULL ? c : "";
}

/* The first line of the token's file: nothing when there is none. */
static char *
read_token(const char *path)
{
	char text[TOKEN_MAX + 1];
	ssize_t n;
	autofd int fd = -1;

	if (path[0] == '\0')
		return xstrdup("");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n == -1) {
		log_warn("courier", "no token for the registry",
		    LOG_STR("file", path), LOG_STR("error", strerror(errno)));
		return xstrdup("");
	}
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	for (const char *c = text; *c != '\0'; c++) {
		if (*c <= ' ' || *c > '~') { /* it becomes part of a header */
			log_warn(
			    "courier", "not a token", LOG_STR("file", path));
			return xstrdup("");
		}
	}
	return xstrdup(text);
}

void
courier_settings_write(const struct super *s, struct jw *w)
{
	autofree char *token = read_token(s->conf.courier_token_file);
	const struct conf *c = &s->conf;
	const char *https = first(getenv("https_proxy"), getenv("HTTPS_PROXY"),
	    first(getenv("all_proxy"), getenv("ALL_PROXY"), NULL));
	const char *http = first(
	    getenv("http_proxy"), getenv("all_proxy"), getenv("ALL_PROXY"));

	jw_object(w);
	jw_kstr(w, "registry",
	    first(c->courier_npm_registry, getenv("npm_config_registry"),
		NPM_REGISTRY));
	jw_kstr(w, "mirror", mirror_is_dir(s) ? "" : c->courier_mirror);
	jw_kstr(w, "http_proxy", first(c->courier_proxy, http, NULL));
	jw_kstr(w, "https_proxy", first(c->courier_proxy, https, NULL));
	jw_kstr(w, "no_proxy",
	    first(c->courier_no_proxy, getenv("no_proxy"), getenv("NO_PROXY")));
	jw_kstr(w, "ca_file", c->courier_ca_file);
	jw_kstr(w, "token", token);
	jw_kint(w, "max_bytes", c->courier_max_bytes);
	jw_object_end(w);
}

/* --- over an exec of ourselves (carry.h) -----------------------------------
 */

void
courier_carry_put(struct super *s, struct carry *c)
{
	proc_put(&s->courier->proc, c, "proc");
	jw_kbool(&c->w, "ready", s->courier->ready);
	jw_kbool(&c->w, "renew", s->courier->renew);
}

int
courier_carry_take(struct super *s, const struct json *j, struct err *e)
{
	struct courier *co = s->courier;

	if (proc_take(&co->proc, json_get(j, "proc"), e) == -1)
		return -1;
	co->ready = json_bool(j, "ready", false);
	co->renew = json_bool(j, "renew", false);
	if (co->proc.ch != NULL)
		chan_set_depth(co->proc.ch, COURIER_DEPTH);
	courier_rest(co);
	return 0;
}

const char *
courier_carry_busy(struct super *s)
{
	if (!TAILQ_EMPTY(&s->courier->jobs))
		return "an agent is being installed";
	return proc_busy(&s->courier->proc);
}
