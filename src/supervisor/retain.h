/*
 * What is kept how long: store.retain_* of the configuration.
 */
#ifndef SUPERVISOR_RETAIN_H
#define SUPERVISOR_RETAIN_H

#include "supervisor/super.h"

/* The store is up, or the configuration has changed. */
void retain_tell(struct super *s);
/* Begin to look for ended sessions that are to go. */
void retain_start(struct super *s);

#endif
