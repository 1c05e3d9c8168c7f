/*
 * Paths of archives and packages, and going along them below a directory:
 * never through a link, never out.
 */
#ifndef COURIER_BENEATH_H
#define COURIER_BENEATH_H

#include "lib/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define BENEATH_PATH_MAX 1024 /* bytes of one of our relative paths */

/* IN without "." and empty parts, STRIP parts dropped at its front: into
 * OUT[BENEATH_PATH_MAX], "" when nothing is left. -1: absolute, with "..", with
 * a control character, or too long. */
int beneath_clean(char out[BENEATH_PATH_MAX], const char *in, unsigned strip);
/* May a link in directory DIR (clean) point to TARGET? Only when no chain of
 * such links leads out: relative, ".." only at its front, and not more of them
 * than DIR has parts. */
bool beneath_link_safe(const char *dir, const char *target);

/* The directory of clean PATH below ROOT_FD, opened; made with its parents when
 * MAKE. "" is ROOT_FD itself. */
int beneath_dir(
    int root_fd, const char *path, bool make, int *fd_out, struct err *e);
/* The directory that holds PATH, and its last part. */
int beneath_parent(int root_fd, const char *path, bool make, int *fd_out,
    const char **name_out, struct err *e);
/* A file below ROOT_FD, opened to read; by way of links that stay there. */
int beneath_open(int root_fd, const char *path, int *fd_out, struct err *e);
/* Text into a new file that replaces one that is there. */
int beneath_write(int root_fd, const char *path, const char *text, mode_t mode,
    struct err *e);
/* A link at PATH, in place of what is there. */
int
beneath_link(int root_fd, const char *path, const char *target, struct err *e);

#endif
