/*
 * Writing files and trees as a tar archive into a descriptor: ustar with pax
 * headers where a name, an owner, a size, a time or an attribute needs one.
 * What GNU tar, bsdtar and untar.h read alike.
 *
 * Links are written as links and never followed; files with several names are
 * written once. Sockets, FIFOs, devices and what the kernel makes up (proc,
 * sysfs and their like) are left out and counted.
 */
#ifndef LIB_TAR_PACK_H
#define LIB_TAR_PACK_H

#include "err.h"
#include <stdint.h>
#include <sys/types.h>

struct tar_pack_counts {
	uint64_t entries, bytes, skipped;
};

struct tar_pack;

/* Into OUT_FD, which is borrowed and may block. */
struct tar_pack *tar_pack_new(int out_fd);
/* What belongs to FROM, or its group, is said to belong to TO. */
struct tar_owner {
	uid_t uid;
	gid_t gid;
};
void
tar_pack_owner(struct tar_pack *p, struct tar_owner from, struct tar_owner to);
/* Errors end the archive: nothing but tar_pack_free() after one. */
/* The file NAME in the directory DIR_FD, with all that is below it, under the
 * name AS; "." for the contents of a directory without a name of its own. */
int tar_pack_add(struct tar_pack *p, int dir_fd, const char *name,
    const char *as, struct err *e);
int tar_pack_end(struct tar_pack *p, struct err *e);
void tar_pack_counts(const struct tar_pack *p, struct tar_pack_counts *n_out);
void tar_pack_free(struct tar_pack *p); /* accepts NULL */

#endif
