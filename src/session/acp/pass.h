/*
 * The inside of the backend that hands envelopes to a program. pass.c owns the
 * program and passes on; pass_state.c remembers what another program would have
 * to be told after a restart of the worker; pass_restore.c tells it;
 * pass_words.c finds words for what it cannot be told in its own way.
 */
#ifndef SESSION_ACP_PASS_H
#define SESSION_ACP_PASS_H

#include "session/acp/door.h"
#include "session/agent_process.h"
#include "session/agents/program.h"
#include <sys/queue.h>

#define PASS_SESSIONS_MAX 32
#define PASS_SETTINGS_MAX 8
#define PASS_OPENS_MAX 32
#define PASS_ASKED_MAX 64
#define PASS_TEXT_MAX 3072		 /* of params that are remembered */
#define PASS_QUEUE_BYTES_MAX (16u << 20) /* that wait for a restoration */

struct pass_setting {
	char *method; /* owned */
	char *params; /* owned JSON, with the clients' session id */
};

/* A session that clients know. */
struct pass_session {
	TAILQ_ENTRY(pass_session) link;
	char *id;     /* owned: for clients */
	char *native; /* owned: for the program; NULL: it does not have it */
	char *former; /* owned: for the program before, or NULL */
	char *params; /* owned JSON: of session/new or the like */
	struct pass_setting set[PASS_SETTINGS_MAX];
	unsigned nset;
	bool lost; /* the program does not know what was said in it */
};

/* A client's request whose response tells something. */
struct pass_open {
	char *id;      /* owned JSON */
	char *params;  /* owned JSON */
	char *session; /* owned: that it names, or NULL */
	bool hello;    /* it is initialize */
};

/* An envelope that waits for a restoration. */
struct pass_waiting {
	TAILQ_ENTRY(pass_waiting) link;
	char *text; /* owned */
	size_t len;
};

/* What our own request was for. */
enum pass_call {
	PASS_NONE,
	PASS_HELLO,
	PASS_KEY, /* authenticate */
	PASS_RESUME,
	PASS_LOAD,
	PASS_NEW,
	PASS_SETTING,
	PASS_WORDS /* no request: the log is being read */
};

struct pass {
	struct acp_backend b; /* first */
	struct process *proc;
	struct ladder ladder;
	bool paused, stopping, ended;
	bool second;  /* not the program that the clients began with */
	bool greeted; /* it was told what it has to know of them */
	bool can_load, can_resume;
	char *hello, *key; /* owned JSON: params of those requests, or NULL */
	TAILQ_HEAD(pass_sessions, pass_session) sessions; /* newest last */
	unsigned nsessions;
	struct pass_open opens[PASS_OPENS_MAX];
	unsigned nopens;
	char *asked[PASS_ASKED_MAX]; /* owned JSON: ids of its requests */
	unsigned nasked;

	/* pass_restore.c */
	enum pass_call call; /* outstanding */
	uint64_t calls;
	struct pass_session *restoring; /* borrowed, or NULL */
	unsigned restored;		/* its settings that were told again */
	TAILQ_HEAD(pass_queue, pass_waiting) queue;
	size_t queue_bytes;
};

/* V as JSON text, the caller's; NULL for NULL. */
char *pass_json(const struct json *v);

/* pass.c: give the program one line. -1: it does not take it. */
int pass_write(struct pass *p, const char *text, size_t len);
int pass_start(struct pass *p);
/* Hand an envelope on; its session, if it names one, is open. */
void pass_forward(
    struct pass *p, const struct json *env, const char *text, size_t len);

/* pass_state.c */
struct pass_session *pass_find(struct pass *p, const char *id);
struct pass_session *pass_find_native(struct pass *p, const char *native);
/* What is to be remembered of a client's envelope, and of the response to
 * one of those. */
void pass_watch(struct pass *p, const struct json *env);
void pass_watch_response(struct pass *p, const struct json *env);
void pass_capabilities(struct pass *p, const struct json *result);
void pass_state_write(const struct pass *p, struct jw *w);
void pass_state_read(struct pass *p, const struct json *c);
void pass_state_free(struct pass *p);

/* pass_restore.c: an envelope for a program that is not the first. */
void pass_queue(struct pass *p, const char *text, size_t len);
void pass_pump(struct pass *p);
/* An envelope of the program; true: it was meant for us. */
bool pass_ours(struct pass *p, const struct json *env);
void pass_queue_free(struct pass *p);

/* pass_words.c: fetch what was said in the session that is restored, and put
 * it ahead of the prompt that waits first. */
int pass_words(struct pass *p);

#endif
