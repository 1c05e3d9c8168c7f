/*
 * Filters of system calls, put together by hand: for processes that would pay
 * more memory for a library than for all else that they keep.
 *
 * A filter looks at what was loaded last: first the number of the call. What
 * stands behind a test that an entry does not pass is skipped; the first
 * verdict that is reached counts, and a filter ends with one.
 */
#ifndef LIB_CALLFILTER_H
#define LIB_CALLFILTER_H

#include "defs.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#define CALLFILTER_MAX 500 /* instructions */

struct callfilter {
	struct sock_filter code[CALLFILTER_MAX];
	unsigned short len;
};

/* Calls of another architecture end the process; the call's number is loaded.
 */
void callfilter_begin(struct callfilter *f);
/* Load the lower half of argument N in place of what was loaded. */
void callfilter_load_argument(struct callfilter *f, unsigned n);
/* Keep those of its bits that are in MASK. */
void callfilter_mask(struct callfilter *f, unsigned mask);
/* When it is V, or has a bit of V, the next N instructions; else skip them. */
void callfilter_when(struct callfilter *f, unsigned v, unsigned char n);
void callfilter_when_any(struct callfilter *f, unsigned v, unsigned char n);
/* SECCOMP_RET_*. One instruction. */
void callfilter_verdict(struct callfilter *f, unsigned verdict);
/* This verdict for each of N values. Two instructions a value. */
void callfilter_list(
    struct callfilter *f, const unsigned *values, size_t n, unsigned verdict);
/* What takes a process further than it is, starts another, or gets back what
 * was given up, ends it. */
void callfilter_never(struct callfilter *f);
/* Memory may be mapped, as long as it is not to be executed: that ends it. */
void callfilter_no_new_code(struct callfilter *f);
/* From now on, for good. Needs no_new_privs. Does nothing under sanitizers,
 * whose runtime makes calls that we do not. */
void callfilter_apply_or_die(const struct callfilter *f);

#endif
