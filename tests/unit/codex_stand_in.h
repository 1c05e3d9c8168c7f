/*
 * A stand-in for `codex app-server`, for tests. It plays the file that the
 * variable FIXTURE names, a dialogue:
 *
 *	< TEXT		wait for a line on stdin that contains TEXT
 *	> LINE		print LINE; @METHOD@ is the id that the request of this
 *			method had
 *	! hello		answer the handshake, up to the list of models
 *	! thread ID	wait for a thread to be started or resumed, and do it
 *	! turn ID	the same for a turn; ! done STATUS ends it
 *	! exit N, ! err TEXT, ! wait, ! ignore, ! sleep MS, ! deep N, ! long N,
 *	! big N		leave; write to stderr; read until stdin ends; be deaf
 *			to signals; wait; print N brackets, a line of N bytes,
 *			a command's output of N bytes
 *
 * Besides it writes to the file REPLAY_LOG what it was started with and sent.
 * CODEX_CONFIG is the configuration that it has, as JSON.
 */
#ifndef TESTS_CODEX_STAND_IN_H
#define TESTS_CODEX_STAND_IN_H

/* Returns the exit status. argv[1] is not among what is written. */
int codex_stand_in(int argc, char **argv);

#endif
