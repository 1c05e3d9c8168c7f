/*
 * The messages of proto.def as tables, and the one check that stands between
 * a channel and a handler.
 */
#ifndef LIB_PROTO_H
#define LIB_PROTO_H

#include "defs.h"
#include "err.h"
#include "json.h"

enum role {
	ROLE_SUPER,
	ROLE_STORE,
	ROLE_INIT,
	ROLE_SESSION,
	ROLE_RELAY,
	ROLE_GATEWAY,
	ROLE_COURIER,
	ROLE_EGRESS,
	ROLE_N
};

/* Life of a child as its supervisor sees it; see supervisor/proc.h. */
enum proc_state {
	PS_STARTING,
	PS_RUNNING,
	PS_STOPPING,
	PS_WAITING,
	PS_FAILED,
	PS_DOWN,
	PS_N
};

enum msg_type {
#define MSG(sym, wire, sender, receiver, type, states, max, fds, help) \
	MSG_##sym,
#include "proto.def"
	MSG_N
};

struct proto_msg {
	const char *name;
	unsigned senders;   /* BIT(ROLE_*) */
	unsigned receivers; /* BIT(ROLE_*) */
	bool request;	    /* carries an id and wants an answer */
	unsigned states;    /* BIT(PS_*) of the sending child */
	size_t max_bytes;
	unsigned max_fds;
	const struct json_field *fields;
	size_t nfields;
	const struct json_field *reply; /* members of "ok" */
	size_t nreply;
	const char *help;
};

extern const struct proto_msg proto_table[MSG_N];

const char *role_name(enum role r);

/* What a frame is. */
enum proto_kind {
	PROTO_MESSAGE,
	PROTO_OK,
	PROTO_ERROR
};

struct proto_in {
	enum proto_kind kind;
	enum msg_type type; /* PROTO_MESSAGE */
	int64_t id;	    /* request or reply; 0 for a notice */
	const struct json
	    *body; /* the message, or the reply's "ok" / "error" */
};

/* Check a frame of LEN bytes from SENDER (in STATE, or any for the
 * supervisor) to RECEIVER. -1 is a breach and E tells which rule it broke. A
 * reply is only recognised; proto_check_reply() looks at its members once the
 * request is known. */
int proto_check(enum role sender, enum proc_state state, enum role receiver,
    const struct json *msg, size_t len, size_t nfds, struct proto_in *in_out,
    struct err *e) ATTR_WARN_UNUSED;
int proto_check_reply(enum msg_type request, const struct json *ok,
    struct err *e) ATTR_WARN_UNUSED;

/* Begin a message in W (from chan_begin): writes "op", and "id" when ID > 0. */
void proto_begin(struct jw *w, enum msg_type type, int64_t id);

/* Descriptor numbers and arguments that children are started with. */
#define CHILD_SUPER_FD 3 /* every child: its channel to the supervisor */
#define CHILD_STORE_FD 4 /* session: its channel to the store */
#define CHILD_ADOPT_FD 4 /* init: where a later supervisor knocks */

#endif
