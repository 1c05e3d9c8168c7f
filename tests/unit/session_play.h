/*
 * Plays the supervisor and the store to a real session worker, for tests: two
 * socketpairs, frames, a log in memory that is checked like the store checks
 * it. Everything is bounded in time; a failed expectation fails the test.
 */
#ifndef TESTS_SESSION_PLAY_H
#define TESTS_SESSION_PLAY_H

#include "lib/buf.h"
#include "lib/json.h"
#include <stdbool.h>
#include <sys/types.h>

#define PLAY_REPLIES 512
#define PLAY_MS 15000 /* longest wait for anything */

struct play {
	pid_t pid; /* 0 when there is no worker */
	int super_fd, store_fd;
	struct buf super_in, store_in;
	struct json **roots; /* owned: the appends that hold the events */
	size_t nroots;
	const struct json **events; /* as stored, in order */
	size_t nevents;
	size_t events_bytes, appends, logs;
	struct json *replies[PLAY_REPLIES]; /* owned, by request id */
	int64_t ids;
	char *start; /* owned: members of `start` */
	char state[32], native[128], model[128], mode[32];
	char agent_mode[64], thought_level[64];
	char *checkpoint;   /* owned JSON, or NULL */
	char *keys;	    /* owned: as the worker set them, or NULL */
	bool hold;	    /* leave appends unanswered */
	const char *refuse; /* answer appends with this error code */
	bool lose_answers;  /* store appends and say nothing */
	bool hello;
	bool busy; /* as it told last */
};

/* A new session: START are further members of `start`, as JSON text that
 * begins with a comma, or "". Waits for its answer, which is returned. */
const struct json *
play_open(struct play *p, const char *agent, const char *start);
/* A worker for the session as it is stored; waits for the answer of `start`. */
const struct json *play_again(struct play *p);
void play_close(struct play *p);
void play_kill(struct play *p);
/* Wait for the worker to leave by itself; its exit status, or -signal. */
int play_wait_exit(struct play *p);
/* Handle what has come, waiting at most MS for it. */
void play_step(struct play *p, int ms);
/* Send a request; MEMBERS as above. Returns its id. */
int64_t play_send(struct play *p, const char *op, const char *members);
/* The answer to a request, waited for. */
const struct json *play_reply(struct play *p, int64_t id);
const struct json *
play_call(struct play *p, const char *op, const char *members);
/* Expect ok, or this error code. */
void play_ok(struct play *p, const char *op, const char *members);
void play_error(
    struct play *p, const char *op, const char *members, const char *code);
void play_prompt(struct play *p, const char *text);
/* Wait until COND holds. */
#define play_until(p, cond)                           \
	do {                                          \
		int64_t until_ = play_deadline();     \
		while (!(cond)) {                     \
			play_check(p, until_, #cond); \
			play_step(p, 20);             \
		}                                     \
	} while (0)
int64_t play_deadline(void);
void play_check(struct play *p, int64_t deadline_ms, const char *cond);
void play_idle(struct play *p);
/* The store is restarted: a new channel. ATTACHED: it says where it stands. */
void play_new_store(struct play *p);
void play_attach(struct play *p);

/* A gateway of the session: a channel of its own. */
struct play_gate {
	int fd; /* -1: closed */
	struct buf in;
	int64_t ids;
	struct json *replies[PLAY_REPLIES]; /* owned, by request id */
};
void play_gate_open(struct play *p, struct play_gate *g);
void play_gate_close(struct play_gate *g);
/* As play_send() and play_reply(). */
int64_t
play_gate_send(struct play_gate *g, const char *op, const char *members);
const struct json *
play_gate_reply(struct play *p, struct play_gate *g, int64_t id);

/* An envelope for a session of kind acp, given as JSON text; the id of the
 * request that carries it. Long ones go in a memory file. */
int64_t play_acp_send(struct play_gate *g, const char *envelope);
/* The stored response to it, waited for. */
const struct json *
play_acp_reply(struct play *p, struct play_gate *g, int64_t id);
const struct json *
play_acp(struct play *p, struct play_gate *g, const char *envelope);
/* The Nth stored envelope with this method (and this kind of update, unless
 * NULL), from 0; NULL when there is none. */
const struct json *play_acp_said(
    const struct play *p, const char *method, const char *update, size_t n);
size_t
play_acp_count(const struct play *p, const char *method, const char *update);

size_t play_count(const struct play *p, const char *type);
/* The Nth event of this type, from 0; fails when there is none. */
const struct json *play_event(const struct play *p, const char *type, size_t n);
/* A string below `data`, by path. */
const char *play_str(const struct json *event, const char *path);
/* Text of the last completed assistant message. */
const char *play_last_text(const struct play *p);
/* Numbers, order and shape of all that is stored. OPEN: the last turn may be
 * open. */
void play_check_log(const struct play *p, bool open);

#endif
