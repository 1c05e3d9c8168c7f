/*
 * Opens the master side; runs in init. /dev belongs to the sandbox's root, who
 * may have put anything under the name ptmx: only the character device 5:2 is
 * accepted, and nothing here blocks on a FIFO.
 */
#include "init/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int
ptmx_open(const char *path)
{
	autofd int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd == -1)
		return -1;
	if (GUARD(terminal) && (fstat(fd, &st) == -1 || !S_ISCHR(st.st_mode) ||
				   st.st_rdev != makedev(5, 2))) {
		errno = ENODEV;
		return -1;
	}
	return fd_steal(&fd);
}

int
pty_open(int columns, int rows, int *master_out, struct err *e)
{
	struct winsize size = {
		.ws_col = (unsigned short)columns,
		.ws_row = (unsigned short)rows,
	};
	autofd int fd = -1;
	int unlock = 0;

	/* First the mount that the sandbox was built with, which nobody inside
	 * can rename. */
	if (GUARD(terminal))
		fd = ptmx_open("/dev/pts/ptmx");
	if (fd == -1)
		fd = ptmx_open("/dev/ptmx");
	if (fd == -1)
		return err_sys(e, "open terminal");
	if (ioctl(fd, TIOCSPTLCK, &unlock) == -1 ||
	    ioctl(fd, TIOCSWINSZ, &size) == -1)
		return err_sys(e, "set up terminal");
	/* Whoever gets it decides by himself whether it may block. */
	if (fcntl(fd, F_SETFL, O_RDWR) == -1)
		return err_sys(e, "set up terminal");
	*master_out = fd_steal(&fd);
	return 0;
}
