/*
 * What a copy-on-write mount has changed, as a stream. Written inside the
 * sandbox by its init from the overlay's upper layer, read outside by
 * sandboxctl, which trusts nothing in it.
 *
 *	stream = entry*, then a line {"end":true,"entries":n}
 *	entry  = one line of JSON, newline, then "size" bytes when it is a file
 *
 *	{"type":"file","path":"src/a.c","mode":420,"size":123}
 *	{"type":"dir","path":"src/new","mode":493}
 *	{"type":"replace_dir","path":"src/old","mode":493}   what was below is
 *gone
 *	{"type":"symlink","path":"l","target":"a.c"}
 *	{"type":"delete","path":"b.c"}
 *	{"type":"error","path":"x","detail":"…"}   left out, and why (sockets,
 *	                                           devices, unreadable files)
 *
 * Paths are relative to the mount, without ".", ".." or empty parts; parents
 * come before what they hold. Bytes of names that are not UTF-8 are written as
 * "type":"error". At most CHANGES_MAX_ENTRIES entries.
 */
#ifndef SANDBOX_CHANGES_H
#define SANDBOX_CHANGES_H

#include "lib/err.h"

#define CHANGES_MAX_ENTRIES 1000000

/* Walk UPPER_FD (a directory) and write the stream to OUT_FD, blocking.
 * Never follows a link and never leaves the file system. */
int
changes_write(int upper_fd, int out_fd, int64_t *entries_out, struct err *e);

#endif
