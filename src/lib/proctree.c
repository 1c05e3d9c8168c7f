/*
 * Processes by descent; see proctree.h. Runs in the supervisor and in a
 * sandbox's init and keeper. What it reads in /proc is the kernel's word; only
 * the name of a process is its own choice, and is skipped from behind, as a
 * name may hold blanks and parentheses.
 */
#include "proctree.h"
#include "strutil.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD */
#define STOP_PASSES 50

/* False: gone, or a thread of the kernel, which no signal ends. */
static bool
node_read(int proc_fd, pid_t pid, struct proctree_node *n)
{
	char path[32], text[1024];
	unsigned long long start;
	unsigned flags;
	ssize_t len;
	char *p, state;
	int ppid;

	(void)snprintf(path, sizeof(path), "%d/stat", (int)pid);
	autofd int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	len = read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return false;
	text[len] = '\0';
	p = strrchr(text, ')');
	/* state ppid pgrp session tty tpgid flags, 12 more, starttime */
	if (p == NULL ||
	    sscanf(p + 1,
		" %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d "
		"%*d %*d %*d %*d %llu",
		&state, &ppid, &flags, &start) != 4 ||
	    (flags & KERNEL_THREAD) != 0)
		return false;
	*n = (struct proctree_node){ pid, (pid_t)ppid, start,
		state == 'Z' || state == 'X' };
	return true;
}

static int
by_pid(const void *a, const void *b)
{
	const struct proctree_node *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static bool
node_add(struct proctree *t, const struct proctree_node *n)
{
	struct proctree_node *v;
	size_t cap = t->cap > 0 ? 2 * t->cap : 256;

	if (t->n == t->cap) {
		v = reallocarray(t->v, cap, sizeof(*v));
		if (v == NULL)
			return false;
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n++] = *n;
	return true;
}

int
proctree_open(void)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[16] = "";
	int64_t pid;

	if (fd != -1 &&
	    (readlinkat(fd, "self", text, sizeof(text) - 1) == -1 ||
		str_to_int(text, 1, INT32_MAX, &pid) == -1 || pid != getpid()))
		fd_close(&fd);
	return fd;
}

bool
proctree_read(struct proctree *t, int proc_fd)
{
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct proctree_node n;
	struct dirent *de;
	bool ok = true;
	int64_t pid;

	t->n = 0;
	if (d == NULL) {
		fd_close(&fd);
		return false;
	}
	while (ok && (de = readdir(d)) != NULL)
		if (str_to_int(de->d_name, 1, INT32_MAX, &pid) == 0 &&
		    node_read(proc_fd, (pid_t)pid, &n))
			ok = node_add(t, &n);
	(void)closedir(d); /* only read */
	if (!ok)
		t->n = 0;
	else if (t->n > 0)
		qsort(t->v, t->n, sizeof(*t->v), by_pid);
	return ok;
}

void
proctree_free(struct proctree *t)
{
	free(t->v);
	memset(t, 0, sizeof(*t));
}

pid_t
proctree_below(
    const struct proctree *t, const struct proctree_node *n, pid_t root)
{
	struct proctree_node key;
	size_t steps;

	/* Bounded: parents may have changed while we looked, and a picture
	 * with a ring in it is one of them. */
	for (steps = 0; n != NULL && steps <= t->n; steps++) {
		if (n->ppid == root)
			return n->pid;
		if (n->ppid == 0)
			return 0;
		key.pid = n->ppid;
		n = bsearch(&key, t->v, t->n, sizeof(key), by_pid);
	}
	return 0;
}

bool
proctree_signal(int proc_fd, const struct proctree_node *n, int sig)
{
	autofd int pidfd = (int)syscall(SYS_pidfd_open, n->pid, 0u);
	struct proctree_node now;

	/* The number may have passed to somebody else since the look; after
	 * the second one the descriptor is known to be of the first's. */
	if (pidfd == -1 || !node_read(proc_fd, n->pid, &now) ||
	    now.start != n->start)
		return false;
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) == 0;
}

static int
signal_below(struct proctree *t, int proc_fd, pid_t root, int sig)
{
	int found = 0;

	if (!proctree_read(t, proc_fd))
		return -1;
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].dead || proctree_below(t, &t->v[i], root) == 0)
			continue;
		(void)proctree_signal(proc_fd, &t->v[i], sig); /* or is gone */
		found++;
	}
	return found;
}

int
proctree_end(int proc_fd, pid_t root, int sig)
{
	struct proctree t = { NULL, 0, 0 };
	int n = 0, before = -1;

	if (sig == SIGKILL)
		for (int i = 0; i < STOP_PASSES && n != before; i++) {
			before = n;
			n = signal_below(&t, proc_fd, root, SIGSTOP);
		}
	n = signal_below(&t, proc_fd, root, sig);
	proctree_free(&t);
	return n;
}
