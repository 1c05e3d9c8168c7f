/*
 * The file server: reads requests of one gateway, answers or hands them on.
 *
 * A child of a sandbox's init, with the rights of the sandbox's user and inside
 * its namespaces. Trusts nobody: paths come from HTTP clients, files from
 * whatever runs in the sandbox. What may take long runs in children of its own
 * (files_job.c), so nothing here waits for a disk longer than one call takes.
 *
 * Must never open what could block (FIFOs, devices), and must never outlive its
 * channel.
 */
#include "init/files.h"
#include "init/become.h"
#include "init/child.h"
#include "init/files_priv.h"
#include "init/gate.h"
#include "init/init.h"
#include "init/shrink.h"
#include "lib/frame.h"
#include "lib/log.h"
#include "lib/proctitle.h"
#include "lib/proto.h"
#include "lib/strutil.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/vfs.h>

/* Of a file that does not tell its size: what /proc has to say. */
#define SIZELESS_BYTES (64u << 20)
#define SIZELESS_S 20.0
#define NEW_FILES_UMASK 022
#define IDLE_S 0.25 /* without a request */

struct jw *
files_reply(struct files *fs, int64_t id)
{
	struct jw *w = chan_reply(fs->ch, id);

	return w;
}

void
files_reply_end(struct files *fs, struct jw *w, const int *fds, size_t nfds)
{
	jw_object_end(w);
	(void)chan_end(fs->ch, fds, nfds); /* a lost channel shows by itself */
}

/*
 * stat and open
 */

static void
entry_reply(struct files *fs, int64_t id, const char *path,
    const struct stat *st, const char *target, int fd, bool sizeless)
{
	struct jw *w = files_reply(fs, id);

	jw_key(w, "entry");
	jw_object(w);
	files_entry(w, path, st);
	files_entry_more(w, st, target);
	jw_kbool(w, "sizeless", sizeless);
	jw_object_end(w);
	files_reply_end(fs, w, &fd, fd == -1 ? 0 : 1);
}

static void
on_stat(struct files *fs, int64_t id, const struct json *msg)
{
	bool follow = json_bool(msg, "follow", true);
	char path[FILES_PATH_MAX], target[PATH_MAX] = "";
	struct stat st;
	struct err e;
	ssize_t n;

	if (files_resolve(fs, json_str(msg, "path", ""), path, &e) == -1) {
		(void)chan_reply_err(fs->ch, id, &e);
		return;
	}
	if ((follow ? stat(path, &st) : lstat(path, &st)) == -1) {
		(void)files_patherr(&e, path);
		(void)chan_reply_err(fs->ch, id, &e);
		return;
	}
	if (!follow && S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
	}
	entry_reply(
	    fs, id, path, &st, target[0] != '\0' ? target : NULL, -1, false);
}

/* Files whose size says nothing, and which may keep a reader waiting. */
static bool
is_pseudo(int fd)
{
	static const long types[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC,
		CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
		TRACEFS_MAGIC, SECURITYFS_MAGIC };
	struct statfs f;
	size_t i;

	if (fstatfs(fd, &f) == -1)
		return false;
	for (i = 0; i < countof(types); i++)
		if ((long)f.f_type == types[i])
			return true;
	return false;
}

/* Job: copy descriptor 0 to the memory file 1. */
static int
sizeless_copy(struct job_child *c, struct err *e)
{
	static char buf[65536];
	size_t all = 0;
	ssize_t n;

	while ((n = read(c->fds[0], buf, sizeof(buf))) > 0) {
		all += (size_t)n;
		if (all > SIZELESS_BYTES)
			return err_set(e, ERR_LIMIT,
			    "the file goes on for more than %u MiB",
			    SIZELESS_BYTES >> 20);
		if (fd_write_all(c->fds[1], buf, (size_t)n) == -1)
			return files_oserr(e);
	}
	if (n == -1 && errno != EAGAIN)
		return files_oserr(e);
	/* Nobody may change it under its reader's eyes. */
	for (int i = 0; fd_seal(c->fds[1]) == -1; i++)
		if (errno != EBUSY || i == FD_SEAL_TRIES - 1)
			return files_oserr(e);
	return 0;
}

static int
open_sizeless(struct files *fs, int64_t id, const char *path, int fd,
    const struct stat *st, struct err *e)
{
	struct job_spec s = {
		.id = id,
		.limit_s = SIZELESS_S,
		.fn = sizeless_copy,
		.fds = { fd, -1 },
		.nfds = 2,
	};
	struct buf b;
	struct jw w;
	int r;

	s.reply_fd = memfd_create("file", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s.reply_fd == -1)
		return files_oserr(e);
	s.fds[1] = s.reply_fd;
	buf_init(&b, FRAME_MAX);
	jw_init(&w, &b);
	jw_object(&w);
	files_entry(&w, path, st);
	files_entry_more(&w, st, NULL);
	jw_kbool(&w, "sizeless", true);
	jw_object_end(&w);
	if (b.failed) {
		fd_close(&s.reply_fd);
		r = err_set(e, ERR_TOO_LARGE, "path: too long");
	} else {
		char *reply = xasprintf("{\"entry\":%s}", b.data);

		s.reply = reply;
		r = files_job(fs, &s, e);
		free(reply);
	}
	buf_free(&b);
	return r;
}

/* Only regular files are opened: to open others can wait, or wake somebody. */
static int
file_open(const char *path, struct stat *st_out, int *fd_out, struct err *e)
{
	autofd int fd = -1;

	if (stat(path, st_out) == -1)
		return files_patherr(e, path);
	if (S_ISREG(st_out->st_mode)) {
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd == -1 || fstat(fd, st_out) == -1)
			return files_patherr(e, path);
	}
	if (!S_ISREG(st_out->st_mode))
		return err_set(
		    e, ERR_BAD_REQUEST, "path is not a file: %s", path);
	*fd_out = fd_steal(&fd);
	return 0;
}

static void
on_open(struct files *fs, int64_t id, const struct json *msg)
{
	char path[FILES_PATH_MAX];
	autofd int fd = -1;
	struct stat st;
	struct err e;

	if (files_resolve(fs, json_str(msg, "path", ""), path, &e) == 0 &&
	    file_open(path, &st, &fd, &e) == 0) {
		if (!is_pseudo(fd)) {
			/* Advice is the open file's, so it goes along. */
			(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
			entry_reply(
			    fs, id, path, &st, NULL, fd_steal(&fd), false);
			return;
		}
		if (open_sizeless(fs, id, path, fd, &st, &e) == 0)
			return;
	}
	(void)chan_reply_err(fs->ch, id, &e);
}

/*
 * mkdir and chmod
 */

static void
on_mkdir(struct files *fs, int64_t id, const struct json *msg)
{
	char path[FILES_PATH_MAX];
	struct err e;
	struct jw *w;

	if (files_resolve(fs, json_str(msg, "path", ""), path, &e) == -1 ||
	    files_mkdirs(path, &e) == -1) {
		(void)chan_reply_err(fs->ch, id, &e);
		return;
	}
	w = files_reply(fs, id);
	jw_kstr(w, "path", path);
	files_reply_end(fs, w, NULL, 0);
}

/* Names are looked up in the sandbox's own files. */
static int
owner_find(const char *owner, const char *group, struct user *u, struct err *e)
{
	autofd int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char spec[300];
	struct user g;

	u->uid = (uid_t)-1;
	u->gid = (gid_t)-1;
	if (root_fd == -1)
		return files_oserr(e);
	if (owner != NULL && user_find(root_fd, owner, u, e) == -1)
		return -1;
	u->gid = (gid_t)-1;
	if (group == NULL)
		return 0;
	if (str_format(spec, sizeof(spec), "0:%s", group) == -1)
		return err_set(e, ERR_USER_NOT_FOUND, "group: too long");
	if (user_find(root_fd, spec, &g, e) == -1)
		return -1;
	u->gid = g.gid;
	return 0;
}

static int
do_chmod(const char *path, const struct json *msg, struct stat *st_out,
    struct err *e)
{
	const char *owner = json_str(msg, "owner", NULL);
	const char *group = json_str(msg, "group", NULL);
	int64_t mode = json_int(msg, "mode", -1);
	struct user u;

	if (owner_find(owner, group, &u, e) == -1)
		return -1;
	/* The owner first: to change it takes away bits of the mode. */
	if ((owner != NULL || group != NULL) && chown(path, u.uid, u.gid) == -1)
		return files_patherr(e, path);
	if (mode >= 0 && chmod(path, (mode_t)mode) == -1)
		return files_patherr(e, path);
	if (stat(path, st_out) == -1)
		return files_patherr(e, path);
	return 0;
}

static void
on_chmod(struct files *fs, int64_t id, const struct json *msg)
{
	char path[FILES_PATH_MAX];
	struct stat st;
	struct err e;

	if (files_resolve(fs, json_str(msg, "path", ""), path, &e) == -1 ||
	    do_chmod(path, msg, &st, &e) == -1) {
		(void)chan_reply_err(fs->ch, id, &e);
		return;
	}
	entry_reply(fs, id, path, &st, NULL, -1, false);
}

/*
 * Requests
 */

static void
dispatch(struct files *fs, const struct proto_in *m, const struct chan_frame *f)
{
	struct err e;

	switch (m->type) {
	case MSG_FS_STAT:
		on_stat(fs, m->id, m->body);
		break;
	case MSG_FS_LIST:
		files_list(fs, m->id, m->body, f);
		break;
	case MSG_FS_OPEN:
		on_open(fs, m->id, m->body);
		break;
	case MSG_FS_CREATE:
		files_create(fs, m->id, m->body);
		break;
	case MSG_FS_COMMIT:
		files_commit(fs, m->id, m->body);
		break;
	case MSG_FS_ABORT:
		files_abort(fs, m->body);
		break;
	case MSG_FS_DELETE:
		files_delete(fs, m->id, m->body);
		break;
	case MSG_FS_MKDIR:
		on_mkdir(fs, m->id, m->body);
		break;
	case MSG_FS_MOVE:
		files_move(fs, m->id, m->body);
		break;
	case MSG_FS_UNPACK:
		files_unpack(fs, m->id, m->body, f);
		break;
	case MSG_FS_CHMOD:
		on_chmod(fs, m->id, m->body);
		break;
	case MSG_FS_SEARCH:
		files_search(fs, m->id, m->body, f);
		break;
	case MSG_FS_WATCH:
		files_watch(fs, m->id, m->body, f);
		break;
	default:
		(void)err_set(&e, ERR_BAD_REQUEST, "not a file server's");
		if (m->id > 0)
			(void)chan_reply_err(fs->ch, m->id, &e);
		break;
	}
}

static void
files_exit(struct files *fs)
{
	uploads_close(fs);
	_exit(EXIT_OK);
}

static void
on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	ev_timer_stop(loop, w);
	init_shrink();
}

static void
on_chan(struct chan *ch, enum chan_what what, const struct chan_frame *f,
    const char *why, void *ctx)
{
	struct files *fs = ctx;
	struct proto_in m;

	(void)ch;
	(void)why;
	if (what == CHAN_CLOSED ||
	    proto_check(ROLE_GATEWAY, PS_RUNNING, ROLE_INIT, f->msg, f->len,
		f->nfds, &m, NULL) == -1 ||
	    m.kind != PROTO_MESSAGE)
		files_exit(fs);
	ev_timer_again(fs->loop, &fs->idle);
	if (fs->broken.code == ERR_NONE)
		dispatch(fs, &m, f);
	else if (m.id > 0)
		(void)chan_reply_err(fs->ch, m.id, &fs->broken);
}

/*
 * Start
 */

static void
no_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	(void)ctx;
	(void)level;
	(void)line;
	(void)len;
}

static const char *
env_home(char **env)
{
	for (; env != NULL && *env != NULL; env++)
		if (str_starts(*env, "HOME=/"))
			return *env + 5;
	return NULL;
}

static void
home_choose(struct files *fs, const struct gate_defaults *d, const char *passwd)
{
	const char *home = d->home != NULL ? d->home : env_home(d->env);
	struct stat st;

	if (home == NULL && passwd[0] == '/')
		home = passwd;
	if (home == NULL || home[0] != '/')
		home = getuid() == 0 && stat("/root", &st) == 0 ? "/root" : "/";
	if (str_copy(fs->home, sizeof(fs->home), home) == -1)
		(void)!str_copy(fs->home, sizeof(fs->home), "/");
}

static int
become(struct files *fs, const struct gate_defaults *d, struct err *e)
{
	autofd int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *spec = d->user != NULL ? d->user : "0";
	static struct user u;

	if (root_fd == -1)
		return err_sys(e, "/");
	/* PRIV: a copy of init with all its rights, which reads the sandbox's
	 * passwd and group files; then U for good. */
	if (user_find(root_fd, spec, &u, e) == -1 || become_user(&u, e) == -1)
		return -1;
	home_choose(fs, d, u.home);
	return 0;
}

static int
stay_closed(struct err *e)
{
	/* PRIV: the sandbox's user. Processes of that user may neither trace us
	 * nor open what /proc shows of our descriptors. Said after the change
	 * of user, which sets both anew. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		return err_sys(e, "file server");
	return 0;
}

void
files_main(int chan_fd, const struct gate_defaults *d)
{
	static struct files fs;
	int keep[3], rest[1] = { chan_fd };
	struct err e;

	init_signals_default();
	chan_forked();
	(void)signal(SIGPIPE, SIG_IGN);
	log_sink(no_log, NULL);
	(void)setsid();
	fs.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	keep[0] = keep[1] = keep[2] = fs.null_fd;
	if (fs.null_fd == -1 || child_keep_fds(keep, 3, rest, 1) == -1)
		_exit(EXIT_SYS);
	fs.null_fd = keep[0];
	/* Never longer than what init's own title has room for. */
	proctitle_set("sandboxd-files", "sandboxd-files");
	(void)umask(NEW_FILES_UMASK);
	if (become(&fs, d, &e) == -1 || stay_closed(&e) == -1)
		fs.broken = e;
	(void)!chdir("/"); /* nothing is looked up from here */
	fs.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (fs.loop == NULL || jobs_open(&fs, &e) == -1 ||
	    uploads_open(&fs, &e) == -1)
		_exit(EXIT_SYS);
	ev_init(&fs.idle, on_idle);
	fs.idle.repeat = IDLE_S;
	fs.ch = chan_new(fs.loop, rest[0], "gateway", on_chan, &fs);
	for (;;)
		(void)ev_run(fs.loop, 0);
}
