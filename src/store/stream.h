/*
 * Answers that are written straight to a control client's connection: lines,
 * made as fast as the client takes them.
 *
 * A stream is running (it has something to do), blocked (the client does not
 * read) or waiting (for events to come). Each turn of the loop gives the
 * running ones a bounded share of time, after the commit; a client that never
 * reads holds one partly written chunk of memory and nothing else.
 */
#ifndef STORE_STREAM_H
#define STORE_STREAM_H

#include "lib/buf.h"
#include "lib/json.h"
#include "store/sessions.h"
#include "store/store.h"

enum stream_state {
	STREAM_RUNNING,
	STREAM_BLOCKED,
	STREAM_WAITING,
	STREAM_N
};

/* What a source has to say after a step. */
enum stream_step {
	STEP_MORE,
	STEP_WAIT,
	STEP_END
};

struct stream;
/* Add about STREAM_CHUNK bytes to B, whole lines or a part of the answer. */
typedef enum stream_step
stream_fill(struct stream *x, struct store *st, MDB_txn *txn, struct buf *b);
#define STREAM_CHUNK (64u << 10)

/* Where the lines come from: serve.c. */
struct serve {
	stream_fill *fill;
	struct session *s;  /* held; NULL for the list */
	uint64_t after;	    /* sequence, or log number of the list's cursor */
	uint64_t first;	    /* sequence of the first event that is there */
	int64_t left;	    /* events that may still be written */
	int64_t count;	    /* that were */
	char *final;	    /* owned: members for the final line, an error's
			     * text, or NULL */
	enum err_code code; /* of that error */
	char *sandbox;	    /* owned: the list's filter, or NULL */
	bool follow, raw, until_turn, started;
	char *turn_id; /* owned; with until_turn: this one only, or NULL */
};

struct stream {
	TAILQ_ENTRY(stream) run;    /* running */
	TAILQ_ENTRY(stream) follow; /* waiting, in its session */
	LIST_ENTRY(stream) link;    /* all */
	enum stream_state state;
	int fd;		/* owned; its flags are shared with the supervisor */
	int64_t id;	/* the supervisor's request */
	char *request;	/* owned: the client's, as JSON text */
	struct buf out; /* what the client has not taken yet */
	bool last;	/* `out` holds the end */
	struct serve serve;
};

struct streams {
	int epoll_fd; /* connections: see stream.c */
	ev_io io;
	TAILQ_HEAD(, stream) running;
	LIST_HEAD(, stream) all;
	size_t n;
	struct buf scratch;
};

int streams_open(struct store *st, struct err *e) ATTR_WARN_UNUSED;
void streams_close(struct store *st); /* all of them, unanswered */
/* Takes FD and what SERVE owns in any case. */
int stream_new(struct store *st, int fd, int64_t id, const char *request,
    const struct serve *serve, struct err *e) ATTR_WARN_UNUSED;
void stream_wake(struct store *st, struct stream *x);
/* Give running streams their share. */
void streams_run(struct store *st);

/* serve.c */
void serve_free(struct serve *s);

#endif
