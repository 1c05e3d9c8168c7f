/*
 * A directory that stands for the registry: the tarballs that `npm pack` makes,
 * and the archives of recipes, side by side.
 */
#ifndef COURIER_MIRROR_H
#define COURIER_MIRROR_H

#include "courier/packument.h"

/* What the directory has of package NAME: an empty packument when nothing. A
 * tarball is called as npm does (scope-name-1.2.3.tgz), and its package.json
 * must say the same. */
int mirror_packument(
    int dir_fd, const char *name, struct packument **p_out, struct err *e);

#endif
