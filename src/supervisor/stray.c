/*
 * Who is whose among the processes around us. Runs in the supervisor. Kin are
 * our own children that have a place in our tables: helpers and the first
 * process of each sandbox, with all below them. Strays are all others: the
 * command, its children, its orphans, whatever else was put into our container.
 */
#include "supervisor/command_priv.h"

#include "lib/proctree.h"

#include <stdlib.h>
#include <unistd.h>

#define STOP_PASSES 50

static pid_t *kin; /* owned; in no order */
static size_t nkin, kin_cap;

void
kin_add(pid_t pid)
{
	pid_t *v;

	if (nkin == kin_cap) {
		v = reallocarray(kin, kin_cap + 64, sizeof(*v));
		if (v == NULL)
			return; /* it is ended a little early at the end */
		kin = v;
		kin_cap += 64;
	}
	kin[nkin++] = pid;
}

void
kin_remove(pid_t pid)
{
	for (size_t i = 0; i < nkin; i++) {
		if (kin[i] != pid)
			continue;
		kin[i] = kin[--nkin];
		return;
	}
}

bool
kin_is(pid_t pid)
{
	for (size_t i = 0; i < nkin; i++)
		if (kin[i] == pid)
			return true;
	return false;
}

static bool
is_stray(const struct proctree *t, const struct proctree_node *n, pid_t self)
{
	pid_t top;

	if (n->dead || n->pid == self)
		return false;
	top = proctree_below(t, n, self);
	if (top != 0)
		return !kin_is(top);
	/* As process 1 we end the whole container, and with us end those, too,
	 * that were put into it from outside. */
	return self == 1;
}

static int
pass(struct proctree *t, int proc_fd, int sig)
{
	pid_t self = getpid();
	int found = 0;

	if (!proctree_read(t, proc_fd))
		return -1;
	for (size_t i = 0; i < t->n; i++) {
		if (!is_stray(t, &t->v[i], self))
			continue;
		found++;
		if (sig != 0) /* or it is gone */
			(void)proctree_signal(proc_fd, &t->v[i], sig);
	}
	return found;
}

int
strays_signal(int proc_fd, int sig)
{
	struct proctree t = { NULL, 0, 0 };
	int n = 0, before = -1;

	/* What is stopped does not fork away from the next pass. */
	if (sig == SIGKILL)
		for (int i = 0; i < STOP_PASSES && n != before; i++) {
			before = n;
			n = pass(&t, proc_fd, SIGSTOP);
		}
	n = pass(&t, proc_fd, sig);
	proctree_free(&t);
	return n;
}
