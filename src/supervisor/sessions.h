/*
 * Sessions and their workers.
 *
 * The supervisor knows which sessions there are and keeps a worker running for
 * each that needs one; what happens in a session is between its worker, the
 * store and the agent. A worker is started with the session, again when it
 * dies, and, after a restart of ours, when the session was in a turn or is
 * asked for something.
 */
#ifndef SUPERVISOR_SESSIONS_H
#define SUPERVISOR_SESSIONS_H

#include "lib/strutil.h"
#include "supervisor/agents.h"
#include "supervisor/control.h"

struct session;
struct courier_job;

/* What a session is for. Only universal ones are shown to those who ask for
 * sessions; the names of the others begin with their kind and a colon. */
enum session_kind {
	SK_UNIVERSAL,
	SK_ACP,	  /* an ACP server: its log holds envelopes */
	SK_PROBE, /* asks the agent what it can do, and ends */
	SK_N
};

/* Called once: the worker can be told something, or E says why not. */
typedef void session_done(void *ctx, struct session *ss, const struct err *e);

/* A request that waits until the worker can take it; or one who only wants to
 * know when. */
struct session_wait {
	TAILQ_ENTRY(session_wait) link;
	struct request *r; /* NULL: DONE is called */
	session_done *done;
	void *ctx;
};

struct session {
	LIST_ENTRY(session) link;
	struct super *s;
	char id[SESSION_ID_MAX + 1];
	struct sandbox *sb;	 /* NULL once it was destroyed */
	struct agent_def *agent; /* held */
	char *model, *permission_mode, *agent_mode, *directory, *title;
	char *thought_level;
	char *variant, *mcp, *skills; /* the last two as JSON text; or NULL */
	/* By which a repeated create is known; NULL without. */
	char *idempotency_key, *request_hash;
	char **env, **command; /* may be NULL */
	int64_t created_at_ms;
	struct proc proc;
	int64_t exec_id;	   /* by which init names the worker */
	uint64_t store_generation; /* that the worker is attached to */
	TAILQ_HEAD(, session_wait) waits;
	struct courier_job *installing;	    /* its agent, before it starts */
	struct request *creating;	    /* the create that waits for us */
	TAILQ_HEAD(, session_wait) repeats; /* the same create once more */
	/* Who waits until it is gone: those that delete it, and creates. */
	struct sandbox_waiters gone_waiters;
	ev_timer free_timer;
	enum session_kind kind;
	bool own_sandbox; /* it was made for this session and goes with it */
	bool ended;
	int64_t ended_ms; /* when that was seen; 0: not yet (retain.c) */
	bool stored;
	bool want_worker;   /* should have one while its sandbox runs */
	bool busy;	    /* the worker is at something */
	bool ready;	    /* the worker has answered `start` */
	bool install_tried; /* its agent */
	bool start_again;   /* when the worker that found no agent has ended */
	bool deleting;	    /* to everybody else it is gone already */
	bool deleted;	    /* from the store */
	bool releasing;	    /* its own sandbox is being destroyed */
};

struct session *session_find(struct super *s, const char *id);
const char *session_kind_name(enum session_kind k);
/* Can it be asked for? Not while it is being deleted, nor when its create was
 * not stored yet and is not under way. */
bool session_is_there(const struct session *ss);
int session_create(struct request *r, struct err *e);
/* Are the modes that ARGS names those of the agent? */
int session_check_modes(
    const struct agent_def *a, const struct json *args, struct err *e);
/* Serve R (prompt, cancel, reply, …) by the worker, started if need be. */
void session_ask(struct session *ss, struct request *r);
/* DONE when the worker is ready, which is started if need be. Never called
 * before this returns, unless it is ready or cannot be. */
void session_ensure(struct session *ss, session_done *done, void *ctx);
void session_end(struct session *ss, struct request *r);
/* End it at once, with all that it runs, and remove its record and its events.
 * DONE when nothing of it is left and its id is free. */
void session_delete(struct session *ss, sandbox_done *done, void *ctx);
/* Is a session of this id being deleted? Then DONE is called when it is gone.
 */
bool session_when_gone(
    struct super *s, const char *id, sandbox_done *done, void *ctx);
/* Create a session of ARGS, as session.create has them, for R: it is answered
 * by session_create_answer(), or refused. */
int
session_create_for(struct request *r, const struct json *args, struct err *e);
/* In ops_session.c: send R's message, or end R. */
void session_send(struct session *ss, struct request *r);

void sessions_loaded(struct super *s, const struct json *record);
void sessions_store_up(struct super *s);
void sessions_sandbox_up(struct sandbox *sb);
/* In session_adopt.c: SB's init, which we adopt, has a worker of a supervisor
 * before us: MSG_INIT_WORKER. -1 with E set: a breach. */
int sessions_adopt(struct sandbox *sb, const struct json *msg,
    const struct chan_frame *f, struct err *e);
/* SB was paused when we were killed, and has gone. */
void sessions_sandbox_lost(struct sandbox *sb);
void sessions_sandbox_stopping(struct sandbox *sb);
void sessions_sandbox_down(struct sandbox *sb);
/* Is any of SB's sessions in a turn, or about to be? */
bool sessions_busy(const struct sandbox *sb);
/* SB goes; its sessions have ended. */
void sessions_sandbox_free(struct sandbox *sb);
/* End all of SB's sessions, then call DONE (at once if there are none). */
void sessions_end_all(struct sandbox *sb, void (*done)(void *ctx), void *ctx);
/* From init: false if it is none of ours. */
bool sessions_exited(struct sandbox *sb, int64_t exec, int status);
void sessions_write_ids(struct sandbox *sb, struct jw *w);
void sessions_free(struct super *s);

#endif
