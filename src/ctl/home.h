/*
 * The caller's home directory.
 */
#ifndef CTL_HOME_H
#define CTL_HOME_H

#include "lib/defs.h"
#include "lib/err.h"
#include <limits.h>

/* HOME when it is an absolute path, else what the system's table of users says
 * of this uid. -1 when neither does, or SIZE is too little. */
int home_find(char *dst, size_t size, struct err *e);

#endif
