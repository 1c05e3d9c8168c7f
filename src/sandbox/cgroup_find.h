/*
 * Where our own control groups are: part of cgroup.c, which alone uses it.
 */
#ifndef SANDBOX_CGROUP_FIND_H
#define SANDBOX_CGROUP_FIND_H

#include "lib/err.h"
#include <stdbool.h>

/* Version 2, and the version 1 controllers that we use. */
enum hier {
	HIER_V2,
	HIER_MEMORY,
	HIER_CPU,
	HIER_PIDS,
	HIER_FREEZER,
	HIER_N
};

/* Of the version 1 controllers; NULL for HIER_V2. */
extern const char *const cgroup_names[HIER_N];

/* Below the group that we were given, where processes must not be that hand
 * out controllers: the supervisor and its helpers are in this one. */
#define CGROUP_OWN_NAME "sandboxd-supervisor"

/* Open the group that this process was given, in each hierarchy that is
 * mounted. OWN_FDS are -1 before, and stay so where there is none. */
int cgroup_find(int own_fds[HIER_N], struct err *e);

/* Is WORD in LIST, whose words are divided by SEP? */
bool cgroup_word_in(const char *list, const char *word, char sep);

#endif
