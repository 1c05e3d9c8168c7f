/*
 * Backup; see backup.h. Runs in the store, and in a child of it that is forked
 * for each: it has the store's few rights, opens the database anew for reading
 * (LMDB's environment is its process's), keeps nothing of the store's but the
 * descriptor it writes to, and dies with the store. A thread would not do: the
 * map is made larger only while nobody in the process reads.
 *
 * The pages of the moment when it began stay until it is done: the database's
 * file grows by what is written meanwhile.
 */
#include "store/backup.h"

#include "lib/dbguard.h"
#include "lib/fdio.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "lib/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* In the child. */
#define COPY_FD 3
#define TELL_FD 4

struct backup {
	struct store *st;
	int64_t id; /* the supervisor's request */
	pid_t pid;
	int tell_fd; /* owned: the child says how it went */
	ev_io io;
};

/* What the child says at its end. */
struct outcome {
	int rc; /* LMDB's, or errno */
	int64_t bytes;
};

static int
copy(const struct db_options *opt, int fd)
{
	autofd int guard_fd = dbguard_share(opt->path);
	MDB_env *env;
	int rc = guard_fd == -1 ? errno : mdb_env_create(&env);

	if (rc != 0)
		return rc;
	rc = mdb_env_set_maxdbs(env, DB_N);
	if (rc == 0)
		rc = mdb_env_open(env, opt->path, MDB_RDONLY | MDB_NOTLS, 0600);
	if (rc == 0)
		rc = mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
	if (rc == 0 && fsync(fd) == -1)
		rc = errno;
	mdb_env_close(env);
	return rc;
}

static void child(const struct db_options *opt, int fd, int tell_fd,
    pid_t parent) ATTR_NORETURN;

static void
child(const struct db_options *opt, int fd, int tell_fd, pid_t parent)
{
	struct outcome out = { 0 };
	struct stat st;
	int rc;

	/* Above those that they become, so that none is overwritten. */
	fd = fcntl(fd, F_DUPFD, 16);
	tell_fd = fcntl(tell_fd, F_DUPFD, 16);
	if (fd == -1 || tell_fd == -1 || dup2(fd, COPY_FD) == -1 ||
	    dup2(tell_fd, TELL_FD) == -1 ||
	    syscall(SYS_close_range, TELL_FD + 1, ~0u, 0) == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent)
		_exit(EXIT_SYS);
	out.rc = copy(opt, COPY_FD);
	if (out.rc == 0 && fstat(COPY_FD, &st) == 0)
		out.bytes = st.st_size;
	rc = fd_write_all(TELL_FD, (const char *)&out, sizeof(out)) == -1;
	_exit(rc == 0 ? EXIT_OK : EXIT_SYS);
}

static void
answer(struct backup *b, const struct outcome *out)
{
	struct store *st = b->st;
	struct err e;
	struct jw *w;

	if (st->super == NULL)
		return;
	if (out == NULL) {
		(void)err_set(&e, ERR_INTERNAL, "the backup was interrupted");
		(void)chan_reply_err(st->super, b->id, &e);
	} else if (out->rc != 0) {
		(void)db_err(&e, out->rc, "backup");
		(void)chan_reply_err(st->super, b->id, &e);
	} else {
		w = chan_reply(st->super, b->id);
		jw_kint(w, "bytes", out->bytes);
		jw_object_end(w);
		(void)chan_end(st->super, NULL, 0); /* lost with the parent */
	}
}

static void
backup_end(struct backup *b)
{
	struct store *st = b->st;

	ev_io_stop(st->loop, &b->io);
	fd_close(&b->tell_fd);
	free(b);
	st->backup = NULL;
	/* Its slot among the readers. */
	db_readers_clear(&st->db);
}

static void
on_told(struct ev_loop *loop ATTR_UNUSED, ev_io *io, int revents ATTR_UNUSED)
{
	struct backup *b = io->data;
	struct outcome out;
	ssize_t n = read(b->tell_fd, &out, sizeof(out));

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		return;
	/* So few bytes come in one piece. */
	answer(b, n == (ssize_t)sizeof(out) ? &out : NULL);
	/* It has said its last word, or is dead: it ends now. */
	while (waitpid(b->pid, NULL, 0) == -1 && errno == EINTR)
		continue;
	backup_end(b);
}

static int
file_check(int fd, struct err *e)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fstat(fd, &st) == -1)
		return err_sys(e, "look at the descriptor");
	if (!S_ISREG(st.st_mode) || (flags & O_ACCMODE) == O_RDONLY)
		return err_set(e, ERR_BAD_REQUEST,
		    "a backup is written to a regular file");
	if (st.st_size != 0)
		return err_set(
		    e, ERR_BAD_REQUEST, "the file for a backup is not empty");
	return 0;
}

int
backup_begin(struct store *st, int64_t id, int fd, struct err *e)
{
	struct backup *b;
	pid_t parent = getpid();
	int tell[2];

	if (st->backup != NULL) {
		(void)close(fd);
		return err_set(e, ERR_LIMIT, "a backup is under way");
	}
	if (file_check(fd, e) == -1) {
		(void)close(fd);
		return -1;
	}
	if (pipe2(tell, O_CLOEXEC) == -1) {
		(void)close(fd);
		return err_sys(e, "pipe");
	}
	b = xcalloc(1, sizeof(*b));
	b->st = st;
	b->id = id;
	/* PRIV: the store's rights; after: the same, and of its descriptors
	 * only the file and a pipe. */
	b->pid = fork();
	if (b->pid == 0)
		child(&st->db.opt, fd, tell[1], parent);
	(void)close(fd);
	(void)close(tell[1]);
	if (b->pid == -1) {
		(void)err_sys(e, "fork");
		(void)close(tell[0]);
		free(b);
		return -1;
	}
	b->tell_fd = tell[0];
	ev_io_init(&b->io, on_told, tell[0], EV_READ);
	b->io.data = b;
	ev_io_start(st->loop, &b->io);
	st->backup = b;
	return 0;
}

void
backup_close(struct store *st)
{
	if (st->backup != NULL)
		backup_end(st->backup);
}
