/*
 * Who a command runs as: the sandbox's own passwd and group files, read by our
 * own bounded parser.
 *
 * The files belong to the sandbox and may hold anything. They are read in the
 * forked child only, so that the worst they can do is to fail one command.
 */
#ifndef INIT_USER_H
#define INIT_USER_H

#include "lib/defs.h"
#include "lib/err.h"
#include <limits.h>
#include <sys/types.h>

#define USER_GROUPS_MAX 64

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS_MAX]; /* the first is gid */
	size_t ngroups;
	char home[PATH_MAX]; /* "" when passwd tells none */
};

/* Resolve SPEC below the root directory ROOT_FD:
 *
 *	name		gid and supplementary groups from the files
 *	uid		the same; not listed: gid = uid, no other group
 *	name:group	exactly that group, which may be a name or a number
 *	uid:gid
 *
 * Only names need the files to exist. ERR_USER_NOT_FOUND tells which part was
 * not found. */
int user_find(int root_fd, const char *spec, struct user *u_out, struct err *e);

/* Without a user namespace, and not being root, there is one user only, and
 * root stands for that one from now on. */
void user_root_is_self(void);

#endif
