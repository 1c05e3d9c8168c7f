/*
 * Run directories of ordinary users; see rundir.h. Runs in the supervisor and
 * in sandboxctl, as the user. What the environment says is the user's own word.
 */
#include "lib/rundir.h"

#include "lib/strutil.h"

#include <errno.h>
#include <sys/stat.h>

#define NAME "sandboxd"

/* systemd makes it at log-in; whoever came another way has no word of it. */
static bool
of_login(char *dst, size_t size)
{
	struct stat st;

	return str_format(
		   dst, size, "/run/user/%lu", (unsigned long)geteuid()) == 0 &&
	       lstat(dst, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() &&
	       str_format(dst, size, "/run/user/%lu/" NAME,
		   (unsigned long)geteuid()) == 0;
}

bool
rundir_candidate(unsigned k, char *dst, size_t size)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (dir != NULL && dir[0] == '/' && k-- == 0)
		return str_format(dst, size, "%s/" NAME, dir) == 0;
	if (of_login(dst, size) && k-- == 0)
		return true;
	return k == 0 &&
	       str_format(dst, size, "/tmp/" NAME "-%lu",
		   (unsigned long)geteuid()) == 0 &&
	       rundir_ours(dst);
}

bool
rundir_ours(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return errno == ENOENT;
	return S_ISDIR(st.st_mode) &&
	       (st.st_uid == geteuid() || st.st_uid == 0) &&
	       (st.st_mode & S_IWOTH) == 0;
}
