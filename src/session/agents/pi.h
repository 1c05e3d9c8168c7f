/*
 * The Pi adapter's inside. It drives one `pi --mode rpc` process by JSON lines:
 * pi.c owns the process, pi_turns.c knows when a turn is over, pi_read.c turns
 * its lines into events, pi_tools.c those about tools, pi_ask.c handles the
 * dialogs of its extensions, pi_options.c knows what can be set.
 */
#ifndef SESSION_AGENTS_PI_H
#define SESSION_AGENTS_PI_H

#include "session/agent.h"
#include "session/agent_process.h"
#include "session/agents/program.h"
#include "session/skills.h"
#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

#define PI_ID_MAX 64
#define PI_CALL_ID_MAX 256
#define PI_BLOCKS_MAX 64 /* of one message; what follows comes whole */
#define PI_TOOLS_MAX 32	 /* that run at once */
#define PI_LEVEL_MAX 16

/* A dialog of an extension, which waits without end for its answer. */
struct pi_dialog {
	TAILQ_ENTRY(pi_dialog) link;
	struct pi *pi;
	char *id;   /* owned: pi's; of the request in our log, too */
	char *tool; /* owned: id of the call that it came from, or NULL */
	char *once, *always, *reject; /* owned: values to answer, or NULL */
	bool confirm;		      /* it wants yes or no */
	bool permission;	      /* as what it is shown */
	ev_timer limit;		      /* pi's own */
};

/* A tool that runs. */
struct pi_tool {
	char *id, *name, *path; /* owned; path: of the file, or NULL */
	struct buf said;	/* its output so far */
	bool lost;		/* what comes is no continuation of that */
};

struct pi {
	struct agent a; /* first */
	struct process *proc;
	struct ladder ladder;
	struct skills *skills; /* owned: they are being fetched */
	ev_timer watch;	       /* for an answer, or for a run that must come */
	uint64_t requests;     /* number of our command given last */
	uint64_t prompt; /* number of the one that is not answered yet, or 0 */
	char *held;	 /* owned: message, waits for the process */
	char *images;	 /* owned: … with these, JSON, or NULL */
	char *lost;	 /* owned: that it could not resume */
	char *file;	 /* owned: of this process's conversation */
	bool resumed;	 /* this process was given a conversation */
	bool ready;	 /* … and has told its state */
	bool probing, stopping, paused;
	bool restart;	/* another process is wanted after this turn */
	bool retiring;	/* proc is leaving: its stdin is closed */
	bool working;	/* it has a turn, whether or not we have */
	bool running;	/* between agent_start and agent_end */
	bool announced; /* a run will follow: a retry */
	/* The message that streams. */
	uint64_t turn;
	unsigned message;	 /* its number in this turn */
	uint64_t open, complete; /* bits: blocks by their index */
	char *error;		 /* owned: why the last call failed, or NULL */
	char stop[PI_LEVEL_MAX]; /* stopReason of the last message */
	char *calls[PI_BLOCKS_MAX]; /* owned: ids that were completed */
	unsigned ncalls;
	struct pi_tool tools[PI_TOOLS_MAX];
	unsigned ntools;
	TAILQ_HEAD(pi_dialogs, pi_dialog) dialogs;
	/* Tokens of the turn; of its last call; dollars. */
	int64_t input, output, cached, reasoning, total, context;
	double cost;
	/* What can be set. */
	struct json *models; /* owned: as pi listed them, or NULL */
	char *model;	     /* owned: PROVIDER/ID, or NULL */
	char level[PI_LEVEL_MAX];
};

/* pi.c: begin a command {"id":…,"type":TYPE; its number. */
uint64_t
pi_command(struct pi *p, struct jw *w, struct buf *b, const char *type);
/* End the object and write it; B is freed. */
int pi_send(struct pi *p, struct jw *w, struct buf *b, struct err *e);
/* A command without further members. */
int pi_order(struct pi *p, const char *type);
/* Pi has told its state: STATE is what get_state answered with. */
void pi_ready(struct pi *p, const struct json *state);
/* A run must begin, or something be said, within this time. */
void pi_watch(struct pi *p, double seconds);
/* Let the process leave by itself. */
void pi_retire(struct pi *p);

/* pi_turns.c: pi seems to be done: ask it. */
void pi_check(struct pi *p);
/* It says so itself, as later versions do. */
void pi_settled(struct pi *p);
/* It has told its state. */
void pi_checked(struct pi *p, const struct json *state);
void pi_turn_over(struct pi *p);
/* The message was not taken. */
void pi_refused(struct pi *p, const char *why);
/* Forget what is of one turn only. */
void pi_turn_reset(struct pi *p);

/* pi_read.c */
void pi_read(struct pi *p, const char *line, size_t len, size_t total);

/* pi_tools.c */
void pi_call_started(struct pi *p, const char *id, const char *name);
void pi_call(struct pi *p, const struct json *call, bool cut_off);
void pi_tool_event(struct pi *p, const char *type, const struct json *m);
void pi_tools_drop(struct pi *p);
/* The call of the tool that began last and runs, or NULL. */
const struct pi_tool *pi_tool_last(const struct pi *p);

/* pi_ask.c */
void
pi_ui_request(struct pi *p, const struct json *m, const char *line, size_t len);
int pi_permission(struct agent *a, const char *id, enum agent_reply r,
    const char *message, struct err *e);
int pi_question(
    struct agent *a, const char *id, const struct json *answers, struct err *e);
/* Answer all dialogs (of the call TOOL, or all) as cancelled. */
void pi_dialogs_cancel(struct pi *p, const char *tool);
/* Forget them: nobody waits any more. */
void pi_dialogs_drop(struct pi *p);

/* pi_options.c */
int pi_settings_check(
    const struct pi *p, const struct agent_settings *set, struct err *e);
int
pi_configure(struct agent *a, const struct agent_settings *set, struct err *e);
/* MODEL as get_state and set_model tell it. */
void pi_model_is(struct pi *p, const struct json *model);
void pi_models_are(struct pi *p, const struct json *models);
void pi_commands_are(struct pi *p, const struct json *commands);
void pi_tell_options(struct pi *p);
/* The size of the context of the model that is set; 0: unknown. */
int64_t pi_window(const struct pi *p);

#endif
