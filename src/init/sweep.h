/*
 * Signalling everything that a command has started.
 *
 * A command is the leader of its own session, so its processes are those with
 * its session id; for SIGKILL also their descendants in other sessions, as far
 * as the chain of parents still shows them. What has forked twice and made a
 * session of its own belongs to init, as with any init.
 */
#ifndef INIT_SWEEP_H
#define INIT_SWEEP_H

#include "lib/defs.h"
#include <sys/types.h>

/* Send SIG once to each process of session SID that PROC_FD (a /proc) shows.
 * Returns how many living ones there were, or -1 if /proc could not be read
 * (then only the process group was reached). A process that forks meanwhile may
 * be missed: with SIGKILL call again until 0. */
int sweep_session(int proc_fd, pid_t sid, int sig);

#endif
