/*
 * Process titles: what ps shows. proctitle_init must run first thing in main,
 * before anything keeps a pointer into argv or environ.
 */
#ifndef LIB_PROCTITLE_H
#define LIB_PROCTITLE_H

#include "defs.h"

void proctitle_init(int argc, char **argv);
/* "sandboxd: init box1": cut to the room there is. Also sets the comm name to
 * the first word of COMM (15 bytes). */
void proctitle_set(const char *comm, const char *fmt, ...) ATTR_PRINTF(2, 3);

#endif
