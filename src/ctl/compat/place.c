/*
 * Directories and programs; see place.h. Runs as the caller. What stands in a
 * directory that others may write to is used only when it is ours. Nothing in
 * the environment decides which program is started.
 */
#include "ctl/compat/place.h"

#include "ctl/home.h"
#include "lib/strutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NAME "sandbox-agent"

/* --- directories --------------------------------------------------------- */

int
place_data(char *dst, struct err *e)
{
	const char *xdg = getenv("XDG_DATA_HOME");
	char home[PATH_MAX];
	int r;

	if (xdg != NULL && *xdg == '/') {
		r = str_format(dst, PATH_MAX, "%s/" NAME, xdg);
	} else {
		if (home_find(home, sizeof(home), e) == -1)
			return -1;
		r = str_format(dst, PATH_MAX, "%s/.local/share/" NAME, home);
	}
	if (r == -1 || strlen(dst) > PATH_MAX - 512)
		return err_set(
		    e, ERR_SYSTEM, "the data directory's path is too long");
	return 0;
}

/* FNV-1a: tells paths apart, keeps nobody out. */
static uint32_t
hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static int
make_key(struct place *p, const char *host, int port, struct err *e)
{
	char *c;

	if (str_format(p->key, sizeof(p->key), "%s-%d", host, port) == -1)
		return err_set(
		    e, ERR_SYSTEM, "the host's name is too long: %.80s", host);
	for (c = p->key; *c != '\0'; c++) {
		if (!(*c >= '0' && *c <= '9') && !(*c >= 'a' && *c <= 'z') &&
		    !(*c >= 'A' && *c <= 'Z'))
			*c = '-';
	}
	return 0;
}

/* Where run directories lie, by the caller's rights. */
static int
run_base(char *dst, size_t size)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0 && access("/run", W_OK) == 0)
		return str_copy(dst, size, "/run/" NAME);
	if (geteuid() != 0 && xdg != NULL && *xdg == '/' && strlen(xdg) < 30 &&
	    access(xdg, W_OK) == 0)
		return str_format(dst, size, "%s/" NAME, xdg);
	return str_format(dst, size, "/tmp/" NAME "-%u", (unsigned)geteuid());
}

int
place_find(struct place *p, const char *host, int port, struct err *e)
{
	char base[PLACE_RUN_MAX];

	if (place_data(p->data, e) == -1 || make_key(p, host, port, e) == -1)
		return -1;
	p->state[0] = '\0';
	if (str_format(p->link, sizeof(p->link), "%s/servers/%s/state", p->data,
		p->key) == -1 ||
	    str_format(p->conf, sizeof(p->conf), "%s/servers/%s/sandboxd.conf",
		p->data, p->key) == -1)
		return err_set(
		    e, ERR_SYSTEM, "the data directory's path is too long");
	if (run_base(base, sizeof(base)) == -1 ||
	    str_format(p->run, sizeof(p->run), "%s/%.24s-%08x", base, p->key,
		(unsigned)(hash_of(p->data) ^ hash_of(p->key))) == -1 ||
	    str_format(
		p->socket, sizeof(p->socket), "%s/control.sock", p->run) == -1)
		return err_set(
		    e, ERR_SYSTEM, "the run directory's path is too long");
	return 0;
}

int
place_kind(struct place *p, const char *kind, struct err *e)
{
	if (str_format(p->state, sizeof(p->state), "%s-%08x", p->link,
		(unsigned)hash_of(kind)) == -1)
		return err_set(
		    e, ERR_SYSTEM, "the data directory's path is too long");
	return 0;
}

int
place_use(const struct place *p, struct err *e)
{
	char fresh[PATH_MAX];

	if (str_format(fresh, sizeof(fresh), "%s.new", p->link) == -1)
		return err_set(
		    e, ERR_SYSTEM, "the data directory's path is too long");
	(void)unlink(fresh); /* of one who was killed here */
	if (symlink(strrchr(p->state, '/') + 1, fresh) == -1 ||
	    rename(fresh, p->link) == -1)
		return err_sys(e, "link %s", p->link);
	return 0;
}

/* One directory. OURS: it must be ours alone. */
static int
make_one(const char *path, bool ours, struct err *e)
{
	struct stat st;

	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		return err_sys(e, "make %s", path);
	if (!ours)
		return 0;
	if (lstat(path, &st) == -1)
		return err_sys(e, "look at %s", path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 022) != 0)
		return err_set(e, ERR_SYSTEM,
		    "%s is not a directory that only we may write to", path);
	return 0;
}

/* PATH and those above it. */
static int
make_all(const char *path, struct err *e)
{
	char part[PATH_MAX];
	char *slash;

	if (str_copy(part, sizeof(part), path) == -1)
		return err_set(e, ERR_SYSTEM, "the path is too long");
	for (slash = strchr(part + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (make_one(part, false, e) == -1)
			return -1;
		*slash = '/';
	}
	return make_one(part, false, e);
}

int
place_data_dir(const char *name, char *dst, struct err *e)
{
	char data[PATH_MAX];

	if (place_data(data, e) == -1)
		return -1;
	if (str_format(dst, PATH_MAX, "%s/%s", data, name) == -1)
		return err_set(
		    e, ERR_SYSTEM, "the data directory's path is too long");
	return make_all(dst, e);
}

int
place_make(struct place *p, struct err *e)
{
	char base[PLACE_RUN_MAX];

	if (make_all(p->state, e) == -1 || run_base(base, sizeof(base)) == -1 ||
	    make_one(base, true, e) == -1)
		return -1;
	return make_one(p->run, true, e);
}

/* --- who is there -------------------------------------------------------- */

pid_t
place_owner(const struct place *p)
{
	char path[PATH_MAX];
	char text[32];
	autofd int fd = -1;
	int64_t pid;
	ssize_t n;

	if (str_format(path, sizeof(path), "%s/lock",
		p->state[0] == '\0' ? p->link : p->state) == -1)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	/* Whoever has it may have died: then we can have it. */
	if (fd == -1 || flock(fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (str_to_int(text, 2, INT32_MAX, &pid) == -1)
		return 0;
	return (pid_t)pid;
}

bool
place_answers(const char *socket_path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd != -1 &&
	       str_copy(sa.sun_path, sizeof(sa.sun_path), socket_path) == 0 &&
	       connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
}

/* --- programs ------------------------------------------------------------ */

static bool
is_there(char *dst, const char *dir, const char *rest, int mode)
{
	return str_format(dst, PATH_MAX, "%s/%s", dir, rest) == 0 &&
	       access(dst, mode) == 0;
}

static int
own_dir(char dir[PATH_MAX], struct err *e)
{
	ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return err_sys(e, "find this program");
	dir[n] = '\0';
	slash = strrchr(dir, '/');
	if (slash == NULL)
		return err_set(e, ERR_SYSTEM, "this program has no path");
	*slash = '\0';
	return 0;
}

int
programs_find(struct programs *p, struct err *e)
{
	char dir[PATH_MAX];
	char init[PATH_MAX];

	p->libexec[0] = p->agents[0] = '\0';
	if (own_dir(dir, e) == -1)
		return -1;
	/* A build tree has all of it in one place. */
	if (is_there(p->sandboxd, dir, "sandboxd", X_OK)) {
		if (is_there(init, dir, "sandboxd-init", X_OK) &&
		    str_copy(p->libexec, sizeof(p->libexec), dir) == -1)
			p->libexec[0] = '\0';
		if (!is_there(p->agents, dir, "agents.d", R_OK | X_OK))
			p->agents[0] = '\0';
		return 0;
	}
	/* An installation that was moved as a whole. */
	if (is_there(p->sandboxd, dir, "../sbin/sandboxd", X_OK)) {
		if (!is_there(
			p->libexec, dir, "../libexec/sandboxd", R_OK | X_OK))
			p->libexec[0] = '\0';
		if (!is_there(p->agents, dir, "../etc/sandboxd/agents.d",
			R_OK | X_OK))
			p->agents[0] = '\0';
		return 0;
	}
	if (str_copy(p->sandboxd, sizeof(p->sandboxd), SBINDIR "/sandboxd") ==
		-1 ||
	    access(p->sandboxd, X_OK) == -1)
		return err_sys(e, "find %s/sandboxd", SBINDIR);
	return 0;
}
