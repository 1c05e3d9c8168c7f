/*
 * What a forked child of init does until exec: session, terminal, descriptors,
 * user, capabilities, environment, working directory, search for the program.
 */
#ifndef INIT_CHILD_H
#define INIT_CHILD_H

#include "lib/defs.h"
#include "lib/err.h"
#include "lib/json.h"
#include <limits.h>
#include <stdbool.h>

#define CHILD_FDS 3

struct gate_defaults;

struct child_plan {
	const struct json *msg; /* the exec message, checked; borrowed */
	/* What MSG does not say; NULL: exactly what MSG says. */
	const struct gate_defaults *defaults;
	const char *term; /* TERM of a command that has none; NULL: none */
	bool session;	  /* kind session, else command */
	bool adopt;	  /* orphans below it are its own while it lives */
	bool own_fds;	  /* the pipes are to belong to the command's user */
	/* command: 0, 1, 2; session: program, its supervisor, its store; none
	 * with a terminal. The child consumes them. */
	int fds[CHILD_FDS];
	/* command: becomes 3, which NOTIFY_FD tells; 0: none. */
	int notify_fd;
	int master_fd; /* of the terminal, -1 without one */
	int null_fd;
	int report_fd; /* takes one struct err when exec failed */
};

_Static_assert(sizeof(struct err) <= PIPE_BUF, "a report is one atomic write");

/* Exec or report why not. */
void child_run(struct child_plan *p) ATTR_NORETURN;

/* Shared with other children of init: keep FDS as descriptors 0..N-1 (in
 * order, not close-on-exec), then REST as N.. (close-on-exec), and close every
 * other one. The arrays are updated. */
#define CHILD_FDS_MAX 8
int child_keep_fds(int *fds, size_t n, int *rest, size_t nrest);

#endif
