/*
 * Looking a program up, as a shell would; see agent_process.h. Runs in the
 * session worker: what it finds is the sandbox's affair.
 */
#include "session/agent_process.h"

#include "lib/strutil.h"
#include "lib/xalloc.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

int
process_find(
    const char *program, char *const *env, char **path_out, struct err *e)
{
	const char *path = DEFAULT_PATH, *end;
	autofree char *full = NULL;

	for (; strchr(program, '/') == NULL && *env != NULL; env++)
		if (str_starts(*env, "PATH="))
			path = *env + 5;
	if (strchr(program, '/') != NULL) {
		if (faccessat(AT_FDCWD, program, X_OK, AT_EACCESS) == -1)
			return err_set(e, ERR_AGENT_NOT_INSTALLED, "%s: %s",
			    program, strerror(errno));
		*path_out = xstrdup(program);
		return 0;
	}
	for (; path != NULL; path = *end == ':' ? end + 1 : NULL) {
		end = path + strcspn(path, ":");
		free(full);
		full = xasprintf("%.*s/%s", (int)(end - path),
		    end > path ? path : ".", program);
		if (faccessat(AT_FDCWD, full, X_OK, AT_EACCESS) == 0) {
			*path_out = STEAL(full);
			return 0;
		}
	}
	return err_set(e, ERR_AGENT_NOT_INSTALLED,
	    "%s was not found in the PATH of the session", program);
}
