/*
 * sandboxctl's side of backend.h: start sandboxctl-http with the same words.
 * Runs as the caller.
 *
 * The program is beside this one (a build directory), else where it was
 * installed with this one, wherever both have been moved to. Nothing in the
 * environment decides which program that is.
 */
#include "ctl/backend.h"
#include "lib/strutil.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

#define HTTP_PROGRAM "sandboxctl-http"

/* From where /proc/self/exe is; -1 when there is none. */
static int
find_near(char *dst, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return -1;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash == NULL)
		return -1;
	*slash = '\0';
	if (str_format(dst, size, "%s/" HTTP_PROGRAM, self) == 0 &&
	    access(dst, X_OK) == 0)
		return 0;
	if (str_format(
		dst, size, "%s/../libexec/sandboxd/" HTTP_PROGRAM, self) == -1)
		return -1;
	return access(dst, X_OK);
}

static int
hand_over(char **argv, struct err *e)
{
	char path[PATH_MAX];

	if (find_near(path, sizeof(path)) == -1 &&
	    str_copy(path, sizeof(path), LIBEXECDIR "/" HTTP_PROGRAM) == -1)
		return err_set(e, ERR_SYSTEM, "the program's path is too long");
	(void)execv(path, argv);
	return err_sys(e, "run %s", path);
}

int
backend_http(struct ctl *ctl, const struct backend_where *where, char **argv,
    struct err *e)
{
	(void)ctl;
	(void)where; /* all of it stands in ARGV or the environment */
	return hand_over(argv, e);
}

int
backend_api(struct ctl *ctl, const struct backend_where *where, int argc,
    char **argv, char **whole)
{
	struct err e;

	(void)where;
	(void)argc;
	(void)argv;
	(void)hand_over(whole, &e);
	return ctl_fail(ctl, &e);
}
