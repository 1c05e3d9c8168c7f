/*
 * Build a sandbox from a plan and start its init. Runs in the supervisor up
 * to clone3; enter.c runs in the child from there to exec.
 *
 * sandbox_launch() never waits for the child. What the child does next is told
 * on two descriptors, which the caller watches in its loop:
 *   report_fd  a struct start_report when a stage failed; end of file without
 *              one means that init was exec'd
 *   chan_fd    our end of init's channel (frames, lib/chan.h)
 */
#ifndef SANDBOX_LAUNCH_H
#define SANDBOX_LAUNCH_H

#include "sandbox/plan.h"

/* About in the order in which the child passes them (/proc and /sys are made
 * early and attached late); names for the error text. */
#define STAGES(X)                                 \
	X(NONE, "start")                          \
	X(NET, "bring up loopback")               \
	X(PROXY, "listen for the proxy")          \
	X(HOSTNAME, "set the host name")          \
	X(WAIT, "wait for the supervisor")        \
	X(IDS, "map the sandbox's ids")           \
	X(CREDS, "take the sandbox's ids")        \
	X(CGROUP, "enter the cgroup namespace")   \
	X(SCRATCH, "make room for the root")      \
	X(LAYERS, "make the sandbox's layers")    \
	X(ROOT, "mount the root")                 \
	X(TMP, "mount /tmp and /run")             \
	X(TMPFS, "mount a tmpfs")                 \
	X(HOSTS, "write /etc/hosts")              \
	X(MOUNTS, "mount what was asked for")     \
	X(DEV, "mount /dev")                      \
	X(PROC, "mount /proc")                    \
	X(SYS, "mount /sys")                      \
	X(MASK, "mask kernel files")              \
	X(PIVOT, "change the root")               \
	X(RLIMITS, "set resource limits")         \
	X(CAPS, "drop capabilities")              \
	X(LANDLOCK, "restrict with Landlock")     \
	X(SECCOMP, "load the system call filter") \
	X(EXEC, "exec init")

enum stage {
#define X(sym, text) STAGE_##sym,
	STAGES(X)
#undef X
	STAGE_N
};

struct start_report {
	uint32_t stage;
	int32_t err;	 /* errno */
	uint32_t detail; /* index of the mount, for STAGE_MOUNTS
				and STAGE_TMPFS */
	char why[200];	 /* for STAGE_IDS: all there is to say */
};

/* What this host can give, found once at start. */
struct host {
	bool root; /* we may map id ranges, mount, … */
	/* No namespaces for sandboxes here: they are process trees beside us,
	 * if that is accepted (the caller sets it), else there are none. */
	bool reduced, accept_reduced;
	bool have[MECH_N];
	char why_not[MECH_N][96]; /* where have is false */
	int landlock_abi;	  /* 0: none */
	struct subids subids;	  /* not root: what he is lent */
	const void *filter;	  /* compiled seccomp program, owned */
	size_t filter_len;	  /* in instructions */
	void *priv;		  /* struct host_private, owned */
};

/* Probe; builds the filter. Never fails: what is missing is told. */
void host_probe(struct host *h);
void host_free(struct host *h);
/* Make ready something that a later start takes less time with; to be called
 * when there is nothing else to do. True while there is more to make. */
bool host_prepare(struct host *h);

struct launched {
	pid_t pid; /* a direct child of the caller */
	int pidfd;
	int chan_fd;
	int report_fd;
	int proxy_sock; /* a descriptor, the listening socket, comes out of it
			 * before init runs; -1 without plan.proxy */
	bool have[MECH_N]; /* what holds for this one */
};

/* 0, or -1 with E set and nothing left behind. On success the descriptors
 * belong to the caller. All of P's descriptors stay the caller's too; init_fd
 * is made unreadable (mode 0111), which keeps init undumpable. Not reentrant.
 */
int sandbox_launch(const struct host *h, const struct plan *p,
    struct launched *out, struct err *e);

/* Text for a failed stage: "mount what was asked for: /src: No such file". */
void start_report_text(
    const struct plan *p, const struct start_report *r, struct err *e);

#endif
