/*
 * The Claude Code adapter's inside. It drives one `claude` process by JSON
 * lines on its stdin and stdout: claude.c owns the process and its turns,
 * claude_read.c turns its lines into events, claude_ask.c handles what it asks,
 * claude_tools.c tells it of MCP servers and skills.
 */
#ifndef SESSION_AGENTS_CLAUDE_H
#define SESSION_AGENTS_CLAUDE_H

#include "session/agent.h"
#include "session/agent_process.h"
#include "session/agents/messages.h"
#include "session/agents/program.h"
#include "session/skills.h"
#include <stdbool.h>
#include <sys/queue.h>

#define CLAUDE_ID_MAX 128
#define CLAUDE_BLOCKS_MAX 64
#define CLAUDE_QUESTIONS_MAX 8

enum ask_kind {
	ASK_PERMISSION,
	ASK_QUESTIONS,
	ASK_PLAN
};

struct ask_question {
	char *id;     /* owned: question_id in the log */
	char *text;   /* owned: what is asked; key of the answer */
	char *answer; /* owned, NULL while open */
	bool multi;
};

/* A can_use_tool request that claude waits on. */
struct ask {
	TAILQ_ENTRY(ask) link;
	enum ask_kind kind;
	char *request_id;  /* owned: claude's; permission_id in the log */
	char *input;	   /* owned: the tool's input, JSON */
	char *suggestions; /* owned: JSON array, or NULL */
	struct ask_question q[CLAUDE_QUESTIONS_MAX];
	unsigned nq;
};

#define CLAUDE_TASKS_MAX 64

/* An entry of the to-do list that claude keeps by its task tools. */
struct claude_task {
	char *id, *content; /* owned */
	const char *status; /* of a plan's entry */
};

struct claude {
	struct agent a; /* first */
	struct process *proc;
	struct ladder ladder;
	struct skills *skills; /* owned: they are being fetched */
	uint64_t requests;     /* number of our control request given last */
	bool working;	       /* claude has a turn, whether or not we have */
	bool initialised;      /* system/init was seen in this turn */
	bool resumed;	       /* this process was started with --resume … */
	bool alive;	       /* … and has shown that it could */
	bool restart;	       /* another process is wanted after this turn */
	bool retiring;	       /* proc is leaving: its stdin is closed */
	bool stopping;	       /* for good */
	bool paused;
	bool said;   /* this turn had a text */
	char *error; /* owned: error message logged in this turn */
	char *held;  /* owned: the line for the next process */
	bool probing;
	char *lost; /* owned: that it could not resume, until it is told */
	struct json *models; /* owned: as claude listed them, or NULL */
	char effort[16];     /* its level when none is set, once known */
	int64_t context;     /* tokens of the last model call … */
	int64_t context_in;  /* … before it said anything */
	struct claude_task tasks[CLAUDE_TASKS_MAX];
	unsigned ntasks;
	TAILQ_HEAD(asks, ask) asks;
	/* The message that streams. */
	char message_id[CLAUDE_ID_MAX];
	struct {
		int64_t index;
		bool reasoning;
	} blocks[CLAUDE_BLOCKS_MAX]; /* open ones */
	unsigned nblocks;
	unsigned unstreamed; /* blocks that came whole, for their ids */
};

/* Write one line to claude. */
int claude_send(struct claude *c, const struct buf *line, struct err *e);
/* Begin a line {"type":TYPE… in B. */
void claude_line(struct jw *w, struct buf *b, const char *type);
/* The turn is over on claude's side. */
void claude_result(struct claude *c, const struct json *m);

/* claude_tools.c: a memory file with the MCP servers, or -1 when there are
 * none. */
int claude_tools(struct claude *c);

/* claude_options.c: WORD is a mode by either name; NULL: there is none. */
const char *claude_mode_native(const char *word);
const char *claude_mode_shared(const char *native);
/* What both words come to, as claude's; they were checked. */
const char *claude_mode_of(const char *permission_mode, const char *agent_mode);
int claude_mode_check(const struct claude *c, const char *permission_mode,
    const char *agent_mode, struct err *e);
int claude_level_check(const char *level, struct err *e);
void claude_control_response(struct claude *c, const struct json *m);

/* claude_plan.c: BLOCK is a tool's use, or a result that went well. */
void claude_plan_use(struct claude *c, const struct json *block);
void claude_plan_result(
    struct claude *c, const struct json *m, const struct json *block);
void claude_plan_free(struct claude *c);

/* claude_read.c */
void claude_read(struct claude *c, const char *line, size_t len, size_t total);

/* claude_ask.c */
void claude_control_request(
    struct claude *c, const struct json *m, const char *line, size_t len);
void claude_control_cancel(struct claude *c, const struct json *m);
int claude_permission(struct agent *a, const char *id, enum agent_reply r,
    const char *message, struct err *e);
int claude_question(
    struct agent *a, const char *id, const struct json *answers, struct err *e);
void claude_asks_drop(struct claude *c);

#endif
