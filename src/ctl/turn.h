/*
 * One turn of a session, from a prompt to its end: events shown as they come,
 * requests asked or answered, Ctrl-C passed on.
 */
#ifndef CTL_TURN_H
#define CTL_TURN_H

#include "ctl/follow.h"
#include "ctl/render.h"

enum outcome {
	OUT_COMPLETED,
	OUT_FAILED,
	OUT_CANCELLED,
	OUT_N
};
const char *outcome_name(enum outcome o);
int outcome_exit(enum outcome o);

/* A permission or a question that is open. */
struct ask {
	char id[257];
	bool is_permission;
	bool is_replied; /* an answer is on its way */
	bool is_told;	 /* what it is about was shown */
	bool is_shown;	 /* asked on the terminal, the line is open */
	char *about;	 /* owned, clean: what is to be decided, whole */
	char *options;	 /* owned; one per line */
	unsigned noptions;
};
#define TURN_ASKS 32

struct turn {
	struct ctl *ctl;     /* borrowed */
	const char *session; /* borrowed */
	const char *yes;     /* once, always, reject; NULL: ask */
	struct follow follow;
	struct render render;
	struct client control; /* prompt, replies, cancel */
	char turn_id[65];      /* ours; "" when not told */
	int64_t after;	       /* our turn's events come after this */
	bool is_running;       /* turn.started was seen */
	bool is_over;
	bool had_error;
	bool had_reply;
	enum outcome outcome;
	struct ask asks[TURN_ASKS];
	size_t nasks;
	char line[4096]; /* what is typed, up to its newline */
	size_t line_len;
	bool can_ask;	   /* a person is at the terminal */
	int stops;	   /* Ctrl-C so far */
	int64_t cancel_ms; /* when the turn was cancelled */
	int64_t quiet_ms;  /* when the last event came */
};

/* AFTER: show events from there on. YES may be NULL. */
void turn_init(struct turn *t, struct ctl *ctl, const char *session,
    int64_t after, const char *yes);
void turn_free(struct turn *t);
/* Connect the event stream now, before there is anything to see. */
int turn_subscribe(struct turn *t, struct err *e);
/* Send TEXT; *QUEUED_OUT: another turn runs first. */
int
turn_prompt(struct turn *t, const char *text, bool *queued_out, struct err *e);
/* Show and answer until our turn is over; t->outcome says how it went. */
int turn_run(struct turn *t, struct err *e);

/* --- ask.c: requests ----------------------------------------------------- */

/* Keep the list of open requests in step with an event. */
void ask_event(struct turn *t, const char *type, const struct json *data);
/* Something else was written since: the question has to be put again. */
void ask_interrupted(struct turn *t);
/* Show the first open request, or answer it by policy. */
int ask_next(struct turn *t, struct err *e);
/* A line was typed (NULL: no more will be). */
int ask_typed(struct turn *t, const char *line, struct err *e);
void ask_free(struct turn *t);
/* Send an answer. With QUESTION several WORDS may answer several questions;
 * a NULL vector rejects. Used by `reply` too. */
int ask_reply_permission(struct client *c, const char *session, const char *id,
    const char *reply, const char *message, struct err *e);
int ask_reply_question(struct client *c, const char *session, const char *id,
    char *const *words, size_t nwords, struct err *e);

#endif
