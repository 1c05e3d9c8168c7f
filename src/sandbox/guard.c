/*
 * Which guards are off: those that $SANDBOXD_UNGUARDED names, one word each.
 * Linked only by tests/proof/unguarded and unguarded-init, which `make check`
 * builds and nothing installs; see GUARD() in lib/defs.h. Runs in the
 * supervisor, in the child that becomes a sandbox, in init and its children.
 */
#include "lib/defs.h"

#include <stdlib.h>
#include <string.h>

#define OFF "SANDBOXD_UNGUARDED"

char *
guards_off(void)
{
	char **p = environ;

	while (
	    p != NULL && *p != NULL && strncmp(*p, OFF "=", sizeof(OFF)) != 0)
		p++;
	return p == NULL ? NULL : *p;
}

int
guard_is_on(const char *name)
{
	const char *off = getenv(OFF);
	size_t n = strlen(name);

	/* What the program says its version is, so that it is never mistaken.
	 */
	if (strcmp(name, "version") == 0)
		return 0;
	for (; off != NULL && *off != '\0'; off += strspn(off, " ")) {
		size_t len = strcspn(off, " ");

		if (len == n && strncmp(off, name, n) == 0)
			return 0;
		off += len;
	}
	return 1;
}
