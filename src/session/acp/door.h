/*
 * The ACP door of a session of kind acp: envelopes of ACP clients come in,
 * those of the agent go into the log, one an event, byte for byte. The door
 * knows JSON-RPC and nothing of ACP: it matches responses to requests. What ACP
 * means is the affair of a backend: one that hands everything to a program that
 * speaks ACP (pass.c), or one that serves ACP from native adapters (serve.c).
 *
 * An envelope is stored as an event {"type":"acp","raw":ENVELOPE} with nothing
 * else that is not in every event; sequences begin at 1 and count the agent's
 * envelopes only.
 */
#ifndef SESSION_ACP_DOOR_H
#define SESSION_ACP_DOOR_H

#include "session/agent.h"
#include "session/callers.h"

/* Longer ones of an agent do not fit an event: a response is replaced by an
 * error, anything else by a notice _adapter/invalid_stdout. */
#define ACP_ENVELOPE_MAX (900u << 10)
/* Of a client; as much as a request's body may hold. */
#define ACP_INPUT_MAX (8u << 20)
#define ACP_PENDING_MAX 256
#define ACP_STDERR_MAX 8192 /* of the last words of a program */

struct acp_door;
struct acp_backend;

struct acp_backend_ops {
	const char *name;
	size_t size; /* of the backend's struct; starts with acp_backend */
	/* FRESH: the server is new; else the worker was restarted, and
	 * checkpoint_read came before. Nothing needs to be started yet. */
	int (*open)(struct acp_backend *b, bool fresh, struct err *e);
	/* One envelope of a client, an object. TEXT is what came, on one
	 * line: it holds no byte below 0x20. A request whose id is never
	 * answered leaves its client waiting. */
	void (*envelope)(struct acp_backend *b, const struct json *env,
	    const char *text, size_t len);
	/* Read no more from the agent, or go on. */
	void (*pause)(struct acp_backend *b, bool on);
	/* End whatever runs; acp_stopped() when nothing is left. acp_exited()
	 * may be called before that, or not. */
	void (*stop)(struct acp_backend *b);
	/* Kill whatever runs and release all but B itself. */
	void (*close)(struct acp_backend *b);
	/* Members of the checkpoint, at most 12 KiB: what the next worker
	 * needs to go on with the sessions that clients know. */
	void (*checkpoint_write)(const struct acp_backend *b, struct jw *w);
	void (*checkpoint_read)(struct acp_backend *b, const struct json *c);
};

struct acp_backend {
	const struct acp_backend_ops *ops;
	struct acp_door *door;	       /* borrowed */
	const struct agent_conf *conf; /* borrowed */
	struct session *session;       /* borrowed */
	struct ev_loop *loop;	       /* borrowed */
};

extern const struct acp_backend_ops acp_pass;  /* pass.c */
extern const struct acp_backend_ops acp_serve; /* serve.c */

/* The program that serves conf's agent as ACP server, and its arguments: a
 * vector of the caller's; NULL: there is none, a native adapter serves it. */
char **acp_program(const struct agent_conf *conf);

/* A line of the agent's program: it is logged, and when it is the response to
 * an open request, that is answered once it is stored. A line that is no JSON
 * is treated as by acp_say_invalid(), one that is blank is left out. */
void acp_say(struct acp_door *d, const char *text, size_t len);
/* The same for what we have written ourselves, valid JSON on one line: a
 * notification or a request of ours, or the response to the request whose id
 * has the JSON text ID. */
void acp_notify(struct acp_door *d, const char *text, size_t len);
void
acp_respond(struct acp_door *d, const char *id, const char *text, size_t len);
/* What the agent has said in SESSION, out of EVENTS with their envelopes, for
 * an agent that has forgotten it to read ahead of the next prompt, within the
 * limits of CONF. The caller's; NULL: nothing. (pass_words.c) */
char *acp_words(const struct json *events, const char *session,
    const struct agent_conf *conf);
/* Sequence of the envelope that is said last; 0: none. */
int64_t acp_last(const struct acp_door *d);
/* Everything said so far is stored. */
bool acp_settled(const struct acp_door *d);
/* A line that is no JSON: becomes _adapter/invalid_stdout. */
void
acp_say_invalid(struct acp_door *d, const char *line, size_t len, size_t total);
/* The agent's program has ended: _adapter/agent_exited is logged, open
 * requests are answered with CODE (-1: by a signal) and the last lines of its
 * stderr (or NULL), later ones as broken. */
void acp_exited(struct acp_door *d, int code, const char *stderr_tail);
/* The checkpoint has changed. */
void acp_touch(struct acp_door *d);
void acp_stopped(struct acp_door *d);

/* The handler of MSG_SESSION_ACP; see commands.c. */
void acp_door_take(struct session *s, struct asker who, const struct json *m,
    const struct chan_frame *f);

#endif
