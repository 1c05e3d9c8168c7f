/*
 * The agents that sessions may name: their definitions, read from a directory
 * of files, and where their programs are on this host.
 *
 * The set is replaced as a whole when it is read again. A definition lives as
 * long as anybody holds it: sessions keep theirs.
 */
#ifndef SUPERVISOR_AGENTS_H
#define SUPERVISOR_AGENTS_H

#include "supervisor/agent_def.h"
#include "supervisor/sandboxes.h"

#define AGENT_FILES_MAX 256
#define AGENT_MISTAKES_MAX (32u << 10)

struct agents {
	struct agent_def **v; /* each held once; by rank, then by id */
	size_t n;
	bool missing; /* the directory: only the mock is here */
};

/* All of DIR. NULL: every mistake is in MISTAKES, a line each. */
struct agents *agents_load(const char *dir, struct buf *mistakes);
void agents_free(struct agents *as); /* accepts NULL */
/* Read again, from where the configuration says. -1: MISTAKES tells why, and
 * nothing has changed. */
int agents_reload(struct super *s, struct buf *mistakes);
/* Take FRESH in place of what S has. */
void agents_replace(struct super *s, struct agents *fresh);

/* Borrowed: good until the loop turns, unless it is held. */
struct agent_def *agent_find(const struct super *s, const char *id);
struct agent_def *agent_hold(struct agent_def *a);
void agent_drop(struct agent_def *a); /* accepts NULL */

/* agent_program.c */

/* The host path of an agent's program, owned by the caller; NULL when the host
 * has none. An installed one goes first, then the one that the configuration
 * names, then PATH. */
char *agent_program(const struct super *s, const struct agent_def *a);
/* The same for its program that speaks ACP. */
char *agent_acp_program(const struct super *s, const struct agent_def *a);
/* Where sandboxes see PROGRAM, which is taken and may be NULL: itself, unless
 * it was installed. */
char *agent_program_inside(const struct super *s, char *program);
/* Nothing is left to be found: its program is here, or it needs none. */
bool agent_installed(const struct super *s, const struct agent_def *a);
/* The version that is installed and in use, owned by the caller, or NULL; and
 * all that are there, in the order of their names, as values of an open
 * array. */
char *agent_version(const struct super *s, const char *id);
void agent_versions_write(const struct super *s, const char *id, struct jw *w);
/* Directory that must be seen for PROGRAM to run: the outermost node_modules
 * on its path, since launchers need their neighbours; else its folder. Owned
 * by the caller. */
char *agent_program_dir(const char *program);
/* SP's mounts; read-only the directory of installed agents, at a place of its
 * own; and one for each other agent's program that is on the host but not
 * shown. The array is the caller's; the strings are in it, or SP's. */
struct plan_mount *agents_mounts(
    const struct super *s, const struct sandbox_spec *sp, size_t *n_out);

/* agent_env.c */

/* A name of a variable, or its beginning (of three bytes at least) and a *;
 * neither PATH nor HOME, which are the sandbox's own. */
bool agent_env_pattern_ok(const char *pattern);
/* Each word of LIST, separated by blanks. */
int agent_env_list_check(const char *list, struct err *e);
/* "K=V" of our own environment that may reach A's sessions: what its
 * definition or the configuration lists. The caller's; NULL when empty. */
char **agent_env_passed(const struct super *s, const struct agent_def *a);
/* The variables that hold credentials of A's providers, as values of an open
 * array. */
void agent_credential_names_write(const struct agent_def *a, struct jw *w);
/* Would A's sessions be given a credential of one of its providers? Also true
 * when it needs none. */
bool agent_has_credentials(const struct super *s, const struct agent_def *a);

#endif
