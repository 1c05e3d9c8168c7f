/*
 * The other end of a connection that the commands take for the control socket:
 * a process of its own, which reads one request at a time, asks the server
 * over HTTP, and answers in the control socket's form. So every command works
 * over HTTP as it is, with its streams, descriptors and terminals.
 *
 * It runs as the caller, was forked by sandboxctl-http, and ends when its
 * connection does.
 */
#ifndef CTL_HTTP_BRIDGE_H
#define CTL_HTTP_BRIDGE_H

#include "ctl/http/http.h"
#include "lib/fdio.h"
#include "lib/ops.h"

struct bridge {
	int fd; /* owned; to the command */
	struct buf in;
	int fds[FDIO_MAX_FDS]; /* owned; came with the request */
	size_t nfds;
	struct http http;
	struct op_request req; /* the one that is being answered */
	struct buf out;
	struct jw w;
	uint64_t number;
	bool is_first; /* the command's first connection: nobody has ever
			* answered it */
};

/* The process's whole life. */
void bridge_main(int fd, const struct target *t, bool is_first) ATTR_NORETURN;

/* --- for operations ------------------------------------------------------ */

/* Begin the line {"id":…,"WHAT": (item or ok); the value is the caller's. */
struct jw *bridge_begin(struct bridge *b, const char *what);
/* End it and send it, with FD_SENT (-1: none). Ends the process when nobody
 * listens any more. */
void bridge_send(struct bridge *b, int fd_sent);
void bridge_ok(struct bridge *b, const struct json *v);
void bridge_ok_empty(struct bridge *b);

/* A path made of pieces: every {} of FORM is the next of WORDS, escaped. Caller
 * frees. SANDBOX: its scope is put in front, NULL: none. */
char *
bridge_path(const char *sandbox, const char *form, const char *const *words);
/* Ask and parse. BODY may be NULL; that writing it has failed is an error.
 * *J_OUT is NULL when the answer has no body. A refusal is -1. */
int bridge_ask(struct bridge *b, const char *method, const char *path,
    const struct buf *body, struct json **j_out, struct err *e);

/* E says why something of the server's does not parse: that is no fault of
 * the request. Always -1. */
int bridge_nonsense(struct err *e, const char *what);

/* An operation: answers by itself and returns 0, or -1 with E. */
typedef int bridge_op(struct bridge *b, const struct json *args, struct err *e);
bridge_op bridge_session_create, bridge_session_list, bridge_session_get,
    bridge_session_prompt, bridge_session_events, bridge_session_cancel,
    bridge_session_permission, bridge_session_question, bridge_session_reject,
    bridge_session_configure, bridge_session_end;
bridge_op bridge_status, bridge_sandbox_create, bridge_sandbox_list,
    bridge_sandbox_get, bridge_sandbox_stop, bridge_sandbox_start,
    bridge_sandbox_destroy, bridge_sandbox_exec, bridge_sandbox_pause,
    bridge_sandbox_resume, bridge_sandbox_renew, bridge_sandbox_update,
    bridge_sandbox_events, bridge_process_attach, bridge_sandbox_expose,
    bridge_sandbox_unexpose;

/* bridge_op.c: any that has no route that would say the same. */
bridge_op bridge_operation;

/* bridge_session.c: the log of a sandbox as items, as it grows, until the
 * sandbox is destroyed or LEFT (-1: no limit) have come. */
int
bridge_stream(struct bridge *b, const char *path, int64_t left, struct err *e);

/* terminal.c: a process on a terminal of the server, on one of ours here. */
int bridge_terminal(
    struct bridge *b, const char *sandbox, const char *process, struct err *e);

#endif
