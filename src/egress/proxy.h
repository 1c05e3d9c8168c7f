/*
 * What the parts of the proxy share: the process, the sandboxes that it serves,
 * and their connections.
 *
 *	egress.c	what the supervisor says
 *	box.c		a sandbox: its socket, and who may come in
 *	conn.c		bytes of a connection, in both directions
 *	conn_begin.c	what a client wants; whether, and where to
 *	conn_talk.c	what goes through once it is connected
 *	note.c		what is told of it
 */
#ifndef EGRESS_PROXY_H
#define EGRESS_PROXY_H

#include "egress/dial.h"
#include "egress/http.h"
#include "egress/policy.h"
#include "egress/resolve.h"
#include "egress/target.h"
#include "lib/buf.h"
#include "lib/chan.h"
#include "lib/strutil.h"
#include <sys/queue.h>

struct conn;
struct notes;

struct proxy_settings {
	int64_t max_connections; /* in all */
	int64_t max_per_sandbox;
	int64_t header_ms, dial_ms, idle_ms;
};

struct proxy {
	struct ev_loop *loop;
	struct chan *ch; /* to the supervisor */
	struct resolver *resolver;
	struct proxy_settings set;
	int64_t fits; /* connections that there are descriptors for */
	int64_t most; /* of these, that the settings allow */
	bool started;
	int64_t nconns;
	int64_t last_conn; /* numbers that tell connections apart */
	LIST_HEAD(, box) boxes;
};

struct box {
	LIST_ENTRY(box) link;
	struct proxy *p;
	char id[SANDBOX_ID_MAX + 1];
	int fd; /* the listening socket; owned */
	ev_io io;
	ev_timer later; /* accepts again when there was no descriptor */
	struct netpolicy policy;
	struct notes *notes; /* owned */
	LIST_HEAD(, conn) conns;
	int64_t nconns;
};

/* In box.c. Takes FD, LOG_FD (-1: none) and what is in POLICY. */
void box_new(struct proxy *p, const char *id, int fd, int log_fd,
    struct netpolicy *policy);
struct box *box_find(struct proxy *p, const char *id);
void box_free(struct box *b);
/* A place is free again. */
void box_room(struct box *b);

/* --- connections ---------------------------------------------------------- */

#define CONN_BUF_MAX 65536 /* bytes that wait for one side */

enum conn_state {
	CONN_HEAD,    /* the client says what it wants */
	CONN_SOCKS,   /* and in SOCKS, what it wants now */
	CONN_WAIT,    /* a name is looked up, a server dialled */
	CONN_SNIFF,   /* a tunnel; which server does the client mean? */
	CONN_TUNNEL,  /* a tunnel */
	CONN_REQUEST, /* a request of HTTP */
	CONN_LINGER,  /* the last words are said */
	CONN_N
};

enum side {
	CLIENT,
	SERVER,
	SIDES
};

struct conn {
	LIST_ENTRY(conn) link;
	struct box *box;
	int64_t number;
	enum conn_state state;
	bool socks;
	bool tunnel; /* CONNECT or SOCKS: not a request to us */
	bool gone;   /* over: freed by conn_leave() */
	bool busy;   /* in a callback */
	bool noted;  /* its beginning was, so its end will be */
	struct {
		int fd; /* owned */
		ev_io io;
		struct buf out; /* waits to be written there */
		bool eof;	/* it says no more */
		bool shut;	/* it is told no more */
		bool end;	/* …once OUT is empty */
		int64_t bytes;	/* that it was told */
	} side[SIDES];
	struct buf in; /* of the client, not understood yet */
	ev_timer timer;
	int64_t deadline_ms; /* monotonic; 0: idle time counts */
	int64_t moved_ms, began_ms;
	struct target target;
	uint8_t addr[NETADDR_BYTES]; /* of the server */
	struct lookup *lookup;
	struct dial *dial;
	struct buf head; /* of a request: for the server */
	struct http_request req;
	struct http_follow body;
	bool body_done, answered;
	struct buf answer; /* a head that is not all there */
};

/* In conn.c. Takes FD. */
void conn_new(struct box *b, int fd);
void conn_free(struct conn *c);
/* No more than this long for what comes next; 0: idle time. */
void conn_deadline(struct conn *c, int64_t ms);
/* Say something to that side; kept if it does not go now. */
void conn_say(struct conn *c, enum side to, const char *s, size_t n);
/* That side hears no more after what was said. */
void conn_say_end(struct conn *c, enum side to);
/* Every callback ends with this, having set BUSY: watches what is to be watched
 * now, or frees it. */
void conn_leave(struct conn *c);
/* WHY (static): it is over. */
void conn_end(struct conn *c, const char *why);
/* Nothing more than what was said to the client. */
void conn_linger(struct conn *c);

/* In conn_begin.c: the client has said more; SERVER_FD is connected. */
void conn_begin_input(struct conn *c);
/* A refusal: STATUS of HTTP, or what SOCKS has for it. */
void conn_refuse(struct conn *c, int status, const char *why);

/* In conn_talk.c */
void conn_talk_begin(struct conn *c);
void conn_talk_input(struct conn *c, enum side from, const char *s, size_t n);
void conn_talk_eof(struct conn *c, enum side from);

/* --- what is told ----------------------------------------------------------
 */

/* In note.c. LOG_FD: a channel to the store, or -1. */
struct notes *notes_new(struct box *b, int log_fd);
void notes_channel(struct notes *n, int log_fd);
void notes_free(struct notes *n); /* accepts NULL */
void note_decision(struct conn *c, const struct verdict *v,
    const uint8_t *addr /* NULL: none yet */);
void note_end(struct conn *c, const char *why);

#endif
