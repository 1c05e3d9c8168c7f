/*
 * What is known of one agent: its definition, as a file of agents.d has it.
 * See agent_members.def for what that may say.
 */
#ifndef SUPERVISOR_AGENT_DEF_H
#define SUPERVISOR_AGENT_DEF_H

#include "lib/buf.h"
#include "lib/json.h"
#include <stdbool.h>

#define AGENT_ID_MAX 64
#define AGENT_FILE_MAX (64u << 10)
#define AGENT_RANK_LAST 1000

/* All owned; text is never NULL unless it says so, vectors may be. */
struct agent_def {
	unsigned refs; /* see agents.h */
	char *id, *name, *protocol;
	char *program;	   /* NULL: none is looked for */
	char *acp_program; /* NULL: it does not speak ACP itself */
	char **args, **acp_args, **version_args;
	char **env; /* "K=V" */
	char **pass_env, **credentials;
	char **permission_modes, **agent_modes;
	char *capabilities;	    /* JSON: all of them */
	char *options;		    /* JSON array */
	struct json *file;	    /* the whole; INSTALL points into it */
	const struct json *install; /* or NULL */
	int64_t rank;
	bool hidden;
	bool shared;  /* one process for several sessions */
	bool unknown; /* its file is gone: nothing can be started */
};

/* A file as it was read; nothing is owned. */
struct agent_text {
	const char *file; /* as mistakes name it */
	const char *id;	  /* by the file's name, ID.json */
	const char *text;
	size_t len;
};

/* A definition. NULL: every mistake is in MISTAKES, a line each, with file and
 * line. */
struct agent_def *
agent_def_parse(const struct agent_text *t, struct buf *mistakes);
/* agent_check.c: is ROOT, the tree of T, good? */
bool agent_check(
    const struct agent_text *t, const struct json *root, struct buf *mistakes);
/* One of which only the name is known: an old session's, whose file is gone. */
struct agent_def *agent_def_unknown(const char *id);
void agent_def_free(struct agent_def *a);
bool agent_id_valid(const char *id);
/* The mock, which is always there. */
struct agent_def *agent_def_mock(void);
/* Can a session set MODE, by the list MODES? ALWAYS is good without one. */
bool agent_mode_known(char *const *modes, const char *mode, const char *always);

/* The line, from 1, on which member or value V of ROOT stands in TEXT, of
 * which ROOT was made; and that of byte AT. */
unsigned json_line_of(const char *text, size_t len, const struct json *root,
    const struct json *v);
unsigned json_line_at(const char *text, size_t len, size_t at);

#endif
