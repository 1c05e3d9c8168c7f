/*
 * The Amp adapter's inside. It runs one `amp --execute` process per turn, which
 * is told the message on its stdin and prints JSON lines: amp.c owns the
 * process and its turn, amp_read.c turns its lines into events.
 */
#ifndef SESSION_AGENTS_AMP_H
#define SESSION_AGENTS_AMP_H

#include "session/agent.h"
#include "session/agent_process.h"
#include "session/agents/messages.h"
#include "session/agents/program.h"
#include "session/skills.h"
#include <ev.h>
#include <stdbool.h>

#define AMP_ID_MAX 128

struct amp {
	struct agent a; /* first */
	struct process *proc;
	struct ladder ladder;
	struct skills *skills; /* owned: they are being fetched */
	ev_timer first;	       /* for the first line */
	char *held;	       /* owned: the line for the process to come */
	char *lost;	       /* owned: that it could not go on */
	bool working; /* the process has a turn, whether or not we have */
	bool resumed; /* it was given a conversation */
	bool spoke;   /* it has printed a line of JSON */
	bool login;   /* it wants somebody to log in */
	bool silent;  /* it was killed for saying nothing */
	bool stopping, paused;
	bool said;	 /* this turn had a text */
	char *error;	 /* owned: error message logged in this turn */
	unsigned blocks; /* number of the block that came last */
	int64_t context; /* tokens of the last model call */
};

/* amp.c: the turn is over on amp's side; REASON as of agent_turn_ended. */
void amp_turn_over(struct amp *m, const char *reason, const char *more);
/* It waits for a person: it is killed, and the turn fails. */
void amp_wants_login(struct amp *m);

/* amp_read.c */
void amp_read(struct amp *m, const char *line, size_t len, size_t total);

#endif
