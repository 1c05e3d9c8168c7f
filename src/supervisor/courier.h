/*
 * The supervisor's side of the courier, which downloads and installs agents.
 * It is started when it is first needed, and ends when it has had nothing to do
 * for some minutes.
 *
 * What is installed lies below a directory (super.h: agents_dir) that belongs
 * to the courier's user; everybody else only reads it:
 *
 *	ID/VERSION/bin/PROGRAM	the launcher
 *	ID/current		link to the VERSION in use
 *
 * `current` is replaced by rename: once it is there it never is missing, and
 * what it names is whole.
 */
#ifndef SUPERVISOR_COURIER_H
#define SUPERVISOR_COURIER_H

#include "supervisor/super.h"

struct courier;
struct courier_job; /* one who waits for an installation */

/* What is to be installed. All is copied. */
struct courier_order {
	const char *agent;	   /* its id */
	const struct json *recipe; /* `install` of its definition */
	const char *version;	   /* in place of the recipe's, or NULL */
	bool reinstall;		   /* also when that version is there */
};

/* How far it is, at most some times a second. Strings until the call ends. */
struct courier_progress {
	const char *stage;   /* waiting, resolving, downloading, unpacking,
			      * finishing */
	const char *what;    /* a package or file; "" when there is none */
	int64_t done, total; /* bytes; TOTAL 0: not known yet */
};

/* Strings until the call ends. */
struct courier_installed {
	const char *version;
	const char *path; /* absolute: …/ID/VERSION */
	bool already;	  /* it was there, nothing was done */
	int64_t bytes;	  /* that were downloaded */
};

typedef void courier_progress_cb(void *ctx, const struct courier_progress *p);
/* DONE is NULL and E says why when it has failed: ERR_INSTALL_FAILED,
 * ERR_DISK_FULL, ERR_BAD_REQUEST (the recipe), ERR_LIMIT. */
typedef void courier_done_cb(
    void *ctx, const struct courier_installed *done, const struct err *e);

/* Starts nothing. */
int courier_open(struct super *s, struct courier **c_out, struct err *e);
void courier_free(struct courier *c); /* accepts NULL; no callback */

/* Install, or wait with others for what is being installed already. DONE comes
 * exactly once, from the loop, never before this returns; PROGRESS (may be
 * NULL) before it. A courier that dies meanwhile is started again, and goes on
 * where it was; only when it dies three times is that a failure. */
struct courier_job *
courier_install(struct courier *c, const struct courier_order *o,
    courier_progress_cb *progress, courier_done_cb *done, void *ctx);
/* Whoever waited has gone: no callback any more. What is under way goes on. */
void courier_forget(struct courier_job *j);

/* The version in use of agent ID, or NULL when none is installed; the caller's.
 * A look at the file system, no message. */
char *courier_current(struct courier *c, const char *agent);
/* The launcher of PROGRAM in the version in use, as an absolute path by way of
 * `current`, or NULL; the caller's. */
char *
courier_launcher(struct courier *c, const char *agent, const char *program);

/* New settings (after HUP): a courier that runs is ended as soon as it is
 * idle, so that the next one has them. */
void courier_renew(struct courier *c);
/* Part of the orderly stop: true once no courier is left; super_stop_step() is
 * called when that changes. */
bool courier_stopped(struct courier *c);

#endif
