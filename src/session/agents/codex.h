/*
 * The Codex adapter's inside. It drives one `codex app-server` by JSON-RPC
 * (without the jsonrpc member), one object a line, on its stdin and stdout:
 * codex.c owns the process and its turns, codex_call.c asks it for a thread and
 * for turns, codex_read.c turns its lines into events, codex_items.c does so
 * for items, codex_ask.c handles what it asks, codex_options.c knows its modes,
 * models and thought levels, codex_config.c tells it of providers and MCP
 * servers.
 */
#ifndef SESSION_AGENTS_CODEX_H
#define SESSION_AGENTS_CODEX_H

#include "session/agent.h"
#include "session/agent_process.h"
#include "session/agents/program.h"
#include "session/skills.h"
#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

#define CODEX_ID_MAX 128
#define CODEX_CALLS_MAX 16
#define CODEX_ASKS_MAX 32
#define CODEX_QUESTIONS_MAX 8
#define CODEX_PAGES_MAX 4
#define CODEX_TOOLS_MAX 64

/* How far the process is. */
enum codex_stage {
	CODEX_DOWN,
	CODEX_GREETED, /* initialize is sent */
	CODEX_ASKED,   /* its configuration and models are asked for */
	CODEX_KNOWN,   /* they are known; there is no thread */
	CODEX_OPENING, /* a thread is asked for */
	CODEX_READY    /* turns can be started */
};

/* What a request of ours is for. */
enum codex_call {
	CALL_INITIALIZE,
	CALL_CONFIG,
	CALL_MODELS,
	CALL_LOGIN,
	CALL_START,
	CALL_RESUME,
	CALL_TURN,
	CALL_INTERRUPT,
	CALL_STEER,
	CALL_CLEAN
};

enum codex_ask_kind {
	ASK_COMMAND,
	ASK_FILES,
	ASK_PERMISSIONS,
	ASK_MCP_TOOL,
	ASK_USER /* questions */
};

struct codex_question {
	char *id;      /* owned: question_id in the log */
	char *key;     /* owned: codex's id of the question */
	char *answers; /* owned: JSON array of words; NULL while open */
};

/* A request that codex waits on. */
struct codex_ask {
	TAILQ_ENTRY(codex_ask) link;
	enum codex_ask_kind kind;
	char *id;      /* owned: permission_id in the log */
	char *rpc_id;  /* owned: codex's id of the request, JSON text */
	char *profile; /* owned: the permissions that are wanted, JSON */
	struct codex_question q[CODEX_QUESTIONS_MAX];
	unsigned nq;
};

struct codex_tokens {
	int64_t input, output, cached, reasoning, total;
};

/* A permission mode: what it means to codex, and what the adapter itself
 * answers. */
enum codex_edits {
	EDITS_ASK,
	EDITS_ACCEPT,
	EDITS_REFUSE
};
struct codex_mode {
	const char *word;
	const char *native; /* the mode that the options call it */
	const char *name;   /* how the options show it; NULL: they do not */
	const char *approval;
	enum codex_edits edits;
	bool plan;
};

struct codex {
	struct agent a; /* first */
	struct process *proc;
	struct ladder ladder;
	ev_timer patience;     /* runs while codex owes us an answer */
	struct skills *skills; /* being fetched: the start waits */
	enum codex_stage stage;
	struct {
		int64_t id; /* 0: free */
		enum codex_call what;
	} calls[CODEX_CALLS_MAX];
	int64_t ncalls; /* id given last */
	unsigned owed;	/* of the handshake's answers */
	bool probing;	/* options are wanted, and nothing else */
	bool settled;	/* its collaboration mode is what we said */
	bool planning;	/* … and it was plan */
	bool working;	/* codex has a turn, or was asked for one */
	bool started;	/* it has said so: only now it can be interrupted */
	bool interrupt; /* that is to be done */
	bool resuming;	/* the thread is one of an earlier process */
	bool fresh;	/* it was opened for the turn that is asked for */
	bool retiring;	/* proc is leaving */
	bool stopping;	/* for good */
	bool paused;
	bool failed;	 /* this turn's error is logged */
	bool own_key;	 /* it may be logged in with the session's key */
	bool own_server; /* that key goes to OPENAI_BASE_URL */
	char *thread;	 /* owned: the open thread, or NULL */
	char *turn;	 /* owned: codex's id of the turn, or NULL */
	char *held;	 /* owned: input that waits for the thread, JSON */
	char *given;	 /* owned: input whose turn is not confirmed yet */
	char *model;	 /* owned: what the thread has, or NULL */
	char *effort;	 /* owned: the same */
	struct json *pages[CODEX_PAGES_MAX]; /* owned: answers of model/list */
	unsigned npages;
	struct codex_tokens seen; /* by the thread so far */
	struct codex_tokens used; /* by this turn */
	TAILQ_HEAD(codex_asks, codex_ask) asks;
	unsigned nasks;
	/* Items whose call is logged and whose result is not. */
	char *tools[CODEX_TOOLS_MAX]; /* owned: their ids */
	unsigned ntools;
};

/* --- codex.c -------------------------------------------------------------- */

/* Write one line. */
int codex_send(struct codex *c, struct buf *line, struct err *e);
/* The handshake made progress: go on with what waits. */
void codex_advance(struct codex *c);
/* What waits for codex cannot be had. */
void codex_fail(struct codex *c, const struct err *e);
/* Codex works although we did not ask for it. */
void codex_expect_turn(struct codex *c);
/* The turn is over on codex's side. */
void codex_turn_over(
    struct codex *c, const char *stop_reason, const struct json *turn);

/* --- codex_call.c --------------------------------------------------------- */

/* Begin a request {"method":M,"id":N,"params":{… in B; codex_call_end sends
 * it. */
void codex_call(struct codex *c, enum codex_call what, const char *method,
    struct jw *w, struct buf *b);
int codex_call_end(struct codex *c, struct jw *w, struct buf *b, struct err *e);
int codex_greet(struct codex *c, struct err *e);
int codex_open_thread(struct codex *c, struct err *e);
int codex_start_turn(struct codex *c, const char *input, struct err *e);
int codex_interrupt(struct codex *c, struct err *e);
/* End the commands that still run: an interrupt leaves them alone. */
void codex_clean(struct codex *c);
/* Tell the model something in the running turn. */
void codex_steer(struct codex *c, const char *text);
void codex_response(struct codex *c, const struct json *m);
/* The input of a turn, as a JSON array; the caller's. */
char *codex_input(const struct agent_message *m);

/* --- codex_read.c --------------------------------------------------------- */

void codex_read(struct codex *c, const char *line, size_t len, size_t total);
void codex_unparsed(
    struct codex *c, const char *why, const char *line, size_t len, bool json);

/* --- codex_items.c -------------------------------------------------------- */

void codex_item(struct codex *c, const struct json *item, bool completed);
/* Forget the items that are open. */
void codex_items_drop(struct codex *c);

/* --- codex_ask.c ---------------------------------------------------------- */

void codex_request(
    struct codex *c, const struct json *m, const char *line, size_t len);
void codex_request_resolved(struct codex *c, const struct json *params);
int codex_permission(struct agent *a, const char *id, enum agent_reply r,
    const char *message, struct err *e);
int codex_question(
    struct agent *a, const char *id, const struct json *answers, struct err *e);
void codex_asks_drop(struct codex *c);

/* --- codex_options.c ------------------------------------------------------ */

/* The mode of this name; NULL: there is none. */
const struct codex_mode *codex_mode_find(const char *word);
const struct codex_mode *codex_mode_of(const struct codex *c);
bool codex_plans(const struct codex *c);
int codex_check(const struct agent_settings *set, struct err *e);
/* Tell what can be set; SET (or NULL) goes before what the conf says. */
void codex_tell_options(struct codex *c, const struct agent_settings *set);
void codex_models_free(struct codex *c);

/* --- codex_config.c ------------------------------------------------------- */

/* The session's environment, with what codex needs besides; the caller's. */
char **codex_environment(const struct codex *c);
/* What the process is started with, behind its program. Terminated by NULL. */
const char *const *codex_arguments(struct codex *c);
/* The session's key of OpenAI: its variable's name, or NULL. */
const char *codex_key_variable(const struct codex *c);
/* How the answer of config/read decides which provider is ours to set up. */
void codex_config_known(struct codex *c, const struct json *config);
/* Members of a thread's parameters: modelProvider and config. */
void codex_write_config(struct codex *c, struct jw *w);

#endif
