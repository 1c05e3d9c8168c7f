/*
 * A connection to the supervisor's control socket: requests out, one line of
 * JSON each; item lines and one final line back, descriptors with both.
 *
 * Nothing that comes back is believed to be well formed: lines are bounded,
 * parsed strictly, and must answer the request that was made.
 */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "ctl/ctl.h"
#include "lib/buf.h"
#include "lib/fdio.h"

#define CLIENT_LINE_MAX (64u << 20) /* a long list of sandboxes fits */

struct client {
	struct ctl *ctl; /* borrowed */
	int fd;		 /* owned; -1: not connected */
	struct buf in;
	size_t looked; /* bytes of `in` known to hold no newline */
	struct buf out;
	struct jw w;
	int64_t id;	       /* of the last request */
	int fds[FDIO_MAX_FDS]; /* owned; came and nobody took them */
	size_t nfds;
};

enum answer_kind {
	ANSWER_ITEM,
	ANSWER_OK,
	ANSWER_ERROR
};

struct answer {
	enum answer_kind kind;
	struct json *root;	 /* owned */
	const struct json *body; /* the item, or "ok", or "error" */
};

void client_init(struct client *c, struct ctl *ctl);
void client_close(struct client *c); /* also for a zeroed or closed one */

/* Write a request: jw_* calls on the result add arguments. */
struct jw *client_begin(struct client *c, const char *op);
/* Send it, connecting first if need be: what the caller can get wrong is known
 * before the supervisor hears of it. E tells a person what to do when nobody
 * listens. FDS stay the caller's. */
int client_send(struct client *c, const int *fds, size_t nfds, struct err *e);

enum client_got {
	CLIENT_GOT,
	CLIENT_WAIT,
	CLIENT_EOF
};
/* The next line that answers the last request. Waits at most TIMEOUT_MS (-1:
 * as long as it takes). An error line is CLIENT_GOT with ANSWER_ERROR. */
int client_line(struct client *c, int timeout_ms, enum client_got *got_out,
    struct answer *a_out, struct err *e);
void answer_free(struct answer *a);
/* E from an error line; ctl->refused becomes true. Always -1. */
int answer_error(struct ctl *ctl, const struct answer *a, struct err *e);

/* Send and wait for the final line. *A_OUT holds ANSWER_OK on success. */
int client_call(struct client *c, struct answer *a_out, struct err *e);
/* The second half of that, for what was sent already. */
int client_final(struct client *c, struct answer *a_out, struct err *e);
/* A request line written by the caller, and the lines that answer it:
 * *NL_OUT is the newline that ends c->in's first line. */
int client_send_text(struct client *c, const char *line, struct err *e);
int client_text(struct client *c, char **nl_out, struct err *e);
void client_text_done(struct client *c, size_t len);

/* Connect, ask OP with "id":ID and nothing else, disconnect. ID may be NULL. */
int client_ask(struct ctl *ctl, const char *op, const char *id,
    struct answer *a_out, struct err *e);

#endif
