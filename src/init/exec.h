/*
 * The commands and session workers that init has started: one record from the
 * request until the end of the main process was told to who asked for it.
 */
#ifndef INIT_EXEC_H
#define INIT_EXEC_H

#include "init/child.h"
#include "init/init.h"
#include "lib/proto.h"
#include <signal.h>

#define EXECS_MAX 4096

enum exec_state {
	EXEC_STARTING,
	EXEC_RUNNING,
	EXEC_FAILED,
	EXEC_STATE_N
};

struct exec;
struct sweep;

/* Who asked for a command. `started` or `failed` comes once, never before
 * exec_start returns; after `started` once `ended`. The record is gone when
 * `failed` or `ended` return. */
struct exec_ops {
	void (*started)(struct exec *x);
	void (*failed)(struct exec *x, const struct err *e);
	void (*ended)(struct exec *x);
};

struct exec {
	struct exec *next;	    /* in its bucket, by pid */
	struct init *in;	    /* borrowed */
	const struct exec_ops *ops; /* static; NULL: nobody asks any more */
	void *ctx;		    /* of who asked */
	int64_t id;		    /* of the supervisor's request; else 0 */
	int64_t timeout_ms;	    /* 0: none */
	pid_t pid;		    /* also its session's id */
	enum exec_state state;
	int report_fd; /* owned, -1 when read */
	int master_fd; /* owned: the terminal, -1 without or when taken */
	ev_io report;
	ev_timer timer;	 /* STARTING: for exec; RUNNING: the command's own */
	bool ended;	 /* reaped; code and value are known */
	int code, value; /* si_code, si_status */
	bool timed_out;
	bool keep; /* it outlives the supervisor that asked for it */
	/* A session's worker: the supervisor's end of its channel, which the
	 * next supervisor gets, and the session's name. Owned; -1, NULL. */
	int super_fd;
	char *session;
	struct sweep *sweep; /* borrowed while it kills on timeout */
};

struct exec_how {
	struct child_plan plan; /* all but master_fd, null_fd, report_fd */
	bool tty;
	int columns, rows;
	int64_t timeout_ms;
	int64_t id;
	bool keep;
	int super_fd;	     /* the caller's too */
	const char *session; /* NULL: SUPER_FD is not to be kept */
};

int execs_open(struct init *in, struct err *e);
/* Fork; the descriptors of HOW stay the caller's. What fails here was never
 * started. */
int exec_start(struct init *in, const struct exec_how *how,
    const struct exec_ops *ops, void *ctx, struct exec **x_out, struct err *e);
/* Send SIG to all that X has started. With SIGKILL until nothing is left. */
void exec_signal(struct exec *x, int sig);
/* How it ended, in the words of our messages. */
void exec_put_end(const struct exec *x, struct jw *w);

/* An `exec` message; answers it, now or when the child has told. Takes the
 * descriptors out of F. */
void exec_request(struct init *in, int64_t id, const struct json *msg,
    const struct chan_frame *f);
/* A `kill` message; answers it. */
void exec_kill_request(struct init *in, int64_t id, const struct json *msg);
/* The supervisor has gone: end what it had asked for and nobody waits for any
 * more. */
void execs_orphaned(struct init *in);
/* For a supervisor that has come after: the workers that run. */
void execs_put_workers(struct init *in);
/* A child was reaped; most are none of ours. */
void exec_reaped(struct init *in, const siginfo_t *si);
/* Every process has ended: tell what is still untold. */
void execs_flush(struct init *in);

#endif
