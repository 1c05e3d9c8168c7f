/*
 * What is configured for the agent besides its prompts: MCP servers and
 * sources of skills. Read from the files of its directory, and from what the
 * session was created with, which goes before.
 */
#ifndef SESSION_TOOLS_H
#define SESSION_TOOLS_H

#include "lib/toolconf.h"
#include "session/agent.h"

/* Call EACH for every entry, in its normal form; NAME is "" for skills of the
 * session itself. What is broken becomes an error event and is left out. */
typedef void tools_each(
    struct agent *a, const char *name, const struct json *entry, void *ctx);
void
tools_read(struct agent *a, enum toolconf kind, tools_each *each, void *ctx);

/* The value of NAME in the agent's environment, or NULL. */
const char *tools_env(const struct agent *a, const char *name);

/* Make the skills of SOURCE (one of an entry's `sources`) known in directory
 * PLACE, below the agent's. What cannot be had becomes an error event. */
void
tools_skill_link(struct agent *a, const struct json *source, const char *place);

#endif
