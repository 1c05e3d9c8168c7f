/*
 * What the files about sessions share and nobody else needs: sessions.c (the
 * table, asking), session_create.c, session_install.c, session_worker.c (the
 * process), session_start.c (what it is told), session_end.c,
 * session_delete.c.
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
    struct agent_def *agent, const struct json *args);
/* What the store keeps of it, an object. */
void session_record_write(struct session *ss, const char *state, struct jw *w);
/* The create is done, or has failed: answer those who asked for it again. */
void session_create_repeats(struct session *ss, const struct err *e);
/* The members of its answer. */
void session_create_answer(struct session *ss, struct request *r);
/* It has ended: the sandbox that was made for it goes too. */
void session_release_sandbox(struct session *ss);

/* Take it out of the table, from the loop, and tell who waits for that. */
void session_free_soon(struct session *ss);
/* session_delete.c: remove its record and its events; then it is `deleted`. */
void session_delete_record(struct session *ss);
/* Something that a deletion waits for has happened. */
void session_delete_step(struct session *ss);

/* session_install.c */
/* May the agent of a create by ARGS be installed first? The second asks for one
 * that is under way. */
bool session_agent_may_install(const struct super *s, const struct agent_def *a,
    enum session_kind kind, const struct json *args);
bool session_may_install(const struct session *ss, const struct json *args);
/* Install it, then go on with the create; at its end the create goes on or has
 * failed. */
void session_install(struct session *ss);

/* A probe has been answered: its worker goes, its record stays. */
void session_probed(struct session *ss);

/* The sandbox of a create: start it, then the worker. */
void session_create_go(struct session *ss);
/* session_start.c: the members of MSG_SESSION_START. */
void session_start_write(struct session *ss, struct jw *w);

void session_worker_init(struct session *ss);
/* A channel to the store that is running now, if the worker's is not. */
int session_reattach(struct session *ss);

#endif
