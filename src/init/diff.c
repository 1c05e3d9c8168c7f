/*
 * `changes`: what a copy-on-write mount has changed, in the format of
 * sandbox/changes.h. An errand; see errand.h.
 */
#include "init/errand.h"
#include "sandbox/changes.h"

#include <string.h>

int
diff_upper(const struct init *in, const struct json *msg, struct err *e)
{
	const char *target = json_str(msg, "target", "");
	size_t i;

	for (i = 0; i < in->nuppers; i++)
		if (strcmp(in->uppers[i].target, target) == 0)
			return in->uppers[i].fd;
	return err_set(
	    e, ERR_BAD_REQUEST, "target: no copy-on-write mount there");
}

int
errand_changes(struct errand_child *c, struct err *e)
{
	return changes_write(c->extra_fd, c->fd, &c->n.entries, e);
}
