/*
 * How much of the time the processes of a sandbox wait for processor, memory
 * or disk (pressure stall information of its version 2 group, which the kernel
 * gives whichever version has the controllers).
 */
#ifndef SANDBOX_CGROUP_PRESSURE_H
#define SANDBOX_CGROUP_PRESSURE_H

#include "sandbox/cgroup.h"

enum pressure {
	PRESSURE_CPU,
	PRESSURE_MEMORY,
	PRESSURE_IO,
	PRESSURE_N
};

struct cgroup_stall {
	double avg10, avg60; /* per cent of the last seconds */
	int64_t total_usec;  /* -1: unknown */
};

struct cgroup_pressure {
	struct cgroup_stall some[PRESSURE_N]; /* of them wait */
	struct cgroup_stall full[PRESSURE_N]; /* all of them do */
};

void cgroup_pressure(const struct cgroup *cg, struct cgroup_pressure *p_out);
const char *cgroup_pressure_name(enum pressure p);

#endif
