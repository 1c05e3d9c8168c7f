/*
 * The root of a sandbox, step by step. Each step works on what the ones before
 * have left in struct setup and returns 0, or -1 with errno; enter.c has the
 * order. All run in the child, as root of its user namespace.
 */
#ifndef SANDBOX_ROOTFS_H
#define SANDBOX_ROOTFS_H

#include "sandbox/setup.h"

/* MASK_* bit numbers, in the order of mask.def. */
enum mask {
#define MASK(sym, fs, name, how) MASK_##sym,
#include "sandbox/mask.def"
#undef MASK
	MASK_N
};
_Static_assert(MASK_N <= 32, "struct host_private holds them in 32 bits");

/* Which of them this host has, as bits. */
uint32_t rootfs_probe_masks(void);

/* Before the supervisor has mapped our ids: nothing here makes a file. */
int rootfs_private(struct setup *s);
int rootfs_make_proc(struct setup *s);
int rootfs_make_sys(struct setup *s);

/* After that. */
int rootfs_scratch(struct setup *s);
int rootfs_root(struct setup *s);
int rootfs_tmp(struct setup *s);
int rootfs_tmpfs(struct setup *s);  /* s->detail: which one */
int rootfs_mounts(struct setup *s); /* the same */
int rootfs_hosts(struct setup *s);
int rootfs_proc(struct setup *s);
int rootfs_sys(struct setup *s);
int rootfs_mask(struct setup *s);
int rootfs_pivot(struct setup *s);

#endif
