/*
 * Hot backup: a consistent copy of the database, written to a descriptor by a
 * child of the store while commits go on.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/store.h"

/* Answer request ID when the copy is on its disk; takes FD, a regular file, in
 * any case. One at a time. */
int backup_begin(
    struct store *st, int64_t id, int fd, struct err *e) ATTR_WARN_UNUSED;
void backup_close(struct store *st); /* one that is under way ends with us */

#endif
