/*
 * What the doors of /v1/agents share.
 */
#ifndef GATEWAY_DOORS_AGENTS_H
#define GATEWAY_DOORS_AGENTS_H

#include "gateway/req.h"

/* What an agent has told when it was asked. */
struct agent_told {
	struct json *record; /* owned; NULL: it has never told anything */
	const struct json *options; /* in RECORD; NULL: none */
	char *version;		    /* owned, or NULL */
	char *error;		    /* owned: why it could not be asked now */
};

/* Does AGENT, an entry of agent.list, have to be asked before it is told of?
 * Those that cannot be asked have not, nor those that were asked already and
 * are still the same program, unless AGAIN. */
bool agent_must_ask(struct gateway *gw, const struct json *agent, bool again);
/* Ask one that must be, unless somebody does already. DONE comes once, later.
 */
void agent_ask(struct gateway *gw, const struct json *agent,
    void (*done)(void *ctx), void *ctx);
/* DONE is not to come any more. */
void agent_ask_forget(void (*done)(void *ctx), void *ctx);

/* What is known of it now; to be freed with agent_told_free. */
void agent_told_get(
    struct gateway *gw, const struct json *agent, struct agent_told *out);
void agent_told_free(struct agent_told *t);

#endif
