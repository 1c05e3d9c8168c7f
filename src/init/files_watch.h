/*
 * Telling what changes below a path: lines of JSON into the gateway's pipe, an
 * empty line when there was nothing to tell for a while.
 */
#ifndef INIT_FILES_WATCH_H
#define INIT_FILES_WATCH_H

#include "init/files_priv.h"

#define WATCH_HEARTBEAT_MS 15000

struct watch_plan {
	char path[FILES_PATH_MAX]; /* resolved, without a slash at its end */
	bool recursive;
	bool dir;    /* else one file */
	int poll_ms; /* 0: inotify */
	int out_fd;
	int64_t said_ms; /* when the last line was written */
};

/* What happened to a path. TYPE "file", "directory" or NULL; FROM only of a
 * move. -1 when nobody reads any more. */
int watch_event(struct watch_plan *p, const char *what, const char *path,
    const char *type, const char *from);
/* Events are missing: look at everything again. */
int watch_overflow(struct watch_plan *p, const char *path, const char *reason);
/* The first line. */
int watch_ready(struct watch_plan *p);
/* Wait at most MS (-1: without end) for FD, or for nothing when it is -1, with
 * heartbeats meanwhile. 1: readable; 0: time is up; -1: nobody reads. */
int watch_wait(struct watch_plan *p, int fd, int64_t ms);

/* Both return when nobody listens any more, or what was watched is gone. They
 * call job_tell() once they have begun. */
int watch_inotify(struct job_child *c, struct watch_plan *p, struct err *e);
int watch_poll(struct job_child *c, struct watch_plan *p, struct err *e);

/* DIR "/" NAME; -1 when it is too long. */
int watch_join(char out[FILES_PATH_MAX], const char *dir, const char *name);

#endif
