/*
 * Ids that the host lends to an ordinary user, for his sandboxes: ranges in
 * /etc/subuid and /etc/subgid, which newuidmap and newgidmap (programs of root,
 * Debian package uidmap) map for whoever they are written down for.
 *
 * A sandbox gets one slice of them. Inside, id N is the slice's first id plus
 * N, but for the sandbox's own user, who is the caller himself: so what he is
 * lent by mounts, and what he makes there, is his on both sides.
 */
#ifndef SANDBOX_SUBIDS_H
#define SANDBOX_SUBIDS_H

#include "lib/defs.h"
#include "lib/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SUBIDS_RANGES 8 /* of a user; more are not looked at */
/* A slice is whole (PLAN_IDS) where there are two of that at least, else it is
 * of so many: enough for what distributions give ids to. */
#define SUBIDS_SLICE 4096u
#define SUBIDS_MIN 1000u /* a smaller range is not used */
#define SUBIDS_NOBODY 65534u

struct id_range {
	uint32_t first, count;
};

/* Lines of a map of a user namespace. */
struct id_line {
	uint32_t inside, outside, count;
};
struct id_map {
	struct id_line v[SUBIDS_RANGES + 1];
	size_t n;
};

enum subids_lack {
	SUBIDS_HAVE,
	SUBIDS_NOT_TRIED,  /* root, who needs none; or no user namespaces */
	SUBIDS_NO_PROGRAM, /* newuidmap or newgidmap */
	SUBIDS_NO_NAME,	   /* the caller is not in the passwd file */
	SUBIDS_NO_UIDS,
	SUBIDS_NO_GIDS,
	SUBIDS_BARRED, /* we run with no_new_privs */
	SUBIDS_REFUSED /* all is there, and yet it does not work */
};

struct subids {
	enum subids_lack lack;
	char why[256]; /* unless it is SUBIDS_HAVE */
	char name[64]; /* the caller's; "" if he has none */
	uid_t own_uid;
	gid_t own_gid;
	struct id_range uids[SUBIDS_RANGES], gids[SUBIDS_RANGES];
	size_t nuids, ngids;
	char newuidmap[64], newgidmap[64]; /* absolute paths */
};

/* What one sandbox has; COUNT 0: nothing but the caller's own id. */
struct subids_slice {
	uint32_t uid, gid, count;
};

/* Look: whom for, which ranges, which programs. Never fails, SI->lack tells. */
void subids_find(struct subids *si);
/* A range for whoever has none: the first free one in both files. */
uint32_t subids_free_range(void);

/* How many slices there are, and the K'th. */
unsigned subids_count(const struct subids *si);
struct subids_slice subids_slice(const struct subids *si, unsigned k);
/* Is SL still the caller's? */
bool subids_holds(const struct subids *si, const struct subids_slice *sl);

/* Who is the caller in a sandbox that has COUNT ids and whose user is INSIDE:
 * he, or if he is not among its ids, its root. */
uint32_t subids_self(uint32_t count, uint32_t inside);
/* The map of a sandbox that has the COUNT ids from FIRST on and whose user is
 * INSIDE; OWN is the caller's. */
void subids_slice_map(struct id_map *m, uint32_t first, uint32_t count,
    uint32_t own, uint32_t inside);

/* subids_map.c. Map PID's ids, a process in a new user namespace of ours:
 * waits, UNTIL_MS of the monotonic clock at most. 0, or -1 with WHY filled. */
int subids_map(const struct subids *si, pid_t pid, const struct id_map *uids,
    const struct id_map *gids, int64_t until_ms, char *why, size_t size);
/* Call FN in a child that is root over all of the caller's ids, and nobody
 * else's; its result is the child's exit status. -1: there is no such child,
 * with E set. Waits for it. */
int subids_as_root(
    const struct subids *si, int (*fn)(void *ctx), void *ctx, struct err *e);

#endif
