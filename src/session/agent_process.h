/*
 * A program run for the session: the agent itself, or a command. Its own
 * session and process group, pipes on stdin, stdout and stderr, nothing else
 * inherited, and it dies with us.
 *
 * stdout comes as lines, stderr is kept as a head and a tail for error
 * messages. When it has ended everything that it left behind is killed: all of
 * its descendants become our children, since we are a subreaper.
 */
#ifndef SESSION_AGENT_PROCESS_H
#define SESSION_AGENT_PROCESS_H

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/json.h"
#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

#define LINE_BYTES_MAX (4u << 20)
#define STDIN_BYTES_MAX (8u << 20)
#define STDERR_HEAD_BYTES 2048
#define STDERR_TAIL_BYTES 4096
#define PROCESS_PASSED_FD 3
#define PROCESS_PASSED "/dev/fd/3"

/* What was read out of a line, as JSON text again, the caller's; NULL for NULL,
 * and when it has become too long. */
char *agent_json(const struct json *v);

struct process;

struct process_ops {
	/* One line without its end, NUL-terminated. When it was longer than
	 * LINE_BYTES_MAX, LINE is its beginning and TOTAL its length. */
	void (*line)(struct process *p, const char *line, size_t len,
	    size_t total, void *ctx);
	/* It has ended and its output is read. E is set (else NULL) when it
	 * could not be executed at all. The callee may free P. */
	void (*exited)(struct process *p, const struct err *e, void *ctx);
};

struct process_spec {
	char *const *argv; /* argv[0] is the program: a path or a name */
	char *const *env;
	const char *directory;
	bool merge;	    /* stderr goes to stdout */
	bool quiet;	    /* stdin is empty */
	const int *pass_fd; /* it finds a copy at PROCESS_PASSED; or NULL */
};

/* Look PROGRAM up in the PATH of ENV. The path is the caller's. */
int process_find(
    const char *program, char *const *env, char **path_out, struct err *e);
/* -1 when the program is not found or nothing can be forked; a failed exec is
 * told by `exited`. */
int process_start(struct ev_loop *loop, const struct process_spec *spec,
    const struct process_ops *ops, void *ctx, struct process **p_out,
    struct err *e);
/* Kill what is left and free; accepts NULL. No callback. */
void process_free(struct process *p);
/* Queue bytes for its stdin. -1 when too much waits already. */
int process_write(struct process *p, const char *s, size_t n);
/* How many bytes wait for it to read. */
size_t process_waiting(const struct process *p);
/* Close its stdin when what is queued has been written. */
void process_finish_input(struct process *p);
void process_pause(struct process *p, bool on);
/* Signal the process, or its whole group. */
void process_signal(struct process *p, int signal_no, bool group);
/* How it ended: the exit status, or -1 and the signal. */
int process_exit_code(const struct process *p);
int process_exit_signal(const struct process *p);
/* {exit_code, signal, stderr:{head, tail, truncated, total_lines}} as members
 * of the object that W is in. */
void process_describe(const struct process *p, struct jw *w);
/* The last line of stderr that is not blank, or NULL; valid until P is. */
const char *process_last_words(struct process *p);

#endif
