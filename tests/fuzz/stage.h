/*
 * A stage for the session worker's code: a session with everything around it
 * played by the target. No process is started, no clock but the target's own
 * is seen, nothing is written to the disk, and there is neither supervisor nor
 * store: stage_process.c stands for agent_process.c, stage_outbox.c for
 * outbox.c, and stage.c for what the system would do.
 *
 * What happens is told by an input, a line each; a line of any other kind says
 * nothing:
 *
 *	> TEXT		the program that was started last, and can speak, says
 *			a line; @id@ in it is the id that it was told last
 *	| N TEXT	… a longer one: TEXT begins it, N are its bytes
 *	2 TEXT		… something on its stderr
 *	x N		… and it ends, with status N
 *	p TEXT		the user's message
 *	i TEXT		the same, with an image and a file
 *	c		the user cancels
 *	a WORD ID	answers a permission: once, always, reject
 *	q ID JSON	answers a question with lists of words
 *	s NAME VALUE	sets model, permission_mode, agent_mode, thought_level
 *	< TEXT		an ACP client's envelope; @S@ in it is the session that
 *			it was told of last, @R@ the id of the agent's last
 *			request
 *	w N		N tenths of a second go by; who has no more to read ends
 *	t		what was logged is stored; T: the store refuses
 *	n		programs cannot be started from now on, or can again
 *	k		they do not read what they are told, or do again
 *	d		they are deaf to all but SIGKILL, or no more
 *	r		the worker is restarted
 *	= JSON		… with this for its checkpoint
 *
 * With STAGE_TRACE in the environment all that is seen goes to stderr.
 */
#ifndef STAGE_H
#define STAGE_H

#include "session/session.h"
#include <stddef.h>
#include <stdint.h>

/* Plays an input for a session of KIND, driven by PROTOCOL. */
void stage_play(
    const char *kind, const char *protocol, const uint8_t *data, size_t size);

/* --- stage.c, for the others ---------------------------------------------- */

void stage_trace(const char *what, const char *text, size_t len);
/* The record has a member of this name and JSON text. */
void stage_record(const char *key, const char *json, size_t len);

/* --- stage_process.c ------------------------------------------------------ */

struct stage_programs {
	bool refuse, clog, deaf;
};
extern struct stage_programs stage_programs;

/* Of the program that speaks; false: there is none. */
bool stage_says(const char *line, size_t len, size_t total);
bool stage_complains(const char *line, size_t len);
bool stage_exits(int code);
/* Give what was held back while they were paused, end who is to end. True:
 * something has happened. */
bool stage_programs_go(void);
/* Time goes by: those whose input has ended leave. */
void stage_programs_time(void);
/* None is left. */
bool stage_programs_none(void);
void stage_programs_init(void);

/* --- stage_outbox.c ------------------------------------------------------- */

/* What was added is stored, or (OK false) refused for now. */
void stage_store(struct outbox *o, bool ok);
/* Ids that ACP clients have read last, as JSON texts without quotes. */
struct stage_heard {
	char session[128], request[64];
};
extern struct stage_heard stage_heard;
/* A new log, of events of this kind of session. */
void stage_log_init(const char *kind);
/* The log is whole: nothing in it is open. */
void stage_log_check(bool ended);
/* It goes on from a checkpoint that nobody has written. */
void stage_log_other(void);

#endif
