/*
 * The list of system calls (seccomp.def) for people and for programs. Needs
 * neither privilege nor a running supervisor.
 */
#ifndef SANDBOX_SECCOMP_LIST_H
#define SANDBOX_SECCOMP_LIST_H

#include <stdbool.h>
#include <stdio.h>

/* Print the groups, their reasons and calls, and the rules about arguments, as
 * this architecture has them; with JSON as one object. */
void filter_print(FILE *f, bool json);

#endif
