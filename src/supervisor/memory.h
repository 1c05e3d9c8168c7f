/*
 * How much memory a process of ours uses.
 */
#ifndef SUPERVISOR_MEMORY_H
#define SUPERVISOR_MEMORY_H

#include "lib/defs.h"
#include <sys/types.h>

/* Bytes that are resident, those it shares included; 0 when PID is gone. */
int64_t memory_of(pid_t pid);

#endif
