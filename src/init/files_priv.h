/*
 * What the parts of the file server share. Only src/init/files*.c include it.
 *
 * Paths are the sandbox's own: the mount namespace is what confines them. Every
 * error that a client sees is made by files_oserr() or is ERR_BAD_REQUEST with
 * a sentence about the path, so that the door need not guess.
 */
#ifndef INIT_FILES_PRIV_H
#define INIT_FILES_PRIV_H

#include "lib/chan.h"
#include "lib/defs.h"
#include "lib/err.h"
#include <ev.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#define FILES_PATH_MAX 8192 /* of a resolved path; the kernel takes half */

struct jobs;
struct uploads;

struct files {
	struct ev_loop *loop;	 /* owned */
	struct chan *ch;	 /* owned; to the gateway */
	struct jobs *jobs;	 /* owned */
	struct uploads *uploads; /* owned */
	ev_timer idle;
	int null_fd;	     /* /dev/null */
	char home[PATH_MAX]; /* where relative paths begin */
	struct err broken;   /* nothing can be served, and why */
};

/* --- files.c: answers ----------------------------------------------------- */

/* The members of "ok" go between. The descriptors are taken. */
struct jw *files_reply(struct files *fs, int64_t id);
void
files_reply_end(struct files *fs, struct jw *w, const int *fds, size_t nfds);

/* --- files_path.c --------------------------------------------------------- */

/* errno as clients know it: "Is a directory (os error 21)". Returns -1. */
int files_oserr(struct err *e);
/* The same, but what is missing is "path not found: PATH". */
int files_patherr(struct err *e, const char *path);

/* Absolute paths as they are, others below the home. */
int files_resolve(const struct files *fs, const char *path,
    char out[FILES_PATH_MAX], struct err *e);
/* PATH without its last part, into DIR ("" when there is nothing above). */
void files_parent(const char *path, char dir[FILES_PATH_MAX]);
/* Like mkdir -p. */
int files_mkdirs(const char *path, struct err *e);

/* Where writing to PATH ends up: through links, which may dangle. A descriptor
 * of the directory, and the name in it. */
int files_target(
    const char *path, int *dir_out, char name[NAME_MAX + 1], struct err *e);

#define FILES_ETAG_MAX 64
void files_etag(const struct stat *st, char etag[FILES_ETAG_MAX]);
/* Members "path", "entryType", "size", "modified" as clients know them. */
void files_entry(struct jw *w, const char *path, const struct stat *st);
/* And those that tell more; TARGET may be NULL. */
void files_entry_more(struct jw *w, const struct stat *st, const char *target);

/* --- files_job.c: forked children ----------------------------------------- */

#define JOB_FDS_MAX 3

struct job_child { /* what a job sees of itself */
	void *ctx;
	int fds[JOB_FDS_MAX]; /* in the order they were given */
	int result_fd;
	bool told;
};
typedef int job_fn(struct job_child *c, struct err *e);

struct job_spec {
	int64_t id;	/* of the request */
	double limit_s; /* then it is killed; 0: never */
	bool watch;	/* counted apart: these last */
	job_fn *fn;
	void *ctx;	      /* the child has a copy of all memory */
	int fds[JOB_FDS_MAX]; /* for the child; stay the caller's */
	size_t nfds;
	int reply_fd;	   /* travels with the answer, taken; -1: none */
	const char *reply; /* "ok" as JSON text, copied; NULL: {} */
};

int jobs_open(struct files *fs, struct err *e);
/* Fork; the request is answered when the job ends, or by job_tell(). -1: it did
 * not start, nothing is answered (reply_fd is closed). */
int files_job(struct files *fs, const struct job_spec *s, struct err *e);
/* In the job: all is well so far, answer now. */
void job_tell(struct job_child *c);

/* --- what is served; each answers its request ------------------------------
 */

struct json;
int uploads_open(struct files *fs, struct err *e);
void uploads_close(struct files *fs);
void files_create(struct files *fs, int64_t id, const struct json *msg);
void files_commit(struct files *fs, int64_t id, const struct json *msg);
void files_abort(struct files *fs, const struct json *msg);

void files_delete(struct files *fs, int64_t id, const struct json *msg);
void files_move(struct files *fs, int64_t id, const struct json *msg);
void files_list(struct files *fs, int64_t id, const struct json *msg,
    const struct chan_frame *f);
void files_unpack(struct files *fs, int64_t id, const struct json *msg,
    const struct chan_frame *f);
void files_search(struct files *fs, int64_t id, const struct json *msg,
    const struct chan_frame *f);
void files_watch(struct files *fs, int64_t id, const struct json *msg,
    const struct chan_frame *f);

/* --- files_tree.c -----------------------------------------------------------
 */

/* A hidden name that nobody has: ".sandboxd-upload-…". */
#define FILES_TEMP_PREFIX ".sandboxd-upload-"
void files_temp_name(char name[NAME_MAX + 1]);

#endif
