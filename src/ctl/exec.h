/*
 * What `exec` shares with the commands about processes that go on without us.
 */
#ifndef CTL_EXEC_H
#define CTL_EXEC_H

#include "ctl/commands.h"

/* The members of a request that starts COMMAND in the sandbox that A's first
 * operand names; with a terminal TERM as well. */
int exec_write(struct jw *w, const struct args *a, char *const *command,
    bool tty, struct err *e);

/* cmd_process.c: `exec` with --detach or --detach-keys. */
int
process_exec(struct ctl *ctl, const struct args *a, bool tty, bool with_stdin);

#endif
