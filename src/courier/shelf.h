/*
 * The directory of installed agents, and how a version comes to stand in it:
 *
 *	AGENT/.tmp-XXXX/	being made; removed by the next who has the lock
 *	AGENT/VERSION/		whole, never touched again
 *	AGENT/VERSION~2/	the same installed once more
 *	AGENT/current		link to the one in use
 *	AGENT/.lock		held by the courier that installs this agent:
 *there may be others, of other supervisors
 *	.partial/		downloads that are not whole yet
 */
#ifndef COURIER_SHELF_H
#define COURIER_SHELF_H

#include "lib/err.h"
#include <stdbool.h>

#define SHELF_NAME_MAX 160

/* Remove what others have left undone. *PARTIAL_OUT is .partial. */
int shelf_open(int agents_fd, int *partial_out, struct err *e);
int shelf_agent(int agents_fd, const char *agent, int *fd_out, struct err *e);
/* The agent's lock, which goes with *LOCK_OUT; what its last holder has left
 * undone is removed. -1 in *LOCK_OUT: another courier has it. */
int shelf_lock(int agent_fd, int *lock_out, struct err *e);
/* The newest directory of VERSION that has launcher PROGRAM; false: none. */
bool shelf_find(int agent_fd, const char *version, const char *program,
    char dir_out[SHELF_NAME_MAX]);
/* A directory to work in. */
int shelf_begin(
    int agent_fd, char name_out[SHELF_NAME_MAX], int *fd_out, struct err *e);
/* Make it a version, on the disk and under a name that no other has. */
int shelf_commit(int agent_fd, const char *tmp, const char *version,
    char dir_out[SHELF_NAME_MAX], struct err *e);
void shelf_abandon(int agent_fd, const char *tmp);
/* Let `current` name DIR, at one stroke. */
int shelf_switch(int agent_fd, const char *dir, struct err *e);
/* Remove files of .partial: of one agent, or those that nobody has come back
 * for when AGENT is NULL. */
void shelf_drop_partials(int partial_fd, const char *agent);

#endif
