/*
 * The caller's terminal: its size, and raw mode that is always undone: at
 * exit, on signals that end us, and before we write messages of our own.
 */
#ifndef CTL_TERM_H
#define CTL_TERM_H

#include "lib/defs.h"
#include "lib/err.h"
#include <sys/ioctl.h>

/* Columns of standard output's terminal; DEF when it is none. */
size_t term_columns(size_t def);
/* Size of the terminal on standard input or output; 80 by 24 without one. */
void term_size(struct winsize *ws_out);
/* Standard input's terminal to raw mode. 0 also when it is no terminal. */
int term_raw(struct err *e);
/* Again, after somebody else (the shell, at SIGCONT) has changed it. */
void term_raw_again(void);
void term_restore(void); /* safe in a signal handler, and twice */

#endif
