/*
 * The control socket: clients, their lines, and the requests that come of
 * them. One request of a connection is served at a time, in order.
 *
 * Who a client is, SO_PEERCRED says. One that may not use us is told so, and
 * may ask for no more than the operations that are for anyone, in short lines.
 */
#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H

#include "lib/fdio.h"
#include "lib/ops.h"
#include "supervisor/super.h"

/* Where the answer to a request goes that no control client has made. */
struct answer {
	struct buf out; /* the value of "ok" */
	struct jw jw;
	/* OUT holds the value, or E says why there is none. The last call. */
	void (*done)(struct answer *a, const struct err *e);
};

/* A request being served. It outlives its client: then `client` is NULL and
 * answers go nowhere. Ends with exactly one of the request_end_* calls. */
struct request {
	struct super *s;
	struct client *client; /* borrowed; NULL when it has gone */
	struct answer *answer; /* borrowed; in place of a client, or NULL */
	struct op_request op;
	int fds[FDIO_MAX_FDS]; /* that came with it; owned */
	size_t nfds;
	uid_t uid;
	void *work;			 /* the operation's own, freed by it */
	void (*gone)(struct request *r); /* client has gone; may be NULL */
};

int control_open(struct super *s, struct err *e);
void control_accept(struct super *s); /* begin to serve */
/* Begin nothing new, read nothing; and go on. */
void control_hold(struct super *s);
void control_release(struct super *s);
void control_close(struct super *s);
size_t control_clients(const struct super *s);

/* The answer: w = request_ok(r); write ONE value; request_end_ok(r). */
struct jw *request_ok(struct request *r);
void request_end_ok(struct request *r);
void request_end_err(struct request *r, const struct err *e);
/* For proc_call(), with the request as CTX: what the child has answered is the
 * answer. */
void request_answer(void *ctx, const struct json *ok,
    const struct chan_frame *f, const struct err *e);
/* An item line before the answer, with descriptors (which become the
 * client's). */
struct jw *request_item(struct request *r);
void request_item_end(struct request *r, const int *fds, size_t nfds);
/* For items that may be left out: does anybody read them? And the end of one,
 * which is sent from the loop: R stays as it is. */
bool request_takes_items(const struct request *r);
void request_item_soon(struct request *r);
/* Hand the connection over: a duplicate of it, once all of our own output is
 * on its way; nothing else is written until request_end_handed(). -1 when the
 * client has gone, or cannot take our output now. */
int request_hand_over(struct request *r);
/* The other side has written the final line; or (GONE) there is nobody any
 * more, and the connection is closed. */
void request_end_handed(struct request *r, bool gone);

#endif
