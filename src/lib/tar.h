/*
 * Reading a tar archive as it comes: bytes in, callbacks out, no I/O and no
 * file system here. Strict: what is not clearly ustar, pax or GNU tar is
 * refused, and so is what two readers could understand in two ways.
 *
 * Names come as they stand in the archive, NUL-terminated, never empty; whoever
 * uses them decides where they may lead.
 */
#ifndef LIB_TAR_H
#define LIB_TAR_H

#include "err.h"
#include <stdbool.h>
#include <stdint.h>

#define TAR_BLOCK 512
#define TAR_NAME_MAX 4095	     /* longest name or link target */
#define TAR_EXTENSION_MAX (1u << 16) /* of one pax header or long name */

enum tar_type {
	TAR_FILE,
	TAR_DIRECTORY,
	TAR_SYMLINK,
	TAR_HARDLINK,
	TAR_SPECIAL, /* a device or FIFO */
	TAR_TYPE_N
};

struct tar_entry {
	enum tar_type type;
	const char *path; /* both until the next call of tar_feed */
	const char *link; /* "" without one */
	uint64_t size;	  /* 0 but for files */
	uint32_t mode;	  /* permission bits, at most 07777 */
	int64_t mtime_s;
	long mtime_ns;
	int64_t uid, gid; /* as numbers; the names are not looked at */
	/* Attributes in the namespace "user", one behind the other: name with
	 * its NUL, uint32_t length, value. */
	const char *xattrs;
	size_t xattrs_len;
};

/* Each returns 0 to go on; -1 with E ends it all. */
struct tar_ops {
	int (*entry)(void *ctx, const struct tar_entry *t, struct err *e);
	/* Of files, between entry and end. */
	int (*data)(void *ctx, const void *p, size_t n, struct err *e);
	int (*end)(void *ctx, struct err *e); /* the entry is whole */
};

struct tar;

struct tar *tar_new(const struct tar_ops *ops, void *ctx);
void tar_free(struct tar *t); /* accepts NULL */
/* After a failure: nothing but tar_free. ERR_BAD_REQUEST when the archive is
 * at fault, else what a callback has said. */
int tar_feed(struct tar *t, const void *p, size_t n, struct err *e);
/* No more will come: -1 when that is too early. */
int tar_finish(struct tar *t, struct err *e);

#endif
