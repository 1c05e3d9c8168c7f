/*
 * What the parts of procs*.c share.
 */
#ifndef INIT_PROCS_PRIV_H
#define INIT_PROCS_PRIV_H

#include "init/exec.h"
#include "init/gate.h"
#include "init/procs.h"
#include "init/procs_log.h"
#include <sys/queue.h>

/* In the order of the HTTP interface, which shows them. */
enum procs_limit {
	LIMIT_PROCESSES,
	LIMIT_RUN_MS,
	LIMIT_RUN_MAX_MS,
	LIMIT_OUTPUT,
	LIMIT_LOG,
	LIMIT_INPUT,
	LIMIT_N
};

struct run;    /* procs_run.c */
struct waiter; /* procs_signal.c */
struct follower;

enum mproc_state {
	MPROC_STARTING,
	MPROC_RUNNING,
	MPROC_EXITED
};

struct output { /* of a process: what it prints */
	struct mproc *p;
	int fd; /* owned; -1 at its end */
	enum proclog_stream stream;
	ev_io io;
};

struct mproc {
	TAILQ_ENTRY(mproc) link;
	struct procs *ps;
	int64_t id; /* from 1 */
	enum mproc_state state;
	struct exec *x;	 /* borrowed; NULL once it has ended */
	struct gate *g;	 /* who waits for the start; NULL: nobody */
	int64_t request; /* and for which request */
	char *about;	 /* owned: members that never change, as JSON text */
	size_t about_len;
	bool tty;
	pid_t pid;
	int code, sig; /* -1, 0: it has none */
	int64_t created_ms, exited_ms;
	struct output out[2]; /* a terminal has one */
	int in_fd;	      /* owned: its input; -1 when it takes none */
	struct buf input;     /* waiting to be taken */
	ev_io input_io;
	struct plog log;
	LIST_HEAD(, follower) followers;
	LIST_HEAD(, waiter) waiters;
};

struct procs {
	struct init *in; /* borrowed */
	TAILQ_HEAD(, mproc) all;
	size_t n, about_bytes;
	int64_t last_id;
	int64_t limits[LIMIT_N];
	LIST_HEAD(, run) runs;
	size_t nfollowers;
};

/* procs.c */
/* NULL with E set when there is none. */
struct mproc *
mproc_find(struct procs *ps, const struct json *msg, struct err *e);
void mproc_free(struct mproc *p);
/* {"id","ok":{"process":{…}}} */
void mproc_reply(const struct mproc *p, struct gate *g, int64_t id);
/* "No such file or directory (os error 2)" */
void procs_os_error(struct err *e);

/* procs_run.c */
void run_request(struct procs *ps, struct gate *g, int64_t id,
    const struct json *msg, const struct chan_frame *f);
void run_cancel(struct procs *ps, struct gate *g, const struct json *msg);
void runs_gate_closed(struct procs *ps, struct gate *g);

/* procs_create.c */
void create_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg);

/* procs_signal.c */
void signal_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg);
/* P has ended: tell who waits. */
void waiters_tell(struct mproc *p);
void waiters_gate_closed(struct mproc *p, struct gate *g);

/* procs_io.c */
void output_start(struct output *o);
/* All that is there by now. */
void output_drain(struct output *o);
void output_stop(struct output *o);
void input_request(struct procs *ps, struct gate *g, int64_t id,
    const struct json *msg, const struct chan_frame *f);
void resize_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg);
/* Bytes that the process may still be sent; 0: wait. */
size_t input_room(const struct mproc *p);
int input_write(struct mproc *p, const char *data, size_t n, struct err *e);
void input_stop(struct mproc *p);

/* procs_follow.c */
void logs_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg);
void attach_request(
    struct procs *ps, struct gate *g, int64_t id, const struct json *msg);
/* A record was printed, of LEN bytes in all; KEPT: it stands in the log. */
void followers_tell(struct mproc *p, const char *record, size_t len, bool kept);
void followers_exited(struct mproc *p);
/* There is room for input again. */
void followers_input(struct mproc *p);
void followers_free(struct mproc *p);

#endif
