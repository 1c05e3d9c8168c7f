/*
 * Commands and their flags as tables: the parser, `help`, the hints for typing
 * errors, the completion and the check of the manual page all read these.
 */
#ifndef CTL_OPT_H
#define CTL_OPT_H

#include "ctl/ctl.h"
#include <stdio.h>

struct opt_def {
	const char *name; /* long form, without dashes */
	char letter;	  /* short form; '\0' for none */
	const char *arg;  /* what its value is called; NULL for a switch */
	const char *help;
};

struct args;

struct command {
	const char *name; /* one word, or two: "session new" */
	const char *operands;
	const char *help;
	const struct opt_def *opts;
	size_t nopts;
	int min, max;  /* operands; max -1: any number */
	bool verbatim; /* flags end at the first operand */
	/* NULL: sandboxctl. Else the name of another program, whose commands
	 * take no flags but their own. */
	const char *program;
	int (*run)(struct ctl *ctl, const struct args *a);
};

#define COMMAND_OPTS(t) .opts = (t), .nopts = countof(t)

struct opt_value {
	const struct opt_def *def;
	const char *value; /* borrowed from argv; "" for a switch */
};

struct args {
	const struct command *cmd;
	struct opt_value *values; /* owned */
	size_t nvalues;
	char **operands; /* owned vector of borrowed words, NULL at its end */
	size_t noperands;
};

extern const struct opt_def opt_global[]; /* every command takes these */
extern const size_t opt_nglobal;

/* Parse what follows the command's name. -1: E tells what is wrong. */
int args_parse(struct args *a, const struct command *cmd, int argc, char **argv,
    struct err *e);
/* Global flags in front of the command's name; *USED_OUT words are theirs. */
int args_parse_global(
    struct args *a, int argc, char **argv, int *used_out, struct err *e);
void args_free(struct args *a);

bool args_has(const struct args *a, const char *name);
/* The last value given, or DEF. */
const char *args_str(const struct args *a, const char *name, const char *def);
/* Every value in turn; *POS starts at 0. NULL after the last. */
const char *args_next(const struct args *a, const char *name, size_t *pos);

/* Edits that turn A into B, at most MAX + 1. */
unsigned opt_distance(const char *a, const char *b, unsigned max);

/* "run AGENT PROMPT [flags]" and the flags, one per line. */
void opt_usage(const struct command *cmd, FILE *f);
void opt_write_json(struct jw *w, const struct opt_def *o, size_t n);

#endif
