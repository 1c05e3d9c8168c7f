/*
 * `sandboxd --restore FILE`: a backup becomes the database of this state
 * directory, while no instance runs on it.
 */
#ifndef SUPERVISOR_RESTORE_H
#define SUPERVISOR_RESTORE_H

#include "supervisor/super.h"

/* S has its configuration and nothing else. FORCE: a database that is there is
 * kept aside. The exit code; what went wrong was told on standard error. */
int restore_run(struct super *s, const char *file, bool force);

#endif
