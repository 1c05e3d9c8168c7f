/*
 * Every command, and what several of them share.
 */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include "ctl/client.h"
#include "ctl/opt.h"

/* X(symbol): in the order in which help lists them. */
#define COMMANDS(X)     \
	X(run)          \
	X(diff)         \
	X(apply)        \
	X(create)       \
	X(ls)           \
	X(get)          \
	X(exec)         \
	X(shell)        \
	X(stop)         \
	X(start)        \
	X(pause)        \
	X(resume)       \
	X(renew)        \
	X(update)       \
	X(history)      \
	X(expose)       \
	X(unexpose)     \
	X(rm)           \
	X(session_new)  \
	X(session_ls)   \
	X(session_get)  \
	X(session_set)  \
	X(session_end)  \
	X(prompt)       \
	X(events)       \
	X(reply)        \
	X(cancel)       \
	X(token_create) \
	X(token_list)   \
	X(token_revoke) \
	X(status)       \
	X(api)          \
	X(raw)          \
	X(help)

#define X(sym) extern const struct command cmd_##sym;
COMMANDS(X)
#undef X

/* Ask OP about the object ID and show the answer: the whole of it as JSON, or
 * SENTENCE with the id in front of it. */
int command_simple(
    struct ctl *ctl, const char *op, const char *id, const char *sentence);

#endif
