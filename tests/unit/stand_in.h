/*
 * A stand-in for an agent's program: the test itself, started again with
 * --play, plays a fixture. A fixture is a dialogue:
 *
 *	< TEXT		wait for a line on stdin that contains TEXT
 *	> LINE		print LINE, with @id@ replaced by the "id" of the line
 *			that was waited for
 *	? N, ? *	what follows is for the Nth process only; for all
 *	! exit N, ! err TEXT, ! wait, ! ignore, ! bytes N C, ! deep N, ! long N,
 *	! big N		leave; write to stderr; read until stdin ends; be deaf
 *			to signals; print N bytes C, N brackets, a line of N
 *			bytes, a tool result of N bytes (as Claude prints it)
 *	! sleep MS	wait
 *	! piece N, ! huge TYPE N
 *			print a piece of a message that repeats N bytes, a line
 *			of TYPE with N bytes (as Pi prints them)
 *
 * Besides it writes down what it was started with and sent.
 */
#ifndef TESTS_STAND_IN_H
#define TESTS_STAND_IN_H

#include "session_play.h"

/* To be called first in main: plays, and does not return, when the arguments
 * say so. Else finds the fixtures; 0, or -1. NAME: of temporary files. */
int stand_in_main(int argc, char **argv, const char *name);
void stand_in_end(void);
/* Members of `start` that play FIXTURE, and MORE of them; the caller's. ENV:
 * further variables as JSON members with a comma before, or "". */
char *stand_in_members(const char *fixture, const char *env, const char *more);
/* Open a session of AGENT on FIXTURE with the usual settings. */
void stand_in_open(struct play *p, const char *agent, const char *fixture);
#define STAND_IN_MODES \
	",\"permission_mode\":\"default\",\"agent_mode\":\"build\""
/* Everything that stand-ins were started with and sent since the last open;
 * the caller's. */
char *stand_in_said(void);
/* A whole turn. */
void stand_in_turn(struct play *p, const char *text);
const char *stand_in_stop_reason(struct play *p, size_t n);
/* This program. */
extern char stand_in_self[4096];

#endif
