/*
 * The adapter interface: what the session asks of an agent, and what an agent
 * tells the session. An adapter drives one native protocol; it is the only
 * code that knows it. Items, errors and what could not be parsed go straight
 * to the encoder (universal.h, a->out); turns and requests go through here,
 * since the session answers for them.
 *
 * How an adapter talks to its program is its own affair: over the pipes of an
 * agent_process, by HTTP, or not at all (mock).
 */
#ifndef SESSION_AGENT_H
#define SESSION_AGENT_H

#include "lib/err.h"
#include "lib/json.h"
#include "session/universal.h"
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct agent;
struct session;

/* What the session was created with; the strings are the session's. */
struct agent_conf {
	char *session;
	char *agent;
	char **command; /* program and first arguments, or NULL */
	char **env;	/* NAME=value; the whole environment */
	char *directory;
	char *model;	       /* or NULL */
	char *permission_mode; /* default, acceptEdits, plan, bypass */
	char *agent_mode;      /* build, plan */
	char *mcp, *skills;    /* see tools.h; JSON text, or NULL */
};

enum agent_reply {
	REPLY_ONCE,
	REPLY_ALWAYS,
	REPLY_REJECT,
	REPLY_N
};

struct agent_ops {
	const char *name;
	size_t size; /* of the adapter's struct; starts with struct agent */
	bool echoes_user;    /* emits the user's message item itself */
	bool keeps_requests; /* requests stay open when their turn has ended */

	/* Can this configuration be served? Nothing is started yet. FRESH:
	 * the session is new, else it goes on (its native id is in
	 * a->out->native_session). */
	int (*open)(struct agent *a, bool fresh, struct err *e);
	/* Begin turn NUMBER. TEXT is NUL-terminated and gone afterwards. -1
	 * ends the turn with an error event. */
	int (*prompt)(
	    struct agent *a, uint64_t number, const char *text, struct err *e);
	/* Stop the turn; it ends by agent_turn_ended as ever. */
	int (*cancel)(struct agent *a, struct err *e);
	/* Answers to requests of this agent that are still open. */
	int (*permission)(struct agent *a, const char *id, enum agent_reply r,
	    const char *message, struct err *e);
	/* ANSWERS: one array of words per question; NULL: declined. */
	int (*question)(struct agent *a, const char *id,
	    const struct json *answers, struct err *e);
	/* New model or permission mode (NULL: unchanged); the conf is changed
	 * by the caller when this returns 0. */
	int (*configure)(struct agent *a, const char *model,
	    const char *permission_mode, struct err *e);
	/* Read no more from the agent, or go on. */
	void (*pause)(struct agent *a, bool on);
	/* End whatever runs, gracefully if no turn is open; agent_stopped()
	 * tells when nothing is left. Nothing else is told after this. */
	void (*stop)(struct agent *a);
	/* Kill whatever runs and release all but A itself. */
	void (*close)(struct agent *a);
};

struct agent {
	const struct agent_ops *ops;
	struct session *session;       /* borrowed */
	const struct agent_conf *conf; /* borrowed */
	struct universal *out;	       /* borrowed */
	struct ev_loop *loop;	       /* borrowed */
};

extern const struct agent_ops agent_mock;
extern const struct agent_ops agent_claude;

/* The adapter of this name, or NULL. */
const struct agent_ops *agent_find(const char *name);
/* True when every byte of S may stand in an argument of the agent's command:
 * printable, and no flag in disguise. */
bool agent_word_ok(const char *s);

/* --- what adapters tell the session; implemented by session.c ------------ */

/* The agent's own id for the conversation; NULL: it has none any more. */
void agent_native_id(struct agent *a, const char *id);
/* The agent works although nobody asked: a turn of its own begins. */
void agent_turn_begun(struct agent *a);
bool agent_turn_open(const struct agent *a);
bool agent_cancelling(const struct agent *a);
/* STOP_REASON: end_turn, max_tokens, max_turns, refusal, cancelled, error.
 * MORE: further members of the metadata as JSON object text, or NULL. What is
 * open is closed first. */
void
agent_turn_ended(struct agent *a, const char *stop_reason, const char *more);
/* The agent has nothing more to say, but its turn goes on until its requests
 * are answered or another message comes. */
void agent_turn_parked(struct agent *a);
/* The agent changed its permission mode by itself. */
void agent_mode_changed(struct agent *a, const char *permission_mode);
/* Everything emitted so far is stored. */
bool agent_settled(const struct agent *a);
void agent_stopped(struct agent *a);

/* Ask for a permission. METADATA is JSON text. Returns -1 when the id is in
 * use or too many are open: then the agent must be refused. When the user has
 * allowed the like for the session, it is answered before this returns. */
int agent_ask_permission(
    struct agent *a, const char *id, const char *action, const char *metadata);
/* Ask a question. OPTIONS is a JSON array. MULTI: several may be chosen. */
int agent_ask_question(struct agent *a, const char *id, const char *prompt,
    const char *options, bool multi);
/* A request was settled by other means: withdrawn by the agent, or answered
 * together with another. RESPONSE is for questions; NULL: rejected. */
void agent_request_settled(
    struct agent *a, enum origin from, const char *id, const char *response);
/* One answer of a reply, a word or a list of words, as text: the first word or
 * all of them with commas. The caller's; NULL when there is none. */
char *agent_answer_text(const struct json *list, bool all);

#endif
