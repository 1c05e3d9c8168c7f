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
struct agent_host;
struct session;

/* What the session was created with; the strings are the session's. */
struct agent_conf {
	char *session;
	char *kind; /* universal, acp, probe */
	char *agent;
	char **command; /* program and first arguments, or NULL */
	char **env;	/* NAME=value; the whole environment */
	char *directory;
	char *model; /* or NULL */
	/* default, acceptEdits, plan, bypass, or a mode by the agent's own name
	 * for it, as its options list it. */
	char *permission_mode;
	char *agent_mode;    /* build, plan; the agent may have others */
	char *thought_level; /* or NULL */
	char *variant;	     /* or NULL */
	char *mcp, *skills;  /* see tools.h; JSON text, or NULL */
	char *protocol;	     /* which adapter drives it */
	char **program_args; /* what the definition puts behind the program
			      * of `command`, or NULL; see agents.d */
	char *options;	     /* JSON array: the definition's options, which
			      * hold until the agent has told its own */
	char **acp_command;  /* how it is started as an ACP program, or
			      * NULL when it is none */
	char **version_args; /* of its program, to be told its version */
	/* Of what was said before, for an agent that has forgotten it. */
	int64_t replay_max_events, replay_max_chars;
	bool shared; /* its process may be other sessions', too; see share.h */
};

/* A user's message. */
struct agent_message {
	const char *text; /* NUL-terminated; without what comes with it */
	size_t len;
	/* What comes with it: NULL, or an array of content blocks as ACP has
	 * them, of these types: {type:"image", data (base64), mimeType, uri?},
	 * {type:"resource_link", uri, name, mimeType?}: a file of the sandbox
	 * when the uri begins with file://,
	 * {type:"resource", resource:{uri, text | blob, mimeType?}}. */
	const struct json *parts;
};

/* The message as one text: files follow below "Attachments:", one a line, and
 * texts of resources below that; what cannot be said in words (an image's
 * bytes) is left out when the adapter has said it otherwise (IMAGES_SAID), and
 * named in brackets when it has not. The caller's. */
char *agent_message_flat(const struct agent_message *m, bool images_said);

/* New settings; NULL: as it was. */
struct agent_settings {
	const char *model, *permission_mode, *agent_mode, *thought_level;
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
	/* Begin turn NUMBER. M is gone afterwards. -1 ends the turn with an
	 * error event. May be called once more for the same turn, see
	 * agent_forgot(). */
	int (*prompt)(struct agent *a, uint64_t number,
	    const struct agent_message *m, struct err *e);
	/* Stop the turn; it ends by agent_turn_ended as ever. */
	int (*cancel)(struct agent *a, struct err *e);
	/* Answers to requests of this agent that are still open. */
	int (*permission)(struct agent *a, const char *id, enum agent_reply r,
	    const char *message, struct err *e);
	/* ANSWERS: one array of words per question; NULL: declined. */
	int (*question)(struct agent *a, const char *id,
	    const struct json *answers, struct err *e);
	/* New settings; the conf is changed by the caller when this returns 0,
	 * and unchanged until then. */
	int (*configure)(
	    struct agent *a, const struct agent_settings *set, struct err *e);
	/* Start whatever can tell the agent's options without a turn, and call
	 * agent_options() when they are known, or agent_failed(). NULL:
	 * nobody can be asked. */
	int (*probe)(struct agent *a, struct err *e);
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
	const struct agent_host *host; /* agent_host.h */
	void *host_data;	       /* the host's own */
	struct session *session;       /* borrowed */
	const struct agent_conf *conf; /* borrowed */
	struct universal *out;	       /* borrowed */
	struct ev_loop *loop;	       /* borrowed */
};

extern const struct agent_ops agent_mock;
extern const struct agent_ops agent_claude;
extern const struct agent_ops agent_codex;
extern const struct agent_ops agent_acp; /* any program that speaks ACP */
extern const struct agent_ops agent_pi;
extern const struct agent_ops agent_amp;

/* The adapter of this protocol (conf.protocol), or NULL. */
const struct agent_ops *agent_find(const char *name);
/* True when every byte of S may stand in an argument of the agent's command:
 * printable, and no flag in disguise. */
bool agent_word_ok(const char *s);

/* --- what adapters tell the session (its host, see agent_host.h) --------- */

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
/* The agent does not know what was said before (it was restarted and cannot
 * resume). To be called from prompt, or after it and before anything of the
 * turn was emitted, in place of beginning it: prompt is called again for the
 * same turn, later, with recent events of the log ahead of the message. Not
 * more than once a turn; a fresh conversation needs no call. */
void agent_forgot(struct agent *a);
/* What can be set, as the agent tells it: a JSON array of options in ACP's form
 * ({id, name, category: model | mode | thought_level, type: "select",
 * currentValue, options: [{value, name, description?}]}). Each call replaces
 * the former. */
void agent_options(struct agent *a, const char *json);
/* A probe has failed. */
void agent_failed(struct agent *a, const struct err *e);
/* Slash commands that the agent knows: a JSON array of {name, description,
 * input?: {hint}}. */
void agent_commands(struct agent *a, const char *json);
/* Tokens: of this turn's last model call, and the size of its context window
 * (0: unknown). Totals of the turn go into the metadata of its end, as
 * {"usage":{"input_tokens", "output_tokens", "cached_input_tokens",
 * "reasoning_tokens", "total_tokens"}} with what is known. */
void agent_usage(struct agent *a, int64_t used, int64_t window);
/* Everything emitted so far is stored. */
bool agent_settled(const struct agent *a);
void agent_stopped(struct agent *a);

/* Ask for a permission. METADATA is JSON text: what the agent sent, and
 * "toolCallId", the native id of the item that it is about, if any. Returns -1
 * when the id is in use or too many are open: then the agent must be refused.
 * When the user has allowed the like for the session, it is answered before
 * this returns. */
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
