/*
 * State directory, run directory, lock. Runs in the supervisor.
 *
 *	STATE/lock             flock; holds our pid as text
 *	STATE/store/           the database; belongs to the store's uid
 *	STATE/agents/          installed agents, unless agent.installed_dir says
 *	                       otherwise; belongs to the courier's uid
 *	STATE/empty/           root of helpers that need no file
 *	STATE/sandboxes/ID/    files of one sandbox
 *	STATE/trash/           trees that are being removed
 *
 * Sandboxes write below STATE/sandboxes/ID: names and trees there are hostile
 * and only touched through tree_remove().
 */
#include "supervisor/instance.h"

#include "lib/log.h"
#include "lib/rundir.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"
#include "sandbox/remove.h"
#include "supervisor/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* Entries that are removed within the loop; more go to a child. */
#define REMOVE_INLINE 200
/* And so much of a disk image: 256 MiB. */
#define IMAGE_INLINE_BLOCKS (256ll << 20 >> 9)
#define LOCK_WAIT_MS 5000

/* An ordinary user's may lie in /tmp, where anybody may have been before, to
 * pose as us with a socket of his own. Root's are where root has put them. */
static int
check_ours(const char *path, struct err *e)
{
	if (geteuid() == 0 || rundir_ours(path))
		return 0;
	return err_set(e, ERR_SYSTEM,
	    "%s is not used: it is somebody else's, or everybody may write "
	    "there",
	    path);
}

/* mkdir -p for one of our own directories; parents get 0755. */
static int
make_path(const char *path, mode_t mode, struct err *e)
{
	autofree char *copy = xstrdup(path);

	for (char *p = copy + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			return err_sys(e, "make directory %s", copy);
		*p = '/';
	}
	if (mkdir(copy, mode) == -1 && errno != EEXIST)
		return err_sys(e, "make directory %s", copy);
	return 0;
}

static int
make_dir(int dir_fd, const char *name, mode_t mode, uid_t owner, struct err *e)
{
	struct stat st;

	if (mkdirat(dir_fd, name, mode) == -1 && errno != EEXIST)
		return err_sys(e, "make directory %s", name);
	if (owner == 0)
		return 0;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    (st.st_uid != owner && fchownat(dir_fd, name, owner, owner,
				       AT_SYMLINK_NOFOLLOW) == -1))
		return err_sys(
		    e, "give %s to uid %lu", name, (unsigned long)owner);
	return 0;
}

/* Files that a former life made under another uid (another ids_base). */
static int
give_files(int dir_fd, const char *name, uid_t owner, struct err *e)
{
	autofd int fd = openat(
	    dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	static const char *const files[] = { "data.mdb", "lock.mdb" };

	if (fd == -1)
		return err_sys(e, "open %s", name);
	if (owner == 0)
		return 0;
	for (size_t i = 0; i < countof(files); i++) {
		if (fchownat(fd, files[i], owner, owner, AT_SYMLINK_NOFOLLOW) ==
			-1 &&
		    errno != ENOENT)
			return err_sys(e, "give %s/%s to uid %lu", name,
			    files[i], (unsigned long)owner);
	}
	return 0;
}

/* A lock outlives who took it for as long as a child that it forked has not
 * come to its exec. */
static bool
holder_died(const char *text)
{
	int64_t pid;

	return str_to_int(text, 1, INT32_MAX, &pid) == 0 &&
	       kill((pid_t)pid, 0) == -1 && errno == ESRCH;
}

static int
take_lock(struct super *s, struct err *e)
{
	int64_t until;
	char text[32] = "";
	ssize_t n;

	if (s->lock_fd != -1)
		return 0; /* it is ours since before an exec */
	s->lock_fd = openat(s->state_fd, "lock",
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd == -1)
		return err_sys(e, "open %s/lock", s->conf.state_dir);
	until = now_monotonic_ms() + LOCK_WAIT_MS;
	while (flock(s->lock_fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, "lock %s", s->conf.state_dir);
		n = pread(s->lock_fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		if (holder_died(text) && now_monotonic_ms() < until) {
			(void)poll(NULL, 0, 10);
			continue;
		}
		return err_set(e, ERR_SYSTEM,
		    "%s is in use by sandboxd with pid %s", s->conf.state_dir,
		    text[0] != '\0' ? text : "unknown");
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(s->lock_fd, 0) == -1 ||
	    pwrite(s->lock_fd, text, (size_t)n, 0) != n)
		return err_sys(e, "write %s/lock", s->conf.state_dir);
	return 0;
}

/* Several of us may have the same one. */
static int
find_agents(struct super *s, struct err *e)
{
	autofree char *dir = s->conf.installed_dir[0] != '\0'
				 ? xstrdup(s->conf.installed_dir)
				 : xasprintf("%s/agents", s->conf.state_dir);

	if (make_path(dir, 0755, e) == -1)
		return -1;
	s->agents_dir = realpath(dir, NULL);
	return s->agents_dir == NULL ? err_sys(e, "find %s", dir) : 0;
}

/*
 * What sandboxes keep is not near to each other: ext4 then puts each one's
 * directory into a group of blocks of its own. Where it has no journal, it
 * looks for a free inode past all that were freed in its group within the last
 * minutes, and sandboxes that come and go make those thousands: a hundred
 * creates at once took twice as long (570 against 270 ms). Other file systems
 * have no such mark and need none.
 */
static void
spread(int dir_fd)
{
	int flags;

	if (ioctl(dir_fd, FS_IOC_GETFLAGS, &flags) == -1)
		return;
	flags |= FS_TOPDIR_FL;
	(void)ioctl(dir_fd, FS_IOC_SETFLAGS, &flags); /* or as it was */
}

int
instance_open(struct super *s, struct err *e)
{
	if (make_path(s->conf.state_dir, 0700, e) == -1 ||
	    make_path(s->conf.run_dir, 0755, e) == -1 ||
	    check_ours(s->conf.state_dir, e) == -1 ||
	    check_ours(s->conf.run_dir, e) == -1)
		return -1;
	s->state_fd =
	    open(s->conf.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->state_fd == -1)
		return err_sys(e, "open %s", s->conf.state_dir);
	if (take_lock(s, e) == -1 ||
	    make_dir(s->state_fd, "store", 0700, SUPER_STORE_ID(s), e) == -1 ||
	    give_files(s->state_fd, "store", SUPER_STORE_ID(s), e) == -1 ||
	    find_agents(s, e) == -1 ||
	    make_dir(s->state_fd, "empty", 0555, 0, e) == -1 ||
	    make_dir(s->state_fd, "sandboxes", 0700, 0, e) == -1 ||
	    make_dir(s->state_fd, "trash", 0700, 0, e) == -1)
		return -1;
	s->sandboxes_fd = openat(s->state_fd, "sandboxes",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->sandboxes_fd == -1)
		return err_sys(e, "open %s/sandboxes", s->conf.state_dir);
	spread(s->sandboxes_fd);
	return 0;
}

void
instance_close(struct super *s)
{
	fd_close(&s->sandboxes_fd);
	fd_close(&s->state_fd);
	fd_close(&s->lock_fd); /* the lock goes with it */
	free(STEAL(s->agents_dir));
}

void
instance_name(const struct super *s, char name_out[17])
{
	struct stat st;

	if (fstat(s->state_fd, &st) == -1)
		memset(&st, 0, sizeof(st));
	(void)snprintf(name_out, 17, "%llx%llx",
	    (unsigned long long)st.st_dev & 0xffffff,
	    (unsigned long long)st.st_ino & 0xffffffffff);
}

/* Call FN with each name in a directory of ours. */
static void
each_name(int dir_fd, void (*fn)(void *ctx, const char *name), void *ctx)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (d == NULL) {
		fd_close(&fd);
		return;
	}
	while ((de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") != 0 &&
		    strcmp(de->d_name, "..") != 0)
			fn(ctx, de->d_name);
	}
	(void)closedir(d); /* only read */
}

struct sweep {
	struct super *s;
	bool (*known)(struct super *s, const char *id);
	int trash_fd;
};

static void
sweep_one(void *ctx, const char *name)
{
	struct sweep *w = ctx;
	char to[RANDOM_ID_MAX];

	if (w->known(w->s, name))
		return;
	log_info("instance", "leftover", LOG_STR("sandbox", name));
	random_id(to, "t-");
	if (renameat(w->s->sandboxes_fd, name, w->trash_fd, to) == -1)
		log_warn("instance", "leftover stays", LOG_STR("name", name),
		    LOG_STR("error", strerror(errno)));
}

static void
remove_one(void *ctx, const char *name)
{
	const int *trash_fd = ctx;
	int64_t budget = INT64_MAX;
	struct err e;

	if (tree_remove(*trash_fd, name, &budget, &e) == -1)
		log_warn("instance", "trash stays", LOG_STR("name", name),
		    LOG_STR("detail", e.text));
}

/* --- removal in a child -------------------------------------------------- */

struct removal {
	ev_child child;
	void (*done)(void *ctx, const struct err *e);
	void *ctx;
};

/* What the child does, and NAME (may be NULL) must be gone by then. */
struct emptying {
	int trash_fd;
	const char *name;
};

static int
empty_trash(void *ctx)
{
	struct emptying *t = ctx;

	each_name(t->trash_fd, remove_one, &t->trash_fd);
	return t->name != NULL &&
	       faccessat(t->trash_fd, t->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void ATTR_NORETURN
removal_child(const struct super *s, int trash_fd, const char *name)
{
	struct emptying t = { 3, name };
	struct err e;
	int rc = -1;

	/* Nothing of ours may stay open in it: not the lock, not a channel
	 * whose end tells a child that we are gone. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(trash_fd, 3) == -1 || close_range(4, ~0u, 0) == -1)
		_exit(1);
	/* An ordinary user cannot remove what belongs to ids that he has been
	 * lent; who is root over them can. */
	if (s->host.subids.lack == SUBIDS_HAVE) {
		rc = subids_as_root(&s->host.subids, empty_trash, &t, &e);
		if (rc == -1)
			log_warn("instance", "files of lent ids may stay",
			    LOG_STR("detail", e.text));
	}
	_exit(rc == -1 ? empty_trash(&t) : rc);
}

static void
on_removed(struct ev_loop *loop, ev_child *c, int revents ATTR_UNUSED)
{
	struct removal *r = c->data;
	struct err e;

	ev_child_stop(loop, c);
	kin_remove(c->pid);
	if (c->rstatus != 0)
		err_set(&e, ERR_SYSTEM,
		    "some of its files could not be "
		    "removed yet");
	if (r->done != NULL)
		r->done(r->ctx, c->rstatus != 0 ? &e : NULL);
	free(r);
}

/* Empty the trash, with NAME in it, in a child, so that a tree of a million
 * files does not hold up everybody else. */
static int
start_removal(struct super *s, const char *name,
    void (*done)(void *ctx, const struct err *e), void *ctx, struct err *e)
{
	struct removal *r;
	int trash_fd = openat(s->state_fd, "trash",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	pid_t pid;

	if (trash_fd == -1)
		return err_sys(e, "open %s/trash", s->conf.state_dir);
	/* PRIV: before and after, the supervisor's own (root or the caller):
	 * it removes files of every sandbox's ids. No exec: it runs nothing
	 * but tree_remove(), which follows no link. */
	pid = fork();
	if (pid == 0)
		removal_child(s, trash_fd, name);
	fd_close(&trash_fd);
	if (pid == -1)
		return err_sys(e, "fork");
	r = xcalloc(1, sizeof(*r));
	r->done = done;
	r->ctx = ctx;
	kin_add(pid);
	ev_child_init(&r->child, on_removed, pid, 0);
	r->child.data = r;
	ev_child_start(s->loop, &r->child);
	return 0;
}

void
instance_sweep(struct super *s, bool (*known)(struct super *s, const char *id))
{
	struct sweep w = { s, known, -1 };
	struct err e;

	w.trash_fd = openat(s->state_fd, "trash",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (w.trash_fd == -1) {
		log_warn(
		    "instance", "no trash", LOG_STR("error", strerror(errno)));
		return;
	}
	each_name(s->sandboxes_fd, sweep_one, &w);
	fd_close(&w.trash_fd);
	if (start_removal(s, NULL, NULL, NULL, &e) == -1)
		log_warn("instance", "trash stays", LOG_STR("detail", e.text));
}

/* A name of ours in the trash for STATE/sandboxes/ID. */
static int
move_to_trash(
    struct super *s, const char *id, char to[RANDOM_ID_MAX], struct err *e)
{
	autofd int trash_fd = openat(s->state_fd, "trash",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	random_id(to, "t-");
	if (trash_fd == -1 || renameat(s->sandboxes_fd, id, trash_fd, to) == -1)
		return err_sys(
		    e, "remove %s/sandboxes/%s", s->conf.state_dir, id);
	return 0;
}

int
instance_open_dir(struct super *s, const char *id, int *fd_out, struct err *e)
{
	*fd_out = openat(s->sandboxes_fd, id,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd_out == -1)
		return err_sys(
		    e, "open %s/sandboxes/%s", s->conf.state_dir, id);
	return 0;
}

int
instance_make_dir(struct super *s, const char *id, int *fd_out, struct err *e)
{
	/* The record is gone, so is whatever is still there by this name. */
	int64_t budget = INT64_MAX;
	char to[RANDOM_ID_MAX];

	if (mkdirat(s->sandboxes_fd, id, 0700) == -1) {
		if (errno != EEXIST)
			return err_sys(
			    e, "make %s/sandboxes/%s", s->conf.state_dir, id);
		if (tree_remove(s->sandboxes_fd, id, &budget, e) == -1 &&
		    (move_to_trash(s, id, to, e) == -1 ||
			start_removal(s, to, NULL, NULL, e) == -1))
			return -1;
		if (mkdirat(s->sandboxes_fd, id, 0700) == -1)
			return err_sys(
			    e, "make %s/sandboxes/%s", s->conf.state_dir, id);
	}
	if (instance_open_dir(s, id, fd_out, e) == 0)
		return 0;
	/* What cannot be opened is not made; it is empty. */
	(void)unlinkat(s->sandboxes_fd, id, AT_REMOVEDIR);
	return -1;
}

/* One file, but the kernel takes its time to free what it holds. */
static bool
has_large_image(const struct super *s, const char *id)
{
	char path[SANDBOX_ID_MAX + 16];
	struct stat st;

	return str_format(path, sizeof(path), "%s/" DISK_IMAGE, id) == 0 &&
	       fstatat(s->sandboxes_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_blocks > IMAGE_INLINE_BLOCKS;
}

void
instance_remove_dir(struct super *s, const char *id,
    void (*done)(void *ctx, const struct err *e), void *ctx)
{
	int64_t budget = has_large_image(s, id) ? 0 : REMOVE_INLINE;
	char to[RANDOM_ID_MAX];
	struct err e;

	if (tree_remove(s->sandboxes_fd, id, &budget, &e) == 0) {
		done(ctx, NULL);
		return;
	}
	if (move_to_trash(s, id, to, &e) == -1 ||
	    start_removal(s, to, done, ctx, &e) == -1)
		done(ctx, &e);
}
