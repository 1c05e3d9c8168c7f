/*
 * The validated description of one sandbox: data only. The supervisor fills
 * it from a request or a stored record; launch.c and enter.c perform it.
 * Nothing in a plan is owned by the code that performs it.
 */
#ifndef SANDBOX_PLAN_H
#define SANDBOX_PLAN_H

#include "lib/defs.h"
#include "lib/err.h"
#include "sandbox/subids.h"
#include <stdbool.h>
#include <sys/types.h>

/* What isolates a sandbox. A record says of each whether it holds. */
#define MECHANISMS(X)                   \
	X(USER, "user")                 \
	X(PID, "pid")                   \
	X(MOUNT, "mount")               \
	X(NET, "net")                   \
	X(IPC, "ipc")                   \
	X(UTS, "uts")                   \
	X(CGROUP, "cgroup")             \
	X(SECCOMP, "seccomp")           \
	X(LANDLOCK, "landlock")         \
	X(CAPS, "caps")                 \
	X(IDMAP, "idmap")               \
	X(OVERLAY, "overlay")           \
	X(NO_NEW_PRIVS, "no_new_privs") \
	X(RLIMITS, "rlimits")

enum mechanism {
#define X(sym, name) MECH_##sym,
	MECHANISMS(X)
#undef X
	MECH_N
};

const char *mechanism_name(enum mechanism m);

enum mount_mode {
	MOUNT_RO,
	MOUNT_RW,
	MOUNT_COW
};

struct plan_mount {
	const char *source; /* absolute host path, canonical */
	const char *target; /* absolute path inside */
	enum mount_mode mode;
};

/* A file system in memory, charged to the sandbox. */
struct plan_tmpfs {
	const char *target; /* absolute path inside */
	int64_t size_bytes; /* 0: half of the machine's memory */
	int64_t inodes;	    /* 0: as many as its size lets it have */
	mode_t mode;	    /* of its root */
	bool no_exec;
};

struct plan_limits { /* 0: not limited */
	int64_t memory_bytes;
	int64_t cpu_millis; /* thousandths of a core */
	int64_t pids;
	int64_t open_files;
	int64_t cpu_weight; /* 1 to 10000; 0: the default, 100 */
	int64_t io_weight;  /* the same */
	int64_t disk_bytes; /* of all that it writes; see disk.h */
	int64_t inodes;
};

#define PLAN_IDS 65536u
/* Above those that the kernel gives out by itself, and nobody's. */
#define PLAN_PROXY_PORT 61080

struct plan {
	const char *id;
	const char *hostname;
	const char *image; /* NULL: the host's own root */
	bool host_network;
	bool proxy;    /* a socket listens on 127.0.0.1:PLAN_PROXY_PORT inside,
			  which the launcher gets: launched.proxy_sock */
	uid_t id_base; /* first of PLAN_IDS host ids; 0: rootless, only the
			  caller's own id is mapped, and */
	struct subids_slice lent; /* those, if there are any */
	uid_t uid;	  /* sandbox ids of the sandbox's user: whom rw and */
	gid_t gid;	  /* cow mounts belong to inside */
	int dir_fd;	  /* the sandbox's own directory on the host (0700):
			     upper/ work/ and cow/<n>/{upper,work} live here */
	bool dir_is_tree; /* dir_fd is a detached mount made for this start */
	int hide_fd;	  /* what hides the host's private paths, from
			     hide_layer(); -1 when image is a directory */
	/* Directories of ours that are shown empty where nothing else hides
	 * them: root without its powers maps itself. NULL: no more. */
	const char *empty[2];
	int init_fd; /* sandboxd-init, a sealed memory file */
	/* A bound stream socket, and how long init waits on it for another
	 * supervisor when ours dies; 0: it ends with ours. */
	int adopt_fd;
	int64_t adopt_ms;
	struct plan_limits limits;
	const struct plan_mount *mounts;
	size_t nmounts;
	const struct plan_tmpfs *tmpfs;
	size_t ntmpfs;
	int64_t tmp_bytes; /* /tmp, /run, /dev and /dev/shm together; 0: half of
			      the machine's memory */
	const char *hosts; /* text of /etc/hosts; NULL: the image's own */
	bool hosts_asked;  /* somebody counts on it */
	const struct cgroup *cgroup; /* NULL: none to be had */
};

#endif
