/*
 * For an agent that has forgotten the conversation (agent_forgot): the message
 * of the running turn once more, with what was said before ahead of it.
 */
#ifndef SESSION_REPLAY_H
#define SESSION_REPLAY_H

#include "lib/json.h"
#include <stdbool.h>

struct session;

/* The running turn's message, kept until the turn ends. */
struct replay {
	char *text;  /* owned; NULL: there is none */
	char *parts; /* owned JSON text, or NULL */
	bool asked;  /* in this turn */
	bool again;  /* the agent was, or is being, prompted again */
};

/* TEXT and PARTS become ours. */
void replay_keep(struct session *s, char *text, char *parts);
void replay_drop(struct session *s);
/* Is the agent to be told once more, so that nothing of it is at work? */
bool replay_waits(const struct session *s);
/* agent_forgot() of a universal session. */
void replay_begin(struct session *s);
/* What EVENTS (stored ones, oldest first) say, for an agent to read: at most
 * MAX_EVENTS items and MAX_CHARS bytes, the latest. The caller's; NULL when
 * there is nothing to tell. Items of turn TURN and later are left out (0:
 * none). */
char *replay_words(const struct json *events, int64_t max_events,
    int64_t max_chars, const char *turn_id);

#endif
