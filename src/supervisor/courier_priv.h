/*
 * What courier.c (the process) and courier_files.c (its directory and its
 * settings) share.
 */
#ifndef SUPERVISOR_COURIER_PRIV_H
#define SUPERVISOR_COURIER_PRIV_H

#include "supervisor/courier.h"

struct courier_job {
	TAILQ_ENTRY(courier_job) link;
	struct courier *c;
	char *agent, *version; /* owned; VERSION may be NULL */
	struct json *recipe;   /* owned */
	bool reinstall;
	courier_progress_cb *progress;
	courier_done_cb *done; /* NULL: he has gone */
	void *ctx;
	bool sent;	 /* a call waits for its answer */
	bool failed;	 /* WHY is told by FAILURE */
	unsigned deaths; /* of couriers that were at it */
	unsigned round;	 /* of progress that he was told last */
	ev_timer failure;
	struct err why;
};

struct courier {
	struct super *s;
	struct proc proc;
	int dir_fd;	 /* of what is installed */
	bool ready;	 /* it has its settings */
	bool renew;	 /* ends when it is idle */
	unsigned deaths; /* in a row, before it was ready */
	unsigned round;
	ev_timer idle;
	TAILQ_HEAD(, courier_job) jobs;
};

/* JSON in its frames. */
#define COURIER_DEPTH (JSON_DEPTH_CONTROL + 8)
/* In courier.c: it may go, if nobody waits. */
void courier_rest(struct courier *c);

/* The directory of installed agents, which becomes the courier's own. */
int courier_open_dir(struct super *s, int *fd_out, struct err *e);
/* The mirror, when it is a directory; -1 in *FD_OUT when it is not. */
int courier_open_mirror(struct super *s, int *fd_out, struct err *e);
/* The settings of START, an object. */
void courier_settings_write(const struct super *s, struct jw *w);

#endif
