/*
 * What the parts of the courier share: the process, and one installation.
 *
 *	job.c		which installation runs, who waits for it, how it ends
 *	job_npm.c	what is to be downloaded, for recipes of npm
 *	job_archive.c	the same for archives
 *	job_pieces.c	downloading and unpacking
 *	job_finish.c	launchers, and the switch to the new version
 */
#ifndef COURIER_COURIER_H
#define COURIER_COURIER_H

#include "courier/beneath.h"
#include "courier/fetch.h"
#include "courier/packument.h"
#include "courier/platform.h"
#include "courier/recipe.h"
#include "courier/shelf.h"
#include "courier/tree.h"
#include "courier/unpack.h"
#include "lib/chan.h"
#include <sys/queue.h>

#define AGENT_ID_MAX 64

struct job;

struct courier {
	struct ev_loop *loop;
	struct chan *ch;       /* to the supervisor */
	struct json *settings; /* owned: of START; strings lie in it */
	const char *registry;  /* no slash at its end; NULL: none */
	const char *mirror;    /* an address in place of it, or NULL */
	int mirror_fd;	       /* a directory in place of it, or -1 */
	int agents_fd, partial_fd;
	int64_t max_bytes;
	struct platform platform;
	struct fetches *fetches;
	TAILQ_HEAD(, job) jobs;
};

/* Somebody who is to be told. */
struct waiter {
	LIST_ENTRY(waiter) link;
	int64_t id; /* of his request */
};

/* A package of which we have asked, or know. */
struct known {
	LIST_ENTRY(known) link;
	struct job *j;
	char *name;
	struct fetch *fetch; /* while it is under way */
	struct packument *p; /* owned; NULL: not there yet, or E */
	struct err e;
};

/* An archive, and where it is unpacked. */
struct piece {
	TAILQ_ENTRY(piece) link;
	struct job *j;
	char *what;    /* owned: for progress and errors */
	char *url;     /* owned */
	char *file;    /* owned: of the mirror; then there is no download */
	char *partial; /* owned: its name in .partial */
	struct digest digest;
	unsigned strip;
	char **dirs; /* owned: below the installation's directory */
	size_t ndirs, next_dir;
	enum {
		PIECE_WAITS,
		PIECE_COMES,
		PIECE_THERE,
		PIECE_DONE
	} state;
	int64_t bytes; /* of the archive, once it is there */
	struct fetch *fetch;
};
TAILQ_HEAD(pieces, piece);

/* What is put into bin/. */
struct launcher {
	const char *program;	       /* the recipe's */
	char target[BENEATH_PATH_MAX]; /* below the installation's directory */
};

enum job_stage {
	JOB_WAITING,
	JOB_RESOLVING,
	JOB_DOWNLOADING,
	JOB_UNPACKING,
	JOB_FINISHING
};

struct job {
	TAILQ_ENTRY(job) link;
	struct courier *c;
	char agent[AGENT_ID_MAX + 1];
	char *key; /* owned: who asks for the same waits with the first */
	struct json *order; /* owned: the request */
	struct recipe recipe;
	bool reinstall;
	bool running;
	enum job_stage stage;
	LIST_HEAD(, waiter) waiters;

	char version[SEMVER_TEXT_MAX];
	int agent_fd, lock_fd, tmp_fd; /* -1 while there is none */
	int64_t since;		       /* when it began to wait for the lock */
	char tmp[SHELF_NAME_MAX];
	struct unpack_room room;
	int64_t bytes; /* downloaded */

	/* npm */
	LIST_HEAD(, known) known;
	struct tree *tree;
	bool rooted; /* the recipe's own packages are known */
	bool going;  /* inside npm_go(): no recursion */

	struct pieces pieces;
	struct piece *unpacking; /* or NULL */
	struct unpack *unpack;
	ev_idle idle; /* unpacks a little whenever there is time */
	struct launcher launchers[RECIPE_ROOTS_MAX];
	size_t nlaunchers;

	ev_timer progress;
	char told[400]; /* the last progress, as text */
};

/* job.c */
void job_request(struct courier *c, int64_t id, const struct json *order);
/* Each ends J, which is gone after. */
void job_fail(struct job *j, struct err *e);
void job_done(struct job *j, const char *dir, bool already);
/* Is a version there that will do? Then J has ended. */
bool job_is_there(struct job *j);
/* Make the directory to work in. */
int job_begin_dir(struct job *j, struct err *e);

/* job_npm.c, job_archive.c */
void npm_begin(struct job *j);
void npm_free(struct job *j);
void archive_begin(struct job *j);

/* job_pieces.c */
struct piece *
piece_add(struct job *j, const char *what, const char *url, const char *file,
    const struct digest *digest, unsigned strip, const char *dir);
void pieces_begin(struct job *j);
void pieces_free(struct job *j);
/* Bytes of all archives: that are there or unpacked, and in all. */
void pieces_progress(const struct job *j, int64_t *done_out, int64_t *total_out,
    const char **what_out);

/* job_finish.c: everything is unpacked. Ends J. */
void job_finish(struct job *j);

#endif
