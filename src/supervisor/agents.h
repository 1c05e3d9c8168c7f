/*
 * The agents that sessions may name, and where their programs are.
 */
#ifndef SUPERVISOR_AGENTS_H
#define SUPERVISOR_AGENTS_H

#include "supervisor/sandboxes.h"

struct agent_def {
	const char *name;
	const char *program; /* what is looked for; NULL: built in */
	const char *const *permission_modes; /* NULL-terminated */
	const char *const *agent_modes;
};

const struct agent_def *agent_find(const char *name);
/* The canonical host path of an agent's program, owned by the caller; NULL
 * when the host has none. */
char *agent_program(struct super *s, const struct agent_def *a);
/* Directory that must be seen for PROGRAM to run: the outermost node_modules
 * on its path, since launchers need their neighbours; else its folder. Owned
 * by the caller. */
char *agent_program_dir(const char *program);
/* SP's mounts, and one read-only for each agent's program that is installed
 * but not shown. The array is the caller's, the strings of agents' mounts are
 * kept by this module. */
struct plan_mount *
agents_mounts(struct super *s, const struct sandbox_spec *sp, size_t *n_out);

#endif
