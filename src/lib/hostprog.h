/*
 * A program of the host, executed once by its absolute path: no shell, no
 * search, nothing of ours but our user id, an environment that the caller
 * names, and one descriptor for what it has to say.
 */
#ifndef LIB_HOSTPROG_H
#define LIB_HOSTPROG_H

#include "lib/defs.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Start PATH with ARGV and ENVP; its standard error goes to ERR_FD (-1:
 * nowhere), its input and output lead nowhere. 0, or -1 with errno. */
int hostprog_start(const char *path, char *const argv[], char *const envp[],
    int err_fd, pid_t *pid_out);
/* Wait until it ends or until UNTIL_MS of the monotonic clock, when it is
 * killed. True when it has ended well; its wait status in *STATUS_OUT, -1 when
 * it had to be killed. */
bool hostprog_wait(pid_t pid, int64_t until_ms, int *status_out);

#endif
