/*
 * What the files about sessions share and nobody else needs: sessions.c (the
 * table, asking), session_create.c, session_worker.c (the process),
 * session_end.c.
 */
#ifndef SUPERVISOR_SESSION_PRIV_H
#define SUPERVISOR_SESSION_PRIV_H

#include "supervisor/sessions.h"
#include "supervisor/storec.h"

/* Requests that wait for the worker: refuse them, or serve them. */
void session_fail_waits(struct session *ss, const struct err *e);
void session_serve_waits(struct session *ss);
/* The create that SS is under way for has failed: nothing of it stays. */
void session_create_failed(struct session *ss, const struct err *e);
/* Store a state that the worker cannot tell itself. */
void session_state_put(
    struct session *ss, const char *state, storec_done *done, void *ctx);

/* A new entry of the table, from the arguments of session.create or from a
 * record. */
struct session *session_new(struct super *s, const char *id,
    const struct agent_def *agent, const struct json *args);
/* The create is done, or has failed: answer those who asked for it again. */
void session_create_repeats(struct session *ss, const struct err *e);
/* The members of its answer. */
void session_create_answer(struct session *ss, struct request *r);
/* It has ended: the sandbox that was made for it goes too. */
void session_release_sandbox(struct session *ss);

void session_worker_init(struct session *ss);
/* A channel to the store that is running now, if the worker's is not. */
int session_reattach(struct session *ss);

#endif
