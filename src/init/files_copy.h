/*
 * Copying a tree, for a move from one file system to another.
 */
#ifndef INIT_FILES_COPY_H
#define INIT_FILES_COPY_H

#include "lib/err.h"

/* Copy FROM in FROM_FD to the name TO in TO_FD, which must be free: files,
 * directories, links, FIFOs, with modes, times and, as far as we may, owners.
 * Half of it may be there after a failure. */
int files_copy_tree(
    int from_fd, const char *from, int to_fd, const char *to, struct err *e);

#endif
