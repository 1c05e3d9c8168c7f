/*
 * A look at who descends from whom, from /proc, and signals that reach exactly
 * the process that was seen. For ending trees of processes where there is
 * neither a pid namespace nor a control group of their own.
 *
 * A look is a picture: whoever wants a whole tree dead looks until nothing is
 * left, and stops it first (a process with SIGSTOP pending cannot fork).
 */
#ifndef LIB_PROCTREE_H
#define LIB_PROCTREE_H

#include "defs.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proctree_node {
	pid_t pid, ppid;
	uint64_t start; /* in ticks since boot: with pid, an identity */
	bool dead;	/* a zombie, or about to be */
};

struct proctree {
	struct proctree_node *v; /* owned; by rising pid */
	size_t n, cap;
};

/* /proc, if it shows our own pid namespace; -1: the numbers there would be
 * those of somebody else's processes, or it is not mounted. */
int proctree_open(void);
/* Look. PROC_FD is /proc. False: it could not be read, or memory is out; T is
 * empty then. T begins as all zeros and may be used again. */
bool proctree_read(struct proctree *t, int proc_fd);
void proctree_free(struct proctree *t);
/* The child of ROOT that N is or descends from; 0 when it does not. */
pid_t proctree_below(
    const struct proctree *t, const struct proctree_node *n, pid_t root);
/* True: the process of N was there and was sent SIG; nobody else ever is. */
bool proctree_signal(int proc_fd, const struct proctree_node *n, int sig);

/* Send SIG to all that descends from ROOT (not to ROOT); how many there are
 * still, zombies not counted; -1: /proc cannot be read. KILL: all are stopped
 * first, so that nothing slips through by forking. */
int proctree_end(int proc_fd, pid_t root, int sig);

#endif
