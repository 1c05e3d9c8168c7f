/*
 * Every command, and what several of them share.
 */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include "ctl/client.h"
#include "ctl/opt.h"

/* X(symbol): in the order in which help lists them. */
#define COMMANDS(X)            \
	X(run)                 \
	X(diff)                \
	X(apply)               \
	X(create)              \
	X(ls)                  \
	X(get)                 \
	X(exec)                \
	X(shell)               \
	X(cp)                  \
	X(ps)                  \
	X(stats)               \
	X(attach)              \
	X(execs)               \
	X(logs)                \
	X(wait)                \
	X(kill)                \
	X(forget)              \
	X(stop)                \
	X(start)               \
	X(pause)               \
	X(resume)              \
	X(renew)               \
	X(update)              \
	X(history)             \
	X(backup)              \
	X(compact)             \
	X(expose)              \
	X(unexpose)            \
	X(rm)                  \
	X(session_new)         \
	X(session_ls)          \
	X(session_get)         \
	X(session_set)         \
	X(session_end)         \
	X(session_rm)          \
	X(prompt)              \
	X(events)              \
	X(reply)               \
	X(cancel)              \
	X(agents_ls)           \
	X(agents_install)      \
	X(agents_report)       \
	X(agents_reload)       \
	X(token_create)        \
	X(token_list)          \
	X(token_revoke)        \
	X(credentials_extract) \
	X(credentials_env)     \
	X(status)              \
	X(reset)               \
	X(doctor)              \
	X(upgrade)             \
	X(api)                 \
	X(raw)                 \
	X(help)

#define X(sym) extern const struct command cmd_##sym;
COMMANDS(X)
#undef X

/* Ask OP about the object ID and show the answer: the whole of it as JSON, or
 * SENTENCE with the id in front of it. */
int command_simple(
    struct ctl *ctl, const char *op, const char *id, const char *sentence);
/* The same of every operand; the worst of their codes. */
int command_each(struct ctl *ctl, const struct args *a, const char *op,
    const char *sentence);
/* Ask OP about the object ID, or about none (NULL), and show the record that
 * comes. */
int command_look(struct ctl *ctl, const char *op, const char *id);

/* For requests with more members: send what was begun in C and hang up,
 * whatever comes of it. R -1: writing it has failed already, and E says why.
 * EXIT_OK with *A_OUT to be freed, else the code to end with. */
int command_send(struct client *c, int r, struct answer *a_out, struct err *e);
/* The same, and the answer shown as command_simple() does. */
int command_finish(struct client *c, int r, const char *id,
    const char *sentence, struct err *e);
/* Show a record and free its answer. */
int command_record(const struct ctl *ctl, struct answer *a);

#endif
