/*
 * Files below a directory of the caller's, and never anywhere else: every
 * path is resolved by the kernel with RESOLVE_BENEATH and without following
 * links, so a name from a sandbox cannot lead out, whoever swaps what
 * meanwhile.
 */
#ifndef CTL_BENEATH_H
#define CTL_BENEATH_H

#include "lib/defs.h"
#include "lib/err.h"
#include <stdbool.h>
#include <sys/stat.h>

/* openat2 below ROOT_FD; -1 with errno. */
int beneath_open(int root_fd, const char *path, int flags);
/* The directory that holds PATH, and PATH's last part. -1 with errno. */
int beneath_parent(int root_fd, const char *path, const char **name_out);
/* lstat. 1: *ST_OUT; 0: nothing there, also when a part of the way is no
 * directory; -1 with errno. */
int beneath_stat(int root_fd, const char *path, struct stat *st_out);
/* A symlink's target. -1 with errno. */
int beneath_readlink(int root_fd, const char *path, char *dst, size_t size);

/* Every file and link below directory PATH, parents first. FN's result other
 * than 0 ends the walk and is returned. Trees deeper than BENEATH_DEPTH are an
 * error. */
#define BENEATH_DEPTH 200
typedef int beneath_fn(const char *path, const struct stat *st, void *ctx);
int beneath_walk(
    int root_fd, const char *path, beneath_fn *fn, void *ctx, struct err *e);
/* Remove NAME below PARENT_FD, whatever it is, with all below it. */
int beneath_remove(int parent_fd, const char *name, struct err *e);

#endif
