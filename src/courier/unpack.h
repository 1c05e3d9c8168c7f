/*
 * Unpacking an archive (tar or zip, plain or compressed) below a directory, a
 * little at a time.
 */
#ifndef COURIER_UNPACK_H
#define COURIER_UNPACK_H

#include "lib/err.h"
#include <stdbool.h>
#include <stdint.h>

/* What may still be written; shared by the archives of one installation. */
struct unpack_room {
	int64_t bytes;	 /* left */
	int64_t entries; /* left */
	int64_t most;	 /* what BYTES was, for messages */
};

struct unpack;

/* Takes ARCHIVE_FD, keeps a copy of DEST_FD. STRIP: parts of each name that are
 * dropped. Both also when it fails. */
int unpack_open(int archive_fd, int dest_fd, unsigned strip,
    struct unpack_room *room, struct unpack **u_out, struct err *e);
/* Go on for about MS. 1: all is unpacked; 0: there is more; -1: E. */
int unpack_step(struct unpack *u, int64_t ms, struct err *e);
void unpack_free(struct unpack *u); /* accepts NULL */
/* Bytes of the archive that have been read. */
int64_t unpack_done(const struct unpack *u);

/* The text of one file of an archive, for those who only want to look: the
 * first entry whose name without STRIP parts is NAME, at most MAX bytes. The
 * caller's, NUL-terminated. ARCHIVE_FD is taken. */
int unpack_peek(int archive_fd, unsigned strip, const char *name, size_t max,
    char **text_out, size_t *len_out, struct err *e);

#endif
