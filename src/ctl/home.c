/*
 * The caller's home directory; see home.h. Runs as the caller.
 */
#include "ctl/home.h"

#include "lib/strutil.h"

#include <pwd.h>

int
home_find(char *dst, size_t size, struct err *e)
{
	const char *home = getenv("HOME");
	const struct passwd *pw;

	if (home == NULL || *home != '/') {
		pw = getpwuid(geteuid());
		home = pw == NULL ? NULL : pw->pw_dir;
	}
	if (home == NULL || *home != '/')
		return err_set(
		    e, ERR_SYSTEM, "there is no home directory; set HOME");
	if (str_copy(dst, size, home) == -1)
		return err_set(
		    e, ERR_SYSTEM, "the home directory's path is too long");
	return 0;
}
