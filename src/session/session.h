/*
 * One session: its turns, the messages that wait, the requests that are open,
 * and the worker's memory of all that across restarts.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "lib/chan.h"
#include "lib/proto.h"
#include "session/agent_host.h"
#include "session/callers.h"
#include "session/keys.h"
#include "session/outbox.h"
#include "session/pending.h"
#include "session/replay.h"
#include "session/universal.h"
#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

enum session_stage {
	STAGE_WAITING, /* for `start` and for `attached` */
	STAGE_READY,
	STAGE_REFUSED, /* `start` was answered with an error */
	STAGE_ENDING,  /* `end` came; the agent is being stopped */
	STAGE_LEAVING, /* we were told to go; the session goes on later */
	STAGE_N
};

/* Members of the record that are written with the next batch. */
#define SET_STATE BIT(0)
#define SET_NATIVE BIT(1)
#define SET_MODEL BIT(2)
#define SET_MODE BIT(3)
#define SET_KEYS BIT(4)
#define SET_AGENT_MODE BIT(5)
#define SET_THOUGHT_LEVEL BIT(6)

#define QUEUE_MAX 64
#define QUEUE_BYTES_MAX (8u << 20)
#define QUEUE_SAVED_BYTES 6144 /* of waiting text, in the checkpoint */
#define CHECKPOINT_BYTES_MAX (16u << 10)
#define TURN_ID_MAX 32
#define PROMPT_ASKERS 4

/* A user's message that waits for its turn. */
struct prompt {
	TAILQ_ENTRY(prompt) link;
	uint64_t number; /* of its turn */
	char *text;	 /* owned */
	char *parts;	 /* owned: what comes with it, JSON text, or NULL */
	size_t len;	 /* of the text */
	size_t bytes;	 /* of both */
	/* Still to be answered; more than one when it was said again. */
	struct asker askers[PROMPT_ASKERS];
	unsigned naskers;
	struct key key; /* with `keyed` */
	bool keyed;
	bool saved;	/* in the checkpoint: was acknowledged */
	bool cancelled; /* logged but not given to the agent */
};

/* What is behind the channels of a session. */
struct session_kind {
	const char *name;
	bool answers_start; /* by itself, some time after `opened` */
	/* Begin (FRESH), or go on from s->record. -1 refuses `start`. */
	int (*open)(struct session *s, bool fresh, struct err *e);
	/* `start` was answered, or will be. */
	void (*opened)(struct session *s);
	/* Members of the record that have changed; see outbox_hooks.set. */
	void (*set)(struct session *s, struct jw *w);
	/* Read no more from agents, or go on. */
	void (*pause)(struct session *s, bool on);
	/* All is stored. */
	void (*settled)(struct session *s);
	/* End what runs, for good (STAGE_ENDING) or until the next worker
	 * (STAGE_LEAVING); session_over() when nothing is left. */
	void (*stop)(struct session *s);
	/* Kill what runs and release; also after a failed open, and twice. */
	void (*close)(struct session *s);
};

extern const struct session_kind kind_universal; /* conversation.c */
extern const struct session_kind kind_acp;	 /* acp/door.c */
extern const struct session_kind kind_probe;	 /* probe.c */

struct acp_door;
struct probe;

struct session {
	struct ev_loop *loop;
	struct chan *super;	/* owned */
	struct callers callers; /* owned */
	unsigned ncallers, caller_numbers;
	struct outbox out;
	struct agent_conf conf;
	enum session_stage stage;
	const struct session_kind *kind; /* NULL before `start` */
	struct acp_door *door;		 /* owned, of kind acp */
	struct probe *probe;		 /* owned, of kind probe */
	int64_t start_id;		 /* request id of `start`, 0 before */
	int64_t end_id;
	int64_t next;	     /* from `attached` */
	struct json *record; /* owned until the session goes */

	unsigned dirty; /* SET_* */
	const char *state;
	bool told_busy;	  /* to the supervisor */
	char *checkpoint; /* owned: as last written, or NULL */
	ev_timer leave;

	/* of kind universal */
	struct agent *agent;	 /* owned */
	struct secrets *secrets; /* owned: of the agent's environment */
	struct universal uni;
	struct pending pending;
	struct keys keys;
	bool turn_open;
	bool parked;
	bool cancelling;
	bool pumping;
	uint64_t turn;	/* number of the turn that is or was last open */
	uint64_t turns; /* turn number given last */
	TAILQ_HEAD(prompts, prompt) queue; /* owned */
	unsigned nqueue;
	size_t queue_bytes;
	size_t saved_bytes;
	struct replay replay;
};

void session_init(struct session *s, struct ev_loop *loop);
void session_free(struct session *s);
/* Frames of the supervisor's channel; see commands.c. */
chan_cb session_frame;
/* A checked request or notice of WHO. */
void session_command(struct session *s, struct asker who,
    const struct proto_in *in, const struct chan_frame *f);
extern const struct outbox_hooks session_hooks;

/* Both `start` and `attached` are here: begin or go on. */
void session_go(struct session *s);
void session_state(struct session *s, const char *state);
/* The same without a word to the store: STATE is on its way there. */
void session_tell_busy(struct session *s, const char *state);
/* Take a message: TEXT and PARTS (see agent.h; or NULL) are the session's
 * afterwards. KEY may be NULL. */
void session_prompt(struct session *s, struct asker who, char *text, size_t len,
    char *parts, const struct key *key);
void session_cancel(struct session *s, struct asker who);
void session_permission(struct session *s, struct asker who, const char *id,
    enum agent_reply reply, const char *message);
void session_question(struct session *s, struct asker who, const char *id,
    const struct json *answers);
/* Settle open requests as declined: those of the turn, or all. */
void session_decline(struct session *s, bool all);
/* Start the turns that may start. */
void session_pump(struct session *s);
void session_drop_queue(struct session *s);
void session_end(struct session *s, int64_t request_id);
/* A kind has nothing left that runs: go when all is stored. */
void session_over(struct session *s);
/* Close the log of what runs and leave the loop once that is stored. */
void session_leave(struct session *s);

/* What adapters tell a universal session; the members of session_host. */
extern const struct agent_host session_host;
void session_native_id(struct agent *a, const char *id);
void session_turn_begun(struct agent *a);
bool session_turn_open(const struct agent *a);
bool session_cancelling(const struct agent *a);
void
session_turn_ended(struct agent *a, const char *stop_reason, const char *more);
void session_turn_parked(struct agent *a);
void session_mode_changed(struct agent *a, const char *permission_mode);
void session_forgot(struct agent *a);
bool session_settled(const struct agent *a);
void session_stopped(struct agent *a);
int session_ask_permission(
    struct agent *a, const char *id, const char *action, const char *metadata);
int session_ask_question(struct agent *a, const char *id, const char *prompt,
    const char *options, bool multi);
void session_request_settled(
    struct agent *a, enum origin from, const char *id, const char *response);

/* Answer a request when all that was logged up to now is stored. */
void session_reply_stored(struct session *s, struct asker who);
struct prompt_answer {
	uint64_t turn; /* 0: of no prompt */
	int64_t after;
	bool queued, repeated;
};
void session_reply_prompt(
    struct session *s, struct asker who, struct prompt_answer answer);
/* At once. */
void session_reply_ok(struct session *s, struct asker who);
void session_reply_err(
    struct session *s, struct asker who, enum err_code code, const char *text);
void
session_reply_failed(struct session *s, struct asker who, const struct err *e);
void turn_id(char dst[TURN_ID_MAX], uint64_t number);

/* checkpoint.c: the worker's memory as JSON, at most CHECKPOINT_BYTES_MAX. */
void checkpoint_write(const struct session *s, struct buf *b);
void checkpoint_read(struct session *s, const struct json *c);

#endif
