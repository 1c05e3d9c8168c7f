/*
 * Between command.c, command_start.c and command_opt.c; see command.h.
 */
#ifndef SUPERVISOR_COMMAND_PRIV_H
#define SUPERVISOR_COMMAND_PRIV_H

#include "supervisor/command.h"

#include <ev.h>
#include <sys/resource.h>

/* As it was when we were started. */
struct command_origin {
	sigset_t mask;
	pid_t ppid;
	mode_t umask;
	struct rlimit nofile;
	bool nofile_known;
};
extern struct command_origin command_origin;

struct command {
	struct super *s;	  /* borrowed */
	struct command_options o; /* its argv owned */
	pid_t pid;		  /* -1 unless it lives */
	bool started, ended;	  /* ended: or never to be started */
	bool stopped;		  /* by a signal, as a job is */
	bool tty;		  /* it has our terminal's foreground */
	bool termed;		  /* it was sent TERM */
	bool stopping;		  /* the grace runs */
	bool killing, gone;	  /* gone: nothing of it is left */
	int code;		  /* exit code when it has ended */
	int proc_fd;		  /* /proc; -1: there is none */
	int sig_fd;		  /* owned */
	uint64_t held;		  /* signals that came before it started */
	ev_io sig_io;
	ev_child child;
	ev_timer start_timer, grace_timer, look_timer;
};

/* Hear of its end. */
void command_watch(struct command *c);
/* Start it: its pid; -1 with *CODE 126 or 127 and E set. */
pid_t command_spawn(const struct command *c, int *code, struct err *e);
/* Our terminal, if it is ours to share: we are in its foreground, and there is
 * a shell above us that gives it to others. */
bool command_tty_shared(void);

/* How many processes here are neither ours nor our helpers nor in sandboxes;
 * each gets SIG unless that is 0. -1: cannot be told. BELOW: only what
 * descends from us, as when we are not process 1. */
int strays_signal(int proc_fd, int sig);

#endif
