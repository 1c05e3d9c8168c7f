/*
 * Skills that are configured for the agent: folders with a SKILL.md, from
 * directories of the sandbox, from git repositories and from archives. They
 * are linked into a directory where the agent looks for them.
 *
 * To be called when the agent's process is about to be started, within a turn.
 */
#ifndef SESSION_SKILLS_H
#define SESSION_SKILLS_H

#include "session/agent.h"

struct skills;

/* Make the skills known in the directories PLACES (below the agent's; the
 * list ends with NULL and outlives what is returned). NULL: all is done. Else
 * something must be fetched first: DONE is called once when it is, never
 * before this returns; meanwhile the agent is not to be started, and its
 * message is the caller's to keep. What is returned is freed by the caller,
 * before, in or after DONE. What cannot be had becomes an error event
 * (skill_failed) and delays the agent no longer than its time limit. */
typedef void skills_done(struct agent *a);
struct skills *
skills_prepare(struct agent *a, const char *const *places, skills_done *done);
/* Stops what is being fetched; accepts NULL. No callback. */
void skills_free(struct skills *s);

#endif
