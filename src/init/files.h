/*
 * The file server of a sandbox: init forks one for each gateway that wants to
 * see files there. It serves MSG_FS_* of lib/proto.def on its channel and ends
 * with it.
 */
#ifndef INIT_FILES_H
#define INIT_FILES_H

#include "lib/defs.h"

struct gate_defaults; /* init/gate.h */

/* In a forked child of init, all of whose rights it still has: becomes the
 * sandbox's user, serves CHAN_FD, exits. Keeps no other descriptor. */
void files_main(int chan_fd, const struct gate_defaults *d) ATTR_NORETURN;

#endif
