/*
 * The log's file; see logfile.h. Runs in the supervisor, as the sink of
 * lib/log, so nothing in here may log but where it says so. It trusts the
 * configuration for the path, and nobody for what lies there: no link is
 * followed, and the directory is one that only root and we can change.
 *
 * FILE is written to, FILE.1 is what came before, up to FILE.(n-1). Whoever
 * else renames FILE away (logrotate) sends SIGHUP afterwards.
 */
#include "supervisor/logfile.h"

#include "lib/log.h"
#include "lib/xalloc.h"
#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MODE 0640
#define RETRY_S 2.0
#define DEPTH_MAX 64	/* of the directory */
#define PRUNE_MAX 10000 /* more than there can ever have been */

struct logfile {
	char *dir, *name; /* owned; NULL: there is no file */
	int64_t max_bytes;
	int64_t files;
	int dir_fd;
	int fd; /* -1: lines go to standard error */
	int64_t size;
	long long missed; /* lines since it failed */
	bool told;	  /* that it has failed */
	bool trying;	  /* after a failure: this line is lost if it fails */
	bool settled;
	struct ev_loop *loop; /* NULL: none yet */
	ev_timer retry;
};

/* --- the directory -------------------------------------------------------- */

/* Could others than root and we put something else in this place? In one with
 * the sticky bit they cannot rename what is not theirs. */
static bool
others_may(const struct stat *st, bool last)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return true;
	if ((st->st_mode & S_IWOTH) != 0)
		return last || (st->st_mode & S_ISVTX) == 0;
	return last && (st->st_mode & S_IWGRP) != 0 && st->st_gid != 0 &&
	       st->st_gid != getegid();
}

/* DIR_FD and all that is above it. */
static int
dir_check(const struct logfile *lf, int dir_fd, struct err *e)
{
	autofd int at = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
	struct stat st, above;

	if (at == -1 || fstat(at, &st) == -1)
		return err_sys(e, "look at %s", lf->dir);
	for (int i = 0; i < DEPTH_MAX; i++) {
		int up;

		if (others_may(&st, i == 0))
			return err_set(e, ERR_DENIED,
			    "%s: others could change what lies there", lf->dir);
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up == -1 || fstat(up, &above) == -1) {
			fd_close(&up);
			return err_sys(e, "look above %s", lf->dir);
		}
		(void)close(at);
		at = up;
		if (above.st_dev == st.st_dev && above.st_ino == st.st_ino)
			return 0; /* the root */
		st = above;
	}
	return err_set(e, ERR_BAD_REQUEST, "%s: too deep", lf->dir);
}

/* --- files ---------------------------------------------------------------- */

/* FILE, FILE.1, … */
static const char *
numbered(const struct logfile *lf, int64_t i, char name_out[NAME_MAX + 8])
{
	if (i == 0)
		(void)snprintf(name_out, NAME_MAX + 8, "%s", lf->name);
	else
		(void)snprintf(
		    name_out, NAME_MAX + 8, "%s.%lld", lf->name, (long long)i);
	return name_out;
}

static int
file_open(struct logfile *lf, struct err *e)
{
	struct stat st;
	autofd int fd = openat(lf->dir_fd, lf->name,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
		O_NONBLOCK | O_NOCTTY,
	    MODE);

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "open %s/%s", lf->dir, lf->name);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid())
		return err_set(e, ERR_DENIED, "%s/%s: not a file of ours",
		    lf->dir, lf->name);
	/* Two of us would rotate it under each other. */
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		return err_sys(e, "lock %s/%s", lf->dir, lf->name);
	lf->size = st.st_size;
	lf->fd = fd_steal(&fd);
	return 0;
}

/* Of a time when more were kept. */
static void
prune(struct logfile *lf)
{
	char name[NAME_MAX + 8];

	for (int64_t i = lf->files; i < PRUNE_MAX; i++) {
		if (unlinkat(lf->dir_fd, numbered(lf, i, name), 0) == -1)
			break;
	}
}

static int
all_open(struct logfile *lf, struct err *e)
{
	lf->dir_fd = mounts_open_source(lf->dir, O_DIRECTORY);
	if (lf->dir_fd == -1)
		return err_sys(e, "open %s", lf->dir);
	if (dir_check(lf, lf->dir_fd, e) == -1 || file_open(lf, e) == -1)
		return -1;
	prune(lf);
	return 0;
}

static void
all_close(struct logfile *lf)
{
	fd_close(&lf->fd);
	fd_close(&lf->dir_fd);
}

/* The oldest goes, by the rename of the one before it. */
static int
rotate(struct logfile *lf, struct err *e)
{
	char from[NAME_MAX + 8], to[NAME_MAX + 8];

	for (int64_t i = lf->files - 1; i > 0; i--) {
		if (renameat(lf->dir_fd, numbered(lf, i - 1, from), lf->dir_fd,
			numbered(lf, i, to)) == -1 &&
		    errno != ENOENT)
			return err_sys(e, "rename %s/%s", lf->dir, from);
	}
	fd_close(&lf->fd);
	return file_open(lf, e);
}

/* --- lines ---------------------------------------------------------------- */

/* A line is there as a whole or not at all. */
static int
append(struct logfile *lf, const char *line, size_t len, struct err *e)
{
	char whole[LOG_LINE_MAX + 1];
	struct stat st;
	ssize_t put;

	len = MIN(len, LOG_LINE_MAX);
	memcpy(whole, line, len);
	whole[len++] = '\n';
	if (lf->size > 0 && lf->size + (int64_t)len > lf->max_bytes &&
	    rotate(lf, e) == -1)
		return -1;
	do {
		put = write(lf->fd, whole, len);
	} while (put == -1 && errno == EINTR);
	if (put == (ssize_t)len) {
		lf->size += put;
		return 0;
	}
	if (put != -1)
		errno = ENOSPC;
	(void)err_sys(e, "write %s/%s", lf->dir, lf->name);
	/* Where that fails half a line stays. */
	if (put > 0 && fstat(lf->fd, &st) == 0 && st.st_size >= put)
		(void)!ftruncate(lf->fd, st.st_size - put);
	return -1;
}

static void sink(void *ctx, enum log_level level, const char *line, size_t len);

/* Standard error is where it is told that lines go there. */
static void
failed(struct logfile *lf, const struct err *e)
{
	all_close(lf);
	if (!lf->told) {
		lf->told = true;
		lf->missed = 0;
		log_sink(NULL, NULL);
		log_error("log",
		    "the log's file takes nothing: lines go to "
		    "standard error",
		    LOG_STR("detail", e->text));
		log_sink(sink, lf);
	}
	if (lf->loop != NULL && !ev_is_active(&lf->retry))
		ev_timer_again(lf->loop, &lf->retry);
}

static void
sink(void *ctx, enum log_level level ATTR_UNUSED, const char *line, size_t len)
{
	struct logfile *lf = ctx;
	struct err e;
	bool open = lf->fd != -1;

	if (open && append(lf, line, len, &e) == 0) {
		lf->told = false;
		if (!lf->settled)
			(void)log_stderr(line, len); /* the file has it */
		return;
	}
	if (open)
		failed(lf, &e);
	if (lf->trying)
		return;
	lf->missed++;
	if (!log_stderr(line, len))
		log_count_lost();
}

/* --- opening -------------------------------------------------------------- */

static void
begin(struct logfile *lf)
{
	struct err e;

	if (lf->name != NULL && all_open(lf, &e) == -1)
		failed(lf, &e);
}

/* Good only when it takes the line that says so: of a full disk the file can
 * be opened. */
static void
on_retry(struct ev_loop *loop, ev_timer *t, int revents ATTR_UNUSED)
{
	struct logfile *lf = t->data;

	begin(lf);
	if (lf->fd == -1)
		return;
	lf->trying = true;
	log_warn("log", "the log's file is written again",
	    LOG_INT("lines_elsewhere", lf->missed));
	lf->trying = false;
	if (lf->fd != -1)
		ev_timer_stop(loop, t);
}

static void
take_settings(struct logfile *lf, const struct conf *c)
{
	const char *slash = strrchr(c->log_file, '/');
	struct rlimit rl;

	free(STEAL(lf->dir));
	free(STEAL(lf->name));
	if (slash != NULL) { /* conf_set() wants an absolute path */
		lf->dir =
		    slash == c->log_file
			? xstrdup("/")
			: xstrndup(c->log_file, (size_t)(slash - c->log_file));
		lf->name = xstrdup(slash + 1);
	}
	lf->max_bytes = c->log_max_bytes;
	lf->files = c->log_files;
	/* Beyond that limit a write would be answered by SIGXFSZ. */
	if (getrlimit(RLIMIT_FSIZE, &rl) == 0 &&
	    rl.rlim_cur < (rlim_t)lf->max_bytes)
		lf->max_bytes = (int64_t)rl.rlim_cur;
	log_sink(lf->name != NULL ? sink : NULL, lf);
}

struct logfile *
logfile_new(const struct conf *c)
{
	struct logfile *lf = xcalloc(1, sizeof(*lf));

	lf->fd = lf->dir_fd = -1;
	ev_timer_init(&lf->retry, on_retry, 0., RETRY_S);
	lf->retry.data = lf;
	take_settings(lf, c);
	begin(lf);
	return lf;
}

void
logfile_watch(struct logfile *lf, struct ev_loop *loop)
{
	lf->loop = loop;
	if (lf->name != NULL && lf->fd == -1)
		ev_timer_again(loop, &lf->retry);
}

void
logfile_settle(struct logfile *lf)
{
	lf->settled = true;
}

void
logfile_reopen(struct logfile *lf, const struct conf *c)
{
	ev_timer_stop(lf->loop, &lf->retry);
	all_close(lf);
	take_settings(lf, c);
	begin(lf);
}

void
logfile_free(struct logfile *lf)
{
	if (lf == NULL)
		return;
	log_sink(NULL, NULL);
	if (lf->loop != NULL)
		ev_timer_stop(lf->loop, &lf->retry);
	all_close(lf);
	free(lf->dir);
	free(lf->name);
	free(lf);
}
