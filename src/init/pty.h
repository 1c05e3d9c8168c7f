/*
 * Pseudo terminals of the sandbox's own devpts.
 */
#ifndef INIT_PTY_H
#define INIT_PTY_H

#include "lib/err.h"

/* A fresh pair, unlocked: its master. The other side is had from the master by
 * TIOCGPTPEER, without a path. */
int pty_open(int columns, int rows, int *master_out, struct err *e);

#endif
