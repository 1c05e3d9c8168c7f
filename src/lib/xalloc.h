/*
 * Allocation for sizes that we chose: on failure the process logs and exits
 * with EXIT_SYS. For sizes that a peer chose use buf (which has a cap) or
 * malloc with a check. Nothing here accepts a size of zero or one that
 * overflows: both are our own defects and abort.
 */
#ifndef LIB_XALLOC_H
#define LIB_XALLOC_H

#include "defs.h"

/* From now on a shortage is waited out instead: for process 1, whose end is
 * everybody's. */
void xalloc_wait(void);
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) ATTR_PRINTF(1, 2);
/* NULL-terminated string vectors. strv_free accepts NULL. */
char **strv_dup(char *const *v);
void strv_free(char **v);
size_t strv_len(char *const *v);

#endif
