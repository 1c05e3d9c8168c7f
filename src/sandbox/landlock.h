/*
 * Landlock: one more wall, made of rules that no namespace trick moves.
 */
#ifndef SANDBOX_LANDLOCK_H
#define SANDBOX_LANDLOCK_H

#include "lib/defs.h"

/* Version of the kernel's interface; 0 when there is none. */
int landlock_abi(void);

/* Lowest version that we use: before 2 every rename from one directory to
 * another was refused, which ordinary programs do not survive. */
#define LANDLOCK_ABI_MIN 2

/* Confine this process and what it starts: below ROOT_FD everything but making
 * device nodes; below each of READ_FDS reading only; sockets and signals stay
 * inside where ABI knows that. Needs no_new_privs. 0, or -1 with errno. */
int landlock_enter(int abi, int root_fd, const int *read_fds, size_t nread);

#endif
