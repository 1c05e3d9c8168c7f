/*
 * What the supervisor prepares for the child that becomes a sandbox's init:
 * private to launch.c, enter.c and the mechanisms. The child gets it by being
 * a fork: everything here is memory and descriptors of both processes, and
 * the child only reads it (but for what it opens itself).
 *
 * Two ways of building exist. RANGED: we are the host's root, the sandbox has
 * a range of ids, and the supervisor makes the trees (detached mounts) and
 * maps their ids, since only it may. Rootless: one id is mapped, or with it
 * those that the host lends (LENT), and the child makes the same trees itself,
 * by path, in its own mount namespace.
 */
#ifndef SANDBOX_SETUP_H
#define SANDBOX_SETUP_H

#include "sandbox/hide.h"
#include "sandbox/launch.h"
#include "sandbox/netpool.h"
#include <limits.h>

#define SETUP_MOUNTS_MAX 32
#define SETUP_CGROUPS_MAX 8
#define SETUP_MOVED_N 2
/* init's descriptors: 3 the channel, 4 where a later supervisor knocks (if
 * one may), from 5 on the uppers of cow mounts */
#define SETUP_CHAN_FD 3
#define SETUP_ADOPT_FD 4
#define SETUP_UPPER_FD 5

/* Program for the kernel: struct sock_filter[len], owned. */
struct filter {
	void *prog;
	size_t len;
};

/* Behind struct host's priv. */
struct host_private {
	struct filter strict; /* used with rw mounts, see seccomp.h */
	int dev_fd;	      /* template of /dev (devices.h), or -1 */
	uint32_t masked;      /* bits of the paths in mask.def that exist */
	struct netpool nets;
	bool dir_no_idmap; /* learned: the state directory cannot map ids */
};

struct setup_mount {
	enum mount_mode mode;
	bool is_file;
	bool optional;	    /* ours, not the plan's: left out when it fails */
	const char *source; /* borrowed */
	const char *target; /* borrowed */
	int tree_fd;	    /* detached mount of the source */
	int upper_fd;	    /* cow: read-only view of the upper, for init */
	uid_t uid;	    /* the source's owner on disk */
	gid_t gid;
};

struct setup {
	const struct host *host;
	const struct plan *plan;
	bool ranged;
	bool lent;
	bool idmap; /* the trees' ids are mapped */
	bool own_net;
	bool net_ready;	   /* from the pool: lo is up, sys_fd is there */
	bool overlay_root; /* else: binds of the host's system directories */

	/* supervisor's side until clone, the child's after */
	int chan_fd;   /* init's end */
	int go_fd;     /* child reads one byte: go on */
	int report_fd; /* child writes a struct start_report */
	int proxy_fd;  /* child sends the socket of the proxy; -1: none */
	int cgroup_fds[SETUP_CGROUPS_MAX];
	size_t ncgroups;

	int lower_fd; /* tree of the image, or of the host's root */
	int hide_fds[HIDE_LAYERS_N]; /* trees of the layers above it, or -1 */
	int dev_fd; /* tree of /dev, or -1: the child binds the host's */
	int dir_fd; /* tree of the sandbox's own directory */
	struct setup_mount mounts[SETUP_MOUNTS_MAX];
	size_t nmounts;
	char moved[SETUP_MOVED_N][PATH_MAX]; /* see launch.c */

	char dir_path[PATH_MAX]; /* rootless: for the child's open_tree */
	uid_t own_uid;		 /* rootless: whom 0 stands for */
	gid_t own_gid;

	/* the child's own */
	uint32_t detail;
	int scratch_fd;
	int root_fd;
	int proc_fd;
	int sys_fd;
};

/* The child: performs the plan and never returns. */
void enter(struct setup *s) ATTR_NORETURN;
/* The same without namespaces. It becomes the sandbox's keeper, and its child
 * the init. */
void enter_reduced(struct setup *s) ATTR_NORETURN;

/* reduced.c: what remains of H's mechanisms when one that is needed lacks. */
void reduced_probe(struct host *h);
int reduced_launch(const struct host *h, const struct plan *p,
    struct launched *out, struct err *e);

#endif
