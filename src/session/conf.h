/*
 * What a session was created with (struct agent_conf), out of the frame that
 * starts it.
 */
#ifndef SESSION_CONF_H
#define SESSION_CONF_H

#include "session/agent.h"

/* M is a checked `start`. Everything in C is C's. */
void conf_read(struct agent_conf *c, const struct json *m);
void conf_free(struct agent_conf *c);
/* Replace one of its strings by a copy of VALUE, which may be NULL. */
void conf_set(char **member, const char *value);

#endif
