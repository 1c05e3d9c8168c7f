/*
 * What adapters that keep a program on pipes have in common: how it is made
 * to leave, and how its end is told.
 */
#ifndef SESSION_AGENTS_PROGRAM_H
#define SESSION_AGENTS_PROGRAM_H

#include "session/agent.h"
#include "session/agent_process.h"
#include <ev.h>

/* What stops a program that does not stop by itself: one signal after the
 * other, a second apart. */
enum rung {
	RUNG_NONE,
	RUNG_INT,
	RUNG_TERM,
	RUNG_KILL
};

struct ladder {
	ev_timer timer;
	struct ev_loop *loop; /* borrowed; NULL before ladder_init */
	struct process *proc; /* borrowed */
	const char *name;     /* borrowed: for our log */
	enum rung rung;
};

void ladder_init(struct ladder *l, struct ev_loop *loop, const char *name);
/* Send P what RUNG stands for after this long, then the rest. P must live
 * until ladder_stop. */
void ladder_climb(
    struct ladder *l, struct process *p, enum rung rung, double after_s);
/* Also for one that was never begun. */
void ladder_stop(struct ladder *l);

/* The words that every process of the agent begins with: the command that the
 * session has, or NAME, and the definition's arguments. -1: more than MAX. */
int program_command(const struct agent_conf *conf, const char *name,
    const char **argv, size_t max, size_t *n_out, struct err *e);
/* The program ended in the middle of a turn: an error event with its status
 * and its last words. FAILED: it could not be executed at all; else NULL. */
void program_log_death(struct agent *a, const char *name, struct process *p,
    const struct err *failed);
/* The turn cannot go on: an error event, and its end. */
void program_fail_turn(struct agent *a, const struct err *e);
/* The entry NAME=value stands in the environment. */
bool program_env_has(char *const *env, const char *entry);

#endif
