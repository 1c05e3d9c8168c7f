/*
 * See shelf.h. Runs in the courier; what stands in the directory we have put
 * there, or another courier did, who is confined as we are.
 */
#include "courier/shelf.h"

#include "lib/defs.h"
#include "lib/log.h"
#include "lib/strutil.h"
#include "sandbox/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define SAME_MAX 1000 /* directories of one version */
#define PARTIAL_DAYS 7

static DIR *
list(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);

	if (d == NULL)
		fd_close(&fd);
	return d;
}

static int
open_dir(int at, const char *name, int *fd_out, struct err *e)
{
	if (mkdirat(at, name, 0755) == -1 && errno != EEXIST)
		return err_sys(e, "make directory %s", name);
	*fd_out =
	    openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *fd_out == -1 ? err_sys(e, "open directory %s", name) : 0;
}

/* --- leftovers ----------------------------------------------------------- */

void
shelf_abandon(int agent_fd, const char *tmp)
{
	int64_t budget = INT64_MAX;
	struct err e;

	if (tree_remove(agent_fd, tmp, &budget, &e) == -1)
		log_warn("shelf", "not removed", LOG_STR("name", tmp),
		    LOG_STR("detail", e.text));
}

int
shelf_lock(int agent_fd, int *lock_out, struct err *e)
{
	autofd int fd = openat(
	    agent_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct dirent *de;
	DIR *d;

	*lock_out = -1;
	if (fd == -1)
		return err_sys(e, "open .lock");
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		return errno == EWOULDBLOCK ? 0 : err_sys(e, "lock .lock");
	d = list(agent_fd);
	while (d != NULL && (de = readdir(d)) != NULL) {
		if (!str_starts(de->d_name, ".tmp-"))
			continue;
		log_info("shelf", "removing what was not finished",
		    LOG_STR("name", de->d_name));
		shelf_abandon(agent_fd, de->d_name);
	}
	if (d != NULL)
		(void)closedir(d); /* only read */
	*lock_out = fd_steal(&fd);
	return 0;
}

static void
sweep_agent(int agents_fd, const char *agent)
{
	autofd int fd = openat(
	    agents_fd, agent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	autofd int lock_fd = -1;
	struct err ignored; /* a file, or nothing: not of ours to remove */

	if (fd != -1)
		(void)shelf_lock(fd, &lock_fd, &ignored);
}

static void
sweep(int agents_fd)
{
	struct dirent *de;
	DIR *d = list(agents_fd);

	while (d != NULL && (de = readdir(d)) != NULL) {
		if (de->d_name[0] != '.')
			sweep_agent(agents_fd, de->d_name);
	}
	if (d != NULL)
		(void)closedir(d); /* only read */
}

void
shelf_drop_partials(int partial_fd, const char *agent)
{
	size_t n = agent == NULL ? 0 : strlen(agent);
	time_t old = time(NULL) - PARTIAL_DAYS * 86400;
	struct dirent *de;
	struct stat st;
	DIR *d = list(partial_fd);

	while (d != NULL && (de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.' || fstatat(partial_fd, de->d_name, &st,
						AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		if (agent == NULL ? st.st_mtime < old
				  : strncmp(de->d_name, agent, n) == 0 &&
					de->d_name[n] == '=')
			(void)unlinkat(partial_fd, de->d_name, 0);
	}
	if (d != NULL)
		(void)closedir(d); /* only read */
}

int
shelf_open(int agents_fd, int *partial_out, struct err *e)
{
	if (open_dir(agents_fd, ".partial", partial_out, e) == -1)
		return -1;
	if (fchmod(*partial_out, 0700) == -1)
		return err_sys(e, "keep .partial to ourselves");
	sweep(agents_fd);
	shelf_drop_partials(*partial_out, NULL);
	return 0;
}

/* --- versions ------------------------------------------------------------ */

int
shelf_agent(int agents_fd, const char *agent, int *fd_out, struct err *e)
{
	return open_dir(agents_fd, agent, fd_out, e);
}

static int
dir_name(char dst[SHELF_NAME_MAX], const char *version, unsigned k)
{
	return k == 1 ? str_copy(dst, SHELF_NAME_MAX, version)
		      : str_format(dst, SHELF_NAME_MAX, "%s~%u", version, k);
}

bool
shelf_find(int agent_fd, const char *version, const char *program,
    char dir_out[SHELF_NAME_MAX])
{
	char dir[SHELF_NAME_MAX], path[2 * SHELF_NAME_MAX];
	bool found = false;

	for (unsigned k = 1; k <= SAME_MAX; k++) {
		struct stat st;

		if (dir_name(dir, version, k) == -1 ||
		    fstatat(agent_fd, dir, &st, AT_SYMLINK_NOFOLLOW) == -1)
			break;
		if (!S_ISDIR(st.st_mode) ||
		    str_format(path, sizeof(path), "%s/bin/%s", dir, program) ==
			-1 ||
		    fstatat(agent_fd, path, &st, 0) == -1)
			continue;
		found = true;
		(void)!str_copy(dir_out, SHELF_NAME_MAX, dir);
	}
	return found;
}

int
shelf_begin(
    int agent_fd, char name_out[SHELF_NAME_MAX], int *fd_out, struct err *e)
{
	char id[RANDOM_ID_MAX];

	random_id(id, ".tmp-");
	(void)!str_copy(name_out, SHELF_NAME_MAX, id);
	if (mkdirat(agent_fd, id, 0755) == -1)
		return err_sys(e, "make directory %s", id);
	return open_dir(agent_fd, id, fd_out, e);
}

int
shelf_commit(int agent_fd, const char *tmp, const char *version,
    char dir_out[SHELF_NAME_MAX], struct err *e)
{
	struct stat st;

	/* Whole on the disk before it has a name: else a power cut could leave
	 * a version with empty files. */
	if (syncfs(agent_fd) == -1)
		return err_sys(e, "write %s to the disk", version);
	for (unsigned k = 1; k <= SAME_MAX; k++) {
		if (dir_name(dir_out, version, k) == -1)
			break;
		if (fstatat(agent_fd, dir_out, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (renameat(agent_fd, tmp, agent_fd, dir_out) == -1)
			return err_sys(e, "rename to %s", dir_out);
		return 0;
	}
	return err_set(
	    e, ERR_INSTALL_FAILED, "no name is left for %s", version);
}

int
shelf_switch(int agent_fd, const char *dir, struct err *e)
{
	static const char fresh[] = ".tmp-current";

	if (unlinkat(agent_fd, fresh, 0) == -1 && errno != ENOENT)
		return err_sys(e, "replace the link to the version in use");
	if (symlinkat(dir, agent_fd, fresh) == -1 ||
	    renameat(agent_fd, fresh, agent_fd, "current") == -1 ||
	    fsync(agent_fd) == -1)
		return err_sys(e, "link %s as the version in use", dir);
	return 0;
}
