/*
 * The command that we are the init of: `sandboxd [options] -- COMMAND ARGS…`,
 * as process 1 of a container or below any other parent. It runs outside every
 * sandbox as a plain child of ours: same user, same namespaces, a process
 * group of its own.
 *
 *	signals   every one that can be caught is passed on to it. TERM also
 *		  begins our orderly stop, HUP also reads the configuration
 *		  again.
 *	its end   begins the orderly stop; we exit with its status.
 *	orphans   come to us and are reaped (libev reaps every child, watched
 *		  or not). What is left when it has ended gets TERM, and KILL
 *		  when the grace is over.
 */
#ifndef SUPERVISOR_COMMAND_H
#define SUPERVISOR_COMMAND_H

#include "lib/defs.h"
#include "lib/err.h"
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct super;
struct command;

/* What the command line says of it. */
struct command_options {
	char **argv;		/* borrowed; NULL: there is no command */
	bool group;		/* signals go to its whole process group */
	bool subreaper;		/* even without a command */
	int parent_death;	/* the signal of our parent's end; 0: none */
	bool remap[256];	/* exit codes that become 0 */
	unsigned char to[NSIG]; /* 0: dropped; as it is at first */
};

void command_options_init(struct command_options *o);
/* Option C with ARG, if it is one about the command: 1; 0: it is none; -1 with
 * E set: it is wrong. */
int command_option(
    struct command_options *o, int c, const char *arg, struct err *e);
/* "TERM", "SIGTERM", "15", "RTMIN+2"; -1: no signal. 0 is one if ZERO. */
int command_signal_parse(const char *text, bool zero);

/* Very first thing in main(): from here to command_signals_release() no signal
 * is lost, although process 1 does not get those that have no handler yet. */
void command_signals_hold(void);
void command_signals_release(void);
/* What a child is to find as we found it: before we change any of it. */
void command_remember(void);

/* Watch for signals and be whom orphans come to. NULL in *OUT: no command. */
int command_open(struct super *s, const struct command_options *o,
    struct command **out, struct err *e);
/* All of these accept NULL. We are ready: it may start. */
void command_ready(struct command *c);
/* The orderly stop begins: TERM, the grace, KILL. */
void command_stop(struct command *c);
/* No more grace. */
void command_kill(struct command *c);
/* It has ended, and all that it has left. */
bool command_stopped(const struct command *c);
/* What to exit with: its status, or OURS when there is none. */
int command_exit_code(const struct command *c, int ours);
void command_free(struct command *c);

/* Children of ours that are not the command's: helpers and sandboxes. */
void kin_add(pid_t pid);
void kin_remove(pid_t pid);
bool kin_is(pid_t pid);

#endif
