/*
 * What the files about control groups share and nobody else needs: cgroup.c
 * (groups and their members), cgroup_limits.c (limits, figures).
 */
#ifndef SANDBOX_CGROUP_PRIV_H
#define SANDBOX_CGROUP_PRIV_H

#include "lib/defs.h"
#include "lib/strutil.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_find.h"

#define CGROUP_FILE_MAX 65536
#define CGROUP_V2_WANTED "+memory +cpu +pids"

struct cgroup_host {
	int dir_fds[HIER_N]; /* <our own group>/sandboxd-<instance>, or -1 */
	int own_fds[HIER_N]; /* <our own group> */
	char name[64];	     /* sandboxd-<instance> */
	bool v2_limits;	     /* version 2 has memory, cpu and pids */
	bool v2_kill, v2_freeze;
};

struct cgroup {
	const struct cgroup_host *host; /* borrowed; outlives us */
	char id[SANDBOX_ID_MAX + 3];	/* its name; see pick_name() */
	unsigned in; /* BIT(hierarchy) where a directory exists */
	int v2_fd;
};

/* Files below DIR_FD: 0, or -1 with errno. */
int cgroup_write(int dir_fd, const char *path, const char *text);
int cgroup_read(int dir_fd, const char *path, char *buf, size_t size);
/* A file of the group CG in hierarchy K. */
int
cgroup_set(const struct cgroup *cg, enum hier k, const char *file, int64_t v);

/* In cgroup_limits.c: a number that the group tells, or -1; KEY NULL: the whole
 * file is one, else the number after KEY in one of its lines. */
int64_t cgroup_get(
    const struct cgroup *cg, enum hier k, const char *file, const char *key);
int cgroup_limits_set(
    const struct cgroup *cg, const struct plan_limits *l, struct err *e);

#endif
