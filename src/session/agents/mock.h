/*
 * The mock agent's inside: a queue of steps, each of which emits one event of
 * a script, and the scripts that fill it.
 */
#ifndef SESSION_AGENTS_MOCK_H
#define SESSION_AGENTS_MOCK_H

#include "session/agent.h"
#include "session/agent_process.h"
#include <ev.h>
#include <sys/queue.h>

#define MOCK_PREFIX_MAX 32
#define MOCK_ID_MAX 96

struct mock;
struct mock_step;
typedef void mock_run(struct mock *m, struct mock_step *st);

struct mock_step {
	TAILQ_ENTRY(mock_step) link;
	mock_run *run;
	const char *key; /* static: end of the native id */
	char *text;	 /* owned, or NULL */
	int64_t n, size;
	bool again; /* set by run: keep it, it has more to do */
};

enum mock_end {
	MOCK_ENDS,
	MOCK_PARKS,
	MOCK_FAILS
};

struct mock {
	struct agent a; /* first */
	TAILQ_HEAD(mock_steps, mock_step) steps;
	ev_timer tick;
	double delay_s; /* between events */
	double wait_s;	/* before the next step, once; -1: the delay */
	bool running, paused;
	bool forgot; /* the command `forget` waits to be told */
	enum mock_end end;
	const char *more; /* static: metadata of the turn's end, or NULL */
	uint64_t number;
	char prefix[MOCK_PREFIX_MAX]; /* mock_<n> */
	struct process *proc;	      /* of the command `run` */
	struct buf output;	      /* of that command */
};

/* Append a step. TEXT is copied. */
struct mock_step *
mock_add(struct mock *m, mock_run *run, const char *key, const char *text);
/* Native id <prefix>_<key>. */
const char *
mock_id(const struct mock *m, char dst[MOCK_ID_MAX], const char *key);
/* An assistant message TEXT with the native id <prefix>_KEY. */
void mock_say(struct mock *m, const char *key, const char *text);
/* mock_script.c: fill the queue for this message, which is trimmed and not
 * empty. */
void mock_script(struct mock *m, const char *text);
/* mock_work.c: the commands that do something; false: it is none of them. */
bool mock_work(struct mock *m, const char *word, const char *rest);
void mock_work_stop(struct mock *m);
/* mock_news.c: the commands that tell of the agent itself. */
bool mock_news(struct mock *m, const char *word, const char *rest);
/* mock_options.c */
int mock_settings_check(const struct agent_settings *set, struct err *e);
/* What can be set, and what it will be when SET has been. */
void mock_tell_options(struct mock *m, const struct agent_settings *set);

#endif
