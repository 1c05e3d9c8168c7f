/*
 * A server's configuration file; see server_conf.h. Runs as the caller; the
 * file is his, and sandboxd checks it as any other.
 */
#include "ctl/compat/server_conf.h"

#include "ctl/home.h"
#include "lib/fdio.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OWN_MAX 65536

/* A flag, else the variable that stands for it where somebody else chooses the
 * flags. "" counts as not said. */
static const char *
told(const struct args *a, const char *flag, const char *var, const char *def)
{
	const char *v = a == NULL ? NULL : args_str(a, flag, NULL);

	if (v == NULL)
		v = getenv(var);
	return v == NULL || *v == '\0' ? def : v;
}

static const char *
network(const struct args *a)
{
	return told(a, "network", "SANDBOX_AGENT_NETWORK", "host");
}

/* NULL: not said. */
static const char *
workspace(const struct args *a)
{
	return told(a, "workspace", "SANDBOX_AGENT_WORKSPACE", NULL);
}

int
server_conf_check(const struct args *a, struct err *e)
{
	const char *net = network(a);
	const char *work = workspace(a);

	if (strcmp(net, "host") != 0 && strcmp(net, "none") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "the network is host or none, not '%.32s'", net);
	if (work != NULL && strcmp(work, "cow") != 0 &&
	    strcmp(work, "rw") != 0 && strcmp(work, "none") != 0)
		return err_set(e, ERR_BAD_REQUEST,
		    "the workspace is cow, rw or none, not '%.32s'", work);
	return 0;
}

/* Is INNER in DIR, or DIR itself? */
static bool
holds(const char *dir, const char *inner)
{
	size_t n = strlen(dir);

	return strncmp(dir, inner, n) == 0 &&
	       (inner[n] == '\0' || inner[n] == '/' || dir[n - 1] == '/');
}

static bool
is_system(const char *dir)
{
	/* Also what every sandbox has of its own. */
	static const char *const all[] = { "/usr", "/etc", "/bin", "/sbin",
		"/lib", "/lib64", "/boot", "/dev", "/proc", "/sys", "/run",
		"/var" };

	for (size_t i = 0; i < countof(all); i++) {
		if (holds(all[i], dir))
			return true;
	}
	return false;
}

/* May DIR be shown? SAID: somebody asked for it by name. */
static bool
may_show(const struct server *s, const char *dir, bool said)
{
	char home[PATH_MAX], real[PATH_MAX];

	if (strcmp(dir, "/") == 0 || is_system(dir) ||
	    strcmp(dir, "/tmp") == 0 || strlen(dir) > SERVER_SPEC_MAX / 8)
		return false;
	/* A sandbox's files in its own sandbox would have no end. */
	if (realpath(s->place.data, real) != NULL && holds(dir, real))
		return false;
	if (said)
		return true;
	return home_find(home, sizeof(home), NULL) == -1 ||
	       realpath(home, real) == NULL || !holds(dir, real);
}

static void
write_spec(const struct server *s, struct jw *w)
{
	const char *work = workspace(s->args);
	char dir[PATH_MAX];

	jw_object(w);
	jw_kstr(w, "network", network(s->args));
	if ((work == NULL || strcmp(work, "none") != 0) &&
	    realpath(".", dir) != NULL && may_show(s, dir, work != NULL)) {
		jw_kstr(w, "directory", dir);
		jw_key(w, "mounts");
		jw_array(w);
		jw_object(w);
		jw_kstr(w, "source", dir);
		jw_kstr(w, "target", dir);
		jw_kstr(w, "mode", work == NULL ? "cow" : work);
		jw_object_end(w);
		jw_array_end(w);
	}
	jw_object_end(w);
}

int
server_conf_spec(
    const struct server *s, char dst[SERVER_SPEC_MAX], struct err *e)
{
	struct buf b;
	struct jw w;
	int r;

	buf_init(&b, SERVER_SPEC_MAX);
	jw_init(&w, &b);
	write_spec(s, &w);
	r = b.failed ? -1 : str_copy(dst, SERVER_SPEC_MAX, b.data);
	buf_free(&b);
	if (r == -1)
		return err_set(
		    e, ERR_SYSTEM, "the working directory's path is too long");
	return 0;
}

/* The caller's own file, if there is one. */
static int
add_own(struct buf *b, struct err *e)
{
	const char *xdg = getenv("XDG_CONFIG_HOME");
	char path[PATH_MAX], home[PATH_MAX];
	autofree char *text = NULL;
	autofd int fd = -1;
	struct stat st;
	size_t len;
	int r;

	if (xdg != NULL && *xdg == '/')
		r = str_format(
		    path, sizeof(path), "%s/sandbox-agent/sandboxd.conf", xdg);
	else if (home_find(home, sizeof(home), NULL) == 0)
		r = str_format(path, sizeof(path),
		    "%s/.config/sandbox-agent/sandboxd.conf", home);
	else
		return 0;
	if (r == -1)
		return err_set(e, ERR_SYSTEM, "the path is too long");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return errno == ENOENT || errno == ENOTDIR
			   ? 0
			   : err_sys(e, "open %s", path);
	/* With another's HOME, as sudo may leave it, that user would choose
	 * what root runs. */
	if (fstat(fd, &st) == -1)
		return err_sys(e, "look at %s", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(e, ERR_DENIED,
		    "%s belongs to another user (with sudo, use sudo -H)",
		    path);
	if (fd_slurp(fd, OWN_MAX, &text, &len, e) == -1)
		return err_prefix(e, "%s", path);
	(void)buf_addf(b, "\n# From %s:\n", path);
	(void)buf_add(b, text, len);
	(void)buf_addc(b, '\n');
	return 0;
}

int
server_conf_write(const struct server *s, const char *spec, struct err *e)
{
	char fresh[PATH_MAX];
	autofd int fd = -1;
	struct buf b;
	int r = 0;

	if (str_format(fresh, sizeof(fresh), "%s.new", s->place.conf) == -1)
		return err_set(e, ERR_SYSTEM, "the path is too long");
	buf_init(&b, 2 * OWN_MAX);
	(void)buf_addf(&b,
	    "# Written anew by each start of `sandbox-agent server`.\n"
	    "[sandbox]\nstop_grace = 1s\nadopt = 0\ndefault_spec = %s\n",
	    spec);
	/* What one server has installed is there for all of the caller's. */
	(void)buf_addf(
	    &b, "[agent]\ninstalled_dir = %s/agents\n", s->place.data);
	if (s->programs.agents[0] != '\0')
		(void)buf_addf(&b, "directory = %s\n", s->programs.agents);
	r = add_own(&b, e);
	if (r == -1) {
		buf_free(&b);
		return -1;
	}
	fd = open(
	    fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1 || fd_write_all(fd, b.data, b.len) == -1 ||
	    rename(fresh, s->place.conf) == -1)
		r = err_sys(e, "write %s", fresh);
	buf_free(&b);
	return r;
}
