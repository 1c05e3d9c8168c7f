/*
 * Mounts as descriptors: made or cloned detached, changed while nobody sees
 * them, then attached at a directory that is held by descriptor too. No path
 * that somebody else could change is ever resolved twice.
 *
 * All functions return 0 or a descriptor, or -1 with errno.
 */
#ifndef SANDBOX_MOUNTS_H
#define SANDBOX_MOUNTS_H

#include "lib/defs.h"
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct mount_opt {
	const char *key;
	const char *value; /* NULL: a flag */
};

/* A new, detached file system of TYPE. ATTRS: MOUNT_ATTR_*. */
int mounts_new(const char *type, const struct mount_opt *opts, size_t nopts,
    uint64_t attrs);
/* A detached copy of the mount at DIR_FD/NAME ("" for DIR_FD itself), not
 * following a link at its end; with the mounts below it if RECURSIVE. */
int mounts_clone(int dir_fd, const char *name, bool recursive);
/* Set attributes of the mount that FD is the root of. */
int mounts_set(int fd, uint64_t attrs, bool recursive);
/* Map the ids of the detached mount FD by the user namespace, and set ATTRS. */
int mounts_idmap(int fd, int userns_fd, uint64_t attrs);
/* Attach the detached mount FD at DIR_FD/NAME ("": at DIR_FD itself). */
int mounts_attach(int fd, int dir_fd, const char *name);

/* Open PATH (O_PATH), following no link in it at all. FLAGS: O_DIRECTORY. */
int mounts_open_source(const char *path, int flags);
/* The directory NAME of a root that may be hostile: made if missing. Refused
 * if it is a link, no directory, or already a mount. */
int mounts_root_dir(int root_fd, const char *name);
/* Where a mount asked for goes: PATH inside the root at ROOT_FD, links being
 * followed as if that were our root; missing parts are made. */
int mounts_target(int root_fd, const char *path, bool is_file);

#endif
