/*
 * Unpacking a tar archive, as it comes out of a descriptor, below a directory
 * and nowhere else, whoever wrote the archive and whoever changes the tree
 * meanwhile.
 */
#ifndef LIB_UNTAR_H
#define LIB_UNTAR_H

#include "err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum untar_owner {
	UNTAR_OWN,  /* as they come: of whoever unpacks */
	UNTAR_KEEP, /* as the archive has it */
	UNTAR_GIVE  /* all to one */
};

struct untar_opts {
	int base_fd;	    /* the destination; borrowed */
	uint32_t mode_bits; /* of the archive's modes that count */
	enum untar_owner owner;
	uid_t uid; /* for UNTAR_GIVE */
	gid_t gid;
	bool xattrs;   /* attributes "user.*" are set */
	bool holes;    /* blocks of zeros are not written */
	bool no_links; /* not even through links that stay inside */
	uint64_t entries_max;
	/* The first part of every name must be one of these. NULL: anything. */
	const char *const *tops;
	size_t ntops;
	const char *top; /* and is replaced by this; NULL: stays. One part. */
	/* errno as the caller words it; NULL: as err_sys() does. */
	int (*oserr)(struct err *e);
	/* An entry is whole; its clean path. May be NULL. */
	int (*done)(void *ctx, const char *path, struct err *e);
	void *ctx;
};

struct untar_counts {
	uint64_t entries, bytes;
};

struct untar;

struct untar *untar_new(const struct untar_opts *o);
void untar_free(struct untar *u); /* accepts NULL */
/* Until the archive's end; what is in FD behind it is read as well. */
int untar_read(struct untar *u, int fd, struct err *e);
void untar_counts(const struct untar *u, struct untar_counts *n_out);
/* After a failure: the archive could be read, and asked for too much. */
bool untar_refused(const struct untar *u);

#endif
