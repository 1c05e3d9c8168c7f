/*
 * Starting our helpers, and the programs that sandboxes are given.
 */
#ifndef SUPERVISOR_SPAWN_H
#define SUPERVISOR_SPAWN_H

#include "supervisor/super.h"

/* Start a helper of libexec_dir with its channel as descriptor 3 and DIR_FD as
 * its directory; nothing else is open in it but 0, 1, 2 (/dev/null,
 * /dev/null, ours). ARGV[0] is the program's name. Ends in proc_spawned(). */
int spawn_helper(struct super *s, struct proc *p, int dir_fd,
    char *const argv[], struct err *e);
/* A helper program as a sealed memory file: what runs in sandboxes can
 * neither be changed there nor replaced below us. */
/* A helper that is waited for and says nothing: FD becomes its descriptor 3. */
int spawn_once(struct super *s, pid_t *pid_out, int fd, int dir_fd,
    char *const argv[], struct err *e) ATTR_WARN_UNUSED;
int spawn_load_program(
    struct super *s, const char *name, int *fd_out, struct err *e);

#endif
