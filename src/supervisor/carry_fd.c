/*
 * Descriptors in the document of a live upgrade (see carry.h). Runs in the
 * supervisor.
 */
#include "lib/fdio.h"
#include "supervisor/carry.h"

void
carry_put_fd(struct carry *c, const char *key, int fd)
{
	jw_kint(&c->w, key, fd);
	if (fd != -1)
		(void)buf_add(&c->fds, &fd, sizeof(fd)); /* see failed */
}

int
carry_take_fd(const struct json *j, const char *key)
{
	return fd_inherit(json_int(j, key, -1));
}
