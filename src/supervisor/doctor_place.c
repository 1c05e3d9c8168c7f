/*
 * What doctor looks at in directories, programs, disks and ports. Runs in the
 * supervisor or in sandboxd --doctor. Nothing is changed but a lock that is
 * taken and dropped on a file of its own, which has no name. The database is
 * looked at by the store's program, under its rights.
 */
#ifdef HAVE_CONFIG_H
#	include "config.h"
#endif

#include "supervisor/doctor.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "sandbox/disk.h"
#include "supervisor/address.h"
#include "supervisor/listen.h"
#include "supervisor/peer.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define FREE_WANTED (1ll << 30)
#define FREE_FILES_WANTED 10000
/* Not all of them are in linux/magic.h. */
#define MAGIC_CIFS 0xff534d42
#define MAGIC_SMB2 0xfe534d42
#define MAGIC_FUSE 0x65735546

/* --- the state directory ------------------------------------------------- */

/* The nearest directory above PATH, or itself, that exists. */
static int
open_near(const char *path)
{
	autofree char *copy = xstrdup(path);

	for (;;) {
		int fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		char *slash = strrchr(copy, '/');

		if (fd != -1 || errno != ENOENT || slash == NULL)
			return fd;
		if (slash == copy)
			slash[1] = '\0';
		else
			*slash = '\0';
	}
}

static bool
is_remote(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) == -1)
		return false;
	switch ((unsigned long)st.f_type) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case V9FS_MAGIC:
	case MAGIC_CIFS:
	case MAGIC_SMB2:
	case MAGIC_FUSE:
		return true;
	default:
		return false;
	}
}

/* The database's locks are of this kind, and its readers map a file. */
static const char *
lock_fails(int dir_fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	autofd int fd =
	    openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd == -1) /* a file system without nameless files may lock */
		return errno == EOPNOTSUPP ? NULL : strerror(errno);
	return fcntl(fd, F_SETLK, &lock) == -1 ? strerror(errno) : NULL;
}

static void
check_space(struct doctor *d, int fd)
{
	struct statvfs v;
	long long space;

	if (fstatvfs(fd, &v) == -1)
		return;
	space = (long long)v.f_bavail * (long long)v.f_frsize;
	doctor_say(d, "disk space",
	    space >= FREE_WANTED ? DOCTOR_OK : DOCTOR_NOTE,
	    "sandboxctl ls, then sandboxctl rm what is not needed; or set "
	    "state_dir to a larger disk",
	    "%lld MiB are free", space >> 20);
	if (v.f_files > 0)
		doctor_say(d, "disk files",
		    v.f_favail >= FREE_FILES_WANTED ? DOCTOR_OK : DOCTOR_NOTE,
		    "set state_dir to a file system with more inodes",
		    "%llu more can be made", (unsigned long long)v.f_favail);
}

static void
check_state(struct doctor *d)
{
	const char *path = d->s->conf.state_dir;
	autofd int fd = open_near(path);
	const char *why;

	if (fd == -1 || faccessat(fd, ".", W_OK, AT_EACCESS) == -1) {
		doctor_say(d, "state directory", DOCTOR_MISSING,
		    d->s->root ? "mount -o remount,rw the file system"
			       : "sandboxd --state-dir ~/.local/state/sandboxd",
		    "%s: %s", path, strerror(errno));
		return;
	}
	doctor_say(d, "state directory", DOCTOR_OK, NULL, "%s", path);
	check_space(d, fd);
	why = lock_fails(fd);
	if (why != NULL || is_remote(fd))
		doctor_say(d, "database locks", DOCTOR_MISSING,
		    "set state_dir in the section [daemon] of sandboxd.conf "
		    "to a directory on a local disk",
		    "%s",
		    why != NULL ? why
				: "a file system of the network does not share "
				  "memory with the kernel's locks");
	else
		doctor_say(d, "database locks", DOCTOR_OK, NULL,
		    "a local file system");
}

/* What the store's program says of the database below DIR_FD: its schema and
 * the newest that is known. -1: nothing. */
static int
schema_ask(struct super *s, int dir_fd, int64_t *has_out, int64_t *known_out)
{
	static char program[] = "sandboxd-store", look[] = "--look",
		    uid_flag[] = "--uid", gid_flag[] = "--gid";
	autofd int fd = memfd_create("schema", MFD_CLOEXEC);
	char id[16], text[64] = "", *space;
	char *argv[] = { program, look, s->root ? uid_flag : NULL, id, gid_flag,
		id, NULL };
	struct err e;
	pid_t pid;

	(void)snprintf(id, sizeof(id), "%lu", (unsigned long)SUPER_STORE_ID(s));
	if (fd == -1 || spawn_once(s, &pid, fd, dir_fd, argv, &e) == -1)
		return -1;
	while (waitpid(pid, NULL, 0) == -1) {
		if (errno != EINTR)
			return -1;
	}
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	space = strchr(text, ' ');
	if (space == NULL)
		return -1;
	*space = '\0';
	return str_to_int(text, 1, INT64_MAX, has_out) == -1 ||
		       str_to_int(space + 1, 1, INT64_MAX, known_out) == -1
		   ? -1
		   : 0;
}

/* Of one that serves the database is good. */
static void
check_database(struct doctor *d)
{
	autofree char *path = xasprintf("%s/store", d->s->conf.state_dir);
	int64_t has = 0, known = 0;
	autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (d->running || (fd == -1 && errno != ENOENT) ||
	    (fd != -1 && faccessat(fd, "data.mdb", R_OK, AT_EACCESS) == -1 &&
		errno != ENOENT))
		return; /* nor is it ours to look at */
	if (fd == -1 || faccessat(fd, "data.mdb", F_OK, 0) == -1)
		doctor_say(d, "database", DOCTOR_OK, NULL, "none yet");
	else if (schema_ask(d->s, fd, &has, &known) == -1)
		doctor_say(d, "database", DOCTOR_MISSING,
		    "sandboxd --restore FILE --force (a backup); the damaged "
		    "one is kept aside",
		    "%s/data.mdb cannot be read", path);
	else if (has > known)
		doctor_say(d, "database", DOCTOR_MISSING,
		    "install the sandboxd that has used it, or a later one; or "
		    "sandboxd --restore FILE --force (a backup of before)",
		    "it has schema %lld, and this sandboxd (" PACKAGE_VERSION
		    ") knows %lld at most: a newer one has used it",
		    (long long)has, (long long)known);
	else
		doctor_say(d, "database", DOCTOR_OK, NULL,
		    has == known ? "schema %lld"
				 : "schema %lld; the next start brings it up "
				   "to date",
		    (long long)has);
}

static void
check_disk_limits(struct doctor *d)
{
	autofd int fd = open_near(d->s->conf.state_dir);
	char why[160] = "";
	enum disk_by by = fd == -1
			      ? DISK_BY_NONE
			      : disk_probe(fd, d->s->root, why, sizeof(why));

	if (by == DISK_BY_NONE)
		doctor_say(d, "disk limits", DOCTOR_MISSING,
		    d->s->root ? "apt-get install e2fsprogs && modprobe loop"
			       : "sudo systemctl start sandboxd (limits of "
				 "disk need root)",
		    "%s", why);
	else
		doctor_say(d, "disk limits", DOCTOR_OK, NULL, "by %s",
		    disk_by_name(by));
	if (access("/dev/loop-control", R_OK | W_OK) == 0)
		doctor_say(d, "loop devices", DOCTOR_OK, NULL, "there");
	else
		doctor_say(d, "loop devices", DOCTOR_NOTE,
		    d->s->root ? "modprobe loop"
			       : "sudo systemctl start sandboxd (they are "
				 "root's)",
		    "/dev/loop-control: %s", strerror(errno));
}

/* --- programs and the run directory -------------------------------------- */

static void
check_programs(struct doctor *d)
{
	static const char *const programs[] = { "store", "relay", "gateway",
		"courier", "init", "session" };
	char path[4200];

	for (size_t i = 0; i < countof(programs); i++) {
		if (str_format(path, sizeof(path), "%s/sandboxd-%s",
			d->s->conf.libexec_dir, programs[i]) == 0 &&
		    access(path, X_OK) == 0)
			continue;
		doctor_say(d, "helper programs", DOCTOR_MISSING,
		    "make install; or sandboxd --libexec-dir where they are",
		    "%s: %s", path, strerror(errno));
		return;
	}
	doctor_say(d, "helper programs", DOCTOR_OK, NULL, "%s",
	    d->s->conf.libexec_dir);
}

static void
check_run(struct doctor *d)
{
	const char *path = d->s->conf.run_dir;
	autofd int fd = open_near(path);

	if (fd != -1 && faccessat(fd, ".", W_OK, AT_EACCESS) == 0)
		doctor_say(d, "run directory", DOCTOR_OK, NULL, "%s", path);
	else
		doctor_say(d, "run directory", DOCTOR_MISSING,
		    d->s->root
			? "mount -t tmpfs -o mode=755 tmpfs /run"
			: "loginctl enable-linger (makes XDG_RUNTIME_DIR)",
		    "%s: %s", path, strerror(errno));
}

/* Does what [control] allows come to anything? */
static void
check_access(struct doctor *d)
{
	const struct conf *c = &d->s->conf;
	char at[128]; /* run_dir is shorter */

	if (c->allow_users[0] == '\0' && c->allow_group[0] == '\0')
		return;
	if (!peer_barred(c, at, sizeof(at)))
		doctor_say(d, "control socket", DOCTOR_OK, NULL,
		    "those who are allowed can get there");
	else
		doctor_say(d, "control socket", DOCTOR_MISSING,
		    "set run_dir in the section [daemon] of sandboxd.conf to a "
		    "directory that they can get to",
		    "allow_users and allow_group are of no use: %.200s lets "
		    "nobody else through",
		    at);
}

/* --- ports --------------------------------------------------------------- */

/* One word of gateway.listen that is a TCP address. */
static bool
tcp_address(const char *word, struct address *a)
{
	const char *colon = strrchr(word, ':');
	char host[64];
	int64_t port;
	size_t n;

	if (colon == NULL || str_starts(word, "unix:") ||
	    str_to_int(colon + 1, 1, 65535, &port) == -1)
		return false;
	n = (size_t)(colon - word);
	if (n == 0 || n >= sizeof(host))
		return false;
	memcpy(host, word, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		return address_set(a, host + 1, (uint16_t)port) == 0;
	}
	return address_set(a,
		   strcmp(host, "localhost") == 0 ? "127.0.0.1"
		   : strcmp(host, "*") == 0	  ? "0.0.0.0"
						  : host,
		   (uint16_t)port) == 0;
}

static void
check_port(struct doctor *d, const char *word)
{
	static const int on = 1;
	struct address a;
	char mend[160];

	if (!tcp_address(word, &a))
		return;
	autofd int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* As the daemon would; what is in use then is in use. */
	if (fd != -1)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd != -1 && bind(fd, &a.sa, a.len) == 0) {
		doctor_say(d, "port", DOCTOR_OK, NULL, "%.60s is free", word);
		return;
	}
	(void)snprintf(mend, sizeof(mend),
	    "ss -ltnp 'sport = %s' (tells who has it); or sandboxd --listen "
	    "another",
	    strrchr(word, ':'));
	doctor_say(d, "port", DOCTOR_MISSING, mend, "%.60s: %s", word,
	    strerror(errno));
}

/* This machine's own address is one of all its users. */
static void
served_port(struct doctor *d, const char *name)
{
	const struct super *s = d->s;
	bool open =
	    !s->http.auth && !s->http.no_token && !str_starts(name, "unix:");

	doctor_say(d, "port", open ? DOCTOR_NOTE : DOCTOR_OK,
	    "sandboxd --token-file FILE, or --listen unix:PATH, or where there "
	    "is nobody else --no-token",
	    "served: %.100s%s", name,
	    open ? " without a token: every user of this machine may use it"
		 : "");
}

static void
check_ports(struct doctor *d)
{
	struct super *s = d->s;
	autofree char *copy = NULL;
	char *rest, *word;

	if (d->running) {
		for (size_t i = 0; i < s->listeners->n; i++)
			served_port(d, s->listeners->v[i].name);
		return;
	}
	if (s->http.off)
		return;
	for (size_t i = 0; i < s->http.listen.n; i++)
		check_port(d, s->http.listen.v[i]);
	if (s->http.listen.n > 0)
		return;
	copy = xstrdup(s->conf.listen);
	rest = copy;
	while ((word = strtok_r(rest, " \t", &rest)) != NULL)
		check_port(d, word);
}

void
doctor_place(struct doctor *d)
{
	check_state(d);
	check_database(d);
	check_disk_limits(d);
	check_programs(d);
	check_run(d);
	check_access(d);
	check_ports(d);
}
