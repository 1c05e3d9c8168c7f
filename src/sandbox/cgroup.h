/*
 * Control groups, version 2 where the host has its controllers and version 1
 * otherwise; both below the group that we run in ourselves and nowhere else.
 *
 *	<our own group>/sandboxd-<instance>/<sandbox id>
 *
 * Only the supervisor uses this. Every call is a few file operations on
 * descriptors held open; none waits for a process.
 */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include "sandbox/plan.h"

struct cgroup_host; /* the hierarchies, opened once */
struct cgroup;	    /* one sandbox's group in each */

/* Are there controllers of version 2, but not for us where we are? The group
 * that we were started in holds others too, or was not given all that we use:
 * so it is in a shell of a host that systemd runs. */
bool cgroup_own_shared(void);
/* With controllers of version 2: leave our group for one below it, so that it
 * can hand them out; a group may not do that and hold processes. To be called
 * before there are children, which would be left behind. */
void cgroup_own_take(void);

/* INSTANCE tells our groups from another instance's (hex digits). NULL with E
 * set when no hierarchy can be written. */
struct cgroup_host *cgroup_host_open(const char *instance, struct err *e);
void cgroup_host_free(struct cgroup_host *h);
/* Can the number of processes be limited? Where not, memory and cpu cannot
 * either. */
bool cgroup_host_limits(const struct cgroup_host *h);
/* "v2", "v1", "hybrid" */
const char *cgroup_host_kind(const struct cgroup_host *h);
/* End and remove every group of this instance but those whose names LIVE says
 * are in use (NULL: none is). Returns how many could not be removed yet. */
typedef bool cgroup_live(void *ctx, const char *name);
int cgroup_host_sweep(struct cgroup_host *h, cgroup_live *live, void *ctx);

/* Make the group and set its limits. E names the limit that was refused. */
int cgroup_create(struct cgroup_host *h, const char *id,
    const struct plan_limits *l, struct cgroup **cg_out, struct err *e);
/* The sandbox's id, with a mark and a number behind it when a former group of
 * the sandbox had not gone yet: the sweep ends that. */
#define CGROUP_NAME_MARK "~"
const char *cgroup_name(const struct cgroup *cg);
/* The group of that name as it is, with what is in it; NULL: there is none. */
struct cgroup *cgroup_reopen(struct cgroup_host *h, const char *name);
/* The name of H's group that process PID is in; -1: it is in none. */
int
cgroup_of(const struct cgroup_host *h, pid_t pid, char *name_out, size_t size);
/* Descriptor of the v2 directory for CLONE_INTO_CGROUP, or -1. Borrowed. */
int cgroup_v2_fd(const struct cgroup *cg);
/* Descriptors of the v1 `tasks` files, opened for the child that is to become
 * a member: it writes "0" to each. At most MAX; how many, or -1 with E set.
 * They belong to the caller. */
int cgroup_task_fds(
    const struct cgroup *cg, int *fds_out, size_t max, struct err *e);
/* Put PID into the v1 hierarchies (and into v2 if WITH_V2). */
int
cgroup_join(const struct cgroup *cg, pid_t pid, bool with_v2, struct err *e);
/* Dying takes CPU time too: a hundred processes with a third of a processor
 * take seconds over it. No share holds from now on; for a group about to be
 * ended. */
void cgroup_hurry(const struct cgroup *cg);
/* SIGKILL everything inside. */
void cgroup_kill(const struct cgroup *cg);
/* Begin to freeze, or thaw, everything inside; freezing takes a moment. */
int cgroup_freeze(const struct cgroup *cg, bool on, struct err *e);
/* Was it told to? */
bool cgroup_freezes(const struct cgroup *cg);
/* Has everything inside come to rest? */
bool cgroup_frozen(const struct cgroup *cg);
/* Change memory, cpu and pids from OLD to NEW while it runs; a limit that had
 * no group until now is ERR_SANDBOX_STATE. What was set is set back when a
 * later one is refused. */
int cgroup_limits_change(const struct cgroup *cg, const struct plan_limits *old,
    const struct plan_limits *new, struct err *e);
struct cgroup_stats {
	int64_t memory_bytes, memory_peak_bytes, oom_kills, cpu_usec, pids;
	int64_t io_read_bytes, io_written_bytes;
}; /* -1: unknown */
void cgroup_stats(const struct cgroup *cg, struct cgroup_stats *st_out);
/* How often a process was killed for want of memory, and a fork refused; -1:
 * unknown. Cheaper than all figures. */
int64_t cgroup_oom_kills(const struct cgroup *cg);
int64_t cgroup_pids_refused(const struct cgroup *cg);
/* Which weights the host can hold a sandbox to: cpu, io. */
bool cgroup_host_weighs_cpu(const struct cgroup_host *h);
bool cgroup_host_weighs_io(const struct cgroup_host *h);
/* Remove the directories. 0, or -1 when something still lives inside: call
 * again later. */
int cgroup_remove(struct cgroup *cg);
void cgroup_free(struct cgroup *cg); /* accepts NULL; does not remove */

#endif
