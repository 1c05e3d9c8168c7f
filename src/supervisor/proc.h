/*
 * Children as the supervisor sees them: a state grid, deadlines, backoff, and
 * calls that wait for their answer.
 *
 *	DOWN      never started, or ended on purpose
 *	STARTING  spawned; has not said hello
 *	RUNNING   said hello
 *	STOPPING  asked to stop, or lost its channel; ends by the ladder
 *	WAITING   died; its next start waits for the backoff
 *	FAILED    died too often in a short time; proc_start() and proc_reset()
 *	          wake it, and time if its kind says so
 *
 * Invariant: a child is retired (leaves STARTING, RUNNING, STOPPING) only when
 * both its exit and the end of its channel were seen, since its last message
 * and its death may arrive in either order.
 *
 * A child may be ours (store, relay, a sandbox's init: we reap it and hold its
 * pidfd) or a grandchild (a session worker, whose init tells us of its exit).
 */
#ifndef SUPERVISOR_PROC_H
#define SUPERVISOR_PROC_H

#include "lib/chan.h"
#include "lib/defs.h"
#include "lib/err.h"
#include "lib/proto.h"
#include <ev.h>
#include <sys/queue.h>

struct proc;

enum proc_event {
	PE_HELLO,   /* first message */
	PE_MSG,	    /* any other permitted message */
	PE_REPORT,  /* could not be started: a stage failed before exec */
	PE_STOP,    /* we want it to end */
	PE_TIMEOUT, /* the state's deadline passed */
	PE_EXIT,    /* the process has ended */
	PE_EOF,	    /* its channel has ended, or it broke a rule */
	PE_N
};

/* What a kind of child does; all called from the loop. */
struct proc_kind {
	enum role role;
	/* Spawn it: ends in proc_spawned(). Also called for restarts. */
	int (*start)(struct proc *p, struct err *e);
	/* Whether what it needs is there; else its next start waits, and that
	 * counts for nothing. NULL: always. */
	bool (*may_start)(const struct proc *p);
	/* It said hello. */
	void (*up)(struct proc *p);
	/* A request or notice. -1 with E set: a breach. */
	int (*message)(struct proc *p, const struct proto_in *in,
	    const struct chan_frame *f, struct err *e);
	/* Ask it to end; the ladder follows. NULL: TERM at once. */
	void (*ask_stop)(struct proc *p);
	/* End all of it, hard. NULL: KILL through the pidfd. */
	void (*kill)(struct proc *p);
	/* It is retired; its state is DOWN, WAITING or FAILED by now. May free
	 * P's owner when the state is DOWN. */
	void (*down)(struct proc *p, const char *cause);
	int64_t start_ms; /* deadline of STARTING */
	int64_t stop_ms;  /* deadline of each rung of the ladder */
	bool restart;	  /* start again when it dies unasked */
	bool keep_trying; /* every 10 s even when it has FAILED */
	bool kill_counts; /* a KILL of others soon after its start is a crash */
};

/* So many crashes in 10 s of running and it has FAILED. */
#define PROC_LOOP_DEATHS 5

/* OK is the reply's body, or NULL and E says why not. */
typedef void proc_reply_cb(void *ctx, const struct json *ok,
    const struct chan_frame *f, const struct err *e);

struct proc_call {
	TAILQ_ENTRY(proc_call) link;
	int64_t id;
	enum msg_type type;
	proc_reply_cb *cb;
	void *ctx;
	ev_timer deadline;
	struct proc *p;
};

struct proc {
	const struct proc_kind *kind;
	void *owner;	/* borrowed: what holds this proc */
	char name[160]; /* for log lines: "init box1" */
	struct ev_loop *loop;
	enum proc_state state;
	uint64_t generation; /* of the process, counted at each spawn */
	pid_t pid;	     /* -1 unless ours and alive */
	int pidfd;	     /* owned, -1 when empty */
	struct chan *ch;     /* owned */
	bool alive;	     /* exit not seen yet */
	bool stop_wanted;    /* no restart after this end */
	bool once;	     /* no restart, whatever its kind says */
	bool no_ask;	     /* stop by the kill at once */
	/* Deadlines of STARTING and of each rung; the kind's at first. */
	int64_t start_ms, stop_ms;
	unsigned rung;	     /* of the stop ladder */
	int exit_status;     /* as waitpid tells */
	char cause[256];     /* why it ended, or the last start failed */
	int64_t up_since_ms; /* monotonic; 0 when it never said hello */
	bool has_exited;     /* exit_status is this one's */
	bool killed;	     /* by us, for a fault of its own */
	char why[384];	     /* why it had to be started again, or was not */
	/* See proc_restart.c. */
	unsigned backoff;		      /* doublings of the delay */
	int64_t delay_ms;		      /* the last one */
	int64_t lived_ms;		      /* all its lives so far */
	int64_t crashes_ms[PROC_LOOP_DEATHS]; /* lived_ms at each; a ring */
	unsigned ncrashes;
	bool has_failed;
	unsigned restarts;
	int64_t next_id; /* of calls */
	TAILQ_HEAD(proc_calls, proc_call) calls;
	ev_timer timer; /* deadline or backoff */
	ev_child child; /* of one that is ours to reap */
	bool foster;	/* a former supervisor's child: its pidfd tells */
	ev_io foster_io;
};

/* System calls that unit tests replace. */
struct sysops {
	int (*pidfd_kill)(int pidfd, int sig);
	int64_t (*now_ms)(void);
};
extern struct sysops sysops;

void proc_init(struct proc *p, const struct proc_kind *kind, void *owner,
    struct ev_loop *loop, const char *fmt, ...) ATTR_PRINTF(5, 6);
/* Give up everything at once: no callback, the process is killed. */
void proc_free(struct proc *p);

/* Start it unless it lives. From FAILED, WAITING and DOWN. */
int proc_start(struct proc *p, struct err *e);
/* The same from the loop, and again with the backoff if it fails: for those
 * that are to run and that nobody waits for. */
void proc_start_soon(struct proc *p);
/* The kind's start calls this when it has spawned the process. CHAN_FD and
 * PIDFD now belong to P. PID -1: a grandchild. */
void proc_spawned(struct proc *p, pid_t pid, int pidfd, int chan_fd);
/* The same for one that runs already, started by a supervisor before us, and
 * from DOWN. It has to say hello again within START_MS (0: whenever). */
void proc_adopted(
    struct proc *p, pid_t pid, int pidfd, int chan_fd, int64_t start_ms);
/* A grandchild that has said hello to a supervisor before us: it runs. */
void proc_resumed(struct proc *p, int chan_fd);
/* It has so long to say hello, from now. */
void proc_hurry(struct proc *p, int64_t start_ms);
void proc_stop(struct proc *p);
void proc_kill(struct proc *p); /* the same without asking first */
/* A grandchild's exit, as its init tells it. */
void proc_exited(struct proc *p, int status);
void proc_start_failed(struct proc *p, const struct err *e);
bool proc_up(const struct proc *p);
/* Somebody has mended what was wrong: former deaths count no more, and it is
 * started now if it waits or has FAILED. */
void proc_reset(struct proc *p);
/* Time to its next start, -1 when none is due. */
int64_t proc_next_start_ms(const struct proc *p);

/* A call: w = proc_call(p, MSG_X, ms, cb, ctx); write fields; proc_send(p,
 * fds, n). CB comes exactly once, never before proc_send returns. MS 0: no
 * deadline. With the channel down proc_call returns NULL, no CB. A CB of NULL
 * ignores the answer. */
struct jw *proc_call(struct proc *p, enum msg_type type, int64_t ms,
    proc_reply_cb *cb, void *ctx);
int64_t proc_call_id(const struct proc *p); /* of the call just begun */
/* CTX is about to go: no callback with it any more. */
void proc_forget(struct proc *p, const void *ctx);
int proc_send(struct proc *p, const int *fds, size_t nfds);
/* Over an exec of ourselves (carry.h). What P is at that cannot be carried, or
 * NULL (valid until the next such call). */
struct carry;
const char *proc_busy(const struct proc *p);
void proc_put(const struct proc *p, struct carry *c, const char *key);
int proc_take(struct proc *p, const struct json *j, struct err *e);
/* The number of the call that CTX waits for, 0: none; and that call again. */
int64_t proc_call_of(const struct proc *p, const void *ctx);
void proc_call_take(struct proc *p, int64_t id, enum msg_type type,
    proc_reply_cb *cb, void *ctx);
/* A notice: like proc_call without an answer. */
struct jw *proc_notice(struct proc *p, enum msg_type type);

/* The grid, for the unit test that walks it. */
typedef void proc_action(
    struct proc *p, const struct proto_in *in, const struct chan_frame *f);
extern proc_action *const proc_grid[PS_N][PE_N];
const char *proc_state_name(enum proc_state s);
const char *proc_event_name(enum proc_event ev);

#endif
