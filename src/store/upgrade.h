/*
 * From a former schema to ours, one step for each version in between.
 */
#ifndef STORE_UPGRADE_H
#define STORE_UPGRADE_H

#include "store/schema.h"

/* In TXN, which the caller commits together with the new number: carry the
 * tables of version FROM over to the next. 0 or LMDB's code. A step that was
 * interrupted has changed nothing. */
int upgrade_step(struct db *db, MDB_txn *txn, int64_t from) ATTR_WARN_UNUSED;

#endif
