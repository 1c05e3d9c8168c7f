/*
 * Which bound on the disk this host can give, and project quotas; see disk.h.
 * Runs in the supervisor, on directories of its own.
 *
 * A process inside cannot leave its project: only the first user namespace may
 * change a file's or a directory's, and a file keeps it wherever it is moved.
 */
#include "sandbox/disk.h"
#include "lib/fdio.h"
#include "lib/strutil.h"
#include "sandbox/disk_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PRJQUOTA
#	define PRJQUOTA 2
#endif
#define QUOTA_CALL(cmd) ((unsigned)(cmd) << 8 | PRJQUOTA)
/* Quotas count in blocks of this size, whatever the file system's. */
#define QUOTA_BLOCK 1024

static const char *const names[DISK_BY_N] = {
	[DISK_BY_NONE] = "none",
	[DISK_BY_QUOTA] = "projectquota",
	[DISK_BY_IMAGE] = "image",
};

const char *
disk_by_name(enum disk_by by)
{
	return names[by];
}

enum disk_by
disk_by_find(const char *name)
{
	unsigned by = 0;

	while (by < DISK_BY_N && strcmp(names[by], name) != 0)
		by++;
	return (enum disk_by)by;
}

static int
quota_call(int fd, unsigned cmd, uint32_t project, void *data)
{
	return (int)syscall(
	    SYS_quotactl_fd, fd, QUOTA_CALL(cmd), project, data);
}

static bool
knows_ext4(void)
{
	autofd int fd = open("/proc/filesystems", O_RDONLY | O_CLOEXEC);
	autofree char *text = NULL;
	size_t len;
	struct err e;

	return fd != -1 && fd_slurp(fd, 65536, &text, &len, &e) == 0 &&
	       strstr(text, "\text4\n") != NULL;
}

enum disk_by
disk_probe(int dir_fd, bool root, char *why, size_t size)
{
	struct if_dqinfo info;
	struct fsxattr fx;

	why[0] = '\0';
	if (!root) {
		(void)snprintf(why, size, "not root");
		return DISK_BY_NONE;
	}
	/* Succeeds only where projects are counted and held to. */
	if (ioctl(dir_fd, FS_IOC_FSGETXATTR, &fx) == 0 &&
	    quota_call(dir_fd, Q_GETINFO, 0, &info) == 0)
		return DISK_BY_QUOTA;
	if (disk_mke2fs() == NULL)
		(void)snprintf(why, size,
		    "no project quotas on the state directory, and no mke2fs "
		    "(package e2fsprogs)");
	else if (access("/dev/loop-control", R_OK | W_OK) == -1)
		(void)snprintf(why, size,
		    "no project quotas on the state directory, and "
		    "/dev/loop-control: %s",
		    strerror(errno));
	else if (!knows_ext4())
		(void)snprintf(why, size,
		    "no project quotas on the state directory, and the kernel "
		    "has no ext4");
	else
		return DISK_BY_IMAGE;
	return DISK_BY_NONE;
}

int
disk_quota_set(
    int dir_fd, uint32_t project, int64_t bytes, int64_t inodes, struct err *e)
{
	struct if_dqblk q;
	struct fsxattr fx;

	if (ioctl(dir_fd, FS_IOC_FSGETXATTR, &fx) == -1)
		return err_sys(e, "limit disk: read the directory's project");
	if (fx.fsx_projid != project ||
	    !(fx.fsx_xflags & FS_XFLAG_PROJINHERIT)) {
		fx.fsx_projid = project;
		fx.fsx_xflags |= FS_XFLAG_PROJINHERIT;
		if (ioctl(dir_fd, FS_IOC_FSSETXATTR, &fx) == -1)
			return err_sys(
			    e, "limit disk: set the directory's project");
	}
	memset(&q, 0, sizeof(q));
	q.dqb_bhardlimit = (uint64_t)(bytes + QUOTA_BLOCK - 1) / QUOTA_BLOCK;
	q.dqb_ihardlimit = (uint64_t)inodes;
	q.dqb_valid = QIF_LIMITS;
	if (quota_call(dir_fd, Q_SETQUOTA, project, &q) == -1)
		return err_sys(e, "limit disk: set the project's quota");
	return 0;
}

void
disk_quota_drop(int dir_fd, uint32_t project)
{
	struct if_dqblk q;

	memset(&q, 0, sizeof(q));
	q.dqb_valid = QIF_LIMITS;
	/* A leftover bounds nobody: the next one of this number sets its own.
	 */
	(void)quota_call(dir_fd, Q_SETQUOTA, project, &q);
}

int
disk_use(pid_t pid, struct disk_use *use)
{
	char path[32];
	struct statfs st;
	int64_t block;

	(void)snprintf(path, sizeof(path), "/proc/%d/root", pid);
	/* Its own overlay, which asks the file system of its upper layer. */
	autofd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || fstatfs(fd, &st) == -1)
		return -1;
	block = st.f_bsize;
	use->bytes = ((int64_t)st.f_blocks - (int64_t)st.f_bfree) * block;
	use->bytes_free = (int64_t)st.f_bavail * block;
	use->inodes = (int64_t)st.f_files - (int64_t)st.f_ffree;
	use->inodes_free = (int64_t)st.f_ffree;
	return 0;
}
