/*
 * The ACP adapter's inside. It drives one program that speaks the Agent Client
 * Protocol (JSON-RPC, one object a line, on its stdin and stdout): acp.c owns
 * the process, acp_turn.c its turns, acp_open.c brings it from its start to a
 * session that can be prompted, acp_rpc.c writes its lines, acp_read.c turns
 * what it says into events, acp_tools.c does so for tool calls and acp_files.c
 * for the files that they touch, acp_ask.c and acp_form.c handle what it asks,
 * acp_settings.c its modes, models and other options, acp_mcp.c tells it of MCP
 * servers.
 */
#ifndef SESSION_AGENTS_ACP_H
#define SESSION_AGENTS_ACP_H

#include "session/agent.h"
#include "session/agent_process.h"
#include "session/agents/program.h"
#include "session/skills.h"
#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

#define ACP_ID_MAX 256
#define ACP_CALLS_MAX 16
#define ACP_TOOLS_MAX 64
#define ACP_FILES_MAX 8
#define ACP_FIELDS_MAX 8
#define ACP_ASKS_MAX 16

/* How far the process is. */
enum acp_stage {
	ACP_OFF,
	ACP_HELLO,   /* initialize is unanswered */
	ACP_OPENING, /* session/new, session/load or session/resume is */
	ACP_READY
};

/* What a request of ours was for. */
enum acp_call {
	CALL_INITIALIZE,
	CALL_AUTHENTICATE,
	CALL_NEW,
	CALL_RESUME,
	CALL_LOAD,
	CALL_SETTING,
	CALL_PROMPT
};

enum acp_setting {
	SETTING_MODEL,
	SETTING_THOUGHT,
	SETTING_MODE,
	SETTING_N
};

struct acp_file {
	char *path; /* owned */
	char *diff; /* owned, or NULL */
	const char *action;
};

struct acp_tool {
	TAILQ_ENTRY(acp_tool) link;
	char *id;	 /* owned: toolCallId */
	char *name;	 /* owned */
	char *kind;	 /* owned: read, edit, execute, …, or NULL */
	char *title;	 /* owned, or NULL */
	char *arguments; /* owned JSON */
	char *parent;	 /* owned: id of the call it belongs to, or NULL */
	struct buf out;	 /* its output so far */
	struct acp_file files[ACP_FILES_MAX];
	unsigned nfiles;
	bool called; /* the call is an item that is complete */
	bool opened; /* its result is an item that was started */
	bool done;
};

/* A question of a form. */
struct acp_field {
	char *id;     /* owned: question_id in the log */
	char *key;    /* owned: of the property */
	char *custom; /* owned: property that takes other words, or NULL */
	char *schema; /* owned JSON */
	char *answer; /* owned JSON, NULL while open */
	char *other;  /* owned: words for `custom`, or NULL */
};

/* A request of the agent that it waits on. */
struct acp_ask {
	TAILQ_ENTRY(acp_ask) link;
	char *rpc_id; /* owned JSON */
	char *id;     /* owned: permission_id in the log; NULL: a form */
	char *once, *always, *reject; /* owned: option ids, or NULL */
	struct acp_field field[ACP_FIELDS_MAX];
	unsigned nfields;
};

struct acp {
	struct agent a; /* first */
	struct process *proc;
	struct skills *skills; /* owned: being fetched before the start */
	enum acp_stage stage;
	struct ladder ladder;
	ev_timer handshake, quiet;
	uint64_t requests; /* number of our request given last */
	struct {
		uint64_t id;
		enum acp_call call;
	} calls[ACP_CALLS_MAX]; /* unanswered */
	unsigned ncalls;

	bool paused, stopping, retiring, probing;
	bool working;  /* a prompt is unanswered */
	bool own_turn; /* the agent's: it ends by silence */
	unsigned quiet_left;
	bool tried_key; /* authenticate was tried with this process */
	bool lost;	/* it has a new session in place of the known one */

	/* What the agent told of itself. */
	bool can_load, can_resume, takes_images, takes_texts;
	bool mcp_http, mcp_sse;
	char *key_method; /* owned: authentication by a key that is there */
	char *session;	  /* owned: id of the open session, or NULL */

	/* The message that waits for the session. */
	bool held;
	char *held_text, *held_parts; /* owned */
	size_t held_len;

	/* The message that streams. */
	char *chunk;	     /* owned: its item's native id, or NULL */
	char *chunk_message; /* owned: messageId, or NULL */
	bool chunk_reasoning;
	unsigned chunks;

	TAILQ_HEAD(acp_tools, acp_tool) tools;
	unsigned ntools;
	TAILQ_HEAD(acp_asks, acp_ask) asks;
	unsigned nasks;

	/* acp_settings.c */
	struct json *config, *modes, *models; /* owned: as the agent told */
	char *first_mode;	     /* owned: in force before we set any */
	char *setting;		     /* owned: the value that is being set */
	char *now[SETTING_N];	     /* owned: in force; NULL: not known */
	char *want[SETTING_N];	     /* owned; of SETTING_MODE the agent mode */
	char *want_permission;	     /* owned */
	bool mode_chosen;	     /* a default mode is a wish, too */
	bool allow_all, allow_edits; /* no mode does it, so we answer */
	enum acp_setting step;	     /* being set; SETTING_N: all are */
	bool step_sent, step_again;
};

/* acp_rpc.c. A request: begin, write members of params, send. Between begin
 * and send W is within the params object. -1: it cannot be sent. */
void acp_begin(
    struct acp *p, struct jw *w, struct buf *b, const char *method, bool call);
int acp_send(struct acp *p, struct jw *w, struct buf *b, enum acp_call call,
    struct err *e);
int acp_send_notice(struct acp *p, struct jw *w, struct buf *b, struct err *e);
/* What the answer ID is for; false: for nothing. */
bool acp_take_call(struct acp *p, const struct json *id, enum acp_call *out);
/* Answers of ours; W is within the result object. */
void acp_answer_begin(struct jw *w, struct buf *b, const char *rpc_id);
int acp_answer_send(struct acp *p, struct jw *w, struct buf *b, struct err *e);
void
acp_refuse(struct acp *p, const char *rpc_id, int code, const char *message);
/* The words of an error object, the caller's. */
char *acp_error_text(const struct json *error);

/* acp.c */
/* Go on towards the prompt that is held, or end a probe. */
void acp_go_on(struct acp *p);
/* The session cannot be had: the turn, or the probe, fails, and the process
 * is ended. */
void acp_give_up(struct acp *p, enum origin from, const char *code,
    const char *text, const char *details);

/* acp_turn.c: the message that waits. */
void acp_turn_init(struct acp *p);
void acp_hold(struct acp *p, const struct agent_message *m);
void acp_drop_held(struct acp *p);
int acp_send_prompt(struct acp *p, struct err *e);
/* Fail the turn whose message is held; false: none is. */
bool acp_fail_held(
    struct acp *p, enum origin from, const char *code, const char *text);
void acp_prompt_answered(
    struct acp *p, const struct json *result, const struct json *error);
/* The agent works: a turn is open, or one of its own begins. */
void acp_expect_turn(struct acp *p);

/* acp_open.c */
int acp_hello(struct acp *p, struct err *e);
void acp_open_answered(struct acp *p, enum acp_call call,
    const struct json *result, const struct json *error);

/* acp_read.c */
void acp_read(struct acp *p, const char *line, size_t len, size_t total);
void acp_chunk_close(struct acp *p, enum item_status status);

/* acp_tools.c */
void acp_tool_update(struct acp *p, const struct json *update, bool first);
/* What is known of a call from a permission request for it. */
const struct acp_tool *
acp_tool_asked(struct acp *p, const struct json *tool_call);
bool acp_tools_running(const struct acp *p);
/* The turn is over: results that did not come are empty ones. */
void acp_tools_end(struct acp *p, bool ok);
void acp_tools_drop(struct acp *p);

/* acp_files.c */
void acp_files_learn(struct acp_tool *t, const struct json *update);
void acp_files_drop(struct acp_tool *t);
/* WAS becomes IS, as one hunk of a unified diff. */
void acp_diff(struct buf *b, const char *was, const char *is);

/* acp_ask.c */
struct acp_ask *acp_ask_new(struct acp *p, const struct json *id);
void acp_ask_free(struct acp *p, struct acp_ask *k);
void
acp_request(struct acp *p, const struct json *m, const char *line, size_t len);
int acp_permission(struct agent *a, const char *id, enum agent_reply r,
    const char *message, struct err *e);
/* Answer all that is open with "cancelled". */
void acp_asks_cancel(struct acp *p);
void acp_asks_drop(struct acp *p);

/* acp_form.c */
int acp_form_ask(struct acp *p, const struct json *m, struct err *e);
/* ACTION: accept, decline, cancel. */
int acp_form_answer(
    struct acp *p, const struct acp_ask *k, const char *action, struct err *e);
int acp_question(
    struct agent *a, const char *id, const struct json *answers, struct err *e);

/* acp_options.c: the option of this kind, or NULL. */
const struct json *acp_option_of(const struct acp *p, enum acp_setting s);
/* Is VALUE among the options, which may stand in groups? */
bool acp_offers(const struct json *options, const char *value);
/* The element of LIST whose member KEY is ID, or NULL. */
const struct json *
acp_listed(const struct json *list, const char *key, const char *id);
/* Pi's modes are thought levels. */
bool acp_modes_are_levels(const struct acp *p);
void acp_tell_options(struct acp *p);

/* acp_settings.c */
/* From an answer of session/new and the like. */
void acp_settings_learn(struct acp *p, const struct json *result);
void acp_settings_config(struct acp *p, const struct json *options);
void acp_settings_mode(struct acp *p, const char *mode);
/* Set what is wished and not in force; true when all is done. */
bool acp_settings_done(struct acp *p);
void acp_setting_answered(
    struct acp *p, const struct json *result, const struct json *error);
int
acp_configure(struct agent *a, const struct agent_settings *set, struct err *e);
void acp_settings_wish(struct acp *p);
void acp_settings_drop(struct acp *p); /* of a process */
void acp_settings_free(struct acp *p);

/* acp_mcp.c: write the servers as an array. */
void acp_servers(struct acp *p, struct jw *w);

#endif
