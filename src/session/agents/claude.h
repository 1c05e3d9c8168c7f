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
#include <ev.h>
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

/* What stops claude when it does not stop by itself. */
enum claude_rung {
	RUNG_NONE,
	RUNG_INT,
	RUNG_TERM,
	RUNG_KILL
};

struct claude {
	struct agent a; /* first */
	struct process *proc;
	ev_timer ladder;
	enum claude_rung rung;
	uint64_t requests; /* number of our control request given last */
	bool working;	   /* claude has a turn, whether or not we have */
	bool initialised;  /* system/init was seen in this turn */
	bool resumed;	   /* this process was started with --resume … */
	bool alive;	   /* … and has shown that it could */
	bool restart;	   /* another process is wanted after this turn */
	bool retiring;	   /* proc is leaving: its stdin is closed */
	bool stopping;	   /* for good */
	bool paused;
	bool said;   /* this turn had a text */
	char *error; /* owned: error message logged in this turn */
	char *held;  /* owned: message for the next process */
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

/* V as JSON text, the caller's; NULL for NULL. */
char *claude_json(const struct json *v);
/* Write one line to claude. */
int claude_send(struct claude *c, const struct buf *line, struct err *e);
/* Begin a line {"type":TYPE… in B. */
void claude_line(struct jw *w, struct buf *b, const char *type);
/* The turn is over on claude's side. */
void claude_result(struct claude *c, const struct json *m);

/* claude_tools.c: link the skills that are configured; a memory file with the
 * MCP servers, or -1 when there are none. */
int claude_tools(struct claude *c);

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
