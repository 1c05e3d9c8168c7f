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
	struct sandbox *sb; /* NULL once it was destroyed */
	const struct agent_def *agent;
	char *model, *permission_mode, *agent_mode, *directory, *title;
	char *variant, *mcp, *skills; /* the last two as JSON text; or NULL */
	/* By which a repeated create is known; NULL without. */
	char *idempotency_key, *request_hash;
	bool own_sandbox; /* it was made for this session and goes with it */
	char **env, **command; /* may be NULL */
	int64_t created_at_ms;
	bool ended;
	bool stored;
	bool want_worker; /* should have one while its sandbox runs */
	bool ready;	  /* the worker has answered `start` */
	struct proc proc;
	int64_t exec_id;	   /* by which init names the worker */
	uint64_t store_generation; /* that the worker is attached to */
	TAILQ_HEAD(, session_wait) waits;
	struct request *creating;	    /* the create that waits for us */
	TAILQ_HEAD(, session_wait) repeats; /* the same create once more */
	ev_timer free_timer;
};

struct session *session_find(struct super *s, const char *id);
int session_create(struct request *r, struct err *e);
/* Serve R (prompt, cancel, reply, …) by the worker, started if need be. */
void session_ask(struct session *ss, struct request *r);
/* DONE when the worker is ready, which is started if need be. Never called
 * before this returns, unless it is ready or cannot be. */
void session_ensure(struct session *ss, session_done *done, void *ctx);
void session_end(struct session *ss, struct request *r);
/* In ops_session.c: send R's message, or end R. */
void session_send(struct session *ss, struct request *r);

void sessions_loaded(struct super *s, const struct json *record);
void sessions_store_up(struct super *s);
void sessions_sandbox_up(struct sandbox *sb);
void sessions_sandbox_stopping(struct sandbox *sb);
void sessions_sandbox_down(struct sandbox *sb);
/* SB goes; its sessions have ended. */
void sessions_sandbox_free(struct sandbox *sb);
/* End all of SB's sessions, then call DONE (at once if there are none). */
void sessions_end_all(struct sandbox *sb, void (*done)(void *ctx), void *ctx);
/* From init: false if it is none of ours. */
bool sessions_exited(struct sandbox *sb, int64_t exec, int status);
void sessions_write_ids(struct sandbox *sb, struct jw *w);
void sessions_free(struct super *s);

#endif
