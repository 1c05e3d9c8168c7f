/*
 * ACP served from native adapters: the inside of the backend serve.c.
 *
 * A server has sessions, each with an adapter of its own, and so a program of
 * its own. serve.c reads what clients say and finds the method, methods.c has
 * one function for each, content.c and mcp.c read what they bring, session.c is
 * the life of a session and its turns (the host of its agent, agent_host.h),
 * ask.c what the agent asks the client, choices.c its modes, models and other
 * options, encode*.c turn what the agent emits into updates, and state.c is the
 * checkpoint.
 */
#ifndef SESSION_ACP_SERVE_H
#define SESSION_ACP_SERVE_H

#include "lib/buf.h"
#include "lib/json.h"
#include "session/acp/door.h"
#include "session/acp/encode.h"
#include "session/agent_host.h"
#include "session/pending.h"
#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

/* One more, and the one that was not used for longest is closed. */
#define SERVE_SESSIONS_MAX 64
#define SERVE_QUEUE_MAX 16		  /* prompts that wait in a session */
#define SERVE_QUEUE_BYTES_MAX (32u << 20) /* and in all together */
#define SERVE_TITLE_MAX 80
#define SERVE_ID_MAX 128

/* JSON-RPC's codes, and ACP's own. */
#define RPC_INVALID_REQUEST (-32600)
#define RPC_METHOD_UNKNOWN (-32601)
#define RPC_INVALID_PARAMS (-32602)
#define RPC_INTERNAL (-32603)
#define RPC_AUTH_REQUIRED (-32000)
#define RPC_NOT_FOUND (-32002)

struct serve;

/* A prompt that waits or is worked on. */
struct serve_prompt {
	TAILQ_ENTRY(serve_prompt) link;
	char *id;   /* owned: of the request, JSON text */
	char *text; /* owned */
	size_t len;
	char *parts;  /* owned: JSON text, or NULL; see agent.h */
	char *echo;   /* owned: for the mock, else NULL */
	size_t bytes; /* of text and parts */
};

struct serve_session {
	TAILQ_ENTRY(serve_session) link;
	struct serve *sv; /* borrowed */
	char *id;	  /* owned */
	char *title;	  /* owned, or NULL: of its first message */
	int64_t used_ms;  /* when it was last used, real time */
	/* The strings that sessions have of their own (session, directory,
	 * model, modes, thought_level, mcp) are owned, the others the
	 * server's. */
	struct agent_conf conf;
	struct acp_encoder out;
	struct agent *agent; /* owned; NULL: to be opened */
	struct pending asks; /* what the agent has asked */
	char *options;	     /* owned: JSON array, as they are now */
	char *commands;	     /* owned: JSON array, or NULL */
	uint64_t turn;	     /* number given last */
	bool turn_open;
	bool parked;
	bool cancelling;
	bool pumping;
	bool stopping; /* ops->stop was called */
	bool stopped;  /* and nothing of the agent is left */
	bool again;    /* to be prompted once more for this turn */
	bool reminded; /* once a turn */
	bool reading;  /* what was said is being read for that */
	bool known;    /* clients have its id, and may be told of it */
	bool choosing; /* a client changes a setting just now */
	struct serve_prompt *current;		       /* owned, or NULL */
	TAILQ_HEAD(serve_prompts, serve_prompt) queue; /* owned */
	unsigned nqueue;
};
TAILQ_HEAD(serve_sessions, serve_session);

struct serve {
	struct acp_backend b; /* first */
	bool echo;	      /* the mock: it repeats what it is told */
	bool forms;	      /* the client fills in forms (elicitation) */
	bool terminal;	      /* it shows output as it comes */
	bool paused;
	bool stopping;
	bool stopped;
	size_t queue_bytes; /* of prompts that wait, in all sessions */
	struct serve_sessions sessions; /* owned, last used last */
	unsigned nsessions;
	struct serve_sessions gone; /* owned: closed, freed by `later` */
	ev_timer later;		    /* what no adapter may do to itself */
	struct buf text;	    /* the response being written */
	struct jw w;
};

/* A request or notification of a client. */
struct serve_request {
	const char *id;	  /* JSON text; NULL: a notification */
	const char *echo; /* JSON text of all of it, or NULL: not the mock */
	const char *method;
	const struct json *params; /* or NULL */
};

/* --- serve.c: answers ----------------------------------------------------- */

/* The result's members are the caller's: begin, write, end. */
struct jw *serve_result(struct serve *sv, const char *echo, const char *id);
void serve_result_end(struct serve *sv, const char *id);
void serve_empty(struct serve *sv, const struct serve_request *rq);
/* DATA is JSON text, or NULL. The mock knows no errors but those of its
 * turns: it repeats what it was told instead. */
void serve_error(struct serve *sv, const char *id, int code,
    const char *message, const char *data);
void serve_refuse(struct serve *sv, const struct serve_request *rq, int code,
    const char *message);
/* A request of ours, METHOD, whose params are the caller's to write; returns
 * its id. */
struct jw *serve_ask(struct serve *sv, const char *method, int64_t *id_out);
void serve_ask_end(struct serve *sv);

/* --- methods.c ------------------------------------------------------------ */

/* False: there is no such method. */
bool serve_method(struct serve *sv, const struct serve_request *rq);

/* --- session.c ------------------------------------------------------------ */

extern const struct agent_host serve_host;
struct serve_session *serve_find(struct serve *sv, const char *id);
/* A new session, closed. ID may be NULL: one is made up. NULL: there are too
 * many that work. */
struct serve_session *serve_session_new(
    struct serve *sv, const char *id, const char *directory, const char *mcp);
/* Open its agent, if it is not. */
int serve_session_open(struct serve_session *ss, struct err *e);
/* End it: its agent is stopped, its prompts are answered as cancelled. */
void serve_session_close(struct serve_session *ss);
void serve_session_free(struct serve_session *ss);
/* It was used now. */
void serve_session_touch(struct serve_session *ss);
/* P becomes the session's. */
void serve_session_prompt(struct serve_session *ss, struct serve_prompt *p);
void serve_session_cancel(struct serve_session *ss);
void serve_tell_commands(struct serve_session *ss);
/* A parked turn ends when nothing is asked any more. */
void serve_session_unpark(struct serve_session *ss);
/* Tell the door if the server is to stop and all agents have. */
void serve_stopped(struct serve *sv);
/* Handler of sv->later. */
void serve_later(struct ev_loop *loop, ev_timer *w, int revents);

/* --- prompt.c ------------------------------------------------------------- */

void serve_prompt_free(struct serve_prompt *p);
/* Its turn has ended, as agent_turn_ended() tells it. */
void serve_prompt_answer(struct serve_session *ss, const struct serve_prompt *p,
    const char *stop_reason, const char *more);
void serve_prompt_cancelled(struct serve *sv, const struct serve_prompt *p);

/* --- ask.c ---------------------------------------------------------------- */

int serve_ask_permission(
    struct agent *a, const char *id, const char *action, const char *metadata);
int serve_ask_question(struct agent *a, const char *id, const char *prompt,
    const char *options, bool multi);
void serve_request_settled(
    struct agent *a, enum origin from, const char *id, const char *response);
/* The client's response ENV; false: nobody waits for it. */
bool serve_answered(struct serve *sv, const struct json *env);
/* Nobody waits for what the session has asked any more. */
void serve_asks_drop(struct serve_session *ss);

/* --- choices.c ------------------------------------------------------------ */

/* What conf says becomes current in its options. */
void serve_choices_init(struct serve_session *ss);
/* Members modes, models and configOptions of the open object. */
void serve_choices_write(struct serve_session *ss, struct jw *w);
void serve_config_options(struct serve_session *ss, struct jw *w);
/* The agent has told its options. */
void serve_choices_told(struct serve_session *ss, const char *json);
/* Change the setting of this category (model, mode, thought_level); clients
 * are told of it when it is done. */
int serve_choose(struct serve_session *ss, const char *category,
    const char *value, struct err *e);
/* The category of the option ID, into CATEGORY[32]; false: there is none. */
bool serve_choice_category(
    struct serve_session *ss, const char *id, char category[32]);
/* The agent has changed its mode by itself. */
void serve_mode_changed(struct agent *a, const char *mode);

/* --- content.c, mcp.c ----------------------------------------------------- */

/* The blocks of a prompt as text and parts, both the caller's. */
int serve_content(const struct json *blocks, char **text_out, size_t *len_out,
    char **parts_out, struct err *e);
/* The list of MCP servers, and those of BASE (JSON text or NULL) that it does
 * not name, in the form of toolconf.h. The caller's; NULL: there is none. */
int serve_mcp(
    const struct json *list, const char *base, char **mcp_out, struct err *e);

/* --- state.c -------------------------------------------------------------- */

void serve_state_write(const struct acp_backend *b, struct jw *w);
void serve_state_read(struct acp_backend *b, const struct json *c);

#endif
