/*
 * One pass over /proc, then one pidfd per process to be signalled.
 *
 * Runs in init. The pids come from the kernel, the processes behind them are
 * hostile: they fork, exit and reuse numbers while we look. Identity is pid and
 * start time, compared again once a pidfd pins the process.
 */
#include "init/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define SWEEP_MAX (1 << 20) /* processes looked at */
#define STAT_MAX 1024
#define FREEZE_ROUNDS 8

struct entry {
	pid_t pid, ppid, pgrp, sid;
	unsigned long long start;
	char state; /* as /proc has it: Z dead, T stopped, … */
	bool hit;   /* belongs to what is to be signalled */
};

struct table {
	struct entry *e; /* owned */
	size_t n, room;
};

static int
stat_read(int proc_fd, pid_t pid, struct entry *e_out)
{
	char path[32], text[STAT_MAX], *p;
	autofd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%d/stat", (int)pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	/* The name stands in brackets and may itself hold brackets, blanks and
	 * newlines; the last bracket ends it. */
	p = strrchr(text, ')');
	if (p == NULL)
		return -1;
	*e_out = (struct entry){ .pid = pid };
	if (sscanf(p + 1,
		" %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d"
		" %*d %*d %*d %llu",
		&e_out->state, &e_out->ppid, &e_out->pgrp, &e_out->sid,
		&e_out->start) != 5)
		return -1;
	return 0;
}

static int
table_add(struct table *t, const struct entry *e)
{
	struct entry *p;
	size_t room;

	if (t->n == t->room) {
		room = t->room == 0 ? 64 : t->room * 2;
		if (room > SWEEP_MAX)
			return -1;
		p = reallocarray(t->e, room, sizeof(*p));
		if (p == NULL)
			return -1;
		t->e = p;
		t->room = room;
	}
	t->e[t->n++] = *e;
	return 0;
}

static int
table_read(int proc_fd, struct table *t)
{
	struct dirent *d;
	struct entry e;
	char *end;
	DIR *dir;
	long pid;
	int fd;

	fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	dir = fdopendir(fd);
	if (dir == NULL) {
		(void)close(fd);
		return -1;
	}
	while ((d = readdir(dir)) != NULL) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		pid = strtol(d->d_name, &end, 10);
		if (*end != '\0' || pid <= 1 || pid > INT32_MAX)
			continue;
		if (stat_read(proc_fd, (pid_t)pid, &e) == 0 &&
		    table_add(t, &e) == -1)
			break; /* no memory: signal those that we have */
	}
	(void)closedir(dir); /* opened for reading */
	return 0;
}

static int
entry_compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Mark what descends from a marked one. Parents mostly have lower numbers than
 * their children, so that few rounds are needed; where numbers have wrapped the
 * caller's next pass finds the rest. */
static void
table_mark_children(struct table *t)
{
	struct entry key, *parent;
	bool again = true;
	int round;
	size_t i;

	qsort(t->e, t->n, sizeof(*t->e), entry_compare);
	for (round = 0; again && round < 8; round++) {
		again = false;
		for (i = 0; i < t->n; i++) {
			if (t->e[i].hit || t->e[i].ppid <= 1)
				continue;
			key.pid = t->e[i].ppid;
			parent = bsearch(
			    &key, t->e, t->n, sizeof(*t->e), entry_compare);
			if (parent != NULL && parent->hit)
				again = t->e[i].hit = true;
		}
	}
}

static void
entry_signal(int proc_fd, const struct entry *e, int sig)
{
	autofd int fd = -1;
	struct entry now;

	if (!GUARD(pidfds)) {
		(void)kill(e->pid, sig);
		return;
	}
	fd = (int)syscall(SYS_pidfd_open, e->pid, 0);
	if (fd == -1 && errno == ESRCH)
		return;
	if (stat_read(proc_fd, e->pid, &now) == -1 || now.start != e->start)
		return; /* the number belongs to somebody else by now */
	/* Without a descriptor to spare the number was right an instant ago,
	 * and whoever might have it next lives in the same sandbox. */
	if (fd == -1)
		(void)kill(e->pid, sig);
	else
		(void)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

static bool
entry_dead(const struct entry *e)
{
	return e->state == 'Z' || e->state == 'X';
}

/* Look afresh and mark what belongs to session SID, with DEEP also what
 * descends from that. */
static int
table_refresh(int proc_fd, struct table *t, pid_t sid, bool deep)
{
	struct entry *e;
	size_t i;

	t->n = 0;
	if (proc_fd == -1 || table_read(proc_fd, t) == -1)
		return -1;
	for (i = 0; i < t->n; i++) {
		e = &t->e[i];
		e->hit = e->sid == sid || e->pgrp == sid || e->pid == sid;
	}
	if (deep && t->n > 0)
		table_mark_children(t);
	return 0;
}

/* Signal the marked ones that live (with AWAKE: and are not stopped). Returns
 * how many those were. */
static int
table_signal(int proc_fd, const struct table *t, int sig, bool awake)
{
	const struct entry *e;
	int n = 0;
	size_t i;

	for (i = 0; i < t->n; i++) {
		e = &t->e[i];
		if (!e->hit || entry_dead(e) || (awake && e->state == 'T'))
			continue;
		n++;
		entry_signal(proc_fd, e, sig);
	}
	return n;
}

/* A process that dies hands its children to init and so breaks the chain that
 * shows whose they are; and one that runs may fork. So all are stopped before
 * any is killed, until a look finds none awake. */
static int
session_kill(int proc_fd, pid_t sid, struct table *t)
{
	int round, awake = 1;

	/* The group at one stroke: the kernel lets no member fork past it. */
	(void)kill(-sid, SIGSTOP);
	for (round = 0; awake > 0 && round < FREEZE_ROUNDS; round++) {
		if (table_refresh(proc_fd, t, sid, true) == -1)
			break;
		awake = table_signal(proc_fd, t, SIGSTOP, true);
	}
	(void)kill(-sid, SIGKILL);
	return round == 0 ? -1 : table_signal(proc_fd, t, SIGKILL, false);
}

int
sweep_session(int proc_fd, pid_t sid, int sig)
{
	struct table t = { 0 };
	int alive = -1;

	if (sig == SIGKILL)
		alive = session_kill(proc_fd, sid, &t);
	else if (table_refresh(proc_fd, &t, sid, false) == 0)
		alive = table_signal(proc_fd, &t, sig, false);
	else
		(void)kill(-sid, sig);
	free(t.e);
	return alive;
}
