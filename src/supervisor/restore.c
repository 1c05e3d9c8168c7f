/*
 * Restoring a backup; see restore.h. Runs in sandboxd, in place of the
 * supervisor's loop. The file is never read here: a child with the store's few
 * rights copies it into a directory of its own and looks at all of it. Only
 * when it is content do the two directories change places, at one stroke.
 */
#include "supervisor/restore.h"

#include "lib/strutil.h"
#include "sandbox/remove.h"
#include "supervisor/instance.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define FRESH "store.new"

static int
remove_fresh(struct super *s, struct err *e)
{
	int64_t budget = INT64_MAX;

	if (faccessat(s->state_fd, FRESH, F_OK, AT_SYMLINK_NOFOLLOW) == -1 &&
	    errno == ENOENT)
		return 0;
	return tree_remove(s->state_fd, FRESH, &budget, e);
}

static int
make_fresh(struct super *s, int *fd_out, struct err *e)
{
	if (remove_fresh(s, e) == -1)
		return -1;
	if (mkdirat(s->state_fd, FRESH, 0700) == -1)
		return err_sys(e, "make " FRESH);
	*fd_out = openat(s->state_fd, FRESH,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd_out == -1)
		return err_sys(e, "open " FRESH);
	if (s->root &&
	    fchown(*fd_out, SUPER_STORE_ID(s), SUPER_STORE_ID(s)) == -1)
		return err_sys(e, "owner of " FRESH);
	return 0;
}

/* The child's verdict. */
static int
check(struct super *s, int file_fd, int dir_fd, struct err *e)
{
	static char program[] = "sandboxd-store", restore[] = "--restore",
		    uid_flag[] = "--uid", gid_flag[] = "--gid";
	char id[16];
	char *argv[] = { program, restore, s->root ? uid_flag : NULL, id,
		gid_flag, id, NULL };
	int status;
	pid_t pid;

	(void)snprintf(id, sizeof(id), "%lu", (unsigned long)SUPER_STORE_ID(s));
	if (spawn_once(s, &pid, file_fd, dir_fd, argv, e) == -1)
		return -1;
	while (waitpid(pid, &status, 0) == -1) {
		if (errno != EINTR)
			return err_sys(e, "wait for %s", program);
	}
	if (WIFSIGNALED(status))
		return err_set(e, ERR_BAD_REQUEST,
		    "the backup is damaged: who looked at it was killed by "
		    "signal %d",
		    WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return err_set(e, ERR_BAD_REQUEST, "the backup was not taken");
	return 0;
}

/* Where the former database goes. */
static int
put_aside(struct super *s, char name_out[64], struct err *e)
{
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL ||
	    strftime(name_out, 64, "store.before-%Y%m%dT%H%M%SZ", &tm) == 0)
		return err_set(e, ERR_INTERNAL, "what time is it?");
	if (renameat2(s->state_fd, FRESH, s->state_fd, name_out,
		RENAME_NOREPLACE) == -1)
		return err_sys(e, "keep the former database in %s", name_out);
	return 0;
}

static int
restore(struct super *s, int file_fd, bool force, char aside[64], struct err *e)
{
	bool there = faccessat(s->state_fd, "store/data.mdb", F_OK,
			 AT_SYMLINK_NOFOLLOW) == 0;
	autofd int dir_fd = -1;

	if (there && !force)
		return err_set(e, ERR_PRECONDITION,
		    "%s/store has a database: with --force it is kept aside "
		    "and replaced",
		    s->conf.state_dir);
	if (make_fresh(s, &dir_fd, e) == -1 ||
	    check(s, file_fd, dir_fd, e) == -1)
		return -1;
	if (fsync(dir_fd) == -1)
		return err_sys(e, "flush " FRESH);
	if (renameat2(s->state_fd, FRESH, s->state_fd, "store",
		RENAME_EXCHANGE) == -1)
		return err_sys(e, "put the database in its place");
	/* From here on it is restored. */
	if (there && put_aside(s, aside, e) == -1)
		return -1;
	if (!there && remove_fresh(s, e) == -1)
		return -1;
	return fsync(s->state_fd) == -1 ? err_sys(e, "flush the directory") : 0;
}

int
restore_run(struct super *s, const char *file, bool force)
{
	autofd int fd = open(file, O_RDONLY | O_CLOEXEC);
	char aside[64] = "";
	struct err e, ignored;
	int rc;

	s->root = geteuid() == 0;
	s->lock_fd = s->state_fd = s->sandboxes_fd = -1;
	if (fd == -1) {
		(void)err_sys(&e, "open %s", file);
		(void)fprintf(stderr, "sandboxd: %s\n", e.text);
		return EXIT_SYS;
	}
	rc = instance_open(s, &e);
	if (rc == 0) {
		rc = restore(s, fd, force, aside, &e);
		if (rc == -1)
			(void)remove_fresh(s, &ignored);
	}
	instance_close(s);
	if (rc == -1) {
		(void)fprintf(
		    stderr, "sandboxd: restore %s: %s\n", file, e.text);
		return EXIT_SYS;
	}
	(void)printf("restored %s to %s/store\n", file, s->conf.state_dir);
	if (aside[0] != '\0')
		(void)printf("the former database is in %s/%s\n",
		    s->conf.state_dir, aside);
	return fflush(stdout) == EOF ? EXIT_SYS : EXIT_OK;
}
